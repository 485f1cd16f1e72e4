"""The commands: what they print, where they print it, and how they end."""

import fcntl
import json
import os
import pty
import re
import signal
import subprocess
import sys
import termios
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from threading import Timer
from typing import Any

import numpy as np
import pytest
import typer.main
from dashboards import answers, begun
from PIL import Image
from searches import COMMAND, HANGING, Cli, Done, Searched, contents, kill_group, wait_for_the_end_of
from sklearn.datasets import load_digits
from spaces import SMALL

from archsearch import cli as cli_module
from archsearch.cli import app
from archsearch.files import write_whole
from archsearch.search.record import ranking
from archsearch.study import Study

shared = pytest.mark.xdist_group("study")

ROOT: Any = typer.main.get_command(app)


def run(*words: object) -> Done:
    """The installed command, in a process of its own."""
    done = subprocess.run([COMMAND, *map(str, words)], capture_output=True, text=True, timeout=HANGING)
    return Done(done.returncode, done.stdout, done.stderr)


# Help -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("words", [(), *((name,) for name in ROOT.commands), ("data", "check")], ids=" ".join)
def test_every_command_has_help(cli: Cli, words: tuple[str, ...]) -> None:
    done = cli(*words, "--help")
    assert (done.code, done.err) == (0, "")
    command = ROOT
    for word in words:
        command = command.commands[word]
    said = re.sub(r"[│\s]+", " ", done.out)
    assert " ".join(["archsearch", *words, "[OPTIONS]"]) in said
    assert command.help.split("\n")[0].rstrip(".") in said
    for option in command.params:
        if not option.hidden and option.opts[0].startswith("--"):
            assert option.opts[0] in said
            assert (option.help or "").rstrip(".") in said


def test_help_starts_nothing_heavy() -> None:
    done = subprocess.run([sys.executable, "-X", "importtime", COMMAND, "--help"], capture_output=True, text=True)
    assert done.returncode == 0
    assert "Usage: archsearch" in done.stdout
    loaded = {line.split("|")[-1].strip().split(".")[0] for line in done.stderr.splitlines()}
    assert "archsearch" in loaded
    assert not loaded & {"tensorflow", "keras", "optuna", "numpy", "pandas", "sklearn", "plotly"}


# Bad input ------------------------------------------------------------------------------------------------------------

DIGITS = load_digits()


def digits_npz(path: Path, labels: Any = DIGITS.target, count: int = 1797) -> Path:
    np.savez(path, x=np.rint(DIGITS.images * (255 / 16)).astype(np.uint8)[:count], y=labels[:count])
    return path


def truncated(path: Path) -> Path:
    whole = digits_npz(path).read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    return path


def pictures(folder: Path, sizes: tuple[int, ...] = (8, 8)) -> Path:
    for label in (0, 1):
        (folder / str(label)).mkdir(parents=True)
        for number, pixels in enumerate(DIGITS.images[DIGITS.target == label][:8]):
            side = sizes[number % 2]
            Image.fromarray((pixels * 15).astype(np.uint8)).resize((side, side)).save(folder / f"{label}/{number}.png")
    return folder


def said_in(path: Path, text: str | bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def data(make: Callable[[Path], object]) -> Callable[[Path], list[object]]:
    return lambda folder: [said_in(folder / "small.yaml", SMALL), "--data", make(folder)]


def space(text: str) -> Callable[[Path], list[object]]:
    return lambda folder: [said_in(folder / "small.yaml", text)]


def option(*words: object) -> Callable[[Path], list[object]]:
    return lambda folder: [said_in(folder / "small.yaml", SMALL), *words]


ONE_NINE = np.where((DIGITS.target == 9) & (np.arange(1797) > 9), 0, DIGITS.target)

BAD_SEARCHES: dict[str, tuple[Callable[[Path], list[object]], str]] = {
    "no such space": (lambda folder: [folder / "gone.yaml"], r"/gone\.yaml:1:1: no such file or directory; expected"),
    "empty space": (space(""), r"/small\.yaml:1:1: the file is empty"),
    "wrong space": (
        space(SMALL.replace("[4, 8]", "[4, eight]").replace("epochs: 2", "epoch: 2")),
        r"/small\.yaml:5:27: stages\.0\.filters: found 'eight', .*\n\S+/small\.yaml:10:3: training: .*mean 'epochs'",
    ),
    "no such data": (data(lambda folder: folder / "gone.npz"), r"gone\.npz': found no such file, folder or data set"),
    "nearly a name": (option("--data", "digit"), r"'digit': .* did you mean 'digits'\?"),
    "not an archive": (data(lambda folder: said_in(folder / "a.npz", "text")), r"a\.npz: not a \.npz archive"),
    "truncated archive": (data(lambda folder: truncated(folder / "a.npz")), r"a\.npz: not a \.npz archive, or one cut"),
    "one image of a class": (
        data(lambda folder: digits_npz(folder / "a.npz", ONE_NINE)),
        r"class '9' has 1 training image; expected at least 2",
    ),
    "labels not whole": (
        data(lambda folder: digits_npz(folder / "a.npz", DIGITS.target + 0.5)),
        r"a\.npz: y\S*: found 0\.5; expected whole numbers as labels",
    ),
    "mixed sizes": (
        data(lambda folder: pictures(folder / "mixed", (8, 12))),
        r"images differ in size: 0/0\.png is 8×8 and 0/1\.png is 12×12 .*--size",
    ),
    "too many folds": (
        option("--folds", 2000),
        r"class '\d' has \d+ training images.*expected one or more for each of",
    ),
    "unknown sampler": (
        option("--sampler", "tpee"),
        r"sampler: found 'tpee', expected one of tpe, random, qmc; did you mean 'tpe'\?",
    ),
    "unknown pruner": (option("--pruner", "never"), r"pruner: found 'never', expected one of halving, hyperband"),
    "no time": (option("--time", "soon"), r"time: found 'soon', expected a length of time such as 90s, 10m or 1h30m"),
    "time below zero": (option("--time", "-5m"), r"time: found '-5m', expected a length of time"),
    "no trials": (option("--trials", 0), r"trials: found 0, expected at least 1"),
    "one fold": (option("--folds", 1), r"folds: found 1, expected at least 2"),
    "epochs twice": (
        option("--epochs", 3),
        r"--epochs: \S+/small\.yaml has 'epochs' in 'training' already; take them out there, or give no --epochs",
    ),
    "no epochs": (option("--epochs", 0), r"epochs: found 0, expected more than 0"),
    "unknown objective": (
        option("--objective", "accuracy,speed"),
        r"objective: found 'speed', expected one of parameters, flops, latency",
    ),
    "unknown preference": (option("--prefer", "smal"), r"prefer: found 'smal'.* did you mean 'small'\?"),
    "too small for the space": (
        lambda folder: [said_in(folder / "small.yaml", SMALL.replace("[1, 2]", "[1, 5]"))],
        r"/small\.yaml:6:17: stages\.0\.downsample: images of 8x8 can be halved 3 times",
    ),
    "a baseline over the limit": (
        lambda folder: [said_in(folder / "small.yaml", SMALL + "limits: {parameters: 50}\n")],
        r"/small\.yaml:15:10: limits\.parameters: nothing in the space meets it: the smallest candidate found has 79",
    ),
}


@shared
@pytest.mark.parametrize("case", BAD_SEARCHES)
def test_bad_input_to_a_search_is_one_message(cli: Cli, tmp_path: Path, case: str) -> None:
    make, message = BAD_SEARCHES[case]
    words = make(tmp_path)
    before = contents(tmp_path)
    done = cli("search", *words, "--out", tmp_path / "study")
    assert done.code == 2
    assert re.search(message, done.err), done.err
    assert "Traceback" not in done.err
    assert contents(tmp_path) == before
    assert not (tmp_path / "study").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("search", "a.yaml", "--trails", "3"), "No such option: --trails"),
        (("status",), "Missing argument"),
        (("serch", "a.yaml"), "No such command 'serch'"),
        (("search", "a.yaml", "--trials", "many"), "--trials"),
        (("dashboard", "study", "--port", "70000"), "--port"),
    ],
)
def test_a_wrong_command_line_is_said_so(cli: Cli, words: tuple[str, ...], message: str) -> None:
    done = cli(*words)
    assert done.code == 2
    assert message in done.err
    assert "Traceback" not in done.err


@pytest.mark.parametrize("command", ["status", "report", "retrain", "export", "stress", "demo", "dashboard"])
@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, r"no study here \(study\.json is missing\)"),
        ("{", r"study\.json: Invalid JSON: .*; the file is damaged or from another version of archsearch"),
        ('{"version": "0.1.0"}', r"study\.json: space: Field required; the file is damaged"),
    ],
    ids=["missing", "cut short", "incomplete"],
)
def test_a_command_on_what_is_no_study(
    cli: Cli, tmp_path: Path, command: str, content: str | None, message: str
) -> None:
    if content is not None:
        said_in(tmp_path / "study.json", content)
    before = contents(tmp_path)
    done = cli(command, tmp_path)
    assert (done.code, done.out.count("\n") <= 1) == (2, True)
    assert re.fullmatch(rf".*{message}.*\n", done.err), done.err
    assert contents(tmp_path) == before


def test_the_installed_command_ends_with_2() -> None:
    done = run("status", "gone")
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith("gone: no study here")
    assert done.err.count("\n") == 1


# A study that is there ------------------------------------------------------------------------------------------------


@shared
@pytest.mark.slow
def test_status(cli: Cli, searched: Searched) -> None:
    before = contents(searched.study.path)
    done = cli("status", searched.study.path)
    assert (done.code, done.err) == (0, "")
    assert "data    digits: 1,527 images to search on, 270 set aside" in done.out
    assert "FLOPs  seconds  architecture" in done.out  # a pipe is as wide as that needs
    best = ranking(searched.study.trials())[0]
    complete = sum(trial.state == "complete" for trial in searched.study.trials())
    assert f"trials  {complete} complete" in done.out
    assert re.search(rf"^ +1 +{best.number} +{100 * (best.score or 0):.2f} ± ", done.out, re.MULTILINE)
    assert contents(searched.study.path) == before


@shared
@pytest.mark.slow
def test_show(cli: Cli, searched: Searched) -> None:
    done = cli("show", searched.study.path, 0)
    assert (done.code, done.err) == (0, "")
    assert done.out.startswith("trial 0 (the baseline): complete, ")
    assert len(re.findall(r"^ +\d +[\d.]+ +[\d.]+ % ", done.out, re.MULTILINE)) == len(
        searched.study.trial(0).fold_scores
    )


@shared
@pytest.mark.slow
def test_replay(cli: Cli, searched: Searched) -> None:
    done = cli("replay", searched.study.path, 0)
    assert (done.code, done.err) == (0, "")
    assert len(done.out.splitlines()) == len(searched.study.trial(0).reports) + 1
    assert "trial 0 came out the same: " in done.out


@shared
@pytest.mark.slow
@pytest.mark.parametrize("command", ["show", "replay"])
def test_a_trial_that_is_not_there(cli: Cli, searched: Searched, command: str) -> None:
    done = cli(command, searched.study.path, 999)
    assert done.code == 2
    assert "trial 999 is not there; found trials 0 to " in done.err


@shared
@pytest.mark.slow
def test_report(cli: Cli, a_copy: Study) -> None:
    for file in (a_copy.folder.report, a_copy.folder.report_data, a_copy.folder.leaderboard):
        file.unlink()
    done = cli("report", a_copy.path)
    assert (done.code, done.err) == (0, "")
    assert done.out == f"report: {a_copy.folder.report}\n"
    assert json.loads(a_copy.folder.report_data.read_bytes())["ranking"]
    assert a_copy.folder.leaderboard.is_file()


@shared
@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["[red] runs", "a study with a name that is far longer than a line of a terminal is wide"]
)
@pytest.mark.parametrize("command", ["report", "retrain"])
def test_a_path_is_printed_as_it_is(cli: Cli, a_copy: Study, name: str, command: str) -> None:
    odd = a_copy.path.rename(a_copy.path.with_name(name))
    done = cli(command, odd)
    assert (done.code, done.err) == (0, "")
    assert f"report: {odd / 'report.html'}\n" in done.out


@shared
@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["[red] runs.yaml", "a space with a name that is far longer than a line of a terminal is wide.yaml"]
)
def test_status_prints_a_path_as_it_is(cli: Cli, a_copy: Study, name: str) -> None:
    write_whole(a_copy.folder.info, a_copy.info.model_copy(update={"space_file": name}).model_dump_json())
    assert f"space   small ({name})\n" in cli("status", a_copy.path).out


@shared
@pytest.mark.slow
def test_retrain_tells_the_winner(cli: Cli, a_copy: Study) -> None:
    done = cli("retrain", a_copy.path)
    winner = a_copy.winner()
    assert winner is not None
    assert (done.code, done.err) == (0, "")
    right = round(winner.test.accuracy * 270)
    assert re.search(rf"winner: trial {winner.trial}, .* on the test set \({right} of 270 images\)", done.out)
    assert f"model:  {a_copy.folder.model}\nreport: {a_copy.folder.report}\n" in done.out


@shared
@pytest.mark.slow
def test_what_is_not_retrained_is_not_said_to_be(cli: Cli, a_copy: Study) -> None:
    before = a_copy.folder.model.read_bytes()
    done = cli("retrain", a_copy.path)
    assert a_copy.folder.model.read_bytes() == before
    assert "retraining the" not in done.out


@shared
@pytest.mark.slow
def test_the_same_search_again_has_nothing_to_do(cli: Cli, searched: Searched, a_copy: Study) -> None:
    before = a_copy.winner()
    options = ["--trials", searched.config.trials, "--workers", 2, "--pruner", "none", "--out", a_copy.path]
    done = cli("search", searched.config.space, *options)
    assert (done.code, done.err) == (0, "")
    assert "search over: all trials are done\n" in done.out
    assert a_copy.winner() == before


@shared
@pytest.mark.slow
def test_too_little_time_for_one_trial(cli: Cli, tmp_path: Path) -> None:
    small = said_in(tmp_path / "small.yaml", SMALL.replace("epochs: 2", "epochs: 10_000"))
    done = cli("search", small, "--time", "1s", "--workers", 1, "--out", tmp_path / "study")
    assert done.code == 1
    assert "search over: the time is spent\n" in done.out
    assert re.fullmatch(
        r"\S+/study: no trial has run all its folds, so there is no winner; continue the search .*\n", done.err
    )
    study = Study(tmp_path / "study")
    assert {trial.state for trial in study.trials()} <= {"interrupted"}
    assert study.folder.report.is_file()
    again = cli("retrain", study.path)
    assert again.code == 1
    assert "no trial has run all its folds" in again.err
    assert re.search(r"^trials  (1 interrupted|none yet)$", cli("status", study.path).out, re.MULTILINE)
    assert cli("report", study.path).code == 0
    before = contents(study.path)
    for command in ("export", "stress", "demo"):
        done = cli(command, study.path)
        assert (done.code, done.err) == (1, again.err)
    done = cli("export", study.path, "--format", "tflite")
    assert done.code == 1, "first things first"
    assert contents(study.path) == before


# Data -----------------------------------------------------------------------------------------------------------------


def test_data_check_on_digits(cli: Cli) -> None:
    done = cli("data", "check", "digits")
    assert (done.code, done.err) == (0, "")
    assert "images      1,797 for training, no test set (15 % will be set aside)\n" in done.out
    assert "shape       8 x 8, grey\n" in done.out
    counts = re.findall(r"^(\d) +(\d+)$", done.out, re.MULTILINE)
    assert [int(count) for _, count in counts] == np.bincount(DIGITS.target).tolist()
    assert "problem" not in done.out


def test_data_check_names_what_cannot_be_read(cli: Cli, tmp_path: Path) -> None:
    folder = pictures(tmp_path / "photos [old]")
    (folder / "0" / "0.png").write_bytes(b"no picture")
    done = cli("data", "check", folder)
    assert (done.code, done.err) == (2, "")
    assert "unreadable  1\n  0/0.png: not a PNG or JPEG\n" in done.out
    assert re.search(r"problem: 1 image cannot be read: 0/0\.png .*repair or remove", done.out.replace("\n", " "))
    assert "photos [old]" in done.out.replace("\n", "")


@pytest.mark.skipif(sys.platform in ("win32", "darwin"), reason="such names cannot be there")
def test_nothing_that_is_said_acts_on_the_terminal(cli: Cli, tmp_path: Path) -> None:
    folder = pictures(tmp_path / "photos\x1b[31m")
    (folder / "0" / "\x1b]0;title\x07\udcff.png").write_bytes(b"no picture")
    done = cli("data", "check", folder)
    assert done.code == 2
    assert r"0/\x1b]0;title\x07\udcff.png: not a PNG or JPEG" in done.out
    assert r"photos\x1b[31m" in done.out
    assert "\x1b" not in done.out
    done = cli("data", "check", folder / "not\x1b[31m there")
    assert done.code == 2
    assert r"not\x1b[31m there': found no such file" in done.err
    assert "\x1b" not in done.err


# In a terminal --------------------------------------------------------------------------------------------------------


class Terminal:
    """A command in a terminal of its own."""

    def __init__(self, *words: object) -> None:
        self._ours, theirs = pty.openpty()
        self.shown = ""
        self.process = subprocess.Popen(
            [COMMAND, *map(str, words)],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            env=os.environ | {"TERM": "xterm-256color", "COLUMNS": "120", "LINES": "40"},
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),  # so that its Ctrl-C is ours to press
        )
        os.close(theirs)
        self._deadline = Timer(HANGING, kill_group, [self.process.pid])
        self._deadline.start()

    def read(self) -> Iterator[str]:
        """What is shown, as it comes, to the end."""
        while True:
            try:
                more = os.read(self._ours, 65_536)
            except OSError:  # so a terminal says that nobody writes to it any more
                return
            if not more:
                return
            self.shown += more.decode(errors="replace")
            yield self.shown

    def until(self, pattern: str) -> None:
        """Waits until something that matches is shown."""
        assert any(re.search(pattern, shown) for shown in self.read()), f"no {pattern} in {self.shown}"

    def type(self, keys: str) -> None:
        """Presses keys."""
        os.write(self._ours, keys.encode())

    def close(self) -> None:
        """Ends everything in the terminal."""
        self._deadline.cancel()
        kill_group(self.process.pid)
        self.process.wait()
        os.close(self._ours)


@pytest.mark.slow
def test_a_ctrl_c_that_a_library_turns_into_an_error_of_its_own_is_one(
    cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read(*_: object) -> None:
        try:
            raise cli_module._Interrupted
        except BaseException:
            raise RuntimeError("the connection is lost") from None

    monkeypatch.setattr(Study, "collect", read)
    assert cli("status", "nowhere") == Done(130, "", "interrupted; what was finished is kept\n")
    monkeypatch.setattr(Study, "collect", lambda self: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        cli("status", "nowhere")


def test_a_search_in_a_terminal_is_shown_live_until_ctrl_c(cli: Cli, tmp_path: Path) -> None:
    small = said_in(tmp_path / "small.yaml", SMALL.replace("epochs: 2", "epochs: 500"))
    study = Study(tmp_path / "study")
    with closing(Terminal("search", small, "--trials", 9, "--workers", 1, "--out", study.path)) as terminal:
        terminal.until(r"0 of 9 trials")
        terminal.until(r"trial 0 +fold 0 +epoch [1-9]\d*(\.\d)?/500 +\d+\.\d\d %")
        status = cli("status", study.path)
        assert (status.code, status.err) == (0, "")
        assert "trials  1 running\n" in status.out
        terminal.type("\x03")
        for _ in terminal.read():
            pass
        assert terminal.process.wait() == 128 + signal.SIGINT
        wait_for_the_end_of(terminal.process.pid)
    assert "\x1b[" in terminal.shown
    assert "Traceback" not in terminal.shown
    assert "search over: interrupted" in terminal.shown
    assert "The same command goes on from here." in terminal.shown
    assert [trial.state for trial in study.trials()] == ["interrupted"]
    assert study.folder.report.is_file()


@pytest.mark.slow
def test_a_search_without_a_terminal_prints_plain_lines(tmp_path: Path) -> None:
    small = said_in(tmp_path / "small.yaml", SMALL)
    done = run("search", small, "--trials", 2, "--workers", 1, "--out", tmp_path / "study")
    assert (done.code, done.err) == (0, "")
    assert not re.search(r"[\x00-\x09\x0b-\x1f]", done.out)
    assert re.search(r"^\d:\d\d  trial 0 complete \d+\.\d\d ± \d\.\d\d %: baseline$", done.out, re.MULTILINE)
    assert len(re.findall(r"^\d:\d\d  trial \d (?:complete|pruned)", done.out, re.MULTILINE)) == 2
    assert "search over: all trials are done\n" in done.out
    assert re.search(r"^  [\d.]+ epochs  loss \d\.\d{4}  accuracy \d+\.\d\d%$", done.out, re.MULTILINE)
    assert re.search(r"^winner: trial \d, .* on the test set \(\d+ of 270 images\)", done.out, re.MULTILINE)
    study = Study(tmp_path / "study")
    places = f"model:  {study.folder.model}\nreport: {study.folder.report}\nnext:   "
    assert places in done.out
    assert done.out.endswith("or search on with more --time or --trials\n")


@pytest.mark.slow
def test_a_search_for_some_time_says_its_plan_and_ends_with_a_winner(tmp_path: Path) -> None:
    small = said_in(tmp_path / "small.yaml", SMALL.replace("  epochs: 2\n", ""))
    done = run("search", small, "--time", "20s", "--workers", 2, "--out", tmp_path / "study")
    assert (done.code, done.err) == (0, "")
    epochs = r"[\d.]+ epochs?(?: \([\d.]+ for the winner\))?"
    plan = rf"^\d:\d\d  plan: {epochs}, \d of 5 folds, .*; a typical candidate trains on [\d,]+ images/s$"
    assert re.search(plan, done.out, re.MULTILINE)
    assert "search over: the time is spent\n" in done.out
    assert re.search(r"^winner: trial \d+, .* on the test set \(\d+ of 270 images\)", done.out, re.MULTILINE)
    study = Study(tmp_path / "study")
    winner, best = study.winner(), study.best()
    assert winner is not None
    assert best is not None
    assert winner.trial == best.number
    confirmed = [trial for trial in study.trials() if trial.confirmed]
    assert best in confirmed or not confirmed
    # The same again has no time left.
    again = run("search", small, "--time", "20s", "--workers", 2, "--out", tmp_path / "study")
    assert (again.code, again.err) == (0, "")
    assert study.winner() == winner


@shared
@pytest.mark.slow
def test_the_stress_test_of_a_study_and_of_an_exported_file(cli: Cli, a_copy: Study) -> None:
    done = cli("stress", a_copy.path)
    assert (done.code, done.err) == (0, "")
    for word in ("rotation", "occlusion", "of no class", "suffer most", "Robustness "):
        assert word in done.out
    found = a_copy.stressed()
    assert found is not None
    assert found.images == 270
    page = a_copy.folder.report.read_text()
    assert "<h2>Under stress</h2>" in page
    assert '"stress"' in page
    assert "## Known failures" in a_copy.folder.card.read_text()
    assert cli("export", a_copy.path, "--format", "onnx").code == 0
    model = a_copy.folder.exports / "model.onnx"
    done = cli("stress", model, "--data", "digits")
    assert (done.code, done.err) == (0, "")
    assert "rotation" in done.out
    done = cli("stress", model)
    assert done.code == 2
    assert done.err.startswith("stress: found no --data; expected the data that the model was made for")
    done = cli("stress", a_copy.path, "--data", "digits")
    assert (done.code, done.err) == (2, "stress: --data goes with a model; a study knows its own\n")


@shared
@pytest.mark.slow
def test_a_trial_is_exported_once_it_is_retrained_and_that_is_an_opening(cli: Cli, a_copy: Study) -> None:
    winner = a_copy.winner()
    assert winner is not None
    complete = next(t for t in a_copy.trials() if t.state == "complete" and t.number != winner.trial)
    done = cli("export", a_copy.path, "--trial", complete.number, "--format", "onnx")
    assert (done.code, done.err) == (0, "")
    where = a_copy.path / "trials" / str(complete.number)
    assert done.out.endswith(f"files: {where / 'exports'}\n")
    assert {path.name for path in (where / "exports").iterdir()} == {"model.onnx", "export.json"}
    assert a_copy.winner() == winner, "best/ is as it was"
    openings = a_copy.collect().openings
    assert [opening.trial for opening in openings] == [winner.trial, complete.number]
    assert "The test set has been opened 2 times" in a_copy.folder.report.read_text()
    again = cli("export", a_copy.path, "--trial", complete.number, "--format", "onnx")
    assert "epochs" not in again.out, "it is not trained again"
    assert len(a_copy.collect().openings) == 2
    done = cli("export", a_copy.path, "--trial", 999)
    assert (done.code, "trial 999 is not there" in done.err) == (2, True)


@shared
@pytest.mark.slow
def test_a_winner_whose_model_is_gone(cli: Cli, a_copy: Study) -> None:
    a_copy.folder.model.unlink()
    for command in ("export", "stress", "demo"):
        done = cli(command, a_copy.path)
        said = f"{a_copy.folder.model}: there is no model here yet; make it with: archsearch retrain {a_copy.path}\n"
        assert (done.code, done.err) == (2, said)


@shared
@pytest.mark.slow
def test_the_demo_is_written_and_served(a_copy: Study, tmp_path: Path) -> None:
    page = tmp_path / "page"
    done = run("demo", a_copy.path, "--out", page)
    assert (done.code, done.err, done.out.splitlines()[0]) == (0, "", f"page: {page}")
    assert {"index.html", "demo.json", "model.onnx"} <= {path.name for path in page.iterdir()}
    with begun(a_copy.path, "demo") as (url, demo):
        assert answers(f"{url}/model.onnx")
        demo.ctrl_c()
        ended = demo.finish()
    assert ended.code in (0, 128 + signal.SIGINT)
    assert "Traceback" not in ended.err


@shared
@pytest.mark.slow
def test_a_study_is_not_compared_with_itself(cli: Cli, searched: Searched) -> None:
    path = searched.study.path
    done = cli("compare", path, path / ".." / path.name)
    assert done.code == 2
    assert done.err.startswith("compare: found a study twice among ")

"""Commands on a disk that is full or cannot be written: what they say, and that everything goes on afterwards."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from searches import Cli, Searched, contents
from spaces import SMALL

from archsearch.errors import SearchError
from archsearch.launch import run_search
from archsearch.search.config import SearchConfig
from archsearch.search.coordinator import Progress
from archsearch.search.folder import StudyFolder
from archsearch.study import Study

pytestmark = pytest.mark.xdist_group("study")

FULL = "cannot be read or written: No space left on device; free some space"
PAGE = 4096


class Disk:
    """A file system in memory."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._filler = path / "filler"

    def fill(self, left: int = 0) -> None:
        """Leaves room for so many pages."""
        self.empty()
        with self._filler.open("wb", buffering=0) as file:
            while True:
                try:
                    file.write(bytes(PAGE))
                except OSError:
                    break
            file.truncate(file.tell() - left * PAGE)

    def empty(self) -> None:
        """Makes room again."""
        self._filler.unlink(missing_ok=True)

    def seal(self) -> None:
        """Nothing can be written from now on."""
        subprocess.run(["mount", "-o", "remount,ro", self.path], check=True)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    """A disk of its own, of 24 MB."""
    path = tmp_path / "disk"
    path.mkdir()
    try:
        done = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=24m", "none", path], capture_output=True, text=True, check=False
        )
    except FileNotFoundError:
        pytest.skip("there is no mount")
    if done.returncode:
        pytest.skip(f"a file system cannot be mounted here: {done.stderr.strip()}")
    try:
        yield Disk(path)
    finally:
        subprocess.run(["umount", "-l", path], check=True)


@pytest.fixture
def on_disk(disk: Disk, searched: Searched) -> Study:
    """The study of `searched`, on that disk."""
    return Study(Path(shutil.copytree(searched.study.path, disk.path / "study")))


def command(searched: Searched, out: Path, trials: int) -> tuple[object, ...]:
    space = searched.config.space
    return ("search", space, "--workers", 2, "--pruner", "none", "--trials", trials, "--out", out)


def test_a_study_on_a_full_disk_is_read(cli: Cli, disk: Disk, on_disk: Study) -> None:
    disk.fill()
    for words in (("status", on_disk.path), ("report", on_disk.path, "--format", "md"), ("show", on_disk.path, 0)):
        done = cli(*words)
        assert (done.code, done.err) == (0, "")


@pytest.mark.parametrize(
    ("words", "names"),
    [
        (("report",), "report.json"),
        (("stress",), "best/stress.json"),
        (("explain", "--time", "5s"), "story.json"),
        *(
            (("export", "--format", kind), f"best/exports/{name}")
            for kind, name in {
                "keras": "model.keras",
                "saved_model": "saved_model",
                "onnx": "model.onnx",
                "litert": "model.tflite",
            }.items()
        ),
    ],
    ids=lambda given: " ".join(given) if isinstance(given, tuple) else "",
)
@pytest.mark.slow
def test_what_cannot_be_written_is_named_and_nothing_is_lost(
    cli: Cli, disk: Disk, on_disk: Study, words: tuple[str, ...], names: str
) -> None:
    shutil.rmtree(on_disk.folder.exports, ignore_errors=True)
    before = contents(on_disk.path)
    disk.fill()
    done = cli(words[0], on_disk.path, *words[1:])
    assert done.code == 1
    assert done.err.startswith(f"{on_disk.path / names}: {FULL}")
    assert done.err.count("\n") == 1
    assert contents(on_disk.path) == before
    disk.empty()
    done = cli(words[0], on_disk.path, *words[1:])
    assert (done.code, done.err) == (0, "")


def test_a_page_that_cannot_be_written_leaves_the_former_one(cli: Cli, disk: Disk, on_disk: Study) -> None:
    out = disk.path / "demo"
    assert cli("demo", on_disk.path, "--out", out).code == 0
    before = contents(out)
    disk.fill(left=20)
    done = cli("demo", on_disk.path, "--out", out)
    assert (done.code, done.err) == (2, f"{out}: cannot be written: No space left on device; name another folder\n")
    assert contents(out) == before
    assert sorted(os.listdir(disk.path)) == ["demo", "filler", "study"]  # noqa: PTH208


def test_data_that_cannot_be_kept_is_named(
    cli: Cli, disk: Disk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ARCHSEARCH_CACHE", str(disk.path / "cache"))
    pixels = 1797 * 8 * 8 // PAGE + 1
    for left, why in {0: "GB left", pixels + 1: "cannot be kept here (No space left on device); free some"}.items():
        disk.fill(left)
        done = cli("data", "check", "digits")
        assert done.code == 2
        assert why in done.err
        assert "another cache folder in the environment variable ARCHSEARCH_CACHE" in done.err
        assert done.err.count("\n") == 1
    disk.empty()
    assert cli("data", "check", "digits").code == 0


def test_a_search_does_not_begin_on_a_full_disk_and_does_when_there_is_room(
    cli: Cli, disk: Disk, searched: Searched
) -> None:
    out = disk.path / "new"
    disk.fill()
    done = cli(*command(searched, out, 2))
    assert done.code == 1
    assert done.err.startswith(f"{out / 'journal.log'}: {FULL}")
    assert done.err.count("\n") == 1
    disk.empty()
    assert cli(*command(searched, out, 2)).code == 0


def test_a_disk_that_fills_up_ends_a_search_which_goes_on_when_there_is_room(
    cli: Cli, disk: Disk, tmp_path: Path
) -> None:
    space = tmp_path / "small.yaml"
    space.write_text(SMALL)
    config = SearchConfig(space=space, data="digits", out=disk.path / "study", trials=6, workers=1, pruner="none")
    folder = StudyFolder(config.out)

    def fills_up(progress: Progress) -> None:
        if progress.leader and not (disk.path / "filler").exists():
            disk.fill()

    with pytest.raises(OSError, match="No space left on device") as failed:
        run_search(config, fills_up)
    assert failed.value.filename == str(folder.journal)
    assert folder.journal.read_bytes().endswith(b"\n")
    done = cli("status", config.out)
    assert (done.code, done.err) == (0, "")
    kept = {trial.number for trial in Study(config.out).trials() if trial.state == "complete"}
    assert kept
    disk.empty()
    study, ended = run_search(config)
    assert ended == "all trials are done"
    ended_as = {trial.number: trial.state for trial in study.trials()}
    assert all(ended_as[number] == "complete" for number in kept)
    assert sum(state in ("complete", "pruned") for state in ended_as.values()) == 6


def test_a_model_that_cannot_be_saved_is_not_tested_and_is_retrained_when_there_is_room(
    disk: Disk, on_disk: Study
) -> None:
    shutil.rmtree(on_disk.folder.best)
    disk.fill(left=2)
    with pytest.raises(SearchError, match=r"best/model\.keras: the model cannot be saved.*No space left.*free some"):
        on_disk.retrain()
    assert on_disk.winner() is None
    assert not list(on_disk.path.glob("**/*.tmp"))
    disk.empty()
    winner = on_disk.retrain()
    assert winner is not None
    assert len(on_disk.collect().openings) == 2, "before the disk was full, and now"


def test_a_read_only_study_is_read_and_whatever_writes_says_so(
    cli: Cli, disk: Disk, on_disk: Study, searched: Searched, caplog: pytest.LogCaptureFixture
) -> None:
    line = len(on_disk.folder.journal.read_bytes().splitlines()) + 1
    for lock in (on_disk.folder.lock, Path(f"{on_disk.folder.journal}.lock")):
        lock.unlink(missing_ok=True)
    with on_disk.folder.journal.open("ab") as file:
        file.write(b"half a li")
    disk.seal()
    for words in (
        ("status", on_disk.path),
        ("show", on_disk.path, 0),
        *(("report", on_disk.path, "--format", kind) for kind in ("md", "csv", "json")),
    ):
        done = cli(*words)
        assert (done.code, done.err) == (0, "")
        assert [said.split(" is ")[0] for said in caplog.messages] == [f"{on_disk.folder.journal}: line {line}"]
        caplog.clear()
    done = cli("report", on_disk.path)
    assert done.code == 1
    assert f"{on_disk.folder.report_data}: cannot be read or written: Read-only file system" in done.err
    for out in (on_disk.path, disk.path / "new"):
        done = cli(*command(searched, out, 9))
        assert done.code == 2
        assert done.err.endswith(
            f"{out}: this folder cannot be written: Read-only file system; make it writable, work on a copy of it, or "
            "choose another --out\n"
        )


def test_a_search_goes_on_after_a_power_cut(cli: Cli, a_copy: Study, searched: Searched) -> None:
    journal, before = a_copy.folder.journal, a_copy.trials()
    with journal.open("ab") as file:
        file.write(b'{"op_code":6,"worker_id"' + bytes(1000))
    left = a_copy.folder.report.with_name(".report.html.1.tmp")
    left.touch()
    os.utime(left, (0, 0))
    assert cli(*command(searched, a_copy.path, len(before) + 1)).code == 0
    assert len(a_copy.trials()) > len(before)
    assert a_copy.trials()[: len(before)] == before
    assert journal.with_name("journal.log.damaged").stat().st_size == 1024
    assert not left.exists()

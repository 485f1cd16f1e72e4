"""Retraining happens in a process of its own: in time, or not at all."""

import os
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from dataclasses import replace
from multiprocessing import active_children
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from candidates import drawn_from_a_space
from searches import ENDING, HANGING, Searched, background, contents, wait_for_the_end_of
from spaces import SMALL

from archsearch.data.splits import Splits
from archsearch.errors import DataError, SearchError, TrialError
from archsearch.retrain import retrain
from archsearch.search.folder import WinnerInfo
from archsearch.search.record import TrialRecord
from archsearch.study import Study
from archsearch.training.job import Point

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("study")]


@pytest.fixture(scope="module")
def splits(searched: Searched) -> Splits:
    return searched.study.splits()


def trained_for(study: Study, epochs: float, **task: int) -> TrialRecord:
    """The best trial, with another recipe."""
    best = study.best()
    assert best is not None
    found = drawn_from_a_space(best.candidate)
    recipe = found.recipe.model_copy(update={"epochs": epochs})
    network = found.architecture.model_copy(update={"task": found.architecture.task.model_copy(update=task)})
    return best.model_copy(update={"candidate": found.model_copy(update={"recipe": recipe, "architecture": network})})


def retrained(study: Study, splits: Splits, trial: TrialRecord, **how: Any) -> WinnerInfo | None:
    return retrain(study.folder, study.info, trial, splits, lambda test: None, **how)


def accuracy(study: Study, splits: Splits) -> float:
    """Of the saved model on the test set, as anybody would measure it."""
    model = keras.saving.load_model(study.folder.model)
    probabilities = model.predict(splits.test.images, verbose=0)
    return float(np.mean(probabilities.argmax(axis=1) == splits.test.labels))


def test_a_training_that_would_take_too_long_ends_in_time_with_its_schedule_whole(
    a_copy: Study, splits: Splits
) -> None:
    told: list[Point] = []
    winner = retrained(a_copy, splits, trained_for(a_copy, 10_000.0), until=time.monotonic() + 10, on_point=told.append)
    assert winner == a_copy.winner()
    assert winner is not None
    assert told[-1].epoch == told[-1].epochs == 10_000
    assert told[-1].images < 0.2 * 10_000 * len(splits.train)
    assert winner.test.accuracy == pytest.approx(accuracy(a_copy, splits))
    assert winner.test.accuracy > 0.5


def test_even_without_any_time_there_is_a_model(a_copy: Study, splits: Splits) -> None:
    winner = retrained(a_copy, splits, trained_for(a_copy, 300.0), until=time.monotonic())
    assert winner is not None
    assert 0 < winner.epochs < 250
    assert winner.test.accuracy > 0.3, "it was trained, if not for long"
    assert winner.test.accuracy == pytest.approx(accuracy(a_copy, splits))


def test_it_trains_for_as_long_as_it_is_told(a_copy: Study, splits: Splits) -> None:
    winner = retrained(a_copy, splits, trained_for(a_copy, 2.0), epochs=3.0)
    assert winner is not None
    assert winner.epochs == pytest.approx(3, abs=0.1)
    assert drawn_from_a_space(winner.candidate).recipe.epochs == 2


def test_time_enough_changes_nothing(a_copy: Study, splits: Splits) -> None:
    trial = trained_for(a_copy, 2.0)
    free = retrained(a_copy, splits, trial)
    in_time = retrained(a_copy, splits, trial, until=time.monotonic() + 1e6)
    assert free is not None
    assert in_time is not None
    assert in_time.test.loss == free.test.loss


def test_ctrl_c_leaves_everything_as_it_was(a_copy: Study, splits: Splits) -> None:
    before = contents(a_copy.path)
    told: list[Point] = []
    how: dict[str, Any] = {"on_point": told.append, "interrupted": lambda: bool(told)}
    assert retrained(a_copy, splits, trained_for(a_copy, 200.0), **how) is None
    assert 0 < told[-1].epoch < 200
    assert contents(a_copy.path) == before
    assert not retraining()


def retraining() -> list[int | None]:
    return [process.pid for process in active_children() if process.name == "archsearch-retrain"]


def signal_retraining(number: signal.Signals) -> None:
    (pid,) = retraining()
    assert pid is not None
    os.kill(pid, number)


def stop_retraining(point: Point) -> None:
    signal_retraining(signal.SIGSTOP)


def kill_retraining(point: Point) -> None:
    signal_retraining(signal.SIGKILL)


def test_one_that_hangs_is_ended_after_its_time(a_copy: Study, splits: Splits, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("archsearch.retrain.LATE_SECONDS", 1.0)

    before, began = contents(a_copy.path), time.monotonic()
    with pytest.raises(SearchError, match="did not end in time"):
        retrained(a_copy, splits, trained_for(a_copy, 10_000.0), until=began + 20, on_point=stop_retraining)
    assert time.monotonic() - began < 30
    assert contents(a_copy.path) == before
    assert not active_children()


def test_one_that_hangs_without_any_deadline_is_ended_too(a_copy: Study, splits: Splits) -> None:
    with pytest.raises(SearchError, match="retraining has made no step for 3 s and was killed"):
        retrained(a_copy, splits, trained_for(a_copy, 1_000.0), timeout=3.0, on_point=stop_retraining)
    assert not active_children()


def test_a_long_epoch_is_no_silence(a_copy: Study, splits: Splits) -> None:
    assert retrained(a_copy, splits, trained_for(a_copy, 400.0), timeout=2.0) is not None


@pytest.mark.parametrize("whole", [True, False])
def test_a_process_that_was_killed_between_two_renamings(a_copy: Study, whole: bool) -> None:
    winner, openings = a_copy.winner(), a_copy.collect().openings
    if whole:  # the new model is there, and not in its place
        shutil.copytree(a_copy.folder.best, a_copy.path / ".best.tmp")
    a_copy.folder.best.rename(a_copy.path / ".best.old.tmp")
    assert a_copy.retrain() == winner
    assert a_copy.collect().openings == openings, "it is not trained and tested again"


def test_a_damaged_model_is_made_again(a_copy: Study) -> None:
    whole = a_copy.folder.model.read_bytes()
    for damaged in (whole[:500], whole[:1000] + bytes(200) + whole[1200:]):
        a_copy.folder.model.write_bytes(damaged)
        assert not a_copy.is_retrained
    assert a_copy.retrain() is not None
    assert a_copy.is_retrained


def test_a_process_that_is_killed_is_replaced_once(
    a_copy: Study, splits: Splits, caplog: pytest.LogCaptureFixture
) -> None:
    told: list[Point] = []

    def kill_the_first(point: Point) -> None:
        if not told:
            kill_retraining(point)
        told.append(point)

    winner = retrained(a_copy, splits, trained_for(a_copy, 20.0), on_point=kill_the_first)
    assert winner is not None
    assert winner.epochs == pytest.approx(20, rel=0.01)
    assert winner.test.accuracy == accuracy(a_copy, splits)
    assert caplog.messages == [
        "the process that retrains was killed by SIGKILL; out of memory is the usual reason; it is tried again"
    ]


def test_a_process_that_is_killed_twice_is_one_clear_error(a_copy: Study, splits: Splits) -> None:
    before = contents(a_copy.path)
    with pytest.raises(SearchError) as caught:
        retrained(a_copy, splits, trained_for(a_copy, 200.0), on_point=kill_retraining)
    assert str(caught.value) == (
        f"{a_copy.path}: the process that retrains has failed twice: it was killed by SIGKILL; out of memory is "
        "the usual reason; nothing was saved or tested, 'archsearch retrain' tries again"
    )
    assert contents(a_copy.path) == before
    assert not (a_copy.path / ".best.tmp").exists()


def no_test_images(study: Study, splits: Splits, gone: Path) -> tuple[TrialRecord, Splits]:
    return trained_for(study, 1.0), replace(splits, test=replace(splits.test, path=gone))


def too_few_classes(study: Study, splits: Splits, gone: Path) -> tuple[TrialRecord, Splits]:
    return trained_for(study, 1.0, classes=2), splits


@pytest.mark.parametrize(
    ("broken", "kind", "message"),
    [
        (no_test_images, DataError, "gone"),
        (too_few_classes, TrialError, r"(?s)^InvalidArgumentError: .* a label value of [2-9]"),
    ],
)
def test_what_goes_wrong_in_the_process_is_raised_here(
    a_copy: Study,
    splits: Splits,
    tmp_path: Path,
    broken: Callable[[Study, Splits, Path], tuple[TrialRecord, Splits]],
    kind: type[Exception],
    message: str,
) -> None:
    before = contents(a_copy.path)
    trial, where = broken(a_copy, splits, tmp_path / "gone")
    with pytest.raises(kind, match=message):
        retrained(a_copy, where, trial)
    assert contents(a_copy.path) == before
    assert not (a_copy.path / ".best.tmp").exists()


def test_what_on_point_raises_ends_the_process(a_copy: Study, splits: Splits) -> None:
    class Enough(Exception):
        pass

    def on_point(point: Point) -> None:
        raise Enough

    before = contents(a_copy.path)
    with pytest.raises(Enough):
        retrained(a_copy, splits, trained_for(a_copy, 200.0), on_point=on_point)
    assert not retraining()
    assert contents(a_copy.path) == before


def test_the_process_ends_when_its_parent_dies(a_copy: Study, tmp_path: Path) -> None:
    script = tmp_path / "parent.py"
    script.write_text(
        textwrap.dedent(f"""
        import sys
        from multiprocessing import active_children
        from pathlib import Path
        sys.path.insert(0, {str(Path(__file__).parent)!r})
        from archsearch.study import Study
        from test_retrain import retrained, trained_for

        def interrupted():
            print(*[child.pid for child in active_children()], flush=True)

        if __name__ == "__main__":
            study = Study(Path({str(a_copy.path)!r}))
            retrained(study, study.splits(), trained_for(study, 1e6), interrupted=interrupted)
        """)
    )
    with subprocess.Popen([sys.executable, script], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        parent.kill()
    deadline = time.monotonic() + HANGING
    while Path(f"/proc/{child}").exists() and "Z" not in Path(f"/proc/{child}/stat").read_text():
        if time.monotonic() > deadline:
            os.kill(child, signal.SIGKILL)
            pytest.fail("it trains on without its parent")
        time.sleep(0.2)


def test_ctrl_c_while_a_search_retrains(tmp_path: Path) -> None:
    space = tmp_path / "long.yaml"
    space.write_text(SMALL.replace("epochs: 2", "epochs: 100"))
    study = Study(tmp_path / "study")
    options = ["--trials", 1, "--workers", 1, "--folds", 2, "--out", study.path]
    with background("search", space, *options) as search:
        search.until("retraining the best architecture")
        search.ctrl_c()
        done = search.finish()
        assert (done.code, done.err) == (130, ENDING)
        assert done.out.endswith("The same command goes on from here.\n")
        wait_for_the_end_of(search.process.pid)
    assert study.winner() is None
    assert not study.folder.model.parent.exists()
    assert not (study.path / ".best.tmp").exists()

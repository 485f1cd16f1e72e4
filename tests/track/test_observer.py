"""Trackers are told what happens, in order; one that fails or dawdles costs the search nothing but a warning."""

import logging
import threading
import time
from pathlib import Path

import pytest
from report_studies import baseline, info, new_folder

from archsearch.errors import InputError
from archsearch.search.budget import Budget
from archsearch.search.coordinator import Progress
from archsearch.search.record import TrialRecord
from archsearch.track import observer as observers
from archsearch.track.base import About, settings, steps
from archsearch.track.observer import Observer, Tracking
from archsearch.track.trackers import load_tracker
from archsearch.training.job import Report


class Told:
    """Keeps what it is told, as words."""

    def __init__(self, fails_at: str = "", hangs_at: str = "") -> None:
        self.words: list[str] = []
        self.free = threading.Event()
        self._fails_at, self._hangs_at = fails_at, hangs_at

    def _hear(self, word: str) -> None:
        self.words.append(word)
        if self._fails_at and word.startswith(self._fails_at):
            raise OSError("no space left")
        if self._hangs_at and word.startswith(self._hangs_at):
            self.free.wait(30)

    def begin(self, about: About) -> None:
        self._hear(f"begin {about.name}")

    def report(self, record: TrialRecord, report: Report) -> None:
        self._hear(f"report {record.number} at {report.epoch:g}")

    def end_trial(self, record: TrialRecord) -> None:
        self._hear(f"end {record.number} {record.state}")

    def finish(self, about: About) -> None:
        self._hear("finish")


def about(folder: Path) -> About:
    return About("digits", folder, info(), "archsearch search", "name: digits")


def record(number: int, state: str, *epochs: float) -> TrialRecord:
    reports = tuple(Report(number, 0, epoch, 4, int(100 * epoch), 0.5, 0.9, 0.5, 0.9, 1.0) for epoch in epochs)
    fields = {"candidate": baseline(), "digest": "d", "parameters": 1, "flops": 2}
    return TrialRecord.model_validate({"number": number, "state": state, "reports": reports} | fields)


def progress(*records: TrialRecord) -> Progress:
    return Progress(1.0, Budget(9, None), records, None)


def test_each_thing_is_told_once_in_order(tmp_path: Path) -> None:
    told = Told()
    observer = Observer("mine", told, about(tmp_path))
    observer(progress(record(0, "running")))
    observer(progress(record(0, "running", 1)))
    observer(progress(record(0, "running", 1), record(1, "running")))
    observer(progress(record(0, "complete", 1, 4), record(1, "pruned", 2)))
    observer(progress(record(0, "complete", 1, 4), record(1, "pruned", 2)))
    observer.close()
    assert told.words == [
        "begin digits",
        "report 0 at 1",
        "report 0 at 4",
        "end 0 complete",
        "report 1 at 2",
        "end 1 pruned",
        "finish",
    ]


def test_what_earlier_sessions_did_is_not_told_again(tmp_path: Path) -> None:
    told = Told()
    observer = Observer("mine", told, about(tmp_path))
    observer(progress(record(0, "complete", 4), record(1, "running", 1)))
    observer.close()
    assert told.words == ["begin digits", "report 1 at 1", "finish"]


def test_one_that_fails_warns_once_and_is_told_no_more(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    told = Told(fails_at="report")
    observer = Observer("mine", told, about(tmp_path))
    with caplog.at_level(logging.WARNING):
        for epoch in range(1, 4):
            observer(progress(record(0, "running", *range(1, epoch + 1))))
            time.sleep(0.05)
        observer.close()
    assert told.words == ["begin digits", "report 0 at 1"]
    (warning,) = caplog.messages
    assert warning.startswith("--track mine: failed and is told no more (OSError: no space left)")


def test_one_that_hangs_is_left_behind(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(observers, "LAST_WORDS", 0.2)
    told = Told(hangs_at="begin")
    observer = Observer("mine", told, about(tmp_path))
    began = time.monotonic()
    observer(progress(record(0, "running", 1)))
    observer.close()
    assert time.monotonic() - began < 5
    told.free.set()
    assert any("is still busy and is left behind" in message for message in caplog.messages)


def test_one_that_is_too_slow_loses_what_does_not_fit(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(observers, "MOST_WAITING", 5)
    monkeypatch.setattr(observers, "LAST_WORDS", 0.2)
    told = Told(hangs_at="begin")
    observer = Observer("mine", told, about(tmp_path))
    for epoch in range(1, 30):
        observer(progress(record(0, "running", *range(1, epoch + 1))))
    told.free.set()
    observer.close()
    assert sum("is too slow" in message for message in caplog.messages) == 1


def test_tracking_begins_with_the_study_and_ends_with_the_block(tmp_path: Path) -> None:
    told, folder = Told(), new_folder(tmp_path / "digits")
    with Tracking({"mine": told}, folder) as tracked:
        folder.info.write_text(info().model_dump_json())
        tracked(progress(record(0, "running", 1)))
    assert told.words == ["begin digits", "report 0 at 1", "finish"]


def test_an_unknown_tracker_is_an_input_error() -> None:
    with pytest.raises(InputError, match="--track: found 'nobody', expected tensorboard, mlflow, wandb"):
        load_tracker("nobody")


def test_a_tracker_that_is_not_installed_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise ModuleNotFoundError("No module named 'mlflow'", name="mlflow")

    monkeypatch.setattr("archsearch.track.trackers.import_module", missing)
    with pytest.raises(InputError, match=r"--track mlflow: needs mlflow; run: pip install 'archsearch\[mlflow\]'"):
        load_tracker("mlflow")


def test_steps_are_images_over_all_folds() -> None:
    first = Report(0, 0, 4, 4, 400, 0.5, 0.9, 0.5, 0.9, 1.0)
    second = Report(0, 1, 2, 4, 200, 0.5, 0.9, 0.5, 0.9, 1.0)
    both = record(0, "running").model_copy(update={"reports": (first, second)})
    assert (steps(both, first), steps(both, second)) == (400, 600)


def test_settings_are_flat() -> None:
    found = settings(record(0, "running"))
    assert {"filters", "optimizer", "learning_rate", "batch_size", "epochs", "parameters"} <= found.keys()
    assert all(isinstance(value, float | int | str) for value in found.values())

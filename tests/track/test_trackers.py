"""What the trackers' own clients read back."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from report_studies import info, new_folder, search

from archsearch.search.record import TrialRecord
from archsearch.track.base import About, steps
from archsearch.track.trackers import load_tracker

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("track")]


@pytest.fixture
def about(tmp_path: Path) -> About:
    folder = new_folder(tmp_path / "digits")
    folder.report.write_text("<p>report</p>")
    described = info(versions={"keras": "3.15.1"}, commit="abc+")
    return About("digits", folder.path, described, "archsearch search digits.yaml", "name: digits")


@pytest.fixture
def records() -> list[TrialRecord]:
    return search(2, 1)


def follow(name: str, about: About, records: list[TrialRecord]) -> None:
    tracker = load_tracker(name)
    tracker.begin(about)
    for record in records:
        for report in record.reports:
            tracker.report(record, report)
        tracker.end_trial(record)
    tracker.finish(about)


def scores(record: TrialRecord) -> Iterator[tuple[int, float]]:
    return ((steps(record, report), report.val_accuracy) for report in record.reports)


def test_tensorboard_reads_scalars_back(about: About, records: list[TrialRecord]) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    follow("tensorboard", about, records)
    for record in records:
        if not record.reports:
            continue
        events = EventAccumulator(str(about.folder / "tensorboard" / f"trial-{record.number}"))
        events.Reload()
        found = {event.step: event.value for event in events.Scalars("accuracy/validation")}
        assert found == pytest.approx(dict(scores(record)))
        plugins = events.PluginTagToContent("hparams")
        assert "_hparams_/session_start_info" in plugins
    study = EventAccumulator(str(about.folder / "tensorboard" / "study"))
    study.Reload()
    assert "command/text_summary" in study.Tags()["tensors"]


def test_mlflow_reads_runs_back(about: About, records: list[TrialRecord], monkeypatch: pytest.MonkeyPatch) -> None:
    from mlflow import MlflowClient

    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    follow("mlflow", about, records)
    client = MlflowClient(f"sqlite:///{about.folder / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("archsearch")
    assert experiment is not None
    runs = {run.info.run_name: run for run in client.search_runs([experiment.experiment_id])}
    study = runs.pop("digits")
    assert study.data.tags["command"] == "archsearch search digits.yaml"
    assert study.data.tags["commit"] == "abc+"
    assert {artifact.path for artifact in client.list_artifacts(study.info.run_id)} >= {"space.yaml", "report.html"}
    trained = [record for record in records if record.reports]
    assert set(runs) == {f"trial {record.number}" for record in trained}
    for record in trained:
        run = runs[f"trial {record.number}"]
        assert run.data.tags["mlflow.parentRunId"] == study.info.run_id
        history = client.get_metric_history(run.info.run_id, "val_accuracy")
        assert {point.step: point.value for point in history} == pytest.approx(dict(scores(record)))
        assert run.info.status == ("FINISHED" if record.state == "complete" else "KILLED")


BLOCK, HEADER = 2**15, 7
"""Bytes; https://github.com/google/leveldb/blob/main/doc/log_format.md."""


def joined(log: bytes) -> bytes:
    """A log without the headers that may cut a word in two."""
    return b"".join(log[at + HEADER : at + BLOCK] for at in range(0, len(log), BLOCK))


def test_wandb_writes_runs_offline(about: About, records: list[TrialRecord], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    monkeypatch.delenv("WANDB_MODE", raising=False)
    follow("wandb", about, records)
    trained = [record for record in records if record.reports]
    # Nothing public reads such a file back; what was logged stands in it as plain JSON.
    found = [joined(file.read_bytes()) for file in about.folder.glob("wandb/offline-run-*/*.wandb")]
    assert len(found) == len(trained) + 1
    for record in trained:
        (run,) = [content for content in found if f"trial {record.number}".encode() in content]
        for step, score in scores(record):
            assert str(step).encode() in run
            assert str(score).encode() in run

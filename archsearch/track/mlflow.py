"""MLflow: a run for the study, nested runs for its trials, the report and the model as artifacts."""

import os
from typing import Any

from mlflow import MlflowClient

from archsearch.search.folder import StudyFolder
from archsearch.search.record import TrialRecord
from archsearch.track.base import About, settings, steps
from archsearch.training.job import Report

STATUS = {"complete": "FINISHED", "confirmation": "FINISHED", "failed": "FAILED"}
"""Of a run, by the state of its trial; all others were given up."""


class MLflow:
    """Logs to `MLFLOW_TRACKING_URI`, or to a SQLite file in the study's folder."""

    def __init__(self) -> None:
        self._client: Any = None
        self._experiment = ""
        self._study = ""
        self._runs: dict[int, str] = {}

    def begin(self, about: About) -> None:
        """Makes the study's run."""
        address = os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{about.folder.resolve() / 'mlflow.db'}"
        self._client = MlflowClient(tracking_uri=address)
        found = self._client.get_experiment_by_name("archsearch")
        artifacts = None if os.environ.get("MLFLOW_TRACKING_URI") else (about.folder.resolve() / "mlflow").as_uri()
        self._experiment = (
            found.experiment_id if found else self._client.create_experiment("archsearch", artifact_location=artifacts)
        )
        self._study = self._run(about.name)
        for name, value in {"command": about.command, "commit": about.info.commit, **about.info.versions}.items():
            self._client.set_tag(self._study, name, value)
        self._client.log_text(self._study, about.space, "space.yaml")

    def report(self, record: TrialRecord, report: Report) -> None:
        """Four metrics, against the images that the trial has trained on."""
        run, step = self._run_of(record), steps(record, report)
        for name in ("accuracy", "loss", "val_accuracy", "val_loss"):
            self._client.log_metric(run, name, getattr(report, name), step=step)

    def end_trial(self, record: TrialRecord) -> None:
        """The score, and how it ended."""
        if not record.reports:
            return
        run = self._run_of(record)
        if record.score is not None:
            self._client.log_metric(run, "score", record.score)
        self._client.set_tag(run, "state", record.state)
        self._client.set_tag(run, "reason", record.reason)
        self._client.set_terminated(run, STATUS.get(record.state, "KILLED"))

    def finish(self, about: About) -> None:
        """The report and the model, if there is one."""
        folder = StudyFolder(about.folder)
        for file in (folder.report, folder.leaderboard, folder.model, folder.winner):
            if file.is_file():
                self._client.log_artifact(self._study, str(file))
        self._client.set_terminated(self._study)

    def _run_of(self, record: TrialRecord) -> str:
        if record.number not in self._runs:
            run = self._run(f"trial {record.number}", {"mlflow.parentRunId": self._study})
            for name, value in settings(record).items():
                self._client.log_param(run, name, value)
            self._runs[record.number] = run
        return self._runs[record.number]

    def _run(self, name: str, tags: dict[str, str] | None = None) -> str:
        return str(self._client.create_run(self._experiment, run_name=name, tags=tags).info.run_id)

"""Weights & Biases: a run a trial, grouped by study; works offline."""

import os
from typing import Any

import wandb

from archsearch.search.record import TrialRecord
from archsearch.track.base import About, settings, steps
from archsearch.training.job import Report


class WandB:
    """Logs to the project `archsearch`: online if the user has logged in, else to `wandb/` in the study's folder."""

    def __init__(self) -> None:
        self._about: About | None = None
        self._runs: dict[int, Any] = {}

    def begin(self, about: About) -> None:
        """Says what the study is, in a run of its own."""
        self._about = about
        os.environ.setdefault("WANDB_MODE", "online" if os.environ.get("WANDB_API_KEY") else "offline")
        os.environ.setdefault("WANDB_SILENT", "true")
        run = self._init("study", {"command": about.command, "commit": about.info.commit, "space": about.space})
        run.config.update(about.info.versions)
        run.finish()

    def report(self, record: TrialRecord, report: Report) -> None:
        """Four metrics, against the images that the trial has trained on."""
        self._run_of(record).log(
            {
                "images": steps(record, report),
                "fold": report.fold,
                **{name: getattr(report, name) for name in ("accuracy", "loss", "val_accuracy", "val_loss")},
            }
        )

    def end_trial(self, record: TrialRecord) -> None:
        """The score, and how it ended."""
        if record.reports:
            run = self._run_of(record)
            run.summary.update({"state": record.state, "reason": record.reason, "score": record.score})
            self._runs.pop(record.number).finish()

    def finish(self, about: About) -> None:
        """Closes what is still open."""
        for run in self._runs.values():
            run.finish()

    def _run_of(self, record: TrialRecord) -> Any:
        if record.number not in self._runs:
            self._runs[record.number] = self._init(f"trial {record.number}", settings(record))
        return self._runs[record.number]

    def _init(self, name: str, config: dict[str, Any]) -> Any:
        assert self._about is not None
        return wandb.init(
            project="archsearch",
            group=self._about.name,
            name=name,
            config=config,
            dir=self._about.folder,
            reinit="create_new",
        )

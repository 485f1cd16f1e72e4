"""TensorBoard: a run a trial, scalars against images, and a table of hyperparameters."""

from pathlib import Path

from tensorboardX import SummaryWriter
from tensorboardX.summary import hparams

from archsearch.search.record import TrialRecord
from archsearch.track.base import About, settings, steps
from archsearch.training.job import Report


class TensorBoard:
    """Writes event files to `tensorboard/` in the study's folder."""

    def __init__(self) -> None:
        self._folder = Path()
        self._writers: dict[int, SummaryWriter] = {}

    def begin(self, about: About) -> None:
        """Says what the study is."""
        self._folder = about.folder / "tensorboard"
        with SummaryWriter(str(self._folder / "study")) as writer:
            writer.add_text("command", f"    {about.command}")
            writer.add_text("versions", str(about.info.versions | {"commit": about.info.commit}))
            writer.add_text("space", "\n".join(f"    {line}" for line in about.space.splitlines()))

    def report(self, record: TrialRecord, report: Report) -> None:
        """Four scalars, against the images that the trial has trained on."""
        step = steps(record, report)
        writer = self._writer(record.number)
        writer.add_scalar("accuracy/training", report.accuracy, step)
        writer.add_scalar("accuracy/validation", report.val_accuracy, step)
        writer.add_scalar("loss/training", report.loss, step)
        writer.add_scalar("loss/validation", report.val_loss, step)

    def end_trial(self, record: TrialRecord) -> None:
        """The hyperparameters, and what came of them."""
        if record.reports:
            writer = self._writer(record.number)
            score = record.score if record.score is not None else record.reports[-1].val_accuracy
            # Its own `add_hparams` opens another file, and may overwrite the first one.
            for summary in hparams(settings(record) | {"state": record.state}, {"score": score}):
                writer.file_writer.add_summary(summary)
            writer.add_scalar("score", score, steps(record, record.reports[-1]))
            self._writers.pop(record.number).close()

    def finish(self, about: About) -> None:
        """Closes what is still open."""
        for writer in self._writers.values():
            writer.close()
        self._writers.clear()

    def _writer(self, number: int) -> SummaryWriter:
        if number not in self._writers:
            self._writers[number] = SummaryWriter(str(self._folder / f"trial-{number}"))
        return self._writers[number]

"""An executor that trains nothing: each job's scores come from a function, and time from a clock that only it moves.

For testing what the coordinator decides.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from archsearch.training.job import Cause, Outcome, Report, TrialJob

Script = Callable[[TrialJob, int, float], float | str]
"""(job, fold, share of its training that is over) to a validation accuracy, or to the error with which a job fails."""

LOST, NO_MEMORY = "the worker was lost", "there was no memory"
CAUSES: dict[str, Cause] = {LOST: "worker lost", NO_MEMORY: "out of memory"}
"""Errors that are no exception of the model."""

IMAGES = 1500
"""In the folder that jobs train on."""


@dataclass
class Clock:
    """Stands in for the module `time`."""

    now: float = 1e9

    def time(self) -> float:
        return self.now

    def monotonic(self) -> float:
        return self.now


@dataclass
class _Playing:
    events: Iterator[Report | Outcome]
    event: Report | Outcome
    due: float
    began: float


class ScriptedExecutor:
    """Runs up to `workers` jobs at once, in the clock's time.

    Args:
        script: What is scored.
        workers: How many jobs may run at once.
        image_seconds: What training on one image takes.
        start_seconds: What a job takes before its first step.
        clock: The time.
        memory: Of the machine, in bytes.
    """

    def __init__(
        self,
        script: Script,
        workers: int = 1,
        image_seconds: Callable[[TrialJob], float] = lambda job: 1e-5,
        start_seconds: float = 0.0,
        clock: Clock | None = None,
        memory: int | None = None,
        has_gpus: bool = False,
    ) -> None:
        self._script = script
        self.has_gpus = has_gpus
        self._slots = workers
        self._memory = memory
        self._image_seconds = image_seconds
        self._start_seconds = start_seconds
        self._clock = clock or Clock()
        self._playing: dict[int, _Playing] = {}
        self.submitted: list[TrialJob] = []
        self.most_at_once = 0
        self.closed = False

    @property
    def workers(self) -> int:
        return self._slots

    @property
    def memory(self) -> int | None:
        return self._memory

    def submit(self, job: TrialJob) -> None:
        assert len(self._playing) < self._slots
        self.submitted.append(job)
        events = self._play(job)
        first = next(events)
        self._playing[job.trial] = _Playing(events, first, self._clock.now + first.seconds, self._clock.now)
        self.most_at_once = max(self.most_at_once, len(self._playing))

    def events(self, timeout: float) -> list[Report | Outcome]:
        until = min([self._clock.now + timeout, *(playing.due for playing in self._playing.values())])
        self._clock.now = max(self._clock.now, until)
        found = []
        for trial, playing in list(self._playing.items()):
            if playing.due <= self._clock.now:
                found.append(playing.event)
                if isinstance(playing.event, Outcome):
                    del self._playing[trial]
                else:
                    playing.event = next(playing.events)
                    # An outcome's seconds are those of the whole job, which have passed already.
                    playing.due += 0.0 if isinstance(playing.event, Outcome) else playing.event.seconds
        return found

    def stop(self, trial: int) -> None:
        playing = self._playing.get(trial)
        if playing is not None:
            playing.event = Outcome(trial, "stopped", self._clock.now - playing.began)
            playing.due = self._clock.now

    def close(self) -> None:
        self.closed = True
        self._playing.clear()

    def _play(self, job: TrialJob) -> Iterator[Report | Outcome]:
        epochs, spent = float(job.candidate.recipe.epochs), 0.0
        for fold, held_out in list(enumerate(job.folds))[job.begin :]:
            images, before = epochs * (IMAGES - len(held_out)), 0.0
            for share in job.points:
                seconds = (share - before) * images * self._image_seconds(job)
                seconds += 0.0 if spent else self._start_seconds
                score = self._script(job, fold, share)
                if isinstance(score, str):
                    yield Outcome(job.trial, "failed", spent, score, CAUSES.get(score, "exception"))
                    return
                epoch = share * epochs
                yield Report(job.trial, fold, epoch, epochs, round(share * images), 0.5, score, 0.5, score, seconds)
                spent, before = spent + seconds, share
        yield Outcome(job.trial, "finished", spent)

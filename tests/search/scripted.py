"""An executor that trains nothing: each job's scores come from a function. For testing what the coordinator decides."""

from collections import deque
from collections.abc import Callable, Iterator

from archsearch.training.job import Outcome, Report, TrialJob

Script = Callable[[TrialJob, int, int], float | str]
"""(job, fold, epoch) to a validation accuracy, or to the error with which the job fails."""


class ScriptedExecutor:
    """Runs up to `workers` jobs by taking one epoch of each in turn."""

    def __init__(
        self, script: Script, workers: int = 1, seconds: Callable[[TrialJob], float] = lambda job: 0.01
    ) -> None:
        self._script = script
        self._seconds = seconds
        self._slots = workers
        self._running: dict[int, Iterator[Report | Outcome]] = {}
        self._stopped: set[int] = set()
        self.submitted: list[TrialJob] = []
        self.most_at_once = 0
        self.closed = False

    @property
    def workers(self) -> int:
        return self._slots

    def submit(self, job: TrialJob) -> None:
        assert len(self._running) < self._slots
        self.submitted.append(job)
        self._running[job.trial] = self._play(job)
        self.most_at_once = max(self.most_at_once, len(self._running))

    def events(self, timeout: float) -> list[Report | Outcome]:
        found: deque[Report | Outcome] = deque()
        for trial, play in list(self._running.items()):
            event = next(play)
            found.append(event)
            if isinstance(event, Outcome):
                del self._running[trial]
        return list(found)

    def stop(self, trial: int) -> None:
        self._stopped.add(trial)

    def close(self) -> None:
        self.closed = True
        self._running.clear()

    def _play(self, job: TrialJob) -> Iterator[Report | Outcome]:
        epochs = job.candidate.recipe.epochs
        for fold in range(len(job.folds)):
            for epoch in range(1, epochs + 1):
                if job.trial in self._stopped:
                    yield Outcome(job.trial, "stopped", 1.0)
                    return
                score = self._script(job, fold, epoch)
                if isinstance(score, str):
                    yield Outcome(job.trial, "failed", 1.0, score)
                    return
                yield Report(job.trial, fold, epoch, epochs, 0.5, score, 0.5, score, self._seconds(job))
        yield Outcome(job.trial, "finished", 1.0)

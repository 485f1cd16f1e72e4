"""Where jobs run: the protocol between the coordinator and whatever starts workers."""

from typing import Protocol

from archsearch.training.job import Outcome, Report, TrialJob


class Executor(Protocol):
    """Runs jobs, each isolated from the others, and passes on what they report.

    For every submitted job exactly one `Outcome` comes, after all its `Report`s, however the job ends.
    """

    @property
    def workers(self) -> int:
        """How many jobs may run at once."""

    @property
    def memory(self) -> int | None:
        """Bytes that all jobs together may take; None if that is unknown, or somebody else sees to it."""

    @property
    def has_gpus(self) -> bool:
        """Whether jobs train on GPUs, in whose memory, not in that, lies what a training works with."""

    def submit(self, job: TrialJob) -> None:
        """Starts `job`; returns at once. At most `workers` jobs may be under way."""

    def events(self, timeout: float) -> list[Report | Outcome]:
        """What has come since the last call, oldest first; waits up to `timeout` seconds for something to come."""

    def stop(self, trial: int) -> None:
        """Asks the job of `trial` to end; its `Outcome` comes soon. Does nothing if it has ended."""

    def close(self) -> None:
        """Ends all jobs at once, without waiting for their outcomes."""

"""What a worker does, wherever it runs: train a job, and say how it ended."""

import sys
import time
import traceback
from collections.abc import Callable

from archsearch.errors import Diverged, TrialError
from archsearch.search.executors.processes import configure_tensorflow
from archsearch.training.job import Cause, Outcome, Report, TrialJob

ALIVE = "alive"
TOLD_SECONDS = 1.0
"""A worker that trains says so this often; its reports may be far apart."""


class StopTold(Exception):
    """The job is to end: it was told so, or nobody listens any more."""


def work(
    job: TrialJob, report: Callable[[Report], None], alive: Callable[[], None], stopped: Callable[[], bool]
) -> Outcome:
    """Trains `job` in this process, whose TensorFlow has not started yet.

    Args:
        job: What to do.
        report: Told each report.
        alive: Called about once in `TOLD_SECONDS`, between training steps.
        stopped: Asked before each step whether to end.
    """
    started = said = time.monotonic()

    def between_steps() -> None:
        nonlocal said
        if stopped():
            raise StopTold
        if time.monotonic() - said > TOLD_SECONDS:
            said = time.monotonic()
            alive()

    try:
        configure_tensorflow(job.threads)
        from archsearch.training.crossval import cross_validate

        cross_validate(job, report, between_steps)
    except StopTold:
        return Outcome(job.trial, "stopped", time.monotonic() - started, peak_memory=peak_memory())
    except (Exception, SystemExit, KeyboardInterrupt) as error:  # the last two are a user's code's
        seconds = time.monotonic() - started
        return Outcome(job.trial, "failed", seconds, _sentence(error), cause_of(error), peak_memory())
    return Outcome(job.trial, "finished", time.monotonic() - started, peak_memory=peak_memory())


def cause_of(error: BaseException) -> Cause:
    """What kind of failure an exception in a training is."""
    if isinstance(error, Diverged):
        return "not a number"
    # TensorFlow's own is known by its name: whoever asks may not have loaded it.
    if isinstance(error, MemoryError) or type(error).__name__ == "ResourceExhaustedError":
        return "out of memory"
    return "exception"


def _sentence(error: BaseException) -> str:
    if isinstance(error, TrialError):
        return str(error)
    where = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__}: {error} ({where.filename}:{where.lineno})"


def peak_memory() -> int:
    """The largest resident size of this process so far, in bytes; 0 if unknown."""
    try:
        import resource
    except ImportError:  # Windows
        return 0
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit

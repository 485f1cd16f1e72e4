"""What a worker does, wherever it runs: train a job, and say how it ended."""

import sys
import time
from collections.abc import Callable

from archsearch.errors import Diverged, TrialError, message_of, what_broke
from archsearch.search.executors.processes import configure_tensorflow
from archsearch.training.job import Cause, Outcome, Report, TrialJob

ALIVE = "alive"
NO_MEMORY = ("bad_alloc", "Cannot allocate memory", "out of memory", "Out of memory", "OUT_OF_MEMORY", "ALLOC_FAILED")
"""In TensorFlow's errors, and in the last words of a process that dies; the last two are how CUDA says it."""
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
        sentence = str(error) if isinstance(error, TrialError) else what_broke(error)
        return Outcome(job.trial, "failed", seconds, sentence, cause_of(error), peak_memory())
    return Outcome(job.trial, "finished", time.monotonic() - started, peak_memory=peak_memory())


def cause_of(error: BaseException) -> Cause:
    """What kind of failure an exception in a training is."""
    if isinstance(error, Diverged):
        return "not a number"
    # TensorFlow's own is known by its name: whoever asks may not have loaded it. On a GPU that is full already, other
    # errors say so.
    is_known = isinstance(error, MemoryError) or type(error).__name__ == "ResourceExhaustedError"
    return "out of memory" if is_known or any(sign in message_of(error) for sign in NO_MEMORY) else "exception"


def peak_memory() -> int:
    """The largest resident size of this process so far, in bytes; 0 if unknown."""
    try:
        import resource
    except ImportError:  # Windows
        return 0
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit

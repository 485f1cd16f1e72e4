"""One process for each trial on this machine, forked from a server that has TensorFlow imported and not started."""

import contextlib
import os
import signal
import sys
import tempfile
import time
import traceback
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Literal

from archsearch.errors import TrialError
from archsearch.search.executors.processes import configure_tensorflow, how_ended, start
from archsearch.training.environment import stderr_to
from archsearch.training.job import Outcome, Report, TrialJob

GRACE_SECONDS = 10.0
"""How long a job that was told to stop may take before its process is killed."""


@dataclass
class _Worker:
    process: BaseProcess
    connection: Connection
    log: Path
    started: float
    stop_told: float | None = None
    outcome: Outcome | None = None


class LocalExecutor:
    """Runs each job in a process of its own.

    Nothing leaks from trial to trial, and a crash or an out-of-memory kill is the exit code of one trial. Workers end
    by themselves when this process dies.

    Args:
        workers: How many jobs may run at once.
    """

    def __init__(self, workers: int) -> None:
        self._slots = workers
        self._workers: dict[int, _Worker] = {}
        self._logs = tempfile.TemporaryDirectory(prefix="archsearch-")

    @property
    def workers(self) -> int:
        """How many jobs may run at once."""
        return self._slots

    def submit(self, job: TrialJob) -> None:
        """Starts `job` in a new process."""
        log = Path(self._logs.name) / f"{job.trial}.log"
        process, connection = start(_work, (job, log), f"archsearch-trial-{job.trial}")
        self._workers[job.trial] = _Worker(process, connection, log, time.monotonic())

    def events(self, timeout: float) -> list[Report | Outcome]:
        """What has come since the last call, oldest first; waits up to `timeout` seconds for something to come."""
        handles = {worker.connection: trial for trial, worker in self._workers.items()}
        wait(list(handles), timeout)
        found: list[Report | Outcome] = []
        for trial, worker in list(self._workers.items()):
            found += _messages(worker)
            overdue = worker.stop_told is not None and time.monotonic() - worker.stop_told > GRACE_SECONDS
            if overdue and worker.outcome is None:
                worker.process.kill()
            if worker.outcome is not None or not worker.process.is_alive():
                found += _messages(worker)
                found.append(worker.outcome or _lost(trial, worker))
                worker.process.join()
                worker.connection.close()
                del self._workers[trial]
        return found

    def stop(self, trial: int) -> None:
        """Asks the job of `trial` to end before its next training step."""
        worker = self._workers.get(trial)
        if worker is not None and worker.stop_told is None:
            worker.stop_told = time.monotonic()
            with contextlib.suppress(OSError):
                worker.connection.send("stop")

    def close(self) -> None:
        """Kills all workers."""
        for worker in self._workers.values():
            worker.process.kill()
            worker.process.join()
            worker.connection.close()
        self._workers.clear()
        self._logs.cleanup()


def _messages(worker: _Worker) -> list[Report]:
    """Reports waiting in the pipe; the outcome, if it is there, is kept on the worker."""
    reports: list[Report] = []
    with contextlib.suppress(EOFError, OSError):
        while worker.outcome is None and worker.connection.poll():
            message = worker.connection.recv()
            if isinstance(message, Outcome):
                worker.outcome = message
            else:
                reports.append(message)
    return reports


def _lost(trial: int, worker: _Worker) -> Outcome:
    worker.process.join()
    seconds = time.monotonic() - worker.started
    if worker.stop_told is not None:
        return Outcome(trial, "stopped", seconds)
    how = how_ended(worker.process)
    return Outcome(trial, "failed", seconds, f"the worker process {how}{_last_words(worker.log)}")


def _last_words(log: Path) -> str:
    lines = log.read_text(errors="replace").split("\n") if log.is_file() else []
    said = [line.strip() for line in lines if line.strip()]
    return f"; its last words: {said[-1][:300]}" if said else ""


class _StopTold(Exception):
    pass


def _work(connection: Connection, job: TrialJob, log: Path) -> None:
    """What a worker process does: train, report, say how it ended."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the coordinator's to answer, under Windows too.
    started = time.monotonic()

    def between_steps() -> None:
        # Readable means told to stop, or the coordinator is gone.
        if connection.poll():
            raise _StopTold

    def outcome(state: Literal["finished", "stopped", "failed"], error: str = "") -> Outcome:
        return Outcome(job.trial, state, time.monotonic() - started, error, _peak_memory())

    with stderr_to(log):
        os.dup2(2, 1)  # what a user's code prints goes there, too
        try:
            configure_tensorflow(job.threads)
            from archsearch.training.crossval import cross_validate

            cross_validate(job, connection.send, between_steps)
            ended = outcome("finished")
        except _StopTold:
            ended = outcome("stopped")
        except TrialError as error:
            ended = outcome("failed", str(error))
        except Exception as error:
            where = traceback.extract_tb(error.__traceback__)[-1]
            text = f"{type(error).__name__}: {error} ({where.filename}:{where.lineno})"
            ended = outcome("failed", text)
    with contextlib.suppress(OSError):
        connection.send(ended)


def _peak_memory() -> int:
    try:
        import resource
    except ImportError:  # Windows
        return 0
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit

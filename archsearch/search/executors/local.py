"""One process for each trial on this machine, forked from a server that has TensorFlow imported and not started."""

import contextlib
import os
import signal
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path

from archsearch.files import scratch
from archsearch.search.executors.gpus import least_used
from archsearch.search.executors.machine import available_memory, out_of_memory_kills
from archsearch.search.executors.processes import EXIT_SECONDS, end, how_ended, start
from archsearch.search.executors.worker import ALIVE, NO_MEMORY, work
from archsearch.training.environment import VISIBLE, stderr_to
from archsearch.training.job import Cause, Outcome, Report, TrialJob

GRACE_SECONDS = 3.0
"""How long a job that was told to stop may take before its process is killed: a deadline may wait for it."""
LONGEST_LOOK = 1.0
"""A worker's silence is counted from one look at it to the next, up to this: a machine that was put to sleep, or a
group of processes that was stopped, is no worker that hangs."""


@dataclass
class _Worker:
    process: BaseProcess
    connection: Connection
    log: Path
    started: float
    kills_before: int
    gpu: str | None
    silent: float = 0.0
    stop_told: float | None = None
    is_stalled: bool = False
    is_gone: bool = False
    outcome: Outcome | None = None


class LocalExecutor:
    """Runs each job in a process of its own.

    Nothing leaks from trial to trial, and a crash or an out-of-memory kill is the exit code of one trial. Workers end
    when this process dies, even those that hang.

    Args:
        workers: How many jobs may run at once.
        timeout: Seconds without a training step after which a job is killed; None is to wait for ever.
        gpus: Each job gets one of these for itself, as far as they go, and sees no other; without any it sees what this
            process sees.
    """

    def __init__(self, workers: int, timeout: float | None = None, gpus: Sequence[str] = ()) -> None:
        self._gpus = gpus
        self._slots = workers
        self._memory = available_memory()
        self._timeout = timeout
        self._workers: dict[int, _Worker] = {}
        self._looked = time.monotonic()
        self._logs = tempfile.TemporaryDirectory(dir=scratch())

    @property
    def workers(self) -> int:
        """How many jobs may run at once."""
        return self._slots

    @property
    def memory(self) -> int | None:
        """Bytes that the machine, or this container, had left before the first job; None if unknown."""
        return self._memory

    @property
    def has_gpus(self) -> bool:
        """Whether it was given any."""
        return bool(self._gpus)

    def submit(self, job: TrialJob) -> None:
        """Starts `job` in a new process."""
        log = Path(self._logs.name) / f"{job.trial}.log"
        kills = out_of_memory_kills()
        gpu = least_used(self._gpus, [worker.gpu for worker in self._workers.values()])
        process, connection = start(_work, (job, log, gpu), f"archsearch-trial-{job.trial}")
        self._workers[job.trial] = _Worker(process, connection, log, time.monotonic(), kills, gpu)

    def events(self, timeout: float) -> list[Report | Outcome]:
        """What has come since the last call, oldest first; waits up to `timeout` seconds for something to come."""
        handles = {worker.connection: trial for trial, worker in self._workers.items()}
        wait(list(handles), timeout)
        found: list[Report | Outcome] = []
        before, self._looked = self._looked, time.monotonic()
        for trial, worker in list(self._workers.items()):
            worker.silent += min(self._looked - max(before, worker.started), LONGEST_LOOK)
            found += _messages(worker)
            self._end_if_overdue(worker)
            if worker.outcome is not None or worker.is_gone or not worker.process.is_alive():
                found += _messages(worker)
                # If it has said all, threads that a user's code left in it would keep it.
                end(worker.process, 0.0 if worker.outcome else EXIT_SECONDS)
                found.append(worker.outcome or self._lost(trial, worker))
                worker.connection.close()
                worker.log.unlink(missing_ok=True)
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
            end(worker.process)
            worker.connection.close()
        self._workers.clear()
        self._logs.cleanup()

    def _end_if_overdue(self, worker: _Worker) -> None:
        if worker.outcome is not None:
            return
        if worker.stop_told is not None and time.monotonic() - worker.stop_told > GRACE_SECONDS:
            worker.process.kill()
        elif self._timeout is not None and worker.silent > self._timeout:
            worker.is_stalled = True
            worker.process.kill()

    def _lost(self, trial: int, worker: _Worker) -> Outcome:
        """What is said of a worker that ended without a word."""
        seconds = time.monotonic() - worker.started
        if worker.stop_told is not None:
            return Outcome(trial, "stopped", seconds)
        if worker.is_stalled:
            error = f"no training step for {self._timeout:g} s, so it was ended; --trial-timeout says how long to wait"
            return Outcome(trial, "failed", seconds, error, "stalled")
        words = _last_words(worker.log)
        killed = worker.process.exitcode == -signal.SIGKILL and out_of_memory_kills() > worker.kills_before
        cause: Cause = "out of memory" if killed or any(sign in words for sign in NO_MEMORY) else "worker lost"
        return Outcome(trial, "failed", seconds, f"the worker process {how_ended(worker.process)}{words}", cause)


def _messages(worker: _Worker) -> list[Report]:
    """Reports waiting in the pipe; the outcome, or that nothing more will come, is kept on the worker."""
    reports: list[Report] = []
    try:
        while worker.outcome is None and worker.connection.poll():
            message = worker.connection.recv()
            worker.silent = 0.0
            if isinstance(message, Outcome):
                worker.outcome = message
            elif message != ALIVE:
                reports.append(message)
    except (EOFError, OSError):
        worker.is_gone = True  # the server would say so, too, unless it is stopped
    return reports


def _last_words(log: Path) -> str:
    lines = log.read_text(errors="replace").split("\n") if log.is_file() else []
    said = [line.strip() for line in lines if line.strip()]
    return f"; its last words: {said[-1][:300]}" if said else ""


def _work(connection: Connection, job: TrialJob, log: Path, gpu: str | None) -> None:
    """What a worker process does."""
    if gpu is not None:
        os.environ[VISIBLE] = gpu  # in time: TensorFlow is imported here, and looks for GPUs when it starts
    with stderr_to(log):
        os.dup2(2, 1)  # what a user's code prints goes there, too
        # Readable means told to stop, or the coordinator is gone.
        outcome = work(job, connection.send, lambda: connection.send(ALIVE), connection.poll)
    with contextlib.suppress(OSError):
        connection.send(outcome)

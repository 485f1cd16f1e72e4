"""The same jobs on a Ray cluster: a `LocalExecutor` with one worker is an actor there, and as many as are needed run.

So a job is a child process as everywhere, which Ray does not know: it starts in a tenth of a second, nothing leaks, and
what follows when it hangs, crashes or finds no memory is in one place. Ray finds it a node, and CPUs and GPUs.
"""

import contextlib
import logging
import os
import socket
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import inf
from operator import itemgetter
from pathlib import Path
from typing import Any

import numpy as np
import ray
from ray.exceptions import OutOfMemoryError, RayError, RayTaskError

from archsearch.data.cache import cache_folder, make_once
from archsearch.data.dataset import IMAGES, LABELS, ImageSet, fingerprint
from archsearch.errors import InputError, first_line
from archsearch.search.executors.local import GRACE_SECONDS, LocalExecutor
from archsearch.training.environment import VISIBLE, environment
from archsearch.training.job import Cause, Outcome, Report, TrialJob

QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # else a warning; `_Slot` hides GPUs from those that asked for none
}
KNOCK_SECONDS = 10.0
POLL_SECONDS = 0.5
"""How long an actor waits for something to come before it answers; it hears nothing meanwhile."""
ANSWER_SECONDS = 2.0
"""How much longer than `GRACE_SECONDS` a job that was told to stop may take: after that, its actor is killed."""

Shipped = tuple[str, Any]
"""The fingerprint of an image set, and the object in Ray's store that holds its (images, labels)."""


@dataclass
class _Running:
    slot: Any
    answer: Any
    heard: float | None = None  # not before the job has begun: an actor may wait for its node
    stop_told: float | None = None
    submitted: float = field(default_factory=time.monotonic)


class RayExecutor:
    """Runs each job in a process of its own on some node of a Ray cluster.

    The cluster is that of $RAY_ADDRESS, else one that runs on this machine, else one is started here and ends with this
    executor. What the executor holds there ends when this process dies. Nodes that do not have the images are sent them
    once; code of a user's own has to be where it is here.

    Args:
        workers: How many jobs may run at once; None is as many as the nodes hold now.
        cpus: That a job takes; it trains on so many threads, but at least one.
        gpus: That a job takes; 0.5 is to share one with another job.
        timeout: Seconds without a training step after which a job is killed; None is to wait for ever.

    Raises:
        InputError: There is no such cluster, or none of its nodes has what a job takes.
    """

    def __init__(
        self, workers: int | None = None, cpus: float = 1.0, gpus: float = 0.0, timeout: float | None = None
    ) -> None:
        self._is_ours = not ray.is_initialized()
        if self._is_ours:
            _connect()
        self._free: list[Any] = []
        self._running: dict[int, _Running] = {}
        self._shipped: dict[Path, Shipped] = {}
        self._cpus, self._gpus, self._timeout = cpus, gpus, timeout
        try:
            held = capacity([node["Resources"] for node in _nodes()], cpus, gpus)
        except InputError:
            self.close()
            raise
        self._slots = workers or held

    @property
    def workers(self) -> int:
        """How many jobs may run at once."""
        return self._slots

    @property
    def memory(self) -> int | None:
        """None: each node has its own, and Ray sees to it."""
        return None

    @property
    def has_gpus(self) -> bool:
        """Whether jobs ask for any."""
        return self._gpus > 0

    def submit(self, job: TrialJob) -> None:
        """Starts `job` on a node, or has it wait until one has what it takes."""
        slot = self._free_slot() or self._new_slot()
        job = replace(job, threads=max(job.threads, int(self._cpus)))
        self._running[job.trial] = _Running(slot, slot.begin.remote(job, self._ship(job.images)))

    def events(self, timeout: float) -> list[Report | Outcome]:
        """What has come since the last call, oldest first; waits up to `timeout` seconds for something to come."""
        trials = {running.answer: trial for trial, running in self._running.items()}
        if not trials:
            time.sleep(timeout)
            return []
        ray.wait(list(trials), timeout=timeout)
        answered, _ = ray.wait(list(trials), num_returns=len(trials), timeout=0)
        found = [event for answer in answered for event in self._take(trials[answer])]
        return found + [outcome for trial in list(self._running) for outcome in self._end_if_overdue(trial)]

    def stop(self, trial: int) -> None:
        """Asks the job of `trial` to end before its next training step."""
        running = self._running.get(trial)
        if running is not None and running.stop_told is None:
            running.stop_told = time.monotonic()
            running.slot.stop.remote(trial)

    def close(self) -> None:
        """Ends all jobs, and the cluster if it was started here."""
        if not ray.is_initialized():
            return
        slots = [*self._free, *(running.slot for running in self._running.values())]
        self._free.clear()
        self._running.clear()
        # An actor that is killed leaves its temporary files on its node; one that is asked to end first does not.
        ended = [ref for slot in slots for ref in (slot.close.remote(), slot.__ray_terminate__.remote())]
        if ended:
            ray.wait(ended, num_returns=len(ended), timeout=ANSWER_SECONDS)
        for slot in slots:
            ray.kill(slot)
        if self._is_ours:
            ray.shutdown()

    def _free_slot(self) -> Any:
        """A slot without a job whose node is still there; None if there is none."""
        while self._free:
            slot = self._free.pop()
            with contextlib.suppress(RayError):
                ray.get(slot.answers.remote(), timeout=ANSWER_SECONDS)
                return slot
            ray.kill(slot)
        return None

    def _new_slot(self) -> Any:
        actor = ray.remote(num_cpus=self._cpus, num_gpus=self._gpus, max_restarts=0, max_task_retries=0)(_Slot)
        return actor.remote(self._timeout, bool(self._gpus))

    def _ship(self, path: Path) -> Shipped | None:
        """The images in Ray's store, once there is a node that may not have them."""
        if path not in self._shipped and len(_nodes()) > 1 and path.is_dir():
            images = ImageSet.open(path)
            self._shipped[path] = fingerprint((), images, None), ray.put((images.images, images.labels))
        return self._shipped.get(path)

    def _take(self, trial: int) -> list[Report | Outcome]:
        """What the job's actor has answered, and the next question to it."""
        running = self._running[trial]
        try:
            events: list[Report | Outcome] = ray.get(running.answer)
        except RayTaskError as error:  # the actor is well, and the job has not begun
            cause = error.cause if isinstance(error.cause, Exception) else error
            events = [self._failed(trial, first_line(cause), "exception")]
        except OutOfMemoryError:
            return [self._lost(trial, "its node had no memory left", "out of memory")]
        except RayError as error:
            return [self._lost(trial, f"its worker on the cluster was lost: {_reason(error)}", "worker lost")]
        running.heard = time.monotonic()
        if events and isinstance(events[-1], Outcome):
            del self._running[trial]
            self._free.append(running.slot)
        else:
            running.answer = running.slot.events.remote(POLL_SECONDS)
        return events

    def _end_if_overdue(self, trial: int) -> list[Outcome]:
        """An actor that does not answer cannot end its job, so that is done here."""
        running, now = self._running[trial], time.monotonic()
        patience = 0.0 if running.heard is None else GRACE_SECONDS + ANSWER_SECONDS
        if running.stop_told is not None and now - running.stop_told > patience:
            return [self._lost(trial, "it did not end when told to", "stalled")]
        if self._timeout is not None and running.heard is not None and now - running.heard > self._timeout:
            why = f"its worker on the cluster said nothing for {self._timeout:g} s, so it was ended"
            return [self._lost(trial, why, "stalled")]
        return []

    def _lost(self, trial: int, why: str, cause: Cause) -> Outcome:
        """Ends a job together with its actor; that is no failure if it was to stop."""
        failed = self._failed(trial, why, cause)
        running = self._running.pop(trial)
        ray.kill(running.slot)
        return failed if running.stop_told is None else Outcome(trial, "stopped", failed.seconds)

    def _failed(self, trial: int, why: str, cause: Cause) -> Outcome:
        return Outcome(trial, "failed", time.monotonic() - self._running[trial].submitted, why, cause)


class _Slot(LocalExecutor):
    """What runs on a node, as an actor: one job at a time."""

    def __init__(self, timeout: float | None, has_gpu: bool) -> None:
        super().__init__(1, timeout)
        if not has_gpu:
            os.environ[VISIBLE] = ""

    def answers(self) -> None:
        """Returns."""

    def begin(self, job: TrialJob, shipped: Shipped | None) -> list[Report | Outcome]:
        """Starts `job`, on the images that were shipped if its own are not on this node."""
        if shipped is not None and not job.images.is_dir():
            job = replace(job, images=_unpacked(*shipped))
        self.submit(job)
        return []


def capacity(nodes: Sequence[Mapping[str, float]], cpus: float, gpus: float) -> int:
    """How many jobs that take `cpus` and `gpus` each can run at once.

    Args:
        nodes: For each node what it has in all, by Ray's names.
        cpus: Of each job, above 0.
        gpus: Of each job, from 0.

    Raises:
        InputError: No node can run even one.
    """
    held = sum(min(_fit(node.get("CPU", 0), cpus), _fit(node.get("GPU", 0), gpus)) for node in nodes)
    if not held:
        size = itemgetter("GPU", "CPU") if gpus else itemgetter("CPU", "GPU")
        largest = max([{"CPU": 0.0, "GPU": 0.0, **node} for node in nodes], key=size, default={})
        raise InputError(
            f"ray: a trial asks for {_amounts(cpus, gpus)}, and no node has that: the largest has "
            f"{_amounts(largest.get('CPU', 0), largest.get('GPU', 0))}; give less to --cpus-per-trial or "
            "--gpus-per-trial, or add a node to the cluster"
        )
    return int(held)


def _fit(held: float, part: float) -> float:
    """How many `part`s there are in what a node holds; a part below 1 is of one device."""
    if not part:
        return inf
    each = round(part * 10_000)  # as Ray counts: 1 / 0.1 is to be 10
    return int(held) * (10_000 // each) if part < 1 else round(held * 10_000) // each


def _amounts(cpus: float, gpus: float) -> str:
    return f"{cpus:g} CPU{'s' * (cpus != 1)} and {gpus:g} GPU{'s' * (gpus != 1)}"


def _reason(error: RayError) -> str:
    return str(error).strip().split("\n")[-1][:300]  # what Ray says before is who


def _nodes() -> list[Any]:
    nodes: list[Any] = ray.nodes()  # type: ignore[no-untyped-call]
    return [node for node in nodes if node["Alive"]]


def _connect() -> None:
    logging.getLogger("ray").setLevel(logging.ERROR)  # it greets, and explains its defaults
    try:
        _knock(os.environ.get("RAY_ADDRESS", ""))
        with environment(QUIET):
            ray.init(include_dashboard=False, log_to_driver=False, configure_logging=False)
    except (OSError, RuntimeError, ValueError, RayError) as error:
        where = os.environ.get("RAY_ADDRESS")
        found = f"the cluster at RAY_ADDRESS={where} cannot be used" if where else "no cluster can be started here"
        raise InputError(f"ray: {found}: {first_line(error)}") from error


def _knock(address: str) -> None:
    """Raises OSError if nobody answers at `address`, where it is host:port: Ray would try for minutes."""
    host, _, port = address.rpartition(":")
    if host and "/" not in host and port.isdigit():
        socket.create_connection((host.strip("[]"), int(port)), KNOCK_SECONDS).close()


def _unpacked(key: str, shipped: Any) -> Path:
    """A folder on this node with an image set from Ray's store; written once, whoever asks."""

    def write(folder: Path) -> None:
        images, labels = ray.get(shipped)
        np.save(folder / IMAGES, images)
        np.save(folder / LABELS, labels)

    return make_once(cache_folder() / "shipped" / key, write)

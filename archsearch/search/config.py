"""What a search is told."""

import os
import re
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from difflib import get_close_matches
from importlib.util import find_spec
from math import inf
from pathlib import Path

from archsearch.errors import InputError
from archsearch.search.budget import Budget
from archsearch.search.objectives import ACCURACY, OTHERS
from archsearch.search.plan import Given
from archsearch.search.samplers import HALVING, PRUNERS, SAMPLERS

DEFAULT_SECONDS = 600.0
TRIAL_TIMEOUT = 600.0
EPOCHS = 10
MOST_SEED = 2**31 - 1
"""Samplers take no more than twice that, and get more for each coordinator."""
MOST_WORKERS = 1000
MOST_WORKERS_A_CORE = 16
"""On this machine: more get nothing done."""
LEAST_PART = 1e-4
"""Of a CPU or a GPU; Ray counts in these."""
BATCH_SIZE = 128
PREFERENCES = ("accuracy", "small")
EXECUTORS = ("local", "ray")


def cores() -> int:
    """CPU cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@dataclass(frozen=True)
class SearchConfig:
    """What a search is told; the command line's options, one for one.

    Attributes:
        space: The space file; or a KerasTuner HyperModel, as `file.py:Name` or `module:Name`; None is a space that
            suits the data.
        data: A data source, as `load_data` takes it.
        out: The study's folder; made if it is not there, continued if it is.
        trials: Most trials that train; None is no limit.
        seconds: Wall time for everything, retraining included; None is no limit. If neither is given: ten minutes.
        workers: Trials that train at once; None is as many as suit this machine (`executors.choose`), or as many as the
            cluster has room for.
        workers_per_gpu: On this machine, instead of `workers`: trials that share a GPU; None is one for each.
        folds: Folds of the cross-validation, at least 2, all run by every candidate; None has them planned.
        seed: Of the splits, the sampler and every trial, 0 to `MOST_SEED`.
        size: Side to which images are resized, in pixels; None leaves them.
        sampler: A name in `SAMPLERS`.
        pruner: A name in `PRUNERS`.
        trust_code: Whether Python code that the space names may be run.
        epochs: Passes over the training images of one fold; None has them planned, or is `EPOCHS` for a HyperModel. A
            space that has epochs of its own takes none.
        batch_size: Images a step, only for a HyperModel, where None is `BATCH_SIZE`.
        first_rung: Images that a fold trains on before the first candidates are dropped; None has them planned.
        finalists: How many of the best run again with a fresh seed before one wins; None has them planned.
        prefer: `accuracy`, or `small` for the smallest of those that are as good as the best, within its error.
        objectives: What is wanted: `accuracy` first, then what is to be small (`parameters`, `flops`, `latency`), or
            large (`robustness`).
        executor: Where trials run: `local` is this machine, `ray` is a cluster.
        cpus_per_trial: CPUs that a trial takes on a cluster, above 0; None is 1.
        gpus_per_trial: GPUs that a trial takes on a cluster, a part or whole ones; None is none.
        trial_timeout: Seconds without a training step after which a trial has failed.
        storage: Address of a PostgreSQL database that other machines search from, too; None is a file in the folder.
        began: When all this began, by `time.monotonic`.

    Raises:
        InputError: A value is out of its range, or a name is unknown.
    """

    space: Path | None
    data: str
    out: Path
    trials: int | None = None
    seconds: float | None = None
    workers: int | None = None
    workers_per_gpu: int | None = None
    folds: int | None = None
    seed: int = 0
    size: int | None = None
    sampler: str = "tpe"
    pruner: str = "halving"
    trust_code: bool = False
    epochs: float | None = None
    batch_size: int | None = None
    first_rung: int | None = None
    finalists: int | None = None
    prefer: str = "accuracy"
    objectives: tuple[str, ...] = (ACCURACY,)
    executor: str = "local"
    cpus_per_trial: float | None = None
    gpus_per_trial: float | None = None
    trial_timeout: float = TRIAL_TIMEOUT
    storage: str | None = field(default=None, repr=False)  # it may hold a password
    began: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        _at_least("trials", self.trials, 1)
        _at_least("time", self.seconds, 1)
        _at_least("workers", self.workers, 1)
        _at_least("workers-per-gpu", self.workers_per_gpu, 1)
        _at_least("folds", self.folds, 2)
        _at_least("seed", self.seed, 0)
        _at_most("seed", self.seed, MOST_SEED)
        _at_most("workers", self.workers, MOST_WORKERS)
        _at_least("size", self.size, 1)
        if self.epochs is not None and not self.epochs > 0:
            raise InputError(f"epochs: found {self.epochs:g}, expected more than 0")
        _at_least("first-rung", self.first_rung, 1)
        _at_least("finalists", self.finalists, 0)
        _known("prefer", self.prefer, PREFERENCES)
        _check_objectives(self.objectives, self.pruner)
        _at_least("trial-timeout", self.trial_timeout, 1)
        _at_least("batch-size", self.batch_size, 1)
        _known("sampler", self.sampler, SAMPLERS)
        _known("pruner", self.pruner, PRUNERS)
        _known("executor", self.executor, EXECUTORS)
        if self.workers_per_gpu is not None and (self.workers is not None or self.executor == "ray"):
            other = "--executor ray: expected --gpus-per-trial" if self.executor == "ray" else "--workers: expected one"
            raise InputError(f"workers-per-gpu: found with {other}")
        _check_cluster(self.executor, self.cpus_per_trial, self.gpus_per_trial)

    @property
    def given(self) -> Given:
        """What the planner has no say in."""
        return Given(epochs=self.epochs, folds=self.folds, first_rung=self.first_rung, finalists=self.finalists)

    @property
    def budget(self) -> Budget:
        """The limits that count."""
        unlimited = self.trials is None and self.seconds is None
        return Budget(self.trials, DEFAULT_SECONDS if unlimited else self.seconds)


def parse_duration(text: str, name: str = "time") -> float:
    """Seconds from text such as `90`, `90s`, `10m`, `1h30m` or `1.5h`; `name` is that of the option.

    Raises:
        InputError: It is not a length of time above 0.
    """
    match = re.fullmatch(r"(?:([\d.]+)h)?(?:([\d.]+)m)?(?:([\d.]+)s?)?", text.strip().lower())
    try:
        parts = [float(part or 0) for part in match.groups()] if match else []
    except ValueError:
        parts = []
    seconds = sum(part * unit for part, unit in zip(parts, (3600, 60, 1), strict=False))
    if seconds <= 0:
        raise InputError(f"{name}: found '{text}', expected a length of time such as 90s, 10m or 1h30m")
    return seconds


def _at_least(name: str, value: float | None, least: int) -> None:
    if value is not None and value < least:
        raise InputError(f"{name}: found {value}, expected at least {least}")


def _at_most(name: str, value: float | None, most: int) -> None:
    if value is not None and value > most:
        raise InputError(f"{name}: found {value}, expected at most {most}")


def _check_objectives(objectives: tuple[str, ...], pruner: str) -> None:
    first, *others = objectives or ("",)
    if first != ACCURACY:
        raise InputError(f"objective: found '{first}' first, expected '{ACCURACY}', such as in '{ACCURACY},parameters'")
    for name in others:
        _known("objective", name, OTHERS)
    if len(set(objectives)) < len(objectives):
        raise InputError(f"objective: found '{','.join(objectives)}', expected each name once")
    if others and pruner not in (HALVING, "none"):
        raise InputError(f"pruner: '{pruner}' is Optuna's and takes one objective; expected '{HALVING}' or 'none'")
    if "latency" in others and find_spec("ai_edge_litert") is None:
        raise InputError(
            "objective: latency is measured with LiteRT; install it with: pip install 'archsearch[litert]'"
        )


def _check_cluster(executor: str, cpus: float | None, gpus: float | None) -> None:
    for name, value in (("cpus-per-trial", cpus), ("gpus-per-trial", gpus)):
        if executor == "local" and value is not None:
            raise InputError(f"{name}: only for a cluster, with --executor ray")
    if cpus is not None and not LEAST_PART <= cpus < inf:
        raise InputError(f"cpus-per-trial: found {cpus:g}, expected at least {LEAST_PART:g}")
    if gpus is not None and gpus != 0 and not (LEAST_PART <= gpus <= 1 or (1 < gpus < inf and gpus == int(gpus))):
        raise InputError(f"gpus-per-trial: found {gpus:g}, expected 0, a part of one such as 0.5, or whole ones")
    if executor == "ray" and find_spec("ray") is None:
        raise InputError("executor: ray is not installed; install it with: pip install 'archsearch[ray]'")


def _known(name: str, value: str, known: Iterable[str]) -> None:
    if value not in known:
        close = get_close_matches(value, known, 1)
        hint = f"; did you mean '{close[0]}'?" if close else ""
        raise InputError(f"{name}: found '{value}', expected one of {', '.join(known)}{hint}")

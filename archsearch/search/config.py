"""What a search is told."""

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path

from archsearch.errors import InputError
from archsearch.search.budget import Budget
from archsearch.search.storage import PRUNERS, SAMPLERS

DEFAULT_SECONDS = 600.0
EPOCHS = 10
BATCH_SIZE = 128


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
        workers: Trials that train at once, one thread each.
        folds: Folds of the cross-validation, at least 2.
        seed: Of the splits, the sampler and every trial, at least 0.
        size: Side to which images are resized, in pixels; None leaves them.
        sampler: A name in `SAMPLERS`.
        pruner: A name in `PRUNERS`.
        trust_code: Whether Python code that the space names may be run.
        epochs: Passes over the training images of one fold, only for a HyperModel, where None is `EPOCHS`.
        batch_size: Images a step, likewise; None is `BATCH_SIZE`.

    Raises:
        InputError: A value is out of its range, or a name is unknown.
    """

    space: Path | None
    data: str
    out: Path
    trials: int | None = None
    seconds: float | None = None
    workers: int = field(default_factory=cores)
    folds: int = 3
    seed: int = 0
    size: int | None = None
    sampler: str = "tpe"
    pruner: str = "halving"
    trust_code: bool = False
    epochs: int | None = None
    batch_size: int | None = None

    def __post_init__(self) -> None:
        _at_least("trials", self.trials, 1)
        _at_least("time", self.seconds, 1)
        _at_least("workers", self.workers, 1)
        _at_least("folds", self.folds, 2)
        _at_least("seed", self.seed, 0)
        _at_least("size", self.size, 1)
        _at_least("epochs", self.epochs, 1)
        _at_least("batch-size", self.batch_size, 1)
        _known("sampler", self.sampler, SAMPLERS)
        _known("pruner", self.pruner, PRUNERS)

    @property
    def budget(self) -> Budget:
        """The limits that count."""
        unlimited = self.trials is None and self.seconds is None
        return Budget(self.trials, DEFAULT_SECONDS if unlimited else self.seconds)


def parse_duration(text: str) -> float:
    """Seconds from text such as `90`, `90s`, `10m`, `1h30m` or `1.5h`.

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
        raise InputError(f"time: found '{text}', expected a length of time such as 90s, 10m or 1h30m")
    return seconds


def _at_least(name: str, value: float | None, least: int) -> None:
    if value is not None and value < least:
        raise InputError(f"{name}: found {value}, expected at least {least}")


def _known(name: str, value: str, known: Iterable[str]) -> None:
    if value not in known:
        close = get_close_matches(value, known, 1)
        hint = f"; did you mean '{close[0]}'?" if close else ""
        raise InputError(f"{name}: found '{value}', expected one of {', '.join(known)}{hint}")

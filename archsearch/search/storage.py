"""The Optuna study in a study's folder: its storage, sampler and pruner."""

import logging
import warnings
from collections.abc import Callable, Sequence
from typing import cast

import optuna
from filelock import FileLock
from optuna.exceptions import ExperimentalWarning
from optuna.pruners import BasePruner, HyperbandPruner, MedianPruner, NopPruner, SuccessiveHalvingPruner
from optuna.samplers import BaseSampler, QMCSampler, RandomSampler, TPESampler
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock

from archsearch.search.folder import StudyFolder
from archsearch.space.sample import Scalar

optuna.logging.set_verbosity(logging.WARNING)

STUDY_NAME = "archsearch"


# What of Optuna is used here and called experimental has been in it for years.
warnings.filterwarnings("ignore", category=ExperimentalWarning, module=r"optuna|archsearch")


def _tpe(seed: int) -> BaseSampler:
    # Grouped: each branch of a conditional space gets a model of its own.
    return TPESampler(seed=seed, multivariate=True, group=True, constant_liar=True)


SAMPLERS: dict[str, Callable[[int], BaseSampler]] = {
    "tpe": _tpe,
    "random": lambda seed: RandomSampler(seed=seed),
    "qmc": lambda seed: QMCSampler(seed=seed),
}
"""Optuna's samplers by name: seed to sampler."""

PRUNERS: dict[str, Callable[[int], BasePruner]] = {
    "halving": lambda epochs: SuccessiveHalvingPruner(min_resource=max(1, epochs // 9), reduction_factor=3),
    "hyperband": lambda epochs: HyperbandPruner(min_resource=1, max_resource=epochs),
    "median": lambda epochs: MedianPruner(n_startup_trials=4),
    "none": lambda epochs: NopPruner(),
}
"""Optuna's pruners by name: most epochs of a fold to pruner."""


class _KernelLock(JournalFileOpenLock):
    """A journal lock that the kernel releases when its holder dies; Optuna's own outlives it by half a minute."""

    def __init__(self, path: str) -> None:
        self._lock = FileLock(path)

    def acquire(self) -> bool:
        self._lock.acquire()
        return True

    def release(self) -> None:
        self._lock.release()


def open_storage(folder: StudyFolder) -> JournalStorage:
    """The storage in `folder`, made if it is not there."""
    journal = str(folder.journal)
    return JournalStorage(JournalFileBackend(journal, _KernelLock(f"{journal}.lock")))


def create_study(folder: StudyFolder) -> optuna.Study:
    """A new study, maximising accuracy."""
    study = optuna.create_study(storage=open_storage(folder), study_name=STUDY_NAME, direction="maximize")
    study.set_metric_names(["accuracy"])
    return study


def open_study(folder: StudyFolder) -> optuna.Study:
    """The study in `folder`, to read from it.

    Raises:
        StudyError: `folder` holds no study.
    """
    folder.read_info()
    return optuna.load_study(storage=open_storage(folder), study_name=STUDY_NAME)


class OptunaChooser:
    """Draws from an Optuna trial."""

    def __init__(self, trial: optuna.Trial) -> None:
        self._trial = trial

    def choice(self, name: str, options: Sequence[Scalar]) -> Scalar:
        """One of `options`."""
        return cast("Scalar", self._trial.suggest_categorical(name, options))

    def integer(self, name: str, low: int, high: int, step: int = 1, log: bool = False) -> int:
        """A whole number from `low` to `high`, both included."""
        return self._trial.suggest_int(name, low, high, step=step, log=log)

    def real(self, name: str, low: float, high: float, log: bool = False) -> float:
        """A real number from `low` to `high`."""
        return self._trial.suggest_float(name, low, high, log=log)

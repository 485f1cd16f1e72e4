"""The Optuna study in a study's folder."""

import logging
import warnings
from collections.abc import Mapping, Sequence

import optuna
from optuna.exceptions import ExperimentalWarning
from optuna.storages import BaseStorage, JournalStorage
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState, create_trial

from archsearch.errors import StudyError
from archsearch.search.address import parse_address
from archsearch.search.database import Database, open_database
from archsearch.search.folder import StudyFolder
from archsearch.search.journal import journal
from archsearch.search.objectives import LARGE
from archsearch.space.sample import Scalar

optuna.logging.set_verbosity(logging.WARNING)
# The metrics' names have been called experimental for years.
warnings.filterwarnings("ignore", category=ExperimentalWarning, module=r"optuna|archsearch")

STUDY_NAME = "archsearch"
RETRIES = "retries"
"""Attribute of a trial in the queue: the trial that it tries again."""


def open_storage(folder: StudyFolder) -> JournalStorage:
    """The storage in `folder`, made by the first line that is written."""
    return JournalStorage(journal(folder))


def create_study(storage: BaseStorage, name: str, objectives: Sequence[str]) -> optuna.Study:
    """A new study of these objectives, accuracy first: what is to be large is maximised, the others are minimised."""
    directions = [StudyDirection.MAXIMIZE if name in LARGE else StudyDirection.MINIMIZE for name in objectives]
    study = optuna.create_study(storage=storage, study_name=name, directions=directions)
    study.set_metric_names(list(objectives))
    return study


def begun_in(storage: BaseStorage) -> int:
    """How many trials of all studies in `storage` are more than a plan."""
    trials = [trial for study in storage.get_all_studies() for trial in storage.get_all_trials(study._study_id, False)]
    return sum(trial.state != TrialState.WAITING for trial in trials)


def same_again(study: optuna.Study, number: int) -> optuna.Trial:
    """A running trial with the parameters of another one, whatever waits in the queue."""
    before = study.get_trials(deepcopy=False)[number]
    again = create_trial(state=TrialState.RUNNING, params=before.params, distributions=before.distributions)
    return optuna.Trial(study, study._storage.create_new_trial(study._study_id, again))


def enqueue(study: optuna.Study, point: Mapping[str, Scalar], retries: int | None = None) -> None:
    """Has `point`, values by parameter, drawn next: as another try of the trial `retries`, if that is given."""
    study.enqueue_trial(dict(point), {} if retries is None else {RETRIES: retries})


def point_of(waiting: FrozenTrial) -> Mapping[str, Scalar] | None:
    """What a trial in the queue is to try, by parameter."""
    point: Mapping[str, Scalar] | None = waiting.system_attrs.get("fixed_params")
    return point


def retried_by(trial: optuna.Trial) -> int | None:
    """The trial that `trial` was queued to try again; None for all others."""
    return trial.user_attrs.get(RETRIES)


def open_study(folder: StudyFolder) -> optuna.Study:
    """The study of `folder`, to read from it, in its journal or in the database that it names.

    Raises:
        StudyError: `folder` holds no study.
        InputError: The database cannot be reached, or holds it no more.
    """
    info = folder.read_info()
    try:
        if info.storage is None:
            return optuna.load_study(storage=open_storage(folder), study_name=info.name)
        return optuna.load_study(storage=database_of(info.storage, info.name).storage, study_name=info.name)
    except KeyError:
        if info.storage is None:
            raise StudyError(
                f"{folder.journal}: the study's trials are missing, or the file is damaged from its first line on; put "
                "a copy of the file in its place, or begin anew with another --out"
            ) from None
        raise StudyError(f"{info.storage}: holds no study '{info.name}' any more, which {folder.path} is of") from None


_known: dict[tuple[str, str], Database] = {}


def know(database: Database) -> None:
    """Has this process use `database` from now on for the study in it: with its password, which the study's folder does
    not hold, and with its patience.
    """
    _known[database.address.shown, database.study_name] = database


def database_of(storage: str, name: str) -> Database:
    """The database that a study in it names, to read from it; opened once, and waited for if a search has waited."""
    if (storage, name) not in _known:
        know(open_database(parse_address(storage), name, lambda: False))
    return _known[storage, name]

"""An Optuna storage that waits while its database does not answer."""

import logging
import math
import time
import warnings
from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any, TypeVar

from optuna.exceptions import ExperimentalWarning, StorageInternalError, UpdateFinishedTrialError
from optuna.storages import RDBStorage
from optuna.trial import TrialState

from archsearch.errors import SearchError
from archsearch.search.address import Address, Unreachable, told

logger = logging.getLogger(__name__)

Result = TypeVar("Result")

FIRST_PAUSE, LONGEST_PAUSE = 0.1, 5.0
"""Seconds from one try to the next; each pause is twice as long as the one before."""
POLL_SECONDS = 0.1

HEARTBEAT_SECONDS, GRACE_SECONDS = 10, 30
"""Between two heartbeats of a running trial, and without one until it counts as dead."""


class Patience:
    """Tries again what has failed because the database was away.

    Attributes:
        lasts: Asked while the database is away; False gives up.
    """

    def __init__(self, address: Address, lasts: Callable[[], bool]) -> None:
        self.lasts = lasts
        self._address = address
        self._away = False
        self._back = -math.inf

    @property
    def calm(self) -> float:
        """Seconds since the database was last away."""
        return time.monotonic() - self._back

    def through(self, attempt: Callable[[], Result]) -> Result:
        """What `attempt` returns, once the database answers; it may have taken effect before and be made again.

        Raises:
            SearchError: The database does not answer, and patience does not last.
        """
        pause = FIRST_PAUSE
        while True:
            try:
                result = attempt()
            except Exception as error:
                reason = why_away(error)
                if reason is None:
                    raise
            else:
                self._answers()
                return result
            self._wait(pause, reason)
            pause = min(2 * pause, LONGEST_PAUSE)

    def _answers(self) -> None:
        if self._away:
            self._away, self._back = False, time.monotonic()
            logger.warning("%s: the database answers again", self._address)

    def _wait(self, pause: float, reason: str) -> None:
        if not self._away:
            self._away = True
            logger.warning("%s: the database does not answer; waiting for it: %s", self._address, reason)
        until = time.monotonic() + pause
        while time.monotonic() < until:
            if not self.lasts():
                raise SearchError(
                    f"{self._address}: the database does not answer: {reason}; what it was told before is kept: start "
                    "it and run the same command again"
                )
            time.sleep(POLL_SECONDS)


def why_away(error: BaseException) -> str | None:
    """Why the database did not do what it was asked, if it may well do so later; None if it would refuse it again."""
    import psycopg
    from sqlalchemy.exc import SQLAlchemyError

    if not isinstance(error, (Unreachable, StorageInternalError, SQLAlchemyError, psycopg.Error)):
        return None
    said = what_it_said(error)
    if isinstance(said, (Unreachable, psycopg.OperationalError, psycopg.InterfaceError)):
        return told(said)
    return None


def what_it_said(error: BaseException) -> BaseException:
    """What PostgreSQL or its driver said, out of what SQLAlchemy and Optuna have made of it."""
    import psycopg

    link: BaseException | None = error
    while link is not None and not isinstance(link, (Unreachable, psycopg.Error)):
        link = link.__cause__ or link.__context__
    return link or error


OPERATIONS = (
    "create_new_study",
    "delete_study",
    "set_study_user_attr",
    "set_study_system_attr",
    "get_study_id_from_name",
    "get_study_name_from_id",
    "get_study_directions",
    "get_study_user_attrs",
    "get_study_system_attrs",
    "get_all_studies",
    "_create_new_trial",
    "_set_trial_param",
    "set_trial_state_values",
    "set_trial_intermediate_value",
    "set_trial_user_attr",
    "set_trial_system_attr",
    "get_trial_id_from_study_id_trial_number",
    "get_trial",
    "_get_trials",
    "_get_best_trial_id",
    "record_heartbeat",
    "_get_stale_trial_ids",
)
"""What Optuna asks of this storage."""


class PatientStorage(RDBStorage):
    """Optuna's storage in a PostgreSQL database; every operation waits while the database is away.

    One that is made again because nobody knows whether it took effect does no harm: a new trial may leave a running one
    behind that nobody has, which dies for want of heartbeats.
    """

    def __init__(self, address: Address, patience: Patience) -> None:
        self._patience = patience
        # The URL names the driver alone: connections are made where the password is known.
        engine = {"creator": address.connect, "pool_pre_ping": True, "pool_size": 1, "max_overflow": 9}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)
            super().__init__(
                "postgresql+psycopg://",
                engine,
                heartbeat_interval=HEARTBEAT_SECONDS,
                grace_period=GRACE_SECONDS,
            )

    def set_trial_state_values(self, trial_id: int, state: TrialState, values: Sequence[float] | None = None) -> bool:
        """As Optuna has it; and what a trial has become already it may become again."""
        try:
            return super().set_trial_state_values(trial_id, state, values)
        except UpdateFinishedTrialError:
            there = self.get_trial(trial_id)
            if (there.state, there.values) == (state, None if values is None else [*values]):
                return True
            raise


def _patient(operation: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(operation)
    def waiting(self: PatientStorage, *given: Any, **named: Any) -> Any:
        return self._patience.through(lambda: operation(self, *given, **named))

    return waiting


for _name in OPERATIONS:
    setattr(PatientStorage, _name, _patient(getattr(PatientStorage, _name)))

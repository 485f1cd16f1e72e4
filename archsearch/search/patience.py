"""An Optuna storage that waits while its database does not answer."""

import logging
import math
import time
from collections.abc import Callable, Sequence
from functools import wraps
from typing import TYPE_CHECKING, Any, TypeVar

from optuna.exceptions import UpdateFinishedTrialError
from optuna.storages import RDBStorage
from optuna.trial import TrialState

from archsearch.errors import SearchError
from archsearch.search.address import Address, Unreachable, told

if TYPE_CHECKING:
    from sqlalchemy.engine import ExceptionContext

logger = logging.getLogger(__name__)

Result = TypeVar("Result")

FIRST_PAUSE, LONGEST_PAUSE = 0.1, 5.0
"""Seconds from one try to the next; each pause is twice as long as the one before."""
POLL_SECONDS = 0.1


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
        """What `attempt` returns once it does not raise Unreachable; it may have taken effect before and be made again.

        Raises:
            SearchError: The database does not answer, and patience does not last.
        """
        pause = FIRST_PAUSE
        while True:
            try:
                result = attempt()
            except Unreachable as error:
                self._wait(pause, str(error))
            else:
                self._answers()
                return result
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

    One that is made again because nobody knows whether it took effect does no harm: a new trial may leave another
    behind, which waits like any other, or runs for nobody and dies for want of heartbeats.
    """

    def __init__(self, address: Address, patience: Patience) -> None:
        from sqlalchemy.event import listen

        self._patience = patience
        # The URL names the driver alone: connections are made where the password is known.
        engine = {"creator": address.connect, "pool_pre_ping": True, "pool_size": 1, "max_overflow": 9}
        # No interval of heartbeats: what Optuna does at each is for `Study.optimize`, which nobody calls.
        super().__init__("postgresql+psycopg://", engine)
        listen(self.engine, "handle_error", _as_unreachable)

    def set_trial_state_values(self, trial_id: int, state: TrialState, values: Sequence[float] | None = None) -> bool:
        """As Optuna has it; and what a trial has become already it may become again."""
        try:
            return super().set_trial_state_values(trial_id, state, values)
        except UpdateFinishedTrialError:
            there = self.get_trial(trial_id)
            if (there.state, there.values) == (state, None if values is None else [*values]):
                return True
            raise


def _as_unreachable(context: "ExceptionContext") -> Unreachable | None:
    """What may go well later as what `Patience` waits for; Optuna has plans of its own with anything else."""
    from psycopg import InterfaceError, OperationalError

    said = context.original_exception
    away = context.is_disconnect or isinstance(said, (OperationalError, InterfaceError))
    return Unreachable(told(said)) if away and not context.is_pre_ping else None


def _patient(operation: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(operation)
    def waiting(self: PatientStorage, *given: Any, **named: Any) -> Any:
        return self._patience.through(lambda: operation(self, *given, **named))

    return waiting


for _name in OPERATIONS:
    setattr(PatientStorage, _name, _patient(getattr(PatientStorage, _name)))

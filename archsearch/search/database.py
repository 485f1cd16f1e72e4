"""A study in a PostgreSQL database that several coordinators work on: whose turn it is, and who has died."""

import logging
import math
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import closing, contextmanager

import optuna
from optuna.exceptions import StorageInternalError
from optuna.trial import FrozenTrial, TrialState

from archsearch.errors import InputError
from archsearch.search.address import Address, Unreachable, told
from archsearch.search.lock import Lock
from archsearch.search.patience import Patience, PatientStorage, Result

logger = logging.getLogger(__name__)

HEARTBEAT_SECONDS, GRACE_SECONDS = 10, 30
"""Between two heartbeats of a running trial, and without one until it counts as dead."""

SETTING_UP_SECONDS = 10
"""That another coordinator may take to make the tables."""

SILENCES = """
SELECT trial_id,
       extract(epoch FROM now() AT TIME ZONE 'UTC' - heartbeat)::float,
       extract(epoch FROM now() - pg_postmaster_start_time())::float
FROM trials LEFT JOIN trial_heartbeats USING (trial_id)
WHERE study_id = :study AND state = 'RUNNING'
"""
"""Of each running trial, for how many seconds it has been silent, or null if nobody has ever heard of it; and for how
many the server has been up. All by the clock of the database, as in `RDBStorage._get_stale_trial_ids`."""


class Database:
    """A study's database while a coordinator works on it; made by `open_database`. To be used from one thread.

    Attributes:
        address: Where it is.
        study_name: Of the Optuna study.
        storage: What Optuna is given.
        pause: Seconds between two looks at what others have done.
        patience: Asked while the database does not answer; once it says False, whatever waits raises SearchError.
    """

    pause = 2.0

    def __init__(self, address: Address, study_name: str, patience: Callable[[], bool]) -> None:
        self.address = address
        self.study_name = study_name
        self.patience = patience
        self._patience = Patience(address, lambda: self.patience())
        self.storage = PatientStorage(address, self._patience)
        self._lock = Lock(address, study_name)
        self._beaten: dict[int, float] = {}
        self._kept = -math.inf

    @contextmanager
    def turn(self, seconds: float = math.inf) -> Iterator[bool]:
        """A block that one coordinator of the study at a time is in. Not reentrant.

        A turn ends early if the database goes away within the block; that is found out, and logged, at the block's end.

        Args:
            seconds: How long to wait for those who are before us, to half a second.

        Yields:
            Whether it is our turn; not if others have kept it for so long, or patience is over.

        Raises:
            SearchError: The database does not answer, and patience is over.
        """
        until = time.monotonic() + seconds
        while not (ours := self._patience.through(self._lock.acquire)):
            if time.monotonic() >= until or not self.patience():
                break
        try:
            yield ours
        finally:
            if ours and not self._lock.release():
                logger.warning("%s: the database was away during our turn, so it may have been another's", self.address)

    def now(self) -> float:
        """By the clock of the database."""
        from sqlalchemy import text

        def ask() -> float:
            with self.storage.engine.connect() as connection:
                return float(connection.execute(text("SELECT extract(epoch FROM now())")).scalar_one())

        return self._patience.through(ask)

    def beat(self, trials: Collection[optuna.Trial]) -> None:
        """Says that these trials are alive, each at once and then every `HEARTBEAT_SECONDS`; call it often.

        A turn that lasts for long is kept, too: the server takes it from a holder that says nothing.

        Args:
            trials: All that run here.
        """
        now, running = time.monotonic(), {trial._trial_id for trial in trials}
        if now - self._kept >= HEARTBEAT_SECONDS:
            self._lock.keep()
            self._kept = now
        self._beaten = {trial: at for trial, at in self._beaten.items() if trial in running}
        for trial in running:
            if now - self._beaten.get(trial, -math.inf) >= HEARTBEAT_SECONDS:
                self.storage.record_heartbeat(trial)
                self._beaten[trial] = now

    def dead(self, study: optuna.Study) -> list[FrozenTrial]:
        """Running trials of others who have not been heard of for `GRACE_SECONDS`. Nothing is done to them.

        When the database has been away, all get as long to be heard again. A trial whose coordinator died before its
        first heartbeat gets one here, and dies after that.
        """
        rows = self._patience.through(lambda: self._silences(study._study_id))
        dead = set()
        for trial, silence, up in rows:
            if silence is None:
                self.storage.record_heartbeat(trial)
            elif min(silence, up, self._patience.calm) > GRACE_SECONDS and trial not in self._beaten:
                dead.add(trial)
        trials = study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)) if dead else []
        return [trial for trial in trials if trial._trial_id in dead]

    def unheard(self, study: optuna.Study, seconds: float) -> int:
        """How many running trials of others have given no heartbeat for so many seconds."""
        rows = self._patience.through(lambda: self._silences(study._study_id))
        others = (silence for trial, silence, _ in rows if trial not in self._beaten)
        return sum(silence is None or silence > seconds for silence in others)

    def lock(self, what: str) -> Lock:
        """A lock on something that one process at a time does for the study."""
        return Lock(self.address, f"{self.study_name} {what}")

    def patiently(self, ask: Callable[[], Result]) -> Result:
        """What `ask` returns, once the database answers.

        Raises:
            SearchError: It does not, and patience is over.
        """
        return self._patience.through(ask)

    def _silences(self, study_id: int) -> list[tuple[int, float | None, float]]:
        from sqlalchemy import text

        with self.storage.engine.connect() as connection:
            return [(row[0], row[1], row[2]) for row in connection.execute(text(SILENCES), {"study": study_id})]

    def close(self) -> None:
        """Ends all connections; whatever is asked later makes new ones."""
        self._lock.close()
        self.storage.remove_session()
        self.storage.engine.dispose()


def open_database(address: Address, study_name: str, patience: Callable[[], bool] = lambda: True) -> Database:
    """The database at an address, with Optuna's tables in it, which are made if they are not there.

    Args:
        address: From `parse_address`.
        study_name: The Optuna study whose coordinators take turns.
        patience: Asked while the database does not answer once it is open; False gives up.

    Raises:
        InputError: It does not answer now, or refuses this user, or its tables are another Optuna's.
    """
    from sqlalchemy.exc import SQLAlchemyError

    try:
        with closing(Lock(address, "tables")) as lock:
            until = time.monotonic() + SETTING_UP_SECONDS
            while not lock.acquire():
                if time.monotonic() > until:
                    raise InputError(f"{address}: another program is making the tables; try again when it is done")
            return Database(address, study_name, patience)
    except Unreachable as error:
        reason = str(error)
    except (SQLAlchemyError, StorageInternalError) as error:  # the second is what Optuna makes of the first
        said = error.__cause__ if isinstance(error, StorageInternalError) else error
        reason = told(getattr(said, "orig", None) or error)
    except RuntimeError as error:  # how Optuna says that the tables are of another version
        raise InputError(f"{address}: {error}") from error
    raise address.refused(reason)

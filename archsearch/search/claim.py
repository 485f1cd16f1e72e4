"""Which machine retrains the winner of a study that several have searched."""

import time
from typing import Protocol

import optuna

from archsearch.search.database import Database
from archsearch.search.lock import Lock

RETRAINED = "retrained"
"""Study attribute in a database: the trial that is the winner, where it is retrained, and whether it is done."""
KEEP_SECONDS = 10.0
"""Between two signs of life of who holds a claim; the server takes it from one who gives none."""


class Claim(Protocol):
    """The right to retrain the winner, from when it is made until it is closed."""

    @property
    def elsewhere(self) -> str:
        """Where another machine retrains it, or has done so; empty if it is ours to do."""

    def keep(self) -> None:
        """Says that we still do it; call it often."""

    def settle(self) -> None:
        """Says that it is done."""

    def close(self) -> None:
        """Leaves it to others, if it is not done."""


class Undisputed:
    """There is nobody else."""

    elsewhere = ""

    def keep(self) -> None:
        """Nobody listens."""

    def settle(self) -> None:
        """Nobody asks."""

    def close(self) -> None:
        """Nothing is left."""


class SharedClaim:
    """A claim among machines that share a database; it ends with the process that holds it.

    Args:
        database: Where the study is.
        study: It.
        trial: The winner.
        here: What others are told.
    """

    def __init__(self, database: Database, study: optuna.Study, trial: int, here: str) -> None:
        self._study, self._ours = study, (trial, here)
        self._lock: Lock | None = None
        self._kept = time.monotonic()
        self.elsewhere = ""
        with database.turn():
            claimed, where, is_done = study.user_attrs.get(RETRAINED, (None, "", False))
            is_others = claimed == trial and where != here
            if not (claimed == trial and is_done):
                self._lock = database.alone(f"retraining {trial}")
            if is_others and self._lock is None:
                self.elsewhere = str(where)
            elif self._lock is not None:
                study.set_user_attr(RETRAINED, (*self._ours, False))

    def keep(self) -> None:
        """As in `Claim`."""
        if self._lock is not None and time.monotonic() - self._kept > KEEP_SECONDS:
            self._kept = time.monotonic()
            self._lock.keep()

    def settle(self) -> None:
        """As in `Claim`."""
        self._study.set_user_attr(RETRAINED, (*self._ours, True))

    def close(self) -> None:
        """As in `Claim`."""
        if self._lock is not None:
            self._lock.close()

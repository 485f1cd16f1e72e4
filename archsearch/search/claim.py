"""Which machine retrains the winner of a study that several have searched."""

import time
from math import inf
from typing import Protocol

import optuna

from archsearch.search.address import Unreachable
from archsearch.search.database import Database

PREFIX = "retrained:"
"""Of study attributes in a database; the number of a winner follows: where it is retrained, and whether it is done."""
KEEP_SECONDS = 10.0
"""Between two signs of life of who holds a claim; the server takes it from one who gives none."""


class Claim(Protocol):
    """The right to retrain the winner, from when it is made until it is closed.

    Attributes:
        elsewhere: Where another machine retrains it, or has done so; empty if it is ours to do.
        is_done: Whether it has.
    """

    elsewhere: str
    is_done: bool

    def keep(self) -> None:
        """Says that we still do it, and finds out if another one does by now; call it often."""

    def settle(self) -> None:
        """Says that it is done."""

    def close(self) -> None:
        """Leaves it to others, if it is not done."""


class Undisputed:
    """There is nobody else."""

    elsewhere, is_done = "", False

    def keep(self) -> None:
        """Nobody listens."""

    def settle(self) -> None:
        """Nobody asks."""

    def close(self) -> None:
        """Nothing is left."""


class SharedClaim:
    """A claim among machines that share a database: a lock there, which ends with the process that holds it.

    Args:
        database: Where the study is.
        study: It.
        trial: The winner.
        here: What others are told.
    """

    def __init__(self, database: Database, study: optuna.Study, trial: int, here: str) -> None:
        self.elsewhere, self.is_done = "", False
        self._study, self._here, self._name = study, here, f"{PREFIX}{trial}"
        self._lock = database.lock(f"retraining {trial}")
        self._kept = time.monotonic()
        self._take(database.patiently(self._lock.acquire))

    def _take(self, is_ours: bool) -> None:
        """Goes by what is written once the lock is ours, or is known not to be: whoever had it may have been done."""
        where, self.is_done = self._study.user_attrs.get(self._name, ("another machine", False))
        if is_ours and not self.is_done:
            self._study.set_user_attr(self._name, (self._here, False))
        elif not is_ours or where != self._here:
            self.elsewhere = str(where)

    def keep(self) -> None:
        """As in `Claim`; a lock that was lost, as when the database was away, is taken again, unless another has it."""
        if time.monotonic() - self._kept < KEEP_SECONDS:
            return
        self._kept = time.monotonic()
        try:
            if not self._lock.keep():
                self._take(self._lock.acquire())
        except Unreachable:  # nobody else can have it meanwhile
            self._kept = -inf

    def settle(self) -> None:
        """As in `Claim`."""
        self._study.set_user_attr(self._name, (self._here, True))

    def close(self) -> None:
        """As in `Claim`."""
        self._lock.close()

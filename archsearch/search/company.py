"""Other coordinators of the same study, as one of them sees them."""

import time
from collections.abc import Collection
from contextlib import AbstractContextManager, nullcontext
from typing import Protocol

import optuna
from optuna.trial import FrozenTrial


class Company(Protocol):
    """Whoever else searches the same study."""

    @property
    def pause(self) -> float:
        """Seconds between two looks at what the others have done."""

    def turn(self, seconds: float) -> AbstractContextManager[bool]:
        """A block that one coordinator at a time is in: it draws and begins a trial, or begins none.

        Args:
            seconds: How long to wait for the others; the block is told whether it is ours then.
        """

    def now(self) -> float:
        """Seconds since 1970, by the clock that all of them go by."""

    def beat(self, trials: Collection[optuna.Trial]) -> None:
        """Says that these trials are alive, all that run here, and that a turn is still needed; call it often."""

    def dead(self, study: optuna.Study) -> list[FrozenTrial]:
        """Running trials whose coordinator is gone; nothing is done to them."""


class Alone:
    """There is nobody else: the study's lock keeps others out."""

    pause = 0.0

    def turn(self, seconds: float) -> AbstractContextManager[bool]:
        """It always is."""
        return nullcontext(True)

    def now(self) -> float:
        """By the clock of this machine."""
        return time.time()

    def beat(self, trials: Collection[optuna.Trial]) -> None:
        """Nobody listens."""

    def dead(self, study: optuna.Study) -> list[FrozenTrial]:
        """None: what a dead coordinator left was taken up when this one began."""
        return []

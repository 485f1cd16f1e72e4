"""Other coordinators of the same study, as one of them sees them."""

from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Protocol

from optuna.trial import FrozenTrial


class Company(Protocol):
    """Whoever else searches the same study."""

    @property
    def pause(self) -> float:
        """Seconds between two looks at what the others have done."""

    def turn(self) -> AbstractContextManager[None]:
        """Only one coordinator at a time is in its turn: it draws and begins a trial, or begins none."""

    def beat(self, trials: Iterable[int]) -> None:
        """Says that the coordinator of these trials (Optuna's ids) is alive."""

    def lost(self) -> Sequence[FrozenTrial]:
        """Running trials whose coordinator is gone; call it within a turn."""


class Alone:
    """There is nobody else: the study's lock keeps others out."""

    pause = 0.0

    def turn(self) -> AbstractContextManager[None]:
        """Nothing to wait for."""
        return nullcontext()

    def beat(self, trials: Iterable[int]) -> None:
        """Nobody listens."""

    def lost(self) -> Sequence[FrozenTrial]:
        """None: what a dead coordinator left was taken up when this one began."""
        return ()

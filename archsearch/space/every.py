"""Every point of a small space, one after the other."""

from collections.abc import Iterator, Sequence
from contextlib import suppress

from archsearch.errors import TrialError
from archsearch.space.architecture import Candidate, Task
from archsearch.space.load import Space
from archsearch.space.sample import sample
from archsearch.space.values import Scalar


def every(space: Space, task: Task) -> Iterator[Candidate]:
    """The candidate of every point of `space`, but for points at which an expression has no value.

    Of a range of real numbers only the lower end is taken.
    """
    chooser = EveryChooser()
    more = True
    while more:
        with suppress(TrialError):
            yield sample(space, chooser, task)
        more = chooser.advance()


class EveryChooser:
    """Takes every combination of values in turn, the last choice first; of a range of real numbers only the lower end.

    It serves one `sample` after the other; between two of them, `advance` goes on to the next combination.
    """

    def __init__(self) -> None:
        self._positions: list[int] = []
        self._lengths: list[int] = []

    def choice(self, name: str, options: Sequence[Scalar]) -> Scalar:
        """The option whose turn it is."""
        return options[self._turn(len(options))]

    def integer(self, name: str, low: int, high: int, step: int = 1, log: bool = False) -> int:
        """The number whose turn it is."""
        return range(low, high + 1, step)[self._turn(len(range(low, high + 1, step)))]

    def real(self, name: str, low: float, high: float, log: bool = False) -> float:
        """The lower end."""
        return low

    def _turn(self, length: int) -> int:
        asked = len(self._lengths)
        self._lengths.append(length)
        if asked == len(self._positions):
            self._positions.append(0)
        return self._positions[asked]

    def advance(self) -> bool:
        """On to the next combination; False if this was the last one."""
        while self._positions and self._positions[-1] + 1 == self._lengths[len(self._positions) - 1]:
            self._positions.pop()
        self._lengths.clear()
        if not self._positions:
            return False
        self._positions[-1] += 1
        return True

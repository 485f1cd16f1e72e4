"""Where candidates come from, as the coordinator sees it: a space, or whatever else can be drawn from."""

import contextlib
import hashlib
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from statistics import median
from typing import Protocol

from archsearch.errors import TrialError
from archsearch.space.architecture import Candidate, Task
from archsearch.space.code import code_text
from archsearch.space.cost import Cost, cost
from archsearch.space.hyper import HyperCandidate
from archsearch.space.load import Space
from archsearch.space.network import digest
from archsearch.space.probe import Machine, epoch_seconds
from archsearch.space.sample import Chooser, RandomChooser, Scalar, baseline_point, sample


@dataclass(frozen=True)
class Drawn:
    """A candidate.

    Attributes:
        candidate: Network and training, fully decided.
        digest: Tells it from others.
        size: What it costs.
        work: About how much it takes to train on an image, compared with other candidates; 1.0 if unknown.
    """

    candidate: Candidate | HyperCandidate
    digest: str
    size: Cost
    work: float = 1.0


NOMINAL = Machine(flops=60e9, bandwidth=10e9)
"""A machine to compare candidates on; how fast the real one is shows while they train."""
WORK_IMAGES = 10_000
TYPICAL_DRAWS = 100


class Candidates(Protocol):
    """What may be tried on one task."""

    @property
    def name(self) -> str:
        """For people."""

    @property
    def file(self) -> str:
        """Where it was read from."""

    @property
    def copies(self) -> Mapping[str, str]:
        """What is kept of it beside a study: texts, by the name of the file."""

    @property
    def hash(self) -> str:
        """Sixteen hexadecimal digits of all that decides what can be drawn."""

    @property
    def limits(self) -> Mapping[str, int]:
        """The most that a candidate may cost, by the name of an attribute of `Cost`."""

    @property
    def hyper(self) -> bool:
        """Whether they are a HyperModel's, which trains in its own way."""

    @property
    def most_epochs(self) -> float | None:
        """The most epochs that a candidate can train for; None if they are to be planned."""

    @property
    def baseline(self) -> Mapping[str, Scalar]:
        """What is tried first: the values to draw, by parameter."""

    def typical_work(self) -> float:
        """The `work` of a typical candidate."""

    def draw(self, chooser: Chooser, epochs: float | None = None, ended: Callable[[], bool] = lambda: False) -> Drawn:
        """One candidate.

        Args:
            chooser: Who decides.
            epochs: How long it trains, if that is planned; None if the candidates say it themselves.
            ended: Asked a few times a second if it takes longer than that; True ends it.

        Raises:
            TrialError: What was chosen gives none.
        """


class SpaceCandidates:
    """The candidates of a space file that suits the task (`check_space`)."""

    hyper = False

    def __init__(self, space: Space, task: Task) -> None:
        self._space = space
        self._task = task
        self.name = space.name
        self.file = space.file
        codes = {code.rpartition(":")[0]: code_text(code) for code in space.code}
        self.copies = {"space.yaml": space.text} | {name: text for name, text in codes.items() if _is_beside(name)}
        meaning = "".join([space.hash, *codes.values()])
        self.hash = hashlib.sha256(meaning.encode()).hexdigest()[:16] if codes else space.hash
        self.limits = space.limits
        self.most_epochs = space.most_epochs

    @cached_property
    def baseline(self) -> dict[str, Scalar]:
        """What the file says is tried first."""
        return baseline_point(self._space, self._task)

    def draw(self, chooser: Chooser, epochs: float | None = None, ended: Callable[[], bool] = lambda: False) -> Drawn:
        """One candidate, sampled (`space.sample`), which takes a moment."""
        candidate = sample(self._space, chooser, self._task)
        if epochs is not None:
            candidate = candidate.trained_for(epochs)
        work = epoch_seconds(candidate.architecture, WORK_IMAGES, NOMINAL, candidate.recipe.batch_size) / WORK_IMAGES
        return Drawn(candidate, digest(candidate), cost(candidate.architecture), work)

    def typical_work(self) -> float:
        """That of half of all random candidates which keep the limits."""
        chooser = RandomChooser(random.Random(0))
        drawn = []
        for _ in range(TYPICAL_DRAWS):
            with contextlib.suppress(TrialError):
                drawn.append(self.draw(chooser))
        kept = [d.work for d in drawn if all(getattr(d.size, name) <= most for name, most in self.limits.items())]
        return median(kept or [d.work for d in drawn] or [1.0])


def _is_beside(name: str) -> bool:
    """Whether code is a file in the folder of the space: only such a file has a place beside a study."""
    return name.endswith(".py") and Path(name).name == name

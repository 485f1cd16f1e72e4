"""Where candidates come from, as the coordinator sees it: a space, or whatever else can be drawn from."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Protocol

from archsearch.space.architecture import Candidate, Task
from archsearch.space.code import code_text
from archsearch.space.cost import Cost, cost
from archsearch.space.hyper import HyperCandidate
from archsearch.space.load import Space
from archsearch.space.network import digest
from archsearch.space.sample import Chooser, FixedChooser, Scalar, baseline_point, sample


@dataclass(frozen=True)
class Drawn:
    """A candidate, what tells it from others, and what it costs."""

    candidate: Candidate | HyperCandidate
    digest: str
    size: Cost


@dataclass(frozen=True)
class Baseline:
    """The candidate that is tried first, and the values that it is drawn from, by parameter."""

    point: dict[str, Scalar]
    drawn: Drawn


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
    def most_epochs(self) -> int:
        """The most epochs that a candidate can train for."""

    @property
    def baseline(self) -> Baseline:
        """What is tried first."""

    def draw(self, chooser: Chooser) -> Drawn:
        """One candidate.

        Raises:
            TrialError: What was chosen gives none.
        """


class SpaceCandidates:
    """The candidates of a space file that suits the task (`check_space`)."""

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
    def baseline(self) -> Baseline:
        """What the file says is tried first."""
        point = baseline_point(self._space, self._task)
        return Baseline(point, self.draw(FixedChooser(point)))

    def draw(self, chooser: Chooser) -> Drawn:
        """One candidate, sampled (`space.sample`)."""
        candidate = sample(self._space, chooser, self._task)
        return Drawn(candidate, digest(candidate), cost(candidate.architecture))


def _is_beside(name: str) -> bool:
    """Whether code is a file in the folder of the space: only such a file has a place beside a study."""
    return name.endswith(".py") and Path(name).name == name

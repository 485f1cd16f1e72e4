"""What a space holds: the costs of many random architectures, and how many of them are over a limit or alike."""

import random
from collections.abc import Sequence
from dataclasses import dataclass, field, fields

from archsearch.errors import TrialError
from archsearch.space.architecture import Architecture, Task
from archsearch.space.cost import Cost, plan_cost
from archsearch.space.count import count, network_names
from archsearch.space.every import every
from archsearch.space.load import Space
from archsearch.space.network import network_hash, plan, plan_hash
from archsearch.space.sample import RandomChooser, sample
from archsearch.space.schema import TrainingSection

EXAMPLES = 300
"""So many of the sampled architectures are kept."""

MOST_ENUMERATED = 5_000
"""A space with more points than this is not gone through point by point."""

MEASURES = tuple(field.name for field in fields(Cost))
"""`parameters`, `flops`, `activation_bytes`."""


@dataclass(frozen=True)
class Spread:
    """One measure of the sampled architectures, in its own unit.

    Attributes:
        smallest, p5, p50, p95, largest: Values that occur: quantiles by the nearest rank.
        at_smallest, at_largest: Architectures that have the smallest and the largest value.
    """

    smallest: float
    p5: float
    p50: float
    p95: float
    largest: float
    at_smallest: Architecture = field(repr=False)
    at_largest: Architecture = field(repr=False)


@dataclass(frozen=True)
class Analysis:
    """What random draws from a space are like, each draw as a search with a random sampler would make it.

    Attributes:
        samples: How many were drawn.
        failed: Of these, how many gave no architecture, because an expression had no value.
        failure: What was wrong with the first that failed; empty if none did.
        costs: Of those that gave one, in the order of drawing.
        spreads: By measure (`MEASURES`); empty if every draw failed.
        over: By limit of the space, how many architectures break it.
        affordable: How many break none.
        different: How many different networks there are among them.
        examples: The first `EXAMPLES` architectures.
    """

    samples: int
    failed: int
    failure: str
    costs: tuple[Cost, ...] = field(repr=False)
    spreads: dict[str, Spread]
    over: dict[str, int]
    affordable: int
    different: int
    examples: tuple[Architecture, ...] = field(repr=False)

    @property
    def repeated(self) -> int:
        """How many architectures were the same network as an earlier one."""
        return len(self.costs) - self.different


def analyse(space: Space, task: Task, samples: int = 10_000, seed: int = 0) -> Analysis:
    """Draws `samples` candidates of `space` for `task` and counts what their networks cost.

    Args:
        space: What to draw from.
        task: Shape of the images and number of classes.
        samples: How many draws, 1 or more.
        seed: Of the draws.
    """
    chooser = RandomChooser(random.Random(seed))
    costs: list[Cost] = []
    examples: list[Architecture] = []
    failures: list[str] = []
    hashes: set[str] = set()
    extremes = {name: _Extremes() for name in MEASURES}
    for _ in range(samples):
        try:
            architecture = sample(space, chooser, task).architecture
            steps = plan(architecture)
        except TrialError as error:
            failures.append(str(error))
            continue
        costs.append(plan_cost(steps))
        hashes.add(plan_hash(steps))
        examples += [architecture] if len(examples) < EXAMPLES else []
        for name in MEASURES:
            extremes[name].note(getattr(costs[-1], name), architecture)
    broken = [{name for name, limit in space.limits.items() if getattr(each, name) > limit} for each in costs]
    return Analysis(
        samples=samples,
        failed=len(failures),
        failure=failures[0] if failures else "",
        costs=tuple(costs),
        spreads={name: _spread([getattr(each, name) for each in costs], extremes[name]) for name in MEASURES if costs},
        over={name: sum(name in each for each in broken) for name in space.limits},
        affordable=sum(not each for each in broken),
        different=len(hashes),
        examples=tuple(examples),
    )


class _Extremes:
    """The architectures with the smallest and the largest value so far."""

    def __init__(self) -> None:
        self.values = (float("inf"), float("-inf"))
        self.found: tuple[Architecture | None, Architecture | None] = (None, None)

    def note(self, value: float, architecture: Architecture) -> None:
        """Keeps `architecture` if nothing was as small, or as large."""
        low, high = self.values
        if low <= value <= high:
            return
        self.values = (min(low, value), max(high, value))
        self.found = (
            architecture if value < low else self.found[0],
            architecture if value > high else self.found[1],
        )


def quantile(values: Sequence[float], share: float) -> float:
    """The value of `values` that a `share` of them, 0 to 1, lies below, by the nearest rank; there is one or more."""
    return sorted(values)[round(share * (len(values) - 1))]


def different_networks(space: Space, task: Task) -> int | None:
    """How many different networks a space holds, by going through all its points.

    None if it is continuous, or has more than `MOST_ENUMERATED` points.
    """
    alone = _network_alone(space)
    points = count(alone).candidates.points
    if points is None or points > MOST_ENUMERATED:
        return None
    return len({network_hash(candidate.architecture) for candidate in every(alone, task)})


def _spread(values: Sequence[float], extremes: _Extremes) -> Spread:
    smallest, largest = extremes.found
    assert smallest is not None
    assert largest is not None
    ordered = sorted(values)
    return Spread(
        smallest=ordered[0],
        p5=quantile(ordered, 0.05),
        p50=quantile(ordered, 0.5),
        p95=quantile(ordered, 0.95),
        largest=ordered[-1],
        at_smallest=smallest,
        at_largest=largest,
    )


def _network_alone(space: Space) -> Space:
    """`space` without what does not change the network."""
    let = {name: space.schema.let[name] for name in network_names(space.schema)}
    changes = {"let": let, "augment": None, "training": TrainingSection()}
    return Space(space.schema.model_copy(update=changes), space.source)

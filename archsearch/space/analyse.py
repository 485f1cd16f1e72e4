"""What a space holds: the costs of many random architectures, and how many of them are over a limit or alike."""

import gc
import os
import random
import signal
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from multiprocessing import get_all_start_methods, get_context

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

BATCH = 1_250
"""Draws that share a seed, and so a process."""

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
        seed: Of the draws; how many cores there are does not matter.
    """
    sizes = [min(BATCH, samples - start) for start in range(0, samples, BATCH)]
    batches = _drawn(space, task, [(f"{seed} {number}", size) for number, size in enumerate(sizes)])
    costs = [each for batch in batches for each in batch.costs]
    failures = [reason for batch in batches for reason in batch.failures]
    broken = [{name for name, limit in space.limits.items() if getattr(each, name) > limit} for each in costs]
    return Analysis(
        samples=samples,
        failed=len(failures),
        failure=failures[0] if failures else "",
        costs=tuple(costs),
        spreads={name: _spread(name, batches) for name in MEASURES if costs},
        over={name: sum(name in each for each in broken) for name in space.limits},
        affordable=sum(not each for each in broken),
        different=len({name for batch in batches for name in batch.hashes}),
        examples=tuple(each for batch in batches for each in batch.examples)[:EXAMPLES],
    )


@dataclass
class _Batch:
    """What some draws gave."""

    costs: list[Cost] = field(default_factory=list)
    hashes: set[str] = field(default_factory=set)
    failures: list[str] = field(default_factory=list)
    examples: list[Architecture] = field(default_factory=list)
    smallest: dict[str, tuple[int, Architecture]] = field(default_factory=dict)
    largest: dict[str, tuple[int, Architecture]] = field(default_factory=dict)

    def add(self, architecture: Architecture) -> None:
        """Counts `architecture`."""
        steps = plan(architecture)
        found = plan_cost(steps)
        self.costs.append(found)
        self.hashes.add(plan_hash(steps))
        self.examples += [architecture] if len(self.examples) < EXAMPLES else []
        for name in MEASURES:
            value = getattr(found, name)
            if name not in self.smallest or value < self.smallest[name][0]:
                self.smallest[name] = value, architecture
            if name not in self.largest or value > self.largest[name][0]:
                self.largest[name] = value, architecture


def _drawn(space: Space, task: Task, batches: Sequence[tuple[str, int]]) -> list[_Batch]:
    """Each batch of (seed, draws), on all cores where processes can be forked: a space of its own needs no pickling."""
    workers = min(os.cpu_count() or 1, len(batches))
    if workers == 1 or "fork" not in get_all_start_methods():
        return [_draw(space, task, *batch) for batch in batches]
    with get_context("fork").Pool(workers, _inherit, (space, task)) as pool:
        return pool.map(_draw_inherited, batches, chunksize=1)


_inherited: list[tuple[Space, Task]] = []


def _inherit(space: Space, task: Task) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to answer
    gc.disable()  # nothing here is cyclic, and the process is soon over
    _inherited.append((space, task))


def _draw_inherited(batch: tuple[str, int]) -> _Batch:
    return _draw(*_inherited[-1], *batch)


def _draw(space: Space, task: Task, seed: str, draws: int) -> _Batch:
    chooser = RandomChooser(random.Random(seed))
    batch = _Batch()
    for _ in range(draws):
        try:
            batch.add(sample(space, chooser, task).architecture)
        except TrialError as error:
            batch.failures.append(str(error))
    return batch


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


def _spread(name: str, batches: Sequence[_Batch]) -> Spread:
    values = sorted(getattr(each, name) for batch in batches for each in batch.costs)
    smallest, at_smallest = min((b.smallest[name] for b in batches if b.costs), key=lambda found: found[0])
    largest, at_largest = max((b.largest[name] for b in batches if b.costs), key=lambda found: found[0])
    p5, p50, p95 = (quantile(values, share) for share in (0.05, 0.5, 0.95))
    return Spread(smallest, p5, p50, p95, largest, at_smallest, at_largest)


def _network_alone(space: Space) -> Space:
    """`space` without what does not change the network."""
    let = {name: space.schema.let[name] for name in network_names(space.schema)}
    changes = {"let": let, "augment": None, "training": TrainingSection()}
    return Space(space.schema.model_copy(update=changes), space.source)

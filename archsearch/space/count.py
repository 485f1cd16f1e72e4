"""How many points a space has: exactly, by arithmetic on what the file says.

A point is one value for everything that is drawn, as `sample` draws it: the fields of a copy that exists and of the
option that was chosen. Counts are products over what is drawn side by side and sums over what excludes each other;
only the names of `let` that decide what is drawn at all are gone through one by one.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from math import prod

from archsearch.space.expression import ExpressionError, Number
from archsearch.space.load import Space
from archsearch.space.schema import CellSection, SpaceFile, StageEntry, causes, cell_inputs, resolve, walk
from archsearch.space.source import Path, dotted
from archsearch.space.values import Choice, FloatRange, Formula, IntRange, Options, Section, Value, names_in, options_of

MOST_SETTINGS = 100_000
"""So many combinations of names in `let` are gone through, at most."""

NETWORK = ("stages", "head")
"""Sections that make the network; the rest is training."""


@dataclass(frozen=True)
class Size:
    """How much a space holds.

    Attributes:
        discrete: Points, each real-valued parameter counted as one value; None where that is not known.
        reals: Names of the real-valued parameters. Where there are any, the space is continuous, and `discrete` counts
            its skeletons.
        unknown: Why `discrete` is None; empty otherwise.
    """

    discrete: int | None
    reals: tuple[str, ...] = ()
    unknown: str = ""

    @property
    def points(self) -> int | None:
        """The number of points; None if the space is continuous or the number is not known."""
        return None if self.reals else self.discrete


@dataclass(frozen=True)
class Count:
    """Of one space.

    Attributes:
        architectures: What the network alone can be. Two points may make the same network.
        candidates: With augmentation and training.
    """

    architectures: Size
    candidates: Size


def count(space: Space) -> Count:
    """Counts the points of `space`.

    A point whose filters, or another field that decides nothing else, have no value is counted: it can be drawn, and
    is a trial that fails. A strength of augmentation that is a real number is counted as one above 0.
    """
    schema = space.schema
    return Count(
        _size(space, NETWORK, network_names(schema)), _size(space, ("augment", *NETWORK, "training"), schema.let)
    )


def network_names(schema: SpaceFile) -> tuple[str, ...]:
    """The names in `let` that the network depends on, directly or by way of others, in the order of the file."""
    used = {name for path, value in walk(schema) if path[0] in NETWORK for name in names_in(value)}
    return causes(schema.let, used)


def values(value: Value) -> int:
    """How many values can be drawn for one name: 1 where nothing is drawn, and for a range of real numbers."""
    match value:
        case Choice(options=options) | Options(options=options):
            return len(options)
        case IntRange(ends=(low, high), step=step):
            return len(range(low, high + 1, step))
    return 1


Names = Mapping[str, Number]


class _UnknownError(Exception):
    """The number is not known; the message is why."""


def _size(space: Space, sections: Collection[str], let: Iterable[str]) -> Size:
    schema = space.schema
    let = tuple(let)
    reals = tuple(
        name
        for name, value in space.parameters.items()
        if isinstance(value, FloatRange) and (name in let if name in schema.let else name.split(".")[0] in sections)
    )
    try:
        return Size(_points(schema, sections, let), reals)
    except _UnknownError as error:
        return Size(None, reals, str(error))


def _points(schema: SpaceFile, sections: Collection[str], let: Sequence[str]) -> int:
    deciding = _deciding(schema, sections)
    leaves = {name: schema.let[name] for name in deciding if not isinstance(schema.let[name], Formula)}
    if (settings := prod(map(values, leaves.values()))) > MOST_SETTINGS:
        raise _UnknownError(f"what is drawn depends on {settings:,} combinations of {', '.join(leaves)}")
    freely = prod(values(schema.let[name]) for name in let if name not in deciding)
    return freely * sum(
        prod(_COUNTS[section](schema, names) for section in sections) for names in _settings(schema, deciding, leaves)
    )


def _deciding(schema: SpaceFile, sections: Collection[str]) -> tuple[str, ...]:
    """The names in `let` that decide what else is drawn."""
    found: set[str] = set()
    for path, value in walk(schema):
        if path[0] not in sections or not isinstance(value, Formula) or not _decides(schema, path):
            continue
        behind = causes(schema.let, value.expression.names)
        if real := next((name for name in behind if isinstance(schema.let[name], FloatRange)), None):
            raise _UnknownError(f"{dotted(path)} follows from '{real}', a real number")
        found.update(behind)
    return tuple(name for name in schema.let if name in found)


def _decides(schema: SpaceFile, path: Path) -> bool:
    """Whether the value at `path` decides what else is drawn."""
    match path:
        case ("augment", "strength"):
            return _fields((name, value) for name, value in schema.augment or () if name != "strength") > 1
        case ("head", "hidden"):
            return values(schema.head.activation) > 1
        case ("stages", int(), "repeat" | "depth") | ("stages", int(), "block", *_, "cell", "nodes"):
            return True
    return False


def _settings(schema: SpaceFile, deciding: Sequence[str], leaves: Mapping[str, Value]) -> Iterator[Names]:
    let = {name: schema.let[name] for name in deciding}
    for drawn in product(*(options_of(value, {}) for value in leaves.values())):
        try:
            yield resolve(let, dict(zip(leaves, drawn, strict=True)))
        except ExpressionError:
            continue  # nothing can be drawn any more


# The sections ---------------------------------------------------------------------------------------------------------


def _fields(section: Iterable[tuple[str, Value]]) -> int:
    return prod(values(value) for _, value in section)


def _augment(schema: SpaceFile, names: Names) -> int:
    if schema.augment is None:
        return 1
    largest = dict(schema.augment)
    return _if_any(largest.pop("strength"), names, _fields(largest.items()))


def _head(schema: SpaceFile, names: Names) -> int:
    head = schema.head
    return values(head.pool) * values(head.dropout) * _if_any(head.hidden, names, values(head.activation))


def _if_any(value: Value, names: Names, more: int) -> int:
    """Points of `value` and of what is drawn only if it is not 0."""
    if more == 1:
        return values(value)
    if isinstance(value, FloatRange):
        return more
    if isinstance(value, IntRange):  # which may be too long to be gone through
        return values(value) * more - (more - 1 if value.ends[0] == 0 else 0)
    return sum(more if option else 1 for option in options_of(value, names))


def _training(schema: SpaceFile, names: Names) -> int:
    fields = dict(schema.training)
    return _kinds(fields.pop("optimizer"), [names]) * _fields(fields.items())


def _stages(schema: SpaceFile, names: Names) -> int:
    ways = Counter({0: 1})  # by the number of copies so far
    for entry in schema.stages:
        after: Counter[int] = Counter()
        for start, before in ways.items():
            for copies in options_of(entry.repeat, names):
                after[start + copies] += before * _copies(entry, names, range(start, start + copies))
        ways = after
    return ways.total()


_COUNTS = {"augment": _augment, "stages": _stages, "head": _head, "training": _training}


def _copies(entry: StageEntry, names: Names, stages: Iterable[int]) -> int:
    """Copies of one entry, `stages` their indices; those that are alike are drawn once."""
    each = [{**names, "stage": stage} for stage in stages]
    if entry.share:
        return _alike(entry, each) if each else 1
    return prod(_alike(entry, [one]) for one in each)


def _alike(entry: StageEntry, copies: Sequence[Names]) -> int:
    """Copies under one name: what any of them asks for is drawn, once."""
    if isinstance(entry.depth, Formula):
        depths = [options_of(entry.depth, names) for names in copies]
        if not all(depths):
            return 0
        existing = [names for names, (depth,) in zip(copies, depths, strict=True) if depth]
        return _entry(entry, existing) if existing else 1
    return sum(_entry(entry, copies) if depth else 1 for depth in options_of(entry.depth, {}))


def _entry(entry: StageEntry, copies: Sequence[Names]) -> int:
    apart = ("repeat", "share", "depth", "block")
    return _kinds(entry.block, copies) * _fields(field for field in entry if field[0] not in apart)


def _kinds(value: Value, copies: Sequence[Names]) -> int:
    if not isinstance(value, Options):
        return values(value)
    return sum(_section(section, copies) for section in value.sections.values())


def _section(section: Section, copies: Sequence[Names]) -> int:
    if not isinstance(section, CellSection):
        return prod(_fields(field.items()) if isinstance(field, dict) else values(field) for _, field in section)
    if isinstance(section.nodes, Formula):
        nodes = [options_of(section.nodes, names) for names in copies]
        counts = [max(number for (number,) in nodes)] if all(nodes) else []
    else:
        counts = list(options_of(section.nodes, {}))
    operations = values(section.operation)
    return values(section.join) * sum(
        prod(values(cell_inputs(node)) * operations for node in range(1, number + 1)) for number in counts
    )

"""The extreme values of a space: what a check tries instead of every candidate.

The corners of a value are all its options, or both ends of its range. An expression is tried at the corners of the
names it depends on, together, and then in between. Only what depends on very many values, or on real ones, may still
fail somewhere; then the trial that finds out fails.
"""

from collections.abc import Iterable, Iterator, Mapping
from itertools import chain, islice, product
from typing import Any

from archsearch.space.expression import ExpressionError, Number
from archsearch.space.schema import SpaceFile, StageEntry, causes, known_names, resolve
from archsearch.space.source import Path
from archsearch.space.values import Choice, FloatRange, Formula, IntRange, Options, Value, names_in, options_of

MOST_CORNERS = 2_000
"""So many combinations of values are tried, at most."""

BETWEEN = (5**0.5 - 1) / 2
"""Where a real range is tried beside its ends, as a share of the way: the golden section is no fraction."""


def possible(schema: SpaceFile, value: Value) -> list[int]:
    """All values of a whole-number field whose expression may use `let` alone, in order; at least one."""
    found = {found for names in _corners_of_let(schema, names_in(value)) for found in options_of(value, names)}
    return sorted(found) or [1]


def settings(schema: SpaceFile, path: Path, formula: Formula) -> Iterator[dict[str, Number]]:
    """What the names of the `formula` at `path` can be, all together; at most `MOST_CORNERS` of them."""
    return islice(_settings(schema, path, formula), MOST_CORNERS)


def halvings(schema: SpaceFile) -> Iterator[tuple[int, int]]:
    """The most times that an image is halved before the end of an entry of `stages`: (index of the entry, times).

    Goes through the entries once for each combination of what they take from `let`.
    """
    wanted = {name for entry in schema.stages for value in (entry.repeat, entry.depth) for name in names_in(value)}
    for names in _corners_of_let(schema, wanted):
        most = {0: 0}  # by the number of copies so far
        for index, entry in enumerate(schema.stages):
            most = _halvings_after(entry, most, names)
            yield index, max(most.values())


def corners(value: Value) -> tuple[Any, ...]:
    """All options, or both ends."""
    match value:
        case Choice(options=options) | Options(options=options):
            return options
        case IntRange(ends=ends) | FloatRange(ends=ends):
            return ends
    return (value,)


def _with_between(value: Value) -> tuple[Any, ...]:
    """All that a value can be; of a real range, both ends and a number between them."""
    match value:
        case IntRange(ends=(low, high), step=step) if (high - low) // step < MOST_CORNERS:
            return tuple(range(low, high + 1, step))
        case FloatRange(ends=(low, high)):
            return (low, high, low + BETWEEN * (high - low))
    return corners(value)


def _corners_of_let(schema: SpaceFile, wanted: Iterable[str]) -> Iterator[dict[str, Number]]:
    """The `wanted` names of `let` and all that they depend on: at every combination of corners, then in between."""
    let = {name: schema.let[name] for name in causes(schema.let, wanted)}
    leaves = {name: value for name, value in let.items() if not isinstance(value, Formula)}
    tried = chain.from_iterable(product(*map(way, leaves.values())) for way in (corners, _with_between))
    for values in dict.fromkeys(islice(tried, MOST_CORNERS)):
        try:
            yield resolve(let, dict(zip(leaves, values, strict=True)))
        except ExpressionError:
            continue  # said where that expression stands


def _settings(schema: SpaceFile, path: Path, formula: Formula) -> Iterator[dict[str, Number]]:
    match path:
        case ("stages", int(index), str(field), *_) if field != "repeat":
            entry = schema.stages[index]
            before = schema.stages[: index + 1]
            wanted = names_in(formula).union(names_in(entry.depth), *(names_in(each.repeat) for each in before))
            for let in _corners_of_let(schema, wanted):
                for stage in _stage_indices(before, let):
                    names = {**let, "stage": stage}
                    depth = max(options_of(entry.depth, names), default=0)
                    if "block" in known_names(path, ()):
                        yield from ({**names, "block": block} for block in range(depth))
                    elif depth or field == "depth":
                        yield names
        case _:
            yield from _corners_of_let(schema, names_in(formula))


def _stage_indices(entries: tuple[StageEntry, ...], names: Mapping[str, Number]) -> list[int]:
    """The indices that copies of the last of `entries` can have."""
    starts = {0}
    for entry in entries[:-1]:
        starts = {start + copies for start in starts for copies in options_of(entry.repeat, names)}
    most = max(options_of(entries[-1].repeat, names), default=0)
    return sorted({start + copy for start in starts for copy in range(most)})


def _halvings_after(entry: StageEntry, before: Mapping[int, int], names: Mapping[str, Number]) -> dict[int, int]:
    """By the number of copies so far, the most that they halve the image: after `entry`, from the same `before` it."""
    halves = any(option != "none" for option in corners(entry.downsample))
    after: dict[int, int] = {}
    for start, most in before.items():
        for copies in options_of(entry.repeat, names):
            stages = range(start, start + copies)
            more = sum(halves and max(options_of(entry.depth, {**names, "stage": s}), default=0) > 0 for s in stages)
            after[start + copies] = max(after.get(start + copies, 0), most + more)
    return after or dict(before)

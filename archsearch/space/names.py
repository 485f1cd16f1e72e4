"""What the parameters of a space are called: in a study, and in the file's `baseline`."""

from collections.abc import Iterator

from archsearch.space.corners import corners, possible
from archsearch.space.explain import WAY_KEYS
from archsearch.space.schema import MOST_NODES, CellSection, SpaceFile, StageEntry, cell_inputs
from archsearch.space.source import Path, dotted
from archsearch.space.values import Formula, Options, Value


def plain_name(path: Path) -> str:
    """`training.optimizer.adam.learning_rate`: a path in a file without the words that say how a value is written."""
    return dotted(tuple(step for step in path if step not in WAY_KEYS))


def named(schema: SpaceFile, path: Path, value: Value) -> Iterator[tuple[str, str, Value]]:
    """The parameters that the `value` at `path` of a file stands for.

    Yields:
        A key of `baseline` that speaks of it, its name in a study, and how it is drawn. One key may speak of several
        parameters: of each copy of a stage that is drawn for itself, and of each node of a cell.
    """
    match path:
        case ("let", str(name)):
            yield name, name, value
        case ("stages", int(index), *rest) if rest != ["repeat"]:
            entry = schema.stages[index]
            for prefix in _prefixes(schema, entry, index):
                for suffix, drawn in _in_copy(entry, tuple(rest), value):
                    yield f"stages.{index}.{suffix}", f"{prefix}.{suffix}", drawn
                    if rest[-1] == "operation":
                        yield plain_name(path), f"{prefix}.{suffix}", drawn
        case _:
            yield plain_name(path), plain_name(path), value


def _prefixes(schema: SpaceFile, entry: StageEntry, index: int) -> Iterator[str]:
    copies = range(max(possible(schema, entry.repeat)))
    yield from dict.fromkeys(entry.prefix(index, copy) for copy in copies)


def _in_copy(entry: StageEntry, path: Path, value: Value) -> Iterator[tuple[str, Value]]:
    """Names within one copy of a stage; those of a cell's nodes count from 1."""
    name = plain_name(path)
    if path[-2:] == ("cell", "operation"):
        yield from ((f"{name}.{node}", value) for node in range(1, _most_nodes(entry) + 1))
    else:
        yield name, value
        if path[-2:] == ("cell", "nodes"):
            inputs = name.removesuffix("nodes") + "inputs"
            yield from ((f"{inputs}.{node}", cell_inputs(node)) for node in range(2, _most_nodes(entry) + 1))


def _most_nodes(entry: StageEntry) -> int:
    assert isinstance(entry.block, Options)
    cell = entry.block.sections["cell"]
    assert isinstance(cell, CellSection)
    match cell.nodes:
        case Formula():
            return MOST_NODES
        case int(nodes):
            return nodes
        case other:
            return max(int(most) for most in corners(other))

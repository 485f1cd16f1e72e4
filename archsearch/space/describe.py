"""A space in words: what may vary, under which condition. Plain data, for a terminal to draw."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from archsearch.space.load import Space
from archsearch.space.schema import CellSection, CustomSection, StageEntry
from archsearch.space.values import Choice, FloatRange, Formula, IntRange, Options, Section, Value, varies


@dataclass(frozen=True)
class Branch:
    """A line, and what belongs under it.

    Attributes:
        text: The line.
        varies: Whether it names something that is drawn.
        below: Branches under it.
    """

    text: str
    varies: bool = False
    below: tuple["Branch", ...] = ()


def words(value: Value) -> str:
    """`one of 16, 32, 64`, `1 to 3`, `= width * 2`, or a fixed value as the file has it."""
    match value:
        case Choice(options=options) | Options(options=options):
            return words(options[0]) if len(options) == 1 else f"one of {', '.join(map(words, options))}"
        case IntRange(ends=(low, high), step=step, log=log):
            return f"{low} to {high}" + (f" in steps of {step}" if step != 1 else "") + _spread(log)
        case FloatRange(ends=(low, high), log=log):
            return f"{_number(low)} to {_number(high)}, real" + _spread(log)
        case Formula(expression=expression):
            return expression.text
        case bool():
            return str(value).lower()
        case float():
            return _number(value)
    return str(value)


def tree(space: Space) -> Branch:
    """All that `space` says, in the order of the language: choices, their conditions, and what is fixed.

    What the file leaves at its default is left out.
    """
    schema = space.schema
    let = tuple(_branch(name, value) for name, value in schema.let.items())
    sections = [
        Branch("let, drawn once for a candidate", below=let) if let else None,
        *(_stage(index, entry) for index, entry in enumerate(schema.stages)),
        Branch("head", below=tuple(_fields(schema.head, {"activation": "if hidden is not 0"}))),
        Branch("augment", below=tuple(_augment(schema.augment))) if schema.augment else None,
        Branch("training", below=tuple(_fields(schema.training))),
        Branch("limits", below=tuple(Branch(f"{name}: {limit:,}") for name, limit in space.limits.items())),
    ]
    below = tuple(section for section in sections if section and section.below)
    return Branch(f"{space.name}: {schema.description}".removesuffix(": "), below=below)


def _spread(log: bool) -> str:
    return ", log" if log else ""


def _number(value: float) -> str:
    """`0.5`, `1e-05`: short where nothing is lost."""
    return f"{value:g}" if float(f"{value:g}") == value else repr(value)


def _branch(name: str, value: Value, condition: str = "") -> Branch:
    text = (
        name + (" " if isinstance(value, Formula) else ": ") + words(value) + (f"  ({condition})" if condition else "")
    )
    sections = value.sections if isinstance(value, Options) else {}
    found = [Branch(f"if {kind}", below=tuple(_option(section))) for kind, section in sections.items()]
    below = found[0].below if len(sections) == 1 else tuple(branch for branch in found if branch.below)
    return Branch(text, varies(value), below)


def _option(section: Section) -> Iterator[Branch]:
    """What exists only with one option."""
    match section:
        case CellSection():
            yield from _cell(section)
        case CustomSection(code=code, options=options):
            yield Branch(f"code: {code}")
            yield from (_branch(name, value) for name, value in options.items())
        case _:
            yield from _fields(section)


def _cell(cell: CellSection) -> Iterator[Branch]:
    yield _branch("nodes", cell.nodes)
    yield Branch("inputs of each node: one or two from earlier in the cell", varies=True)
    yield _branch("operation of each node", cell.operation)
    yield _branch("join", cell.join)


def _fields(section: Section, conditions: Mapping[str, str] | None = None) -> Iterator[Branch]:
    """The fields that the file sets."""
    for name, value in section:
        if name in section.model_fields_set:
            yield _branch(name, value, (conditions or {}).get(name, ""))


def _augment(section: Section) -> Iterator[Branch]:
    fields = list(_fields(section))
    strength = [branch for branch in fields if branch.text.startswith("strength")]
    rest = tuple(branch for branch in fields if branch not in strength)
    yield from strength
    yield from (Branch("scaled by strength, if it is not 0", below=rest),) if strength and rest else rest


def _stage(index: int, entry: StageEntry) -> Branch:
    below = tuple(branch for branch in _fields(entry) if not branch.text.startswith(("repeat", "share")))
    return Branch(f"stages.{index}{_copies(entry)}", varies(entry.repeat), below)


def _copies(entry: StageEntry) -> str:
    if entry.repeat == 1:
        return ""
    alike = "all alike" if entry.share else "each drawn for itself"
    return f": {words(entry.repeat)} copies, {alike}"

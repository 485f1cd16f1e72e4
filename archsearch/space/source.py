"""YAML text that remembers where everything stands, so that whatever is wrong can be pointed at.

Scalars follow YAML 1.2's core schema (https://yaml.org/spec/1.2.2/#103-core-schema) and not PyYAML's 1.1: `1e-4` is a
number, `on`, `off`, `yes` and `no` are text, and so are dates and `12:30`. Underscores may group digits: `300_000`.
Aliases and tags are refused: a space file says what it means where it says it.
"""

import difflib
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NoReturn

import yaml

from archsearch.errors import Problem, SpaceError

Path = tuple[str | int, ...]
"""Keys and indices from the top of the file to a node."""

MAX_DEPTH = 32
MAX_DIGITS = 40

_NULL = re.compile(r"~|null|Null|NULL|")
_BOOL = re.compile(r"true|True|TRUE|false|False|FALSE")
_INT = re.compile(r"[-+]?[0-9]+(_[0-9]+)*")
_OTHER_BASE = re.compile(r"0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(_[0-9]+)*(\.[0-9]*)?)([eE][-+]?[0-9]+)?")


@dataclass(frozen=True)
class Mark:
    """A place in the text; line and column count from 1."""

    line: int
    column: int


@dataclass(frozen=True)
class Source:
    """A parsed file.

    Attributes:
        file: Path as the user wrote it.
        text: All of it.
        data: Mappings as dicts with text keys, sequences as lists, scalars as None, bool, int, float or str.
        values: Where each node stands, by its path; the whole file is ().
        keys: Where each mapping's keys stand, by the path of their value.
    """

    file: str
    text: str
    data: Any
    values: dict[Path, Mark] = field(default_factory=dict)
    keys: dict[Path, Mark] = field(default_factory=dict)

    def problem(self, path: Path, message: str, *, at_key: bool = False, name: str | None = None) -> Problem:
        """A problem with the node at `path`, or with what should have been there; called `name` if that is given."""
        marks = self.keys if at_key else self.values
        known = next(path[:n] for n in range(len(path), -1, -1) if path[:n] in marks or n == 0)
        mark = marks.get(known, Mark(1, 1))
        return Problem(self.file, mark.line, mark.column, dotted(path) if name is None else name, message)


def dotted(path: Path) -> str:
    """`stages.0.filters` for ("stages", 0, "filters")."""
    return ".".join(map(str, path))


def in_file_order(problems: Iterable[Problem]) -> list[Problem]:
    """By line, then by column."""
    return sorted(problems, key=lambda p: (p.line, p.column))


def parse_source(text: str, file: str) -> Source:
    """Reads YAML.

    Raises:
        SpaceError: The text is not YAML, is empty, holds a key twice, an alias, a tag or a second document.
    """
    source = Source(file, text, None)
    problems: list[Problem] = []
    try:
        data = _Reader(text, source, problems).document()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        said = ", ".join(part for part in (error.context, error.problem) if part)
        where = Mark(mark.line + 1, mark.column + 1) if mark else Mark(1, 1)
        problems.append(Problem(file, where.line, where.column, "", f"not YAML: {said}"))
    except yaml.reader.ReaderError as error:
        before = text[: error.position]
        column = len(before) - (before.rfind("\n") + 1) + 1
        what = f"character {chr(error.character)!r} is not allowed in YAML"
        problems.append(Problem(file, before.count("\n") + 1, column, "", what))
    if problems:
        raise SpaceError(in_file_order(problems))
    return Source(file, text, data, source.values, source.keys)


class _Reader:
    """Builds plain data from YAML events and notes on the way where everything stands."""

    def __init__(self, text: str, source: Source, problems: list[Problem]) -> None:
        self._events: Iterator[Any] = iter(yaml.parse(text, Loader=yaml.SafeLoader))
        self._source = source
        self._problems = problems

    def document(self) -> Any:
        next(self._events)  # the stream begins
        if isinstance(next(self._events), yaml.StreamEndEvent):
            self._complain((), "the file is empty; expected a search space")
            return None
        data = self._node(next(self._events), ())
        next(self._events)  # the document ends
        after = next(self._events)
        if not isinstance(after, yaml.StreamEndEvent):
            self._source.values[("---",)] = _mark(after)
            self._complain(("---",), "a second document begins here; expected one search space a file", name="")
        return data

    def _node(self, event: Any, path: Path) -> Any:
        self._source.values[path] = _mark(event)
        if isinstance(event, yaml.AliasEvent):
            self._complain(path, f"found the alias '*{event.anchor}'; aliases are not used here, write the value out")
            return None
        if event.tag is not None:
            self._complain(path, f"found the tag '{event.tag}'; tags are not used here")
        if isinstance(event, yaml.ScalarEvent):
            return self._scalar(event, path)
        if len(path) == MAX_DEPTH:
            self._stop(event, f"nested more than {MAX_DEPTH} levels deep")
        return self._mapping(path) if isinstance(event, yaml.MappingStartEvent) else self._sequence(path)

    def _mapping(self, path: Path) -> dict[str, Any]:
        data: dict[str, Any] = {}
        while not isinstance(event := next(self._events), yaml.MappingEndEvent):
            if not isinstance(event, yaml.ScalarEvent):
                self._stop(event, "found a key that is not a name; braces and brackets belong after a colon")
            key, mark = str(event.value), _mark(event)
            inside = (*path, key)
            if key in data:
                first = self._source.keys[inside].line
                self._source.keys[inside] = mark
                self._complain(inside, f"this key is here twice; the first is in line {first}", at_key=True)
            self._source.keys[inside] = mark
            data[key] = self._node(next(self._events), inside)
        return data

    def _sequence(self, path: Path) -> list[Any]:
        data: list[Any] = []
        while not isinstance(event := next(self._events), yaml.SequenceEndEvent):
            data.append(self._node(event, (*path, len(data))))
        return data

    def _scalar(self, event: Any, path: Path) -> bool | int | float | str | None:
        text = str(event.value)
        if event.style is not None or event.tag is not None:  # quoted text is text
            return text
        if _NULL.fullmatch(text):
            return None
        if _BOOL.fullmatch(text):
            return text.lower() == "true"
        if not (number := _INT.fullmatch(text) or _OTHER_BASE.fullmatch(text) or _FLOAT.fullmatch(text)):
            return text
        if len(text) > MAX_DIGITS:
            self._complain(path, f"a number of {len(text)} characters; expected at most {MAX_DIGITS}")
            return 0
        if number.re is _FLOAT:
            return float(text)
        return int(text, 0) if number.re is _OTHER_BASE else int(text)

    def _complain(self, path: Path, message: str, *, at_key: bool = False, name: str | None = None) -> None:
        self._problems.append(self._source.problem(path, message, at_key=at_key, name=name))

    def _stop(self, event: Any, message: str) -> NoReturn:
        raise yaml.MarkedYAMLError(problem=message, problem_mark=event.start_mark)


def _mark(event: Any) -> Mark:
    return Mark(event.start_mark.line + 1, event.start_mark.column + 1)


def shown(value: Any) -> str:
    """`value` as a file would have it, short enough for a sentence."""
    match value:
        case None:
            text = "nothing"
        case bool():
            text = str(value).lower()
        case list() | tuple():
            text = f"[{', '.join(map(shown, value))}]"
        case dict():
            text = "{" + ", ".join(f"{key}: {shown(item)}" for key, item in value.items()) + "}"
        case _:
            text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def listed(names: Sequence[str]) -> str:
    """`a, b or c`."""
    return " or ".join(filter(None, (", ".join(names[:-1]), *names[-1:])))


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """The end of a sentence: a suggestion if one of `known` is close to `name`, else nothing."""
    close = difflib.get_close_matches(name, list(known), n=1)
    return f"; did you mean '{close[0]}'?" if close else ""

"""YAML text that remembers where everything stands, so that whatever is wrong can be pointed at.

Scalars follow YAML 1.2's core schema (https://yaml.org/spec/1.2.2/#103-core-schema) and not PyYAML's 1.1: `1e-4` is a
number, `on`, `off`, `yes` and `no` are text, and so are dates and `12:30`. Underscores may group digits: `300_000`.
Aliases and tags are refused: a space file says what it means where it says it.
"""

import difflib
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any, NoReturn

import yaml

from archsearch.errors import Problem, SpaceError

Path = tuple[str | int, ...]
"""Keys and indices from the top of the file to a node."""

MAX_FILE = 50_000
"""Bytes of a space file: ten times those of the longest that ships, and read in a second."""
MAX_DEPTH = 32
MAX_DIGITS = 40
MAX_KEY = 200

_NULL = re.compile(r"~|null|Null|NULL|")
_BOOL = re.compile(r"true|True|TRUE|false|False|FALSE")
_INT = re.compile(r"[-+]?[0-9]+(_[0-9]+)*")
_OTHER_BASE = re.compile(r"0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(_[0-9]+)*(\.[0-9]*)?)([eE][-+]?[0-9]+)?")


_LINE_BREAK = re.compile(r"\r\n|[\n\r\x85\u2028\u2029]")  # YAML 1.1's, by which PyYAML counts


@dataclass(frozen=True)
class Mark:
    """A place in a file; line and column count from 1."""

    file: str
    line: int
    column: int


@dataclass(frozen=True)
class Source:
    """A parsed file.

    Attributes:
        file: Path as the user wrote it.
        texts: What was read, by file: this one first, then those that it extends.
        data: Mappings as dicts with text keys, sequences as lists, scalars as None, bool, int, float or str.
        values: Where each node stands, by its path; the whole file is ().
        keys: Where each mapping's keys stand, by the path of their value.
        problems: What is wrong with the text.
        spoilt: Nodes that cannot be read as they were meant, because of `problems`.
    """

    file: str
    texts: dict[str, str]
    data: Any
    values: dict[Path, Mark] = field(default_factory=dict)
    keys: dict[Path, Mark] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    spoilt: set[Path] = field(default_factory=set)

    def problem(self, path: Path, message: str, *, at_key: bool = False, name: str | None = None) -> Problem:
        """A problem with the node at `path`, or with what should have been there; called `name` if that is given."""
        marks = self.keys if at_key else self.values
        known = next(path[:n] for n in range(len(path), -1, -1) if path[:n] in marks or n == 0)
        mark = marks.get(known, Mark(self.file, 1, 1))
        return self.problem_at(mark, message, dotted(path) if name is None else name)

    def problem_at(self, mark: Mark, message: str, name: str = "") -> Problem:
        """A problem with whatever stands at `mark`."""
        lines = _lines(self.texts[mark.file])
        line = lines[mark.line - 1] if mark.line <= len(lines) else ""
        return Problem(mark.file, mark.line, mark.column, name, message, line)


@lru_cache(maxsize=8)  # a file may have a thousand problems, and all of them show lines of one text
def _lines(text: str) -> list[str]:
    return _LINE_BREAK.split(text)


def dotted(path: Path) -> str:
    """`stages.0.filters` for ("stages", 0, "filters")."""
    return ".".join(map(str, path))


def in_file_order(problems: Iterable[Problem]) -> list[Problem]:
    """By file, then by line, then by column."""
    return sorted(problems, key=lambda p: (p.file, p.line, p.column))


def parse_source(text: str, file: str) -> Source:
    """Reads YAML.

    What leaves no doubt about the rest is noted in the source's `problems`: a key that is there twice, an alias, a tag,
    a number that is too long, a second document.

    Raises:
        SpaceError: The text is too long, not YAML, or empty; with whatever else was wrong before it.
    """
    if len(text) > MAX_FILE:
        raise too_long(file)
    source = Source(file, {file: text}, None)
    try:
        return replace(source, data=_Reader(text, source).document())
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        said = ", ".join(part for part in (error.context, error.problem) if part)
        where = Mark(file, mark.line + 1, mark.column + 1) if mark else Mark(file, 1, 1)
        what = f"not YAML: {said}{_NOT_YAML.get(str(error.problem), '')}"
    except yaml.reader.ReaderError as error:
        before = _lines(text[: error.position])
        where = Mark(file, len(before), len(before[-1]) + 1)
        what = f"character {chr(error.character)!r} is not allowed in YAML"
    except _Nothing:
        where, what = Mark(file, 1, 1), "the file is empty; expected a search space"
    raise SpaceError(in_file_order([*source.problems, source.problem_at(where, what)]))


def too_long(file: str) -> SpaceError:
    """For a file of more than `MAX_FILE` bytes."""
    return SpaceError(
        [Problem(file, 1, 1, "", f"longer than a search space can be; expected at most {MAX_FILE:,} bytes")]
    )


_NOT_YAML = {  # what to do about what PyYAML says
    "mapping values are not allowed here": "; expected one 'key: value' a line, and quotes around text with ': '",
    "found character '\\t' that cannot start any token": "; expected spaces, YAML takes no tabs",
    "could not find expected ':'": "; expected 'key: value'",
}


class _Nothing(Exception):
    """The text has no document."""


class _Reader:
    """Builds plain data from YAML events and notes on the way where everything stands."""

    def __init__(self, text: str, source: Source) -> None:
        self._events: Iterator[Any] = iter(yaml.parse(text, Loader=yaml.SafeLoader))
        self._source = source

    def document(self) -> Any:
        next(self._events)  # the stream begins
        if isinstance(next(self._events), yaml.StreamEndEvent):
            raise _Nothing
        data = self._node(next(self._events), ())
        next(self._events)  # the document ends
        after = next(self._events)
        if not isinstance(after, yaml.StreamEndEvent):
            what = "a second document begins here; expected one search space a file"
            self._source.problems.append(self._source.problem_at(self._mark(after), what))
        return data

    def _node(self, event: Any, path: Path) -> Any:
        self._source.values[path] = self._mark(event)
        if isinstance(event, yaml.AliasEvent):
            self._spoilt(path, f"found the alias '*{event.anchor}'; aliases are not used here, write the value out")
            return None
        if event.tag is not None:
            shorthand = event.tag.replace("tag:yaml.org,2002:", "!!")
            self._spoilt(path, f"found the tag '{shorthand}'; tags are not used here, leave it out")
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
            key, mark = str(event.value), self._mark(event)
            if len(key) > MAX_KEY:
                self._stop(event, f"a key of {len(key)} characters; expected at most {MAX_KEY}")
            inside = (*path, key)
            first = self._source.keys.get(inside) if key in data else None
            self._source.keys[inside] = mark
            value = self._node(next(self._events), inside)
            if first:
                what = f"this key is here twice; the first is in line {first.line}; expected one of them"
                self._source.problems.append(self._source.problem(inside, what, at_key=True))
                value = _both(data[key], value)
            data[key] = value
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
        if len(text) > MAX_DIGITS and _number(text):
            self._spoilt(path, f"a number of {len(text)} characters; expected at most {MAX_DIGITS}")
            return 0
        return _plain(text)

    def _spoilt(self, path: Path, message: str) -> None:
        self._source.problems.append(self._source.problem(path, message))
        self._source.spoilt.add(path)

    def _stop(self, event: Any, message: str) -> NoReturn:
        raise yaml.MarkedYAMLError(problem=message, problem_mark=event.start_mark)

    def _mark(self, event: Any) -> Mark:
        return Mark(self._source.file, event.start_mark.line + 1, event.start_mark.column + 1)


def _number(text: str) -> re.Match[str] | None:
    return _INT.fullmatch(text) or _OTHER_BASE.fullmatch(text) or _FLOAT.fullmatch(text)


def _plain(text: str) -> bool | int | float | str | None:
    """What a scalar without quotes stands for."""
    if _NULL.fullmatch(text):
        return None
    if _BOOL.fullmatch(text):
        return text.lower() == "true"
    if not (number := _number(text)):
        return text
    if number.re is _FLOAT:
        return float(text)
    return int(text, 0) if number.re is _OTHER_BASE else int(text)


def is_plain_text(text: str) -> bool:
    """Whether `text` is read as text without quotes."""
    return isinstance(_plain(text), str)


def _both(first: Any, second: Any) -> Any:
    """What a key that is there twice stands for: no name of either mapping may be called unknown because of it."""
    return {**first, **second} if isinstance(first, dict) and isinstance(second, dict) else second


def shown(value: Any) -> str:
    """`value` with quotes around text, short enough for a sentence."""
    text = _on_one_line(value, repr)
    return text if len(text) <= 60 else text[:57] + "..."


def written(value: Any) -> str:
    """`value` as a file would have it, on one line."""
    return _on_one_line(
        value, lambda text: text if is_plain_text(text) and not re.search(r"[][{},:#]", text) else repr(text)
    )


def _on_one_line(value: Any, quoted: Callable[[str], str]) -> str:
    match value:
        case None:
            return "nothing"
        case bool():
            return str(value).lower()
        case str():
            return quoted(value)
        case list() | tuple():
            return f"[{', '.join(_on_one_line(item, quoted) for item in value)}]"
        case dict():
            return "{" + ", ".join(f"{key}: {_on_one_line(item, quoted)}" for key, item in value.items()) + "}"
    return repr(value)


def listed(names: Sequence[str], word: str = "or") -> str:
    """`a, b or c`."""
    return f" {word} ".join(filter(None, (", ".join(names[:-1]), *names[-1:])))


SYNONYMS = {
    "lr": "learning_rate",
    "wd": "weight_decay",
    "channels": "filters",
    "out_channels": "filters",
    "max_params": "parameters",
}
"""What other tools call fields of the language, where the letters are too different to tell."""


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The one of `known` that `name` was probably meant to be."""
    by_case = {each.lower(): each for each in known}
    name = name.lower()
    close = difflib.get_close_matches(SYNONYMS.get(name, name), by_case, n=1)
    return by_case[close[0]] if close else None


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """The end of a sentence: a suggestion if one of `known` is close to `name`, else nothing."""
    near = nearest(name, known)
    return f"; did you mean '{near}'?" if near else ""

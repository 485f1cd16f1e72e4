"""What two spaces, or two candidates, differ in: path by path, whatever their files look like."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

from archsearch.space.architecture import Part
from archsearch.space.describe import words
from archsearch.space.load import Space
from archsearch.space.source import Path, dotted
from archsearch.space.values import Options, Section

MISSING = "–"


@dataclass(frozen=True)
class Difference:
    """One thing that is not the same.

    Attributes:
        path: Where, such as `stages.0.filters`.
        old, new: What stands there, in words; `MISSING` if nothing does.
    """

    path: str
    old: str
    new: str


def diff_spaces(old: Space, new: Space) -> list[Difference]:
    """What two spaces differ in, in the order of the language; descriptions and layout do not count."""
    return list(_differences(_meaning(old), _meaning(new)))


def diff_parts(old: Part, new: Part) -> list[Difference]:
    """What two candidates, or two architectures, differ in."""
    return list(_differences(old.model_dump(), new.model_dump()))


class _Default(str):
    """Words for what a field holds if nothing is said; not worth telling of a section that only one side has."""


def _meaning(space: Space) -> dict[str, Any]:
    meaning: dict[str, Any] = _plain(space.schema)
    meaning.pop("description")
    return meaning


def _plain(node: Any) -> Any:
    """`node` as mappings and lists of words."""
    match node:
        case None:
            return None
        case Section():
            return {name: _field(node, name, value) for name, value in node}
        case dict():
            return {name: _plain(value) for name, value in node.items()}
        case tuple():
            return [_plain(item) for item in node]
        case Options(sections=sections):
            return {"": words(node)} | {kind: _plain(section) for kind, section in sections.items()}
    return words(node)


def _field(section: Section, name: str, value: Any) -> Any:
    plain = _plain(value)
    default = type(section).model_fields[name].default
    return _Default(plain) if isinstance(plain, str) and value == default else plain


def _differences(old: Any, new: Any, path: Path = ()) -> Iterator[Difference]:
    match old, new:
        case (dict(), str()) | (str(), dict()):
            yield from _differences(_with_options(old), _with_options(new), path)
        case dict(), dict():
            for key in dict.fromkeys((*old, *new)):
                yield from _differences(old.get(key), new.get(key), (*path, key) if key else path)
        case list() | tuple(), list() | tuple() if any(isinstance(item, dict) for item in (*old, *new)):
            for index, (before, after) in enumerate(zip_longest(old, new)):
                yield from _differences(before, after, (*path, index))
        case _ if old != new and not (_says_nothing(old) and _says_nothing(new)):
            yield Difference(dotted(path), _shown(old), _shown(new))


def _with_options(node: Any) -> dict[str, Any]:
    """A kind as if options of its own were written, none of them set."""
    return node if isinstance(node, dict) else {"": node}


def _says_nothing(node: Any) -> bool:
    """Whether `node` is missing, or a section with every field at its default."""
    match node:
        case dict():
            return all(map(_says_nothing, node.values()))
    return node is None or isinstance(node, _Default)


def _shown(node: Any) -> str:
    """`conv, filters 16, kernel 3`: any node on one line."""
    match node:
        case None:
            return MISSING
        case dict():
            fields = {key: _shown(value) for key, value in node.items() if not _says_nothing(value)}
            return ", ".join(text if key in ("", "kind") else f"{key} {text}" for key, text in fields.items())
        case list() | tuple():
            return f"[{'; '.join(map(_shown, node))}]"
        case str():
            return node
    return words(node)

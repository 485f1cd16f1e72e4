"""The page that documents the language, made from the language itself.

`python -m archsearch.space.reference > docs/language.md` writes it. What a field takes and its default come from the
JSON Schema, what it means from the docstrings; `reference.md.j2` is the frame around the tables.
"""

import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from inspect import cleandoc
from typing import Any, get_args

import yaml
from jinja2 import Environment, PackageLoader, StrictUndefined

from archsearch.space.architecture import Augment, Block, Head, Optimizer, Part, Recipe
from archsearch.space.explain import WAY_KEYS
from archsearch.space.expression import FUNCTIONS, MAX_LENGTH, MAX_SIZE, OPERATORS
from archsearch.space.schema import ONCE_A_COPY, SpaceFile

Node = Mapping[str, Any]
"""A piece of JSON Schema without references."""


@dataclass(frozen=True)
class Described:
    """A section of the language, in Markdown.

    Attributes:
        name: The word that stands for it in a file.
        summary: What it is, in a line.
        table: Its fields, a row each.
    """

    name: str
    summary: str
    table: str


def language_reference() -> str:
    """The whole language as a page of Markdown."""
    schema = SpaceFile.model_json_schema()
    file: Node = _inlined(schema, schema["$defs"])
    fields = file["properties"]
    stage, training = fields["stages"]["items"], fields["training"]
    environment = Environment(
        loader=PackageLoader("archsearch.space", ""),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    return environment.get_template("reference.md.j2").render(
        file=_described("file", file),
        augment=_described("augment", _alternatives(fields["augment"])[0], Augment),
        stages=_described("stages", stage),
        head=_described("head", fields["head"], Head),
        training=_described("training", training, Recipe),
        limits=_described("limits", fields["limits"]),
        blocks=list(_kinds(stage["properties"]["block"], Block)),
        optimizers=list(_kinds(training["properties"]["optimizer"], Optimizer)),
        functions=FUNCTIONS,
        operators=OPERATORS,
        once_a_copy=ONCE_A_COPY,
        most_characters=MAX_LENGTH,
        largest=f"{MAX_SIZE:g}",
    )


# Docstrings -----------------------------------------------------------------------------------------------------------

_PAPER = re.compile(r"([A-Z]\w+(?: & [A-Z]\w+| et al\.)? \d{4}), (https://[\w./]+\w)")


def summary(docstring: str) -> str:
    """On one line, with papers as links, what a docstring says before its `Attributes:`."""
    return _line(cleandoc(docstring).partition("Attributes:\n")[0])


def attributes(docstring: str) -> dict[str, str]:
    """By name, each on one line, with papers as links, what a docstring in Google's style says under `Attributes:`."""
    section = re.split(r"\n(?=\S)", cleandoc(docstring).partition("Attributes:\n")[2])[0]
    entries = re.findall(r"^ {4}(\w+): (.*(?:\n(?: {5,}.*)?)*)", section, re.MULTILINE)
    return {name: _line(text) for name, text in entries}


def _line(text: str) -> str:
    return _PAPER.sub(r"[\1](\2)", " ".join(text.split()))


def _inherited(part: type[Part]) -> dict[str, str]:
    return {name: text for base in reversed(part.__mro__) for name, text in attributes(base.__doc__ or "").items()}


# Sections -------------------------------------------------------------------------------------------------------------


def _described(name: str, section: Node, part: type[Part] | None = None) -> Described:
    """A section, `part` being what a candidate has of it: its docstring speaks where the section's own does not."""
    own = section.get("description", "")
    meanings = (_inherited(part) if part else {}) | attributes(own)
    rows = [
        (f"`{field}`", _takes(node), _ways(node), _default(node), meanings.get(field, ""))
        for field, node in section["properties"].items()
    ]
    table = [("field", "takes", "or", "default", "meaning"), ("---",) * 5, *rows]
    return Described(
        name,
        summary(own or (part.__doc__ if part else None) or ""),
        "\n".join(f"| {' | '.join(cell.replace('|', '/') for cell in row)} |" for row in table),
    )


def _kinds(field: Node, union: Any) -> Iterator[Described]:
    """Every kind of part in `union` that `field` takes, with the fields that exist only with it."""
    parts = {part.model_fields["kind"].default: part for part in get_args(get_args(union)[0])}
    sections = next(
        way["properties"] for way in _alternatives(field) if parts.keys() <= way.get("properties", {}).keys()
    )
    for kind, part in parts.items():
        yield _described(kind, sections[kind], part)


# Fields ---------------------------------------------------------------------------------------------------------------


def _inlined(node: Any, definitions: Mapping[str, Any]) -> Any:
    """`node` with what its references stand for in their place."""
    match node:
        case {"$ref": str(reference), **others}:
            return _inlined(definitions[reference.rpartition("/")[2]], definitions) | others
        case dict():
            return {key: _inlined(item, definitions) for key, item in node.items()}
        case list():
            return [_inlined(item, definitions) for item in node]
    return node


def _alternatives(node: Node) -> list[Node]:
    alternatives: list[Node] = node.get("oneOf") or node.get("anyOf") or [node]
    return alternatives


def _way(node: Node) -> str:
    """How a value that varies is written, or nothing if `node` is a fixed one."""
    if node.get("pattern") == "^=":
        return "="
    return next((key for key in WAY_KEYS if key in node.get("properties", {})), "")


def _ways(node: Node) -> str:
    return ", ".join(f"`{way}`" for way in dict.fromkeys(map(_way, _alternatives(node))) if way)


def _takes(node: Node) -> str:
    fixed = (_domain(way) for way in _alternatives(node) if not _way(way))
    return " or ".join(filter(None, fixed))


_NOUNS = {
    "integer": "whole number",
    "number": "number",
    "string": "text",
    "boolean": "`true`, `false`",
    "object": "mapping",
    "array": "list",
    "null": "",
}
_BOUNDS = {"minimum": "from", "exclusiveMinimum": "above", "maximum": "to", "exclusiveMaximum": "to below"}


def _domain(node: Node) -> str:
    if "enum" in node:
        return ", ".join(f"`{name}`" for name in node["enum"])
    kinds = node["type"] if isinstance(node["type"], list) else [node["type"]]
    bounds = (f" {word} {node[key]:g}" for key, word in _BOUNDS.items() if key in node)
    return " or ".join(_NOUNS[kind] for kind in kinds) + "".join(bounds)


def _default(node: Node) -> str:
    match node:
        case {"default": None}:
            return "none"
        case {"default": _, "properties": _}:
            return "its defaults"
        case {"default": default}:
            written = yaml.safe_dump(default, default_flow_style=True, sort_keys=False, width=1000)
            return f"`{written.splitlines()[0]}`"
    return "required"


if __name__ == "__main__":
    sys.stdout.write(language_reference())

"""The language as JSON Schema, by which editors complete and check space files."""

from collections.abc import Mapping
from typing import Any, get_args

from archsearch.space.architecture import Augment, Block, Head, Optimizer, Part, Recipe
from archsearch.space.reference import attributes, summary
from archsearch.space.schema import SpaceFile

DIALECT = "https://json-schema.org/draft/2020-12/schema"
EMPTY = {"type": "null"}
MAPPINGS = ("let", "head", "training", "limits", "baseline")
"""Sections that are mappings, and may be left out, but not left empty."""


def editor_schema() -> dict[str, Any]:
    """JSON Schema (draft 2020-12) of a space file.

    It says what one field may hold. What fields say of each other, such as names in expressions, `load_space` checks.
    """
    schema = SpaceFile.model_json_schema()
    definitions = schema["$defs"]
    meanings = _meanings()
    for name, section in definitions.items():
        if "properties" in section:
            _describe(section, meanings.get(name, {}))
    _shorten_custom(definitions)
    _let_extend(schema)
    head = {
        "$schema": DIALECT,
        "title": "archsearch search space",
        "description": "A family of networks and of ways to train them.",
    }
    return head | {key: value for key, value in schema.items() if key not in head}


def _meanings() -> dict[str, dict[str, str]]:
    """By definition, what its fields mean, where another class than the section itself says so."""
    kinds = [part for union in (Block, Optimizer) for part in get_args(get_args(union)[0])]
    apart = {"Cell": "CellSection", "Custom": "CustomSection"}
    sections: dict[str, type[Part]] = {apart.get(part.__name__, part.__name__): part for part in kinds}
    sections |= {"AugmentSection": Augment, "HeadSection": Head, "TrainingSection": Recipe}
    return {name: _inherited(part) for name, part in sections.items()}


def _inherited(part: type[Part]) -> dict[str, str]:
    return {name: text for base in reversed(part.__mro__) for name, text in attributes(base.__doc__ or "").items()}


def _describe(section: dict[str, Any], meanings: Mapping[str, str]) -> None:
    """Says what each field means: by the section's own docstring, else by `meanings`."""
    own = section.get("description", "")
    meanings = {**meanings, **attributes(own)}
    if own:
        section["description"] = summary(own)
    for name, field in section["properties"].items():
        if name in meanings:
            field["description"] = meanings[name]


def _shorten_custom(definitions: dict[str, Any]) -> None:
    """`custom: blocks.py:ghost` is short for a section."""
    definitions["CustomSection"] = {"anyOf": [definitions["CustomSection"], {"type": "string", "pattern": ":"}]}


def _let_extend(schema: dict[str, Any]) -> None:
    """With `extends`, a file needs no section, may empty one, and may change single entries of `stages`."""
    definitions, sections = schema["$defs"], schema["properties"]
    definitions["StageChange"] = {key: value for key, value in definitions["StageEntry"].items() if key != "required"}
    change = {"type": "object", "patternProperties": {r"^\d+$": {"$ref": "#/$defs/StageChange"}}}
    sections["stages"] = {"anyOf": [sections["stages"], change]}
    emptied = {name: {"anyOf": [section, EMPTY]} for name, section in sections.items() if name in MAPPINGS}
    base = {"type": "string", "description": "A space file beside this one, of which this one says what is different."}
    schema["properties"] = {"extends": base} | sections | emptied
    schema["if"] = {"not": {"required": ["extends"]}}
    schema["then"] = {
        "required": schema.pop("required"),
        "properties": {"stages": {"type": "array"}} | {name: {"type": "object"} for name in MAPPINGS},
    }

"""What pydantic found, in sentences: what stands in the file, and what should have been there instead."""

import re
from collections.abc import Sequence
from typing import Any

from pydantic_core import ErrorDetails

from archsearch.space.source import did_you_mean, listed, nearest, shown, written

WRITTEN = {
    "fixed": "a fixed value",
    "choice": "{choice: […]}",
    "options": "{choice: {…}}",
    "kind": "one with its options",
    "int": "{int: [low, high]}",
    "float": "{float: [low, high]}",
    "expression": "'= expression'",
}
KEYS = {"choice": ("choice",), "int": ("int", "step", "log"), "float": ("float", "log")}
WAY_KEYS = tuple(KEYS)
UNKNOWN_KEY = ("extra_forbidden", "unexpected_keyword_argument")
"""Pydantic's names for a key that should not be there."""


_EXPECTED: dict[str, str] = {
    "greater_than_equal": "at least {ge}",
    "greater_than": "more than {gt}",
    "less_than_equal": "at most {le}",
    "less_than": "less than {lt}",
    "int_type": "a whole number",
    "int_from_float": "a whole number (round(…) makes one)",
    "float_type": "a number",
    "finite_number": "a finite number",
    "string_type": "text",
    "bool_type": "true or false",
    "tuple_type": "a list in brackets",
    "too_long": "two numbers, [low, high]",
    "dict_type": "a mapping",
    "model_type": "a mapping, {{}} if it is empty",
    "dataclass_type": "a mapping",
}


def expected(error: ErrorDetails) -> str:
    """`expected at least 1`: what should have been there instead."""
    context = error.get("ctx", {})
    match error["type"]:
        case "literal_error":
            names = re.findall(r"'([^']*)'", context["expected"])
            return f"expected {listed(names)}" + did_you_mean(str(error["input"]), names)
        case "union_tag_invalid":
            return f"expected {listed([WRITTEN[way] for way in _ways(error)])}"
        case kind if kind in _EXPECTED:
            return f"expected {_EXPECTED[kind].format(**context)}"
    return error["msg"]


def explain(error: ErrorDetails, parent: Any, allowed: Sequence[str] = (), kinds: Sequence[str] = ()) -> str | None:
    """The sentence for one of pydantic's errors, or None if it only follows from another one.

    Args:
        error: As `ValidationError.errors()` has it.
        parent: The mapping or list that holds the offending node.
        allowed: The keys that the offending mapping may have.
        kinds: The blocks or optimizers that the field takes, if it is one that does.
    """
    name = str(error["loc"][-1]) if error["loc"] else ""
    found = error["input"]
    match error["type"]:
        case "value_error":
            return str(error["ctx"]["error"])
        case "missing" if isinstance(parent, list):
            return f"found {shown(parent)}, expected two numbers, [low, high]"
        case "missing":
            return f"'{name}' is missing, and has no default"
        case kind if kind in UNKNOWN_KEY:
            hint = did_you_mean(name, allowed) or ";"
            return f"unknown key '{name}'{hint} allowed keys are {', '.join(allowed) or 'none'}"
        case "tuple_type" if name in ("int", "float"):
            return f"found {shown(found)}, expected two numbers, [low, high]"
        case "too_short":
            return None if found else "found nothing, expected at least one entry"
    return f"found {shown(found)}, {_advice(error, parent, kinds) or expected(error)}"


# Mistakes that are made often, and what to write instead --------------------------------------------------------------


def _ways(error: ErrorDetails) -> list[str]:
    return re.findall(r"'([^']*)'", error["ctx"]["expected_tags"])


def _advice(error: ErrorDetails, parent: Any, kinds: Sequence[str]) -> str | None:
    """The end of the sentence for a mistake whose remedy is known."""
    found = error["input"]
    match error["type"], found:
        case "union_tag_invalid", list():
            return _for_list(found, _ways(error))
        case "union_tag_invalid", dict():
            return _for_mapping(found, _ways(error), kinds)
        case "union_tag_invalid", str():
            return f"an expression, which gives a number; {expected(error)}"
        case "literal_error", dict() if isinstance(parent, list) and set(found) & set(kinds):
            options: dict[str, Any] = {}
            for option in parent:
                options |= option if isinstance(option, dict) else {str(option): {}}
            return f"which has fields; expected a mapping instead of a list: {written({'choice': options})}"
        case "literal_error", "custom" if "custom" in kinds:
            return "expected its code with it: {custom: 'file.py:function'}"
        case "int_type" | "float_type", str():
            return _for_text(error, found)
        case "bool_type", "yes" | "on" | "no" | "off" | "Yes" | "On" | "No" | "Off":
            return "which is text here; expected true or false"
    return None


def _for_list(found: list[Any], ways: Sequence[str]) -> str | None:
    """A list of two numbers is never silently a range."""
    if not found or not all(isinstance(item, int | float | str) for item in found):
        return None
    one = written({"choice": found})
    span = next((way for way in ("int", "float") if way in ways), None)
    numbers = sorted({item for item in found if not isinstance(item, bool | str)})
    if span and len(found) == len(numbers) == 2:
        return f"expected {written({span: numbers})} for a range, or {one} for one of them"
    return f"expected {one} for one of them"


def _for_mapping(found: dict[str, Any], ways: Sequence[str], kinds: Sequence[str]) -> str | None:
    span = next((way for way in ("int", "float") if way in found), None)
    if isinstance(options := found.get("choice"), dict):
        if set(options) <= {key for keys in KEYS.values() for key in keys}:
            return f"a way to write a value inside another one; expected {written(options)} alone"
        return (
            f"options with fields, which only blocks and optimizers have; expected {{choice: [{', '.join(options)}]}}"
        )
    if span and not {"int", "float"} & set(ways):
        return "a range of numbers, and this field takes names; expected a name or {choice: […]}"
    if span:
        other, what = ("float", "real") if span == "int" else ("int", "whole")
        return f"and this field takes {what} numbers; expected {{{other}: [low, high]}}"
    if named := [key for key, value in found.items() if isinstance(value, str) and value in kinds]:
        options = {key: value for key, value in found.items() if key != named[0]}
        return f"expected {written({found[named[0]]: options})}"
    holds = dict if kinds else list
    meant = {key: near for key in found if (near := nearest(key, [*WAY_KEYS, *kinds]))}
    if any(isinstance(found[key], holds) for key in meant):
        return f"did you mean {written({meant.get(key, key): value for key, value in found.items()})}?"
    return _for_list(_elsewhere(found), ways)


_ENDS = ("min", "max", "low", "high", "lower", "upper", "min_value", "max_value")


def _elsewhere(found: dict[str, Any]) -> list[Any]:
    """The options or ends of a value as other tools write it; empty if that is not clear.

    Such as {values: [8, 16]}, {distribution: uniform, min: 1, max: 3}, {Int: {min_value: 1, max_value: 3, step: 1}}.
    """
    ends = [value for key, value in found.items() if key in _ENDS]
    nested = [value for value in found.values() if isinstance(value, dict | list)]
    if ends or not nested:
        return ends or (list(found.values()) if len(found) > 1 else [])
    if isinstance(nested[0], dict):
        return _elsewhere(nested[0])
    steps = any("uniform" in str(value) for value in found.values()) and len(nested[0]) > 2
    return [] if steps or len(nested) > 1 else nested[0]


def _for_text(error: ErrorDetails, found: str) -> str:
    if re.search(r"[*/+]|\w\s*-\s*\w", found) and not found.startswith("="):
        return f"{expected(error)}; an expression begins with '=': '= {found}'"
    if found.isidentifier() and found.lower() != "none" and error["loc"][-1] == "fixed":
        return f"{expected(error)}; a name in 'let' is written '= {found}'"
    quoted = re.fullmatch(r"[-+]?[\d_.]+(e[-+]?\d+)?", found, re.IGNORECASE)
    return f"which is text; {expected(error)} without quotes" if quoted else expected(error)

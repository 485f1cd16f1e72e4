"""Finds everything that is wrong with a file in one go: what is wrong is noted and taken out, and the rest read on.

First every field has to be what the language allows. Then every name in an expression has to be known, and none in
`let` depend on itself. Last, expressions have to stay within their fields. What touches a place that was taken out is
left out of later checks: one mistake gives one problem.
"""

import re
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import replace
from graphlib import CycleError, TopologicalSorter
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from archsearch.errors import SpaceError
from archsearch.space.corners import settings
from archsearch.space.explain import KEYS, UNKNOWN_KEY, WAY_KEYS, explain
from archsearch.space.expression import ExpressionError, parse_expression, unknown_name
from archsearch.space.extends import EXTENDS
from archsearch.space.homes import KIND_FIELDS, home, kinds_of
from archsearch.space.names import plain_name
from archsearch.space.schema import MOST_ENTRIES, VARYING, SpaceFile, known_names, walk
from archsearch.space.source import SYNONYMS, Path, Source, in_file_order, nearest, shown, written
from archsearch.space.values import Formula, Value

MOST_ROUNDS = 100
"""A file that still has something wrong after so many repairs is given up."""


class Draft:
    """A file as far as it is sound.

    Attributes:
        source: The file as it was read, except that keys with a known misspelling are called by their right name.
        problems: What is wrong with it.
        schema: The file without what is wrong.
    """

    def __init__(self, source: Source) -> None:
        """Raises SpaceError for a file whose rest cannot be read on."""
        self.source = replace(source, values=dict(source.values), keys=dict(source.keys))
        self.problems = list(source.problems)
        self._data = deepcopy(source.data)
        self._cuts: set[Path] = set()
        self._renamed: set[Path] = set()
        for path in sorted(source.spoilt, key=len):
            if not path or _has(self._at(path[:-1]), path[-1]):  # else its section is here again, without it
                self._cut(path)
        self._validate()
        self._check_names()
        self._check_cycles()
        self.schema = self._validate()
        self._check_formulas()
        self.schema = self._validate()

    # What others ask and say

    def error(self) -> SpaceError:
        """All problems."""
        return SpaceError(in_file_order(self.problems))

    def complain(self, path: Path, message: str, *, at_key: bool = False) -> None:
        """Notes that what stands at `path` is wrong, under the name that the user knows it by."""
        node: Any = self._data
        name = path
        for depth, step in enumerate(path):
            node = node[step] if _has(node, step) else None
            if step in WAY_KEYS and isinstance(node, list):  # an option or an end has no name of its own
                name = path[:depth]
                break
        called = plain_name(name[:-1] if at_key and name == path else name)
        problem = self.source.problem(path, message, at_key=at_key, name=called)
        if problem not in self.problems:  # an empty list lacks both of its ends
            self.problems.append(problem)

    def remove(self, path: Path) -> None:
        """Takes what stands at `path` out of the schema."""
        self._cut(path)
        self.schema = self._validate()

    def sound(self, path: Path, value: Value | None = None) -> bool:
        """Whether nothing was taken out at `path` or above, and nothing that the `value` there depends on."""
        if any(path[: len(cut)] == cut for cut in self._cuts):
            return False
        return not isinstance(value, Formula) or not value.expression.names & self._poisoned

    def touched(self, *sections: str) -> bool:
        """Whether anything was taken out of these sections."""
        return any(not cut or cut[0] in sections for cut in self._cuts)

    def speaks_of_cut(self, key: str, value: Any) -> bool:
        """Whether a key of `baseline` with this value speaks of something that was taken out."""
        alike = re.sub(r"^(stages\.\d+)\.\d+\.", r"\1.", key)
        copies = re.match(r"stages\.\d+(?=\.\d+\.)", key)
        repeat = f"{copies[0]}.repeat" if copies else None
        names = {plain_name(cut[1:] if cut[:1] == ("let",) else cut) for cut in self._cuts}
        around = any(f"{alike}.".startswith(f"{name}.") for name in names if name)
        misplaced = key.rpartition(".")[2] in {str(cut[-1]) for cut in self._cuts if cut}
        unknown = () in self._cuts or (("let",) in self._cuts and "." not in key)
        return around or misplaced or unknown or not names.isdisjoint({f"{alike}.{value}", repeat})

    # Taking out

    def _cut(self, path: Path) -> None:
        """Takes the field that holds `path` out, or puts something harmless where it cannot do without."""
        path = self._field(path)
        if path[-2:-1] == ("custom",):  # a custom block without its code is none
            path = path[:-1]
        self._cuts.add(path)
        match path:
            case ():
                self._data = {"name": "unnamed", "stages": [{"filters": 8}]}
            case ("name",):
                self._data["name"] = "unnamed"
            case ("stages",):
                self._data["stages"] = [{"filters": 8}]
            case ("stages", int(index)):
                self._data["stages"][index] = {"filters": 8}
            case ("stages", int(index), "filters"):
                self._data["stages"][index]["filters"] = 8
            case ("let", str(name)) if name in self._let():
                self._data["let"][name] = 1
            case _:
                self._delete(path)

    def _delete(self, path: Path) -> None:
        self._cuts.add(path)
        parent = self._at(path[:-1])
        if not _has(parent, path[-1]):
            return
        del parent[path[-1]]
        if not parent and path[-2:-1] == ("choice",):
            self._cut(path[:-2])
        elif not parent and path[-2:-1] in {(field,) for field in KIND_FIELDS.values()}:
            self._cut(path[:-1])

    def _field(self, path: Path) -> Path:
        """`path` down to where a value begins: a choice or a range is wrong as a whole."""
        node = self._data
        for depth, step in enumerate(path):
            is_way = isinstance(node, dict) and any(way in node for way in WAY_KEYS)
            if is_way and not isinstance(node.get("choice"), dict) and depth > 1:
                return path[:depth]
            if not _has(node, step):
                break
            node = node[step]
        return path

    def _rename(self, path: Path, name: str) -> None:
        """Reads the key at `path` as the one it was meant to be; its place stays what it is."""
        parent = self._at(path[:-1])
        renamed = {name if key == path[-1] else key: value for key, value in parent.items()}
        parent.clear()
        parent.update(renamed)
        self._renamed.add((*path[:-1], name))
        for marks in (self.source.values, self.source.keys):
            for old in [p for p in marks if p[: len(path)] == path]:
                marks[(*path[:-1], name, *old[len(path) :])] = marks[old]

    def _at(self, path: Path) -> Any:
        node = self._data
        for step in path:
            node = node[step] if _has(node, step) else None
        return node

    @property
    def _poisoned(self) -> set[str]:
        """Names in `let` whose value is not what the file says."""
        found = {str(cut[1]) for cut in self._cuts if cut[:1] == ("let",) and len(cut) > 1}
        names = {str(path[1]): _formula_names(text) for path, text in _formulas({"let": self._let()})}
        while more := {name for name, used in names.items() if used & found} - found:
            found |= more
        return found

    # Checks of the file

    def _validate(self) -> SpaceFile:
        for _ in range(MOST_ROUNDS):
            keys: dict[int, tuple[str, ...]] = {}
            try:
                return SpaceFile.model_validate(self._data, context=keys)
            except ValidationError as error:
                details = error.errors()
            unknown = [detail for detail in details if detail["type"] in UNKNOWN_KEY]
            found = [(detail, _follow(self._data, detail["loc"])) for detail in unknown or details]
            if unknown:
                for detail, path in found:
                    self._unknown_key(detail, path, keys)
            else:
                for place in [self._wrong_value(detail, path) for detail, path in found]:
                    if place is not None:
                        self._cut(place)
        raise self.error()

    def _unknown_key(self, detail: ErrorDetails, path: Path, keys: dict[int, tuple[str, ...]]) -> None:
        parent, name = self._at(path[:-1]), str(path[-1])
        if not _has(parent, path[-1]):  # it went with what was said before
            return
        allowed = keys[id(parent)] if id(parent) in keys else KEYS[str(detail["loc"][-2])]
        if len(path) == 1:
            allowed = (*allowed, EXTENDS)
        is_field = detail["type"] == "extra_forbidden" or kinds_of(path[:-1])
        meant = SYNONYMS.get(name, name)
        if is_field and meant not in allowed and (where := home(path[:-1], meant, parent[name], parent)):
            self.complain(path, f"unknown key '{name}' here; {where}", at_key=True)
            self._delete(path)
            return
        near = nearest(name, allowed)
        if parent[name] is not None or not any(map(_cut_at_comma, parent.values())):
            self.complain(path, str(explain(detail, parent, allowed)), at_key=True)
        if near == EXTENDS:  # what the rest means depends on it
            raise self.error()
        if near and near not in parent:
            self._rename(path, near)
        else:
            self._delete(path)

    def _wrong_value(self, detail: ErrorDetails, path: Path) -> Path | None:
        """Notes what is wrong; returns what has to be taken out, if it is not what follows from another problem."""
        missing = detail["type"] == "missing"
        parent = self._at(path if missing else path[:-1])
        if "[key]" in detail["loc"]:
            self.complain(path, str(explain(detail, parent)), at_key=True)
            self._delete(path)
            return None
        place = (*path, detail["loc"][-1]) if missing and isinstance(parent, dict) else path
        message = _special(detail, path) or explain(detail, parent, kinds=kinds_of(path))
        if message is None:
            return None
        guessed = path in self._renamed and detail["type"] in ("dict_type", "model_type")
        if self.sound(place) and not guessed and not self._uses_bad_name(detail["input"]):
            self.complain(path, message)
        return place

    def _uses_bad_name(self, written: Any) -> bool:
        """Whether an expression uses a name of `let` that cannot be one, and cannot be read because of it."""
        bad = {str(cut[1]) for cut in self._cuts if cut[:1] == ("let",) and len(cut) > 1}
        return isinstance(written, str) and written.startswith("=") and not bad.isdisjoint(re.findall(r"\w+", written))

    def _let(self) -> dict[str, Any]:
        return self._data.get("let") or {}

    def _check_names(self) -> None:
        let = tuple(self._let())
        for path, text in list(_formulas(self._data)):
            known = known_names(path, let)
            unknown = sorted(_formula_names(text) - set(known))
            if unknown and self.sound(("let",)):
                for name in unknown:
                    self.complain(path, unknown_name(name, text, known))
            if unknown:
                self._cut(path)

    def _check_cycles(self) -> None:
        while True:
            graph = {str(path[1]): sorted(_formula_names(text)) for path, text in _formulas({"let": self._let()})}
            try:
                TopologicalSorter(graph).prepare()
            except CycleError as error:
                around = error.args[1][::-1]
                self.complain(("let", around[0]), f"depends on itself: {' → '.join(around)}")
                for name in around[:-1]:
                    self._cut(("let", name))
            else:
                return

    def _check_formulas(self) -> None:
        """Expressions that have no usable value for some values of their names."""
        for path, value in walk(self.schema):
            if not isinstance(value, Formula) or not self.sound(path, value) or not self._place_is_sound(path):
                continue
            for names in settings(self.schema, path, value):
                try:
                    value.value(names)
                except ExpressionError as error:
                    self.complain(path, str(error))
                    self._cut(path)
                    break

    def _place_is_sound(self, path: Path) -> bool:
        """Whether the values that `stage` and `block` can have at `path` are those of the file."""
        if path[0] != "stages":
            return True
        index = int(path[1])
        entries = list(enumerate(self.schema.stages[: index + 1]))
        repeats = all(self.sound(("stages", i, "repeat"), entry.repeat) for i, entry in entries)
        return repeats and self.sound(("stages", index, "depth"), self.schema.stages[index].depth)


def _special(detail: ErrorDetails, path: Path) -> str | None:
    """The sentence for a mistake that only its place explains."""
    found = detail["input"]
    match detail["type"], path:
        case "model_type", ():
            wanted = "a search space: a mapping with 'name', 'stages' and more"
        case "model_type", ("stages", int()):
            wanted = "a mapping, such as {filters: 8}"
        case "tuple_type", ("stages",) if isinstance(found, dict):
            wanted = "a list of entries, each behind a '-'; only with 'extends' it may be a mapping from an index"
        case "tuple_type", ("stages",):
            wanted = "a list of entries, each behind a '-'"
        case "too_long", ("stages",) | ("let",):
            return f"found {len(found)} entries, expected at most {MOST_ENTRIES}"
        case "value_error", ("baseline", str(key)) if isinstance(found, dict) and found:
            inner, value = next(iter(found.items()))
            wanted = f"one value; a parameter is called by its whole path: '{key}.{inner}: {written(value)}'"
        case "value_error", ("baseline", _):
            wanted = "a number or a name"
        case _:
            return None
    return f"found {shown(found)}, expected {wanted}"


def _has(node: Any, step: str | int) -> bool:
    return step in node if isinstance(node, dict) else step in range(len(node)) if isinstance(node, list) else False


def _follow(node: Any, location: Path) -> Path:
    """The path in the file to pydantic's `location`, which also names the ways of writing that it went through.

    `int` may be such a way or a key: right is what leads furthest, and as late as possible.
    """
    furthest: Path = ()
    for position, step in enumerate(location):
        if _has(node, step):
            path = (step, *_follow(node[step], location[position + 1 :]))
            furthest = max(path, furthest, key=len)
    return furthest


def _formulas(node: Any, path: Path = ()) -> Iterator[tuple[Path, str]]:
    """Every expression in the file as it stands there."""
    match node:
        case dict():
            for key, item in node.items():
                if path or key in VARYING:
                    yield from _formulas(item, (*path, key))
        case list():
            for index, item in enumerate(node):
                yield from _formulas(item, (*path, index))
        case str() if node.startswith("="):
            yield path, node


def _cut_at_comma(value: Any) -> bool:
    """Whether `value` is the first half of an expression such as `{filters: = max(8, 4)}`; the other is a key then."""
    return isinstance(value, str) and value.startswith("=") and value.count("(") > value.count(")")


def _formula_names(text: str) -> frozenset[str]:
    try:
        return parse_expression(text).names
    except ExpressionError:
        return frozenset()

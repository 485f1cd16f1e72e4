"""From a space file to a `Space`, or to everything that is wrong with it.

First the text has to be YAML. Then every field has to be what the language allows, and every name in an expression
known. Last, in a file that is sound so far, expressions have to stay within their fields and the baseline within its
ranges.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from graphlib import CycleError, TopologicalSorter
from itertools import islice, product
from pathlib import Path as FilePath
from typing import Any, TypeGuard

from pydantic import ValidationError

from archsearch.errors import Problem, SpaceError
from archsearch.space.architecture import Task
from archsearch.space.expression import ExpressionError, Number, parse_expression, unknown_name
from archsearch.space.schema import (
    WAY_KEYS,
    Choice,
    FloatRange,
    Formula,
    IntRange,
    Options,
    Scalar,
    Section,
    SpaceFile,
    StageEntry,
    Value,
    explain,
)
from archsearch.space.source import Path, Source, did_you_mean, dotted, in_file_order, parse_source

MOST_CORNERS = 2_000
"""So many combinations of values are tried, at most, to find one for which an expression leaves its field."""

VARYING = ("let", "augment", "stages", "head", "training")
"""Sections with values that are drawn, in the order of drawing."""


@dataclass(frozen=True)
class Space:
    """A search space that has passed every check.

    Attributes:
        schema: What the file says.
        source: The file, and where in it everything stands.
    """

    schema: SpaceFile
    source: Source

    @property
    def name(self) -> str:
        """As the file has it."""
        return self.schema.name

    @property
    def file(self) -> str:
        """Path as the user wrote it."""
        return self.source.file

    @property
    def text(self) -> str:
        """The whole file."""
        return self.source.text

    @property
    def limits(self) -> dict[str, int]:
        """What a candidate may cost: `parameters` and `flops`, those that are limited."""
        return {name: limit for name, limit in self.schema.limits if limit is not None}

    @property
    def most_epochs(self) -> int:
        """The most epochs that a candidate can train for."""
        return max(_possible_anywhere(self.schema, self.schema.training.epochs))

    @cached_property
    def hash(self) -> str:
        """Sixteen hexadecimal digits of what the file means: comments, layout and description do not count."""
        meaning = _plain(dict(self.schema) | {"description": ""})
        return hashlib.sha256(json.dumps(meaning).encode()).hexdigest()[:16]

    @cached_property
    def parameters(self) -> "dict[str, Varying]":
        """Everything that may be drawn, by its name in a study, in the order of the language."""
        return {
            name: value
            for path, value in walk(self.schema)
            if varies(value)
            for name in _parameter_names(self.schema, path)
        }

    @cached_property
    def baseline(self) -> dict[str, Scalar]:
        """The values that the file gives for its baseline, by the name of the parameter."""
        found: dict[str, Scalar] = {}
        short = _short_names(self)
        for key, value in sorted(self.schema.baseline.items(), key=lambda item: item[0] in self.parameters):
            found |= {name: self.parameters[name].take(value) for name in short[key]}
        return found


def load_space(path: str | FilePath) -> Space:
    """Reads a space file.

    Raises:
        SpaceError: The file cannot be read, or is not a usable space; every problem at once.
    """
    file = str(path)
    try:
        content = FilePath(path).read_bytes()
        text = content.decode("utf-8-sig")
    except OSError as error:
        why = (error.strerror or str(error)).lower()
        raise SpaceError([Problem(file, 1, 1, "", f"{why}; expected a search space, a YAML file")]) from error
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise SpaceError(
            [Problem(file, line, 1, "", "not UTF-8 text; expected a search space, a YAML file")]
        ) from error
    return parse_space(text, file)


def parse_space(text: str, file: str = "<text>") -> Space:
    """Reads a space from `text`; problems are said to be in `file`.

    Raises:
        SpaceError: `text` is not a usable space; every problem at once.
    """
    source = parse_source(text, file)
    schema, problems = _validate(source)
    found = {problem.path for problem in problems}
    problems += [problem for problem in _unknown_names(source) if problem.path not in found]
    problems += _cycles(source)
    if schema is None or problems:
        raise SpaceError(in_file_order(problems))
    space = Space(schema, source)
    if problems := [*_strayed(space), *_bad_baseline(space)]:
        raise SpaceError(in_file_order(problems))
    return space


def check_task(space: Space, task: Task) -> None:
    """Makes sure that no candidate halves a side of the image that is down to one pixel.

    Pooling and strides pad, so that a side of s pixels becomes one of ceil(s / 2).

    Raises:
        SpaceError: Some candidate does.
    """
    allowed = (min(task.height, task.width) - 1).bit_length()
    schema = space.schema
    wanted = {name for entry in schema.stages for value in (entry.repeat, entry.depth) for name in _names(value)}
    for names in _corners_of_let(schema, wanted):
        halvings = {0: 0}  # by the number of copies so far: the most that they halve
        for index, entry in enumerate(schema.stages):
            halvings = _halvings_after(entry, halvings, names)
            if (most := max(halvings.values())) > allowed:
                message = (
                    f"images of {task.height}x{task.width} can be halved {allowed} times, and up to here a candidate "
                    f"may do it {most} times; expected fewer copies (repeat) or 'downsample: none'"
                )
                raise SpaceError([_problem(space.source, ("stages", index, "downsample"), message)])


# What varies ----------------------------------------------------------------------------------------------------------


def walk(schema: SpaceFile) -> Iterator[tuple[Path, Value]]:
    """Every value that the file may vary and its path in the file, in the order of the language."""
    for name in VARYING:
        yield from _walk(getattr(schema, name), (name,))


def _walk(node: Any, path: Path) -> Iterator[tuple[Path, Value]]:
    match node:
        case Section():
            below: Iterable[tuple[Any, Any]] = node
        case dict():
            below = node.items()
        case tuple():
            below = enumerate(node)
        case Options(sections=sections):
            yield path, node
            path, below = (*path, "choice"), sections.items()
        case None:
            return
        case _:
            yield path, node
            return
    for step, child in below:
        yield from _walk(child, (*path, step))


Varying = Choice[Any] | Options | IntRange[Any] | FloatRange[Any]


def varies(value: Value) -> TypeGuard[Varying]:
    """Whether there is anything to draw."""
    match value:
        case Choice(options=options) | Options(options=options):
            return len(options) > 1
    return isinstance(value, IntRange | FloatRange)


def resolve(let: Mapping[str, Value], drawn: Mapping[str, Number]) -> dict[str, Number]:
    """All of `let`, expressions included, from what was drawn or is fixed there.

    Raises:
        ExpressionError: An expression has no usable value.
    """
    found = dict(drawn)

    def value(name: str) -> Number:
        if name not in found:
            formula: Any = let[name]
            found[name] = formula.value({other: value(other) for other in sorted(formula.expression.names)})
        return found[name]

    return {name: value(name) for name in let}


def _parameter_names(schema: SpaceFile, path: Path) -> list[str]:
    """Names in a study of what stands at `path`: one for each copy of a stage that is drawn for itself."""
    match path:
        case ("let", str(name)):
            return [name]
        case ("stages", int(index), *rest) if rest != ["repeat"]:
            entry = schema.stages[index]
            copies = range(max(_possible_anywhere(schema, entry.repeat)))
            prefixes = dict.fromkeys(entry.prefix(index, copy) for copy in copies)
            return [f"{prefix}.{_name(tuple(rest))}" for prefix in prefixes]
    return [_name(path)]


def _short_names(space: Space) -> dict[str, list[str]]:
    """The parameters that each key of a baseline stands for: its own, or all copies' of an entry."""
    short = {name: [name] for name in space.parameters}
    for path, value in walk(space.schema):
        if varies(value):
            names = _parameter_names(space.schema, path)
            short.setdefault(names[0] if path[0] == "let" else _name(path), names)
    return short


def _name(path: Path) -> str:
    """`training.optimizer.adam.learning_rate`: a path without the words that say how a value is written."""
    return dotted(tuple(step for step in path if step not in WAY_KEYS))


def _plain(node: Any) -> Any:
    """`node` as JSON, one way only, however it was written."""
    match node:
        case Section():
            return _plain(dict(node))
        case dict():
            return {key: _plain(item) for key, item in node.items()}
        case tuple():
            return [_plain(item) for item in node]
        case Formula(expression=expression):
            return expression.text
        case Options(sections=sections):
            return {"choice": _plain(sections)}
        case Choice(options=options):
            return {"choice": _plain(options)}
        case IntRange(ends=ends, step=step, log=log):
            return {"int": _plain(ends), "step": step, "log": log}
        case FloatRange(ends=ends, log=log):
            return {"float": _plain(ends), "log": log}
    return node


# What may be wrong ----------------------------------------------------------------------------------------------------


def _problem(source: Source, path: Path, message: str, *, at_key: bool = False) -> Problem:
    """A problem with what is at `path`, under the name that the user knows it by."""
    node: Any = source.data
    name = path
    for depth, step in enumerate(path):
        node = node[step] if _has(node, step) else None
        if step in WAY_KEYS and isinstance(node, list):  # an option or an end has no name of its own
            name = path[:depth]
            break
    return source.problem(path, message, at_key=at_key, name=_name(name[:-1] if at_key else name))


def _has(node: Any, step: str | int) -> bool:
    return step in node if isinstance(node, dict) else step in range(len(node)) if isinstance(node, list) else False


def _validate(source: Source) -> tuple[SpaceFile | None, list[Problem]]:
    keys: dict[int, tuple[str, ...]] = {}
    try:
        return SpaceFile.model_validate(source.data, context=keys), []
    except ValidationError as error:
        problems = []
        for detail in error.errors():
            path = _follow(source.data, detail["loc"])
            parent, node = None, source.data
            for step in path:
                parent, node = node, node[step]
            missing = detail["type"] == "missing"
            if message := explain(detail, node if missing else parent, keys):
                unknown = detail["type"] in ("extra_forbidden", "unexpected_keyword_argument")
                at_key = unknown or "[key]" in detail["loc"]
                problems.append(_problem(source, path, message, at_key=at_key))
        return None, problems


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


def _written_formulas(node: Any, path: Path = ()) -> Iterator[tuple[Path, str]]:
    """Every expression in the file as it stands there, whether or not the file is valid."""
    match node:
        case dict():
            for key, item in node.items():
                if path or key in VARYING:
                    yield from _written_formulas(item, (*path, key))
        case list():
            for index, item in enumerate(node):
                yield from _written_formulas(item, (*path, index))
        case str() if node.startswith("="):
            yield path, node


def _let(source: Source) -> dict[str, Any]:
    let = source.data.get("let") if isinstance(source.data, dict) else None
    return let if isinstance(let, dict) else {}


def _unknown_names(source: Source) -> Iterator[Problem]:
    let = tuple(_let(source))
    for path, text in _written_formulas(source.data):
        match path:
            case ("stages", int(), str(field), *_) if field != "repeat":
                known = (*let, "stage") if field == "depth" else (*let, "stage", "block")
            case _:
                known = let
        try:
            names = parse_expression(text).names
        except ExpressionError:
            continue  # the schema has said so
        for name in sorted(names - set(known)):
            yield _problem(source, path, unknown_name(name, text, known))


def _cycles(source: Source) -> Iterator[Problem]:
    graph: dict[str, list[str]] = {}
    for path, text in _written_formulas({"let": _let(source)}):
        try:
            graph[str(path[1])] = sorted(parse_expression(text).names)
        except ExpressionError:
            continue
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        around = error.args[1][::-1]
        yield _problem(source, ("let", around[0]), f"depends on itself: {' → '.join(around)}")


def _strayed(space: Space) -> Iterator[Problem]:
    """Expressions that have no usable value for some values of their names."""
    for path, value in walk(space.schema):
        if not isinstance(value, Formula):
            continue
        for names in islice(_settings(space.schema, path, value), MOST_CORNERS):
            try:
                value.value(names)
            except ExpressionError as error:
                yield _problem(space.source, path, str(error))
                break


def _bad_baseline(space: Space) -> Iterator[Problem]:
    short = _short_names(space)
    fixed = {
        name
        for path, value in walk(space.schema)
        if not varies(value)
        for name in (_name(path), *_parameter_names(space.schema, path))
    }
    for key, found in space.schema.baseline.items():
        path: Path = ("baseline", key)
        if key in short:
            try:
                space.parameters[short[key][0]].take(found)
            except ValueError as error:
                yield _problem(space.source, path, str(error))
        elif key in fixed:
            yield _problem(space.source, path, "does not vary in this space; expected the name of something that does")
        else:
            hint = did_you_mean(key, short) or "; expected the path of something that varies"
            yield space.source.problem(path, f"unknown parameter '{key}'{hint}", at_key=True, name="baseline")


# The corners of a space -----------------------------------------------------------------------------------------------


def _names(value: Value) -> frozenset[str]:
    return value.expression.names if isinstance(value, Formula) else frozenset()


def _corners(value: Value) -> tuple[Any, ...]:
    """All options, or both ends."""
    match value:
        case Choice(options=options):
            return options
        case IntRange(ends=ends) | FloatRange(ends=ends):
            return ends
    return (value,)


def _corners_of_let(schema: SpaceFile, wanted: Iterable[str]) -> Iterator[dict[str, Number]]:
    """The `wanted` names of `let` and all that they depend on, at every combination of corners."""
    needed: set[str] = set()
    waiting = [name for name in wanted if name in schema.let]
    while waiting:
        name = waiting.pop()
        needed.add(name)
        waiting += _names(schema.let[name]) - needed
    let = {name: value for name, value in schema.let.items() if name in needed}
    leaves = {name: _corners(value) for name, value in let.items() if not isinstance(value, Formula)}
    for values in islice(product(*leaves.values()), MOST_CORNERS):
        try:
            yield resolve(let, dict(zip(leaves, values, strict=True)))
        except ExpressionError:
            continue  # said where that expression stands


def _possible(value: Value, names: Mapping[str, Number]) -> list[int]:
    """All values that a whole-number field can take under these `names`, in order."""
    match value:
        case Formula():
            try:
                return [value.value(names)]
            except ExpressionError:
                return []
        case IntRange(ends=(low, high), step=step):
            return list(range(low, high + 1, step))
    return sorted(_corners(value))


def _possible_anywhere(schema: SpaceFile, value: Value) -> list[int]:
    """The same under any names of `let`; at least one."""
    found = {found for names in _corners_of_let(schema, _names(value)) for found in _possible(value, names)}
    return sorted(found) or [1]


def _settings(schema: SpaceFile, path: Path, formula: Formula) -> Iterator[dict[str, Number]]:
    """What the names of the `formula` at `path` can be, all together."""
    match path:
        case ("stages", int(index), str(field), *_) if field != "repeat":
            entry = schema.stages[index]
            before = schema.stages[: index + 1]
            wanted = _names(formula).union(_names(entry.depth), *(_names(each.repeat) for each in before))
            for let in _corners_of_let(schema, wanted):
                for stage in _stage_indices(before, let):
                    names = {**let, "stage": stage}
                    if field == "depth":
                        yield names
                    else:
                        depth = max(_possible(entry.depth, names), default=0)
                        yield from ({**names, "block": block} for block in range(depth))
        case _:
            yield from _corners_of_let(schema, _names(formula))


def _stage_indices(entries: tuple[StageEntry, ...], names: Mapping[str, Number]) -> list[int]:
    """The indices that copies of the last of `entries` can have."""
    starts = {0}
    for entry in entries[:-1]:
        starts = {start + copies for start in starts for copies in _possible(entry.repeat, names)}
    most = max(_possible(entries[-1].repeat, names), default=0)
    return sorted({start + copy for start in starts for copy in range(most)})


def _halvings_after(entry: StageEntry, before: Mapping[int, int], names: Mapping[str, Number]) -> dict[int, int]:
    """By the number of copies so far, the most that they halve the image: after `entry`, from the same `before` it."""
    halves = any(option != "none" for option in _corners(entry.downsample))
    after: dict[int, int] = {}
    for start, halvings in before.items():
        for copies in _possible(entry.repeat, names):
            stages = range(start, start + copies)
            more = sum(halves and max(_possible(entry.depth, {**names, "stage": s}), default=0) > 0 for s in stages)
            after[start + copies] = max(after.get(start + copies, 0), halvings + more)
    return after or dict(before)

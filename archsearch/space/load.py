"""From a space file to a `Space`, or to everything that is wrong with it.

First the text has to be YAML. Then every field has to be what the language allows, and every name in an expression
known. Last, in a file that is sound so far, expressions have to stay within their fields and the baseline within its
ranges.
"""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from graphlib import CycleError, TopologicalSorter
from pathlib import Path as FilePath
from typing import Any

from pydantic import ValidationError

from archsearch.errors import Problem, SpaceError
from archsearch.space.architecture import Task
from archsearch.space.corners import halvings, possible, settings
from archsearch.space.expression import ExpressionError, parse_expression, unknown_name
from archsearch.space.schema import (
    VARYING,
    WAY_KEYS,
    Choice,
    FloatRange,
    Formula,
    IntRange,
    Options,
    Scalar,
    Section,
    SpaceFile,
    Varying,
    explain,
    varies,
    walk,
)
from archsearch.space.source import Path, Source, did_you_mean, dotted, in_file_order, parse_source


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
        return max(possible(self.schema, self.schema.training.epochs))

    @cached_property
    def hash(self) -> str:
        """Sixteen hexadecimal digits of what the file means: comments, layout and description do not count."""
        meaning = _plain(dict(self.schema) | {"description": ""})
        return hashlib.sha256(json.dumps(meaning).encode()).hexdigest()[:16]

    @cached_property
    def parameters(self) -> dict[str, Varying]:
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
    for index, most in halvings(space.schema):
        if most > allowed:
            message = (
                f"images of {task.height}x{task.width} can be halved {allowed} times, and up to here a candidate "
                f"may do it {most} times; expected fewer copies (repeat) or 'downsample: none'"
            )
            raise SpaceError([_problem(space.source, ("stages", index, "downsample"), message)])


# Names and meaning ----------------------------------------------------------------------------------------------------


def _parameter_names(schema: SpaceFile, path: Path) -> list[str]:
    """Names in a study of what stands at `path`: one for each copy of a stage that is drawn for itself."""
    match path:
        case ("let", str(name)):
            return [name]
        case ("stages", int(index), *rest) if rest != ["repeat"]:
            entry = schema.stages[index]
            copies = range(max(possible(schema, entry.repeat)))
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
        for names in settings(space.schema, path, value):
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

"""From a space to a candidate: whoever chooses, chooses through a `Chooser`.

`sample` draws in the order of the language, and only what matters: the fields of a copy that exists and of the option
that was chosen. Fields of a stage are drawn once a copy; an expression is evaluated for every block.
"""

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from math import exp, isqrt, log, sqrt
from typing import Any, Protocol

from pydantic import TypeAdapter

from archsearch.errors import InputError, SpaceError, TrialError
from archsearch.space.architecture import (
    Architecture,
    Augment,
    Block,
    BlockFields,
    Candidate,
    CellNode,
    CellOperation,
    Head,
    Optimizer,
    Recipe,
    Stage,
    Task,
)
from archsearch.space.cost import cost
from archsearch.space.expression import ExpressionError, Number
from archsearch.space.load import Space
from archsearch.space.schema import CellSection, CustomSection, SpaceFile, StageEntry, cell_inputs, resolve
from archsearch.space.source import in_file_order, listed, shown
from archsearch.space.values import Choice, FloatRange, Formula, IntRange, Options, Scalar, Value

__all__ = [
    "Chooser",
    "FixedChooser",
    "RandomChooser",
    "RecordingChooser",
    "Scalar",
    "baseline_candidate",
    "baseline_point",
    "sample",
]

EPOCHS = 10.0
"""Of a candidate whose file leaves them out, where nothing plans them."""

_BLOCK = TypeAdapter[Block](Block)
_OPTIMIZER = TypeAdapter[Optimizer](Optimizer)
_FIXED = (int, float, str)
_cell_inputs = cache(cell_inputs)
_OF_BLOCKS = frozenset(BlockFields.model_fields)
_OF_STAGES = frozenset(Stage.model_fields)


# Who chooses ----------------------------------------------------------------------------------------------------------


class Chooser(Protocol):
    """Gives one value for each name it is asked for."""

    def choice(self, name: str, options: Sequence[Scalar]) -> Scalar:
        """One of `options`, of which there are two or more."""

    def integer(self, name: str, low: int, high: int, step: int = 1, log: bool = False) -> int:
        """A whole number from `low` to `high`, both included, a multiple of `step` above `low`."""

    def real(self, name: str, low: float, high: float, log: bool = False) -> float:
        """A real number from `low` to `high`."""


class RandomChooser:
    """Draws evenly from a generator; by order of magnitude where `log` is true."""

    def __init__(self, generator: random.Random) -> None:
        self._generator = generator

    def choice(self, name: str, options: Sequence[Scalar]) -> Scalar:
        """One of `options`."""
        return self._generator.choice(options)

    def integer(self, name: str, low: int, high: int, step: int = 1, log: bool = False) -> int:
        """A whole number from `low` to `high`, both included."""
        if log:
            return min(max(round(self._spread(low - 0.5, high + 0.5)), low), high)
        return self._generator.randrange(low, high + 1, step)

    def real(self, name: str, low: float, high: float, log: bool = False) -> float:
        """A real number from `low` to `high`."""
        drawn = self._spread(low, high) if log else self._generator.uniform(low, high)
        return min(max(drawn, low), high)

    def _spread(self, low: float, high: float) -> float:
        return exp(self._generator.uniform(log(low), log(high)))


class FixedChooser:
    """Takes values from `point`; for a name that is not there the first option, or the middle of the range.

    The middle of a log range is the geometric one; whole numbers are rounded down, onto the steps of their range.

    Raises:
        InputError: A value of `point` is not an option, or not in the range, that it is asked for.
    """

    def __init__(self, point: Mapping[str, Scalar]) -> None:
        self._point = dict(point)

    def choice(self, name: str, options: Sequence[Scalar]) -> Scalar:
        """The given option, or the first."""
        found = self._point.get(name, options[0])
        if found not in options:
            raise InputError(f"{name}: found {shown(found)}, expected {listed([str(option) for option in options])}")
        return found

    def integer(self, name: str, low: int, high: int, step: int = 1, log: bool = False) -> int:
        """The given number, or the middle."""
        found = self._point.get(name, isqrt(low * high) if log else low + (high - low) // 2 // step * step)
        if not isinstance(found, int) or found not in range(low, high + 1, step):
            raise InputError(f"{name}: found {shown(found)}, expected a whole number from {low} to {high} by {step}")
        return found

    def real(self, name: str, low: float, high: float, log: bool = False) -> float:
        """The given number, or the middle."""
        found = self._point.get(name, sqrt(low) * sqrt(high) if log else (low + high) / 2)
        if isinstance(found, str) or not low <= found <= high:
            raise InputError(f"{name}: found {shown(found)}, expected a number from {low} to {high}")
        return float(found)


class RecordingChooser:
    """Asks `inner` once for each name, and keeps the answers of one candidate in `point`, in the order of asking."""

    def __init__(self, inner: Chooser) -> None:
        self._inner = inner
        self.point: dict[str, Scalar] = {}

    def choice(self, name: str, options: Sequence[Scalar]) -> Scalar:
        """The inner chooser's answer."""
        if name not in self.point:
            self.point[name] = self._inner.choice(name, options)
        return self.point[name]

    def integer(self, name: str, low: int, high: int, step: int = 1, log: bool = False) -> int:
        """The inner chooser's answer."""
        if name not in self.point:
            self.point[name] = self._inner.integer(name, low, high, step, log)
        return int(self.point[name])

    def real(self, name: str, low: float, high: float, log: bool = False) -> float:
        """The inner chooser's answer."""
        if name not in self.point:
            self.point[name] = self._inner.real(name, low, high, log)
        return float(self.point[name])


# What is chosen -------------------------------------------------------------------------------------------------------


def sample(space: Space, chooser: Chooser, task: Task) -> Candidate:
    """One candidate of `space` for `task`.

    The chooser is asked once for each name, whatever is fixed or follows from another value not at all. A candidate
    trains for `EPOCHS` if the file leaves them out; a search has better ones planned.

    Raises:
        TrialError: An expression has no usable value; the message has the values it was evaluated for.
    """
    return _Sampling(space.schema, RecordingChooser(chooser), task).candidate()


def baseline_point(space: Space, task: Task) -> dict[str, Scalar]:
    """All parameters of the baseline and their values, in the order of drawing.

    What the file's `baseline` leaves out is the first option, or the middle of its range, as `FixedChooser` has it.

    Raises:
        TrialError: As `sample`.
    """
    recording = RecordingChooser(FixedChooser(space.baseline))
    sample(space, recording, task)
    return recording.point


def baseline_candidate(space: Space, task: Task) -> Candidate:
    """The baseline, fully decided.

    Raises:
        SpaceError: It breaks limits, all of them at once; or an expression has no usable value for it.
    """
    try:
        candidate = sample(space, FixedChooser(space.baseline), task)
        costs = cost(candidate.architecture)
    except TrialError as error:
        what = f"the baseline cannot be built: {error}"
        raise SpaceError([space.source.problem(("stages",), what, at_key=True)]) from error
    problems = [
        space.source.problem(
            ("limits", name),
            f"found {found:,} in the baseline, the limit is {limit:,}; make the baseline smaller or raise the limit",
            at_key=True,
        )
        for name, limit in space.limits.items()
        if (found := getattr(costs, name)) > limit
    ]
    if problems:
        raise SpaceError(in_file_order(problems))
    return candidate


Names = Mapping[str, Number]
Field = Any | Callable[[Names], Any]
"""A field after drawing: its value, or a function that gives it for what an expression may ask for at that place."""


class _Sampling:
    """One candidate in the making."""

    def __init__(self, schema: SpaceFile, chooser: RecordingChooser, task: Task) -> None:
        self._schema = schema
        self._chooser = chooser  # answers alike when asked again for a name: this is what makes shared copies alike
        self._task = task
        self._names = self._let()

    def candidate(self) -> Candidate:
        augment = self._augment()
        architecture = Architecture(task=self._task, stages=tuple(self._stages()), head=self._head())
        return Candidate(architecture=architecture, recipe=self._recipe(augment))

    def _let(self) -> Names:
        let = self._schema.let
        drawn = {name: self._decide(name, value, {}) for name, value in let.items() if not isinstance(value, Formula)}
        try:
            return resolve(let, drawn)
        except ExpressionError as error:
            raise TrialError(f"let: {error}") from error

    def _augment(self) -> Augment:
        if self._schema.augment is None:
            return Augment()
        largest = dict(vars(self._schema.augment))
        strength = self._decide("augment.strength", largest.pop("strength"))
        if strength == 0:
            return Augment()
        return Augment(**{name: strength * self._decide(f"augment.{name}", value) for name, value in largest.items()})

    def _stages(self) -> Iterator[Stage]:
        count = 0  # of copies so far, empty ones included
        for index, entry in enumerate(self._schema.stages):
            for copy in range(self._decide(f"stages.{index}.repeat", entry.repeat)):
                yield from self._copy(entry, entry.prefix(index, copy), count)
                count += 1

    def _copy(self, entry: StageEntry, prefix: str, stage: int) -> Iterator[Stage]:
        """The stage, or nothing if it has no blocks."""
        names = {**self._names, "stage": stage}
        depth = self._decide(f"{prefix}.depth", entry.depth, names)
        if depth == 0:
            return
        fields: dict[str, Field] = {}
        whole: dict[str, Any] = {}
        for name, value in vars(entry).items():
            if name == "block":
                fields |= self._kind(f"{prefix}.block", value, names)
            elif name in _OF_BLOCKS:
                fields[name] = value if isinstance(value, _FIXED) else self._draw(f"{prefix}.{name}", value)
            elif name in _OF_STAGES:
                whole[name] = value if isinstance(value, _FIXED) else self._decide(f"{prefix}.{name}", value, names)
        later = {name: field for name, field in fields.items() if callable(field)}
        drawn = [fields | _evaluate(later, {**names, "block": block}) for block in range(depth)]
        blocks = tuple(_blocks(drawn))
        yield Stage(blocks=blocks, **whole)

    def _head(self) -> Head:
        head = self._schema.head
        pool = self._decide("head.pool", head.pool)
        hidden = self._decide("head.hidden", head.hidden)
        activation = self._decide("head.activation", head.activation) if hidden else "relu"  # of nothing
        dropout = self._decide("head.dropout", head.dropout)
        return Head(pool=pool, hidden=hidden, activation=activation, dropout=dropout)

    def _recipe(self, augment: Augment) -> Recipe:
        fields = dict(vars(self._schema.training))
        optimizer = _evaluate(self._kind("training.optimizer", fields.pop("optimizer"), self._names), self._names)
        epochs = fields.pop("epochs")
        rest = {name: self._decide(f"training.{name}", value) for name, value in fields.items()}
        rest["epochs"] = EPOCHS if epochs is None else self._decide("training.epochs", epochs)
        return Recipe(augment=augment, optimizer=_OPTIMIZER.validate_python(optimizer), **rest)

    def _kind(self, name: str, value: Value, names: Names) -> dict[str, Field]:
        """The kind of a part, and the fields that exist only with it; `names` are those of the whole copy."""
        kind = self._decide(name, value)
        fields: dict[str, Field] = {"kind": kind}
        match value.sections[kind] if isinstance(value, Options) else ():
            case CellSection() as cell:
                return fields | self._cell(f"{name}.{kind}", cell, names)
            case CustomSection(code=code, options=options):
                drawn = {key: self._draw(f"{name}.{kind}.options.{key}", inner) for key, inner in options.items()}
                return fields | {"code": code, "options": lambda names: _evaluate(drawn, names)}
            case own:
                return fields | {field: self._draw(f"{name}.{kind}.{field}", inner) for field, inner in own}

    def _cell(self, name: str, cell: CellSection, names: Names) -> dict[str, Field]:
        """The graph of a cell, the same for all blocks of a copy."""
        nodes = []
        for node in range(1, self._decide(f"{name}.nodes", cell.nodes, names) + 1):
            inputs = self._decide(f"{name}.inputs.{node}", _cell_inputs(node))
            operation = self._decide(f"{name}.operation.{node}", cell.operation)
            nodes.append(_cell_node(inputs, operation))
        join = self._draw(f"{name}.join", cell.join)
        return {"nodes": tuple(nodes), "join": join}

    def _decide(self, name: str, value: Value, names: Names | None = None) -> Any:
        """Draws `value` and evaluates it at once."""
        field = self._draw(name, value)
        return field(self._names if names is None else names) if callable(field) else field

    def _draw(self, name: str, value: Value) -> Field:
        draw = _DRAW.get(type(value))
        return draw(self._chooser, name, value) if draw else value


def _one_of(chooser: Chooser, name: str, value: Choice[Any] | Options) -> Scalar:
    options = value.options
    return chooser.choice(name, options) if len(options) > 1 else options[0]


def _later(chooser: Chooser, name: str, formula: Formula) -> Callable[[Names], Any]:
    """Waits for the names of its place."""

    def result(names: Names) -> Any:
        try:
            return formula.value(names)
        except ExpressionError as error:
            raise TrialError(f"{name}: {error}") from error

    return result


def _whole(chooser: Chooser, name: str, value: IntRange[int]) -> int:
    low, high = value.ends
    return chooser.integer(name, low, high, value.step, value.log)


def _real(chooser: Chooser, name: str, value: FloatRange[float]) -> float:
    low, high = value.ends
    return chooser.real(name, low, high, value.log)


_DRAW: dict[type, Callable[[Chooser, str, Any], Field]] = {
    Choice: _one_of,
    Options: _one_of,
    IntRange: _whole,
    FloatRange: _real,
    Formula: _later,
}
"""How a value is had of each way to write it; what is not here is fixed."""


@cache
def _cell_node(inputs: str, operation: CellOperation) -> CellNode:
    return CellNode(inputs=tuple(map(int, inputs.split("+"))), operation=operation)


def _evaluate(fields: Mapping[str, Field], names: Names) -> dict[str, Any]:
    return {name: value(names) if callable(value) else value for name, value in fields.items()}


def _blocks(drawn: Sequence[Mapping[str, Any]]) -> Iterator[Block]:
    """Those that are like the one before are the same object: most of them are, and checking takes time."""
    for before, fields in zip([None, *drawn], drawn, strict=False):
        if fields != before:
            block = _BLOCK.validate_python(fields)
        yield block

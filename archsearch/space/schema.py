"""The language itself, as frozen models: which sections a space file has, which fields, and what each may hold.

`SpaceFile.model_json_schema()` is the language's JSON Schema, for editors. What a field may hold comes from
`architecture.py`: whatever a file can say is something a candidate can be.
"""

import keyword
import operator
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass as plain_dataclass
from dataclasses import field
from functools import reduce
from typing import Annotated, Any, Generic, Literal, TypeGuard, TypeVar, get_args

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    GetPydanticSchema,
    PlainValidator,
    Strict,
    StrictBool,
    Tag,
    TypeAdapter,
    ValidationError,
    ValidationInfo,
    WithJsonSchema,
    WrapValidator,
    create_model,
    model_validator,
)
from pydantic.dataclasses import dataclass
from pydantic_core import ErrorDetails

from archsearch.space.architecture import (
    Activation,
    Augment,
    Block,
    BlockFields,
    Count,
    Downsample,
    Filters,
    Fraction,
    Head,
    HeadPool,
    Kernel,
    Norm,
    Optimizer,
    Part,
    Recipe,
    Schedule,
)
from archsearch.space.expression import (
    FUNCTIONS,
    MAX_SIZE,
    Expression,
    ExpressionError,
    Number,
    parse_expression,
)
from archsearch.space.source import Path, did_you_mean, listed, shown

Scalar = int | float | str
T = TypeVar("T")
N = TypeVar("N", bound=float)

# The ways to write a value --------------------------------------------------------------------------------------------

_EMPTY = "the choice is empty; expected at least one option"


def _distinct(options: tuple[T, ...]) -> tuple[T, ...]:
    if not options:
        raise ValueError(_EMPTY)
    for position, option in enumerate(options):
        if option in options[:position]:
            raise ValueError(f"the choice has {shown(option)} twice")
    return options


def _pick(found: Scalar, options: tuple[Any, ...]) -> Scalar:
    equal: list[Scalar] = [option for option in options if option == found]
    if equal:
        return equal[0]
    names = [str(option) for option in options]
    raise ValueError(f"found {shown(found)}, expected {listed(names)}{did_you_mean(str(found), names)}")


def _ascending(kind: str) -> Callable[[tuple[Any, Any]], tuple[Any, Any]]:
    def check(ends: tuple[Any, Any]) -> tuple[Any, Any]:
        if ends[0] >= ends[1]:
            what = "has one value only" if ends[0] == ends[1] else "is upside down"
            raise ValueError(f"{kind} range {what}: found {shown(ends)}, expected low < high")
        return ends

    return check


_WAY = ConfigDict(extra="forbid")


@dataclass(frozen=True, config=_WAY)
class Choice(Generic[T]):
    """`{choice: [16, 32, 64]}`: one of these; at least one, none twice."""

    options: Annotated[tuple[T, ...], Field(alias="choice"), AfterValidator(_distinct)]

    def take(self, found: Scalar) -> Scalar:
        """The option that equals `found`; raises ValueError if there is none."""
        return _pick(found, self.options)


@dataclass(frozen=True, config=_WAY)
class IntRange(Generic[N]):
    """`{int: [low, high]}`: a whole number, both ends included; in steps, or evenly by order of magnitude."""

    ends: Annotated[tuple[N, N], Field(alias="int"), AfterValidator(_ascending("int"))]
    step: Annotated[int, Strict(), Field(ge=1)] = 1
    log: StrictBool = False

    @model_validator(mode="after")
    def _fits(self) -> "IntRange[N]":
        low, high = self.ends
        if self.log and self.step != 1:
            raise ValueError("found step and log; expected one of them")
        if self.log and low < 1:
            raise ValueError(f"a log range begins at 1 or above; found {shown(self.ends)}")
        if over := (high - low) % self.step:
            raise ValueError(
                f"steps of {self.step} from {low} do not reach {high}; expected {high - over} as the upper end"
            )
        return self

    def take(self, found: Scalar) -> Scalar:
        """`found` if it lies in the range; raises ValueError otherwise."""
        low, high = self.ends
        if not isinstance(found, int) or not low <= found <= high or (found - low) % self.step:
            steps = f" in steps of {self.step}" if self.step != 1 else ""
            raise ValueError(f"found {shown(found)}, expected a whole number from {low} to {high}{steps}")
        return found


@dataclass(frozen=True, config=_WAY)
class FloatRange(Generic[N]):
    """`{float: [low, high]}`: a real number, both ends included; evenly, or evenly by order of magnitude."""

    ends: Annotated[tuple[N, N], Field(alias="float"), AfterValidator(_ascending("float"))]
    log: StrictBool = False

    @model_validator(mode="after")
    def _fits(self) -> "FloatRange[N]":
        if self.log and self.ends[0] <= 0:
            raise ValueError(f"a log range begins above 0; found {shown(self.ends)}")
        return self

    def take(self, found: Scalar) -> Scalar:
        """`found` as a float if it lies in the range; raises ValueError otherwise."""
        low, high = self.ends
        if isinstance(found, str) or not low <= found <= high:
            raise ValueError(f"found {shown(found)}, expected a number from {low} to {high}")
        return float(found)


@plain_dataclass(frozen=True)
class Formula:
    """`= width * 2 ** stage`: an expression, and what its value has to be."""

    expression: Expression
    _domain: TypeAdapter[Any] = field(repr=False, compare=False)

    def value(self, names: Mapping[str, Number]) -> Any:
        """Its value for these `names`, of the field's own type: 8.0 is 8 where a whole number is expected.

        Raises:
            ExpressionError: It has no value, or one that the field cannot take.
        """
        found = self.expression.evaluate(names)
        try:
            return self._domain.validate_python(found)
        except ValidationError as error:
            given = self.expression.given(names)
            raise ExpressionError(
                f"'{self.expression.text}' gives {found!r}{given}, {expected(error.errors()[0])}"
            ) from None


@plain_dataclass(frozen=True)
class Options:
    """`{choice: {sgd: {momentum: …}, adam: {}}}`: one of these, and the fields that exist only with it.

    Attributes:
        sections: The fields of each option, in the order of the file.
    """

    sections: Mapping[str, "Section"]

    @property
    def options(self) -> tuple[str, ...]:
        """Names of the options."""
        return tuple(self.sections)

    def take(self, found: Scalar) -> Scalar:
        """`found` if it is an option; raises ValueError otherwise."""
        return _pick(found, self.options)


Varying = Choice[Any] | Options | IntRange[Any] | FloatRange[Any]
Value = Scalar | Formula | Varying


def varies(value: Value) -> TypeGuard[Varying]:
    """Whether there is anything to draw."""
    match value:
        case Choice(options=options) | Options(options=options):
            return len(options) > 1
    return isinstance(value, IntRange | FloatRange)


_WRITTEN = {
    "fixed": "a fixed value",
    "choice": "{choice: […]}",
    "options": "{choice: {…}}",
    "int": "{int: [low, high]}",
    "float": "{float: [low, high]}",
    "expression": "'= expression'",
}
_KEYS = {"choice": ("choice",), "int": ("int", "step", "log"), "float": ("float", "log")}
WAY_KEYS = tuple(_KEYS)


def _way(value: Any) -> str:
    """Which way of writing a value is meant, so that an error speaks of that one and not of all."""
    match value:
        case {"choice": dict()}:
            return "options"
        case dict():
            return next((key for key in WAY_KEYS if key in value), "none of them")
        case list():
            return "none of them"
        case str() if value.startswith("="):
            return "expression"
    return "fixed"


def _one_of(**ways: Any) -> GetPydanticSchema:
    """A field that takes these ways of writing a value."""
    union = reduce(operator.or_, (Annotated[kind, Tag(way)] for way, kind in ways.items()))
    return GetPydanticSchema(lambda _, handler: handler.generate_schema(Annotated[union, Discriminator(_way)]))


def _formula(domain: Any) -> Any:
    """An expression whose value has to be in `domain`."""
    adapter = TypeAdapter[Any](domain)
    read = PlainValidator(
        lambda text: Formula(parse_expression(text), adapter),
        json_schema_input_type=Annotated[str, Field(pattern="^=")],
    )
    return Annotated[Formula, read]


def _takes(domain: Any) -> GetPydanticSchema:
    """A field that takes every way of writing a value which makes sense for its `domain`."""
    kind = get_args(domain)[0]
    if kind not in (int, float):
        return _one_of(fixed=domain, choice=Choice[domain])
    strict = Annotated[domain, Strict()]
    span: dict[str, Any] = {"int": IntRange[strict]} if kind is int else {"float": FloatRange[strict]}
    return _one_of(fixed=strict, choice=Choice[strict], **span, expression=_formula(domain))


def _takes_as(part: type[Part], name: str) -> GetPydanticSchema:
    """A field that takes what `part` allows in its field `name`."""
    info = part.model_fields[name]
    return _takes(Annotated[(info.annotation, *info.metadata)])


# Sections -------------------------------------------------------------------------------------------------------------


class Section(BaseModel):
    """A mapping with fields of its own; iterating gives (field, value) in the order of the language."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    @model_validator(mode="before")
    @classmethod
    def _note_keys(cls, raw: Any, info: ValidationInfo) -> Any:
        """Notes for `explain` which keys this mapping may have; pydantic does not say."""
        if info.context is not None:
            info.context[id(raw)] = tuple(cls.model_fields)
        return raw


def _varying(part: type[Part]) -> dict[str, Any]:
    """The fields of `part` that belong to it alone, each in every way its type allows."""
    return {
        name: (Annotated[Value, _takes_as(part, name)], info.default)
        for name, info in part.model_fields.items()
        if name not in BlockFields.model_fields and name != "kind"
    }


def _kind_of(union: Any) -> GetPydanticSchema:
    """A field that takes one kind of part in `union`, alone or with the fields that exist only with it."""
    parts: dict[str, type[Part]] = {part.model_fields["kind"].default: part for part in get_args(get_args(union)[0])}
    names: Any = Literal[tuple(parts)]
    fields: dict[str, Any] = {
        kind: (create_model(part.__name__, __base__=Section, **_varying(part)), None) for kind, part in parts.items()
    }
    options = create_model("Options", __base__=Section, **fields)
    written = create_model("Choice", __base__=Section, choice=(options, ...))

    def read(raw: Any, handler: Callable[[Any], Any]) -> Options:
        chosen = handler(raw).choice
        if not raw["choice"]:
            raise ValueError(_EMPTY)
        return Options({kind: getattr(chosen, kind) for kind in raw["choice"]})

    return _one_of(fixed=names, choice=Choice[names], options=Annotated[written, WrapValidator(read)])


def _number(value: Any) -> Number:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"found {shown(value)}, expected a number")
    if not abs(value) <= MAX_SIZE:
        raise ValueError(f"found {shown(value)}, expected a number no larger than {MAX_SIZE:g}")
    return value


def _scalar(value: Any) -> Scalar:
    return value if isinstance(value, str) else _number(value)


def _let_name(name: str) -> str:
    if not name.isidentifier() or keyword.iskeyword(name):
        raise ValueError(f"'{name}' cannot be used in an expression; expected letters, digits and _")
    if name in (*FUNCTIONS, *WAY_KEYS, "stage", "block"):
        raise ValueError(f"'{name}' already means something in the language; expected another name")
    return name


def _limit(value: Any) -> int:
    if isinstance(value, str) and (written := re.fullmatch(r"(\d+(?:\.\d+)?)([kKMG])", value)):
        value = round(float(written[1]) * {"K": 10**3, "M": 10**6, "G": 10**9}[written[2].upper()])
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ValueError(f"found {shown(value)}, expected a whole number above 0, such as 300_000 or 20M")
    return value


def _space_name(name: str) -> str:
    if not re.fullmatch(r"\w[\w.-]*", name):
        raise ValueError(
            f"found {shown(name)}, expected letters, digits, '-', '_' and '.' (studies are named after it)"
        )
    return name


_LetNumber = Annotated[Any, PlainValidator(_number), WithJsonSchema({"type": "number"})]
_LetWhole = Annotated[int, Strict(), Field(ge=-MAX_SIZE, le=MAX_SIZE)]
_LetReal = Annotated[float, Strict(), Field(ge=-MAX_SIZE, le=MAX_SIZE)]
_LetValue = Annotated[
    Value,
    _one_of(
        fixed=_LetNumber,
        choice=Choice[_LetNumber],
        int=IntRange[_LetWhole],
        float=FloatRange[_LetReal],
        expression=_formula(_LetNumber),
    ),
]
_Limit = Annotated[
    int,
    PlainValidator(_limit),
    WithJsonSchema(
        {"anyOf": [{"type": "integer", "minimum": 1}, {"type": "string", "pattern": r"^\d+(\.\d+)?[kKMG]$"}]}
    ),
]
_Scalar = Annotated[
    Scalar,
    PlainValidator(_scalar),
    WithJsonSchema({"anyOf": [{"type": "number"}, {"type": "string"}]}),
]
_Depth = Annotated[int, Field(ge=0, le=64)]
_Strength = Annotated[float, Field(ge=0.0, le=1.0)]


class AugmentSection(Section):
    """The largest random change to a training image at strength 1; `strength` scales all of them."""

    strength: Annotated[Value, _takes(_Strength)] = 1.0
    rotate: Annotated[Value, _takes_as(Augment, "rotate")] = 0.0
    shift: Annotated[Value, _takes_as(Augment, "shift")] = 0.0
    zoom: Annotated[Value, _takes_as(Augment, "zoom")] = 0.0
    shear: Annotated[Value, _takes_as(Augment, "shear")] = 0.0


class StageEntry(Section):
    """An entry of `stages`: blocks at one resolution, once or several times over.

    Attributes:
        repeat: How many copies, one after the other.
        share: Whether the copies are alike; otherwise each is drawn for itself.
        depth: Blocks in a copy; a copy with none is left out.
        downsample: How the last block halves height and width.
    """

    repeat: Annotated[Value, _takes(Count)] = 1
    share: StrictBool = False
    depth: Annotated[Value, _takes(_Depth)] = 1
    block: Annotated[Value, _kind_of(Block)] = "conv"
    filters: Annotated[Value, _takes(Filters)]
    kernel: Annotated[Value, _takes(Kernel)] = 3
    activation: Annotated[Value, _takes(Activation)] = "relu"
    norm: Annotated[Value, _takes(Norm)] = "batch"
    downsample: Annotated[Value, _takes(Downsample)] = "none"
    dropout: Annotated[Value, _takes(Fraction)] = 0.0

    def prefix(self, index: int, copy: int) -> str:
        """What the names of a copy's parameters begin with, for entry `index` of the file."""
        alike = self.share or self.repeat == 1
        return f"stages.{index}" if alike else f"stages.{index}.{copy}"


class HeadSection(Section):
    """From the last feature map to class scores; `hidden: 0` is no hidden layer."""

    pool: Annotated[Value, _takes(HeadPool)] = "average"
    hidden: Annotated[Value, _takes_as(Head, "hidden")] = 0
    activation: Annotated[Value, _takes(Activation)] = "relu"
    dropout: Annotated[Value, _takes(Fraction)] = 0.0


class TrainingSection(Section):
    """How every candidate is trained."""

    optimizer: Annotated[Value, _kind_of(Optimizer)] = "adam"
    schedule: Annotated[Value, _takes(Schedule)] = "cosine"
    batch_size: Annotated[Value, _takes_as(Recipe, "batch_size")] = 128
    epochs: Annotated[Value, _takes_as(Recipe, "epochs")] = 10


class Limits(Section):
    """What a candidate may cost; what breaks a limit is never trained. None is no limit."""

    parameters: _Limit | None = None
    flops: _Limit | None = None


class SpaceFile(Section):
    """A whole space file."""

    name: Annotated[str, AfterValidator(_space_name)]
    description: str = ""
    let: dict[Annotated[str, AfterValidator(_let_name)], _LetValue] = {}
    augment: AugmentSection | None = None
    stages: Annotated[tuple[StageEntry, ...], Field(min_length=1)]
    head: HeadSection = HeadSection()
    training: TrainingSection = TrainingSection()
    limits: Limits = Limits()
    baseline: dict[str, _Scalar] = {}


VARYING = ("let", "augment", "stages", "head", "training")
"""Sections with values that are drawn, in the order of drawing."""


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


# What pydantic found, in sentences ------------------------------------------------------------------------------------

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
            ways = re.findall(r"'([^']*)'", context["expected_tags"])
            return f"expected {listed([_WRITTEN[way] for way in ways])}"
        case kind if kind in _EXPECTED:
            return f"expected {_EXPECTED[kind].format(**context)}"
    return error["msg"]


def explain(error: ErrorDetails, parent: Any, keys: Mapping[int, tuple[str, ...]]) -> str | None:
    """The sentence for one of pydantic's errors, or None if it only follows from another one.

    Args:
        error: As `ValidationError.errors()` has it.
        parent: The mapping or list that holds the offending node.
        keys: The context that the file was validated with: allowed keys, by the identity of the mapping.
    """
    name = str(error["loc"][-1]) if error["loc"] else ""
    match error["type"]:
        case "value_error":
            return str(error["ctx"]["error"])
        case "missing" if isinstance(parent, list):
            return f"found {shown(parent)}, expected two numbers, [low, high]"
        case "missing":
            return f"'{name}' is missing, and has no default"
        case "extra_forbidden" | "unexpected_keyword_argument":
            allowed = keys[id(parent)] if id(parent) in keys else _KEYS[str(error["loc"][-2])]
            hint = did_you_mean(name, allowed) or ";"
            return f"unknown key '{name}'{hint} allowed keys are {', '.join(allowed) or 'none'}"
        case "too_short":
            return None if error["input"] else "found nothing, expected at least one entry"
    return f"found {shown(error['input'])}, {expected(error)}"

"""The ways to write a value: fixed, a choice, a choice of options, a range, an expression."""

import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass as plain_dataclass
from dataclasses import field
from functools import reduce
from typing import Annotated, Any, Generic, TypeGuard, TypeVar, get_args

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
    model_validator,
)
from pydantic.dataclasses import dataclass

from archsearch.space.architecture import Part
from archsearch.space.explain import WAY_KEYS, expected
from archsearch.space.expression import Expression, ExpressionError, Number, parse_expression
from archsearch.space.source import Path, did_you_mean, listed, shown

Scalar = int | float | str
T = TypeVar("T")
N = TypeVar("N", bound=float)

MOST_KNOWN = 1_000
"""So many values of an expression are remembered: a search asks for few, and for them again and again."""

EMPTY = "the choice is empty; expected at least one option"


def _distinct(options: tuple[T, ...]) -> tuple[T, ...]:
    if not options:
        raise ValueError(EMPTY)
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


def choice_of(options: tuple[T, ...]) -> Choice[T]:
    """A choice that no file has written."""
    return Choice(choice=options)  # type: ignore[call-arg]  # mypy does not know the alias


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
    _known: dict[tuple[Number | type, ...], Any] = field(default_factory=dict, repr=False, compare=False)

    def value(self, names: Mapping[str, Number]) -> Any:
        """Its value for these `names`, of the field's own type: 8.0 is 8 where a whole number is expected.

        Raises:
            ExpressionError: It has no value, or one that the field cannot take.
        """
        given = [names[name] for name in self.expression.names]
        asked = (*given, *map(type, given))  # 2 and 2.0 are equal, but 9 // 2 and 9 // 2.0 are not alike
        if asked in self._known:
            return self._known[asked]
        found = self._work_out(names)
        if len(self._known) < MOST_KNOWN:
            self._known[asked] = found
        return found

    def _work_out(self, names: Mapping[str, Number]) -> Any:
        found = self.expression.evaluate(names)
        try:
            return self._domain.validate_python(found)
        except ValidationError as error:
            given = self.expression.given(names)
            raise ExpressionError(
                f"'{self.expression.text}' gives {found!r}{given}, {expected(error.errors()[0])}"
            ) from None


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


@plain_dataclass(frozen=True)
class Options:
    """`{choice: {sgd: {momentum: …}, adam: {}}}`: one of these, and the fields that exist only with it.

    Attributes:
        sections: The fields of each option, in the order of the file.
        inside: Where in the file they stand, seen from the field: under `choice`, or at once if there is one only.
    """

    sections: Mapping[str, Section]
    inside: Path = field(default=("choice",), compare=False)

    @property
    def options(self) -> tuple[str, ...]:
        """Names of the options."""
        return tuple(self.sections)

    def take(self, found: Scalar) -> Scalar:
        """`found` if it is an option; raises ValueError otherwise."""
        return _pick(found, self.options)


Varying = Choice[Any] | Options | IntRange[Any] | FloatRange[Any]
Value = Scalar | Formula | Varying


def names_in(value: Value) -> frozenset[str]:
    """The names that `value` follows from; none unless it is an expression."""
    return value.expression.names if isinstance(value, Formula) else frozenset()


def options_of(value: Value, names: Mapping[str, Number]) -> Sequence[Any]:
    """All that can be drawn for `value` under these `names`, one by one; none if an expression has no value there."""
    match value:
        case Choice(options=options) | Options(options=options):
            return options
        case IntRange(ends=(low, high), step=step):
            return range(low, high + 1, step)
        case Formula():
            try:
                return (value.value(names),)
            except ExpressionError:
                return ()
    return (value,)


def varies(value: Value) -> TypeGuard[Varying]:
    """Whether there is anything to draw."""
    match value:
        case Choice(options=options) | Options(options=options):
            return len(options) > 1
    return isinstance(value, IntRange | FloatRange)


def _way(value: Any, kinds: tuple[str, ...]) -> str:
    """Which way of writing a value is meant, so that an error speaks of that one and not of all."""
    match value:
        case {"choice": dict()}:
            return "options"
        case dict():
            ways = (key for key in WAY_KEYS if key in value)
            return next(ways, "kind" if any(kind in value for kind in kinds) else "none of them")
        case list():
            return "none of them"
        case str() if value.startswith("="):
            return "expression"
    return "fixed"


def one_of(kinds: tuple[str, ...] = (), **ways: Any) -> GetPydanticSchema:
    """A field that takes these ways of writing a value; `kinds` are the keys of the way `kind`."""
    union = reduce(operator.or_, (Annotated[kind, Tag(way)] for way, kind in ways.items()))
    way = Discriminator(lambda value: _way(value, kinds))
    return GetPydanticSchema(lambda _, handler: handler.generate_schema(Annotated[union, way]))


def formula(domain: Any) -> Any:
    """An expression whose value has to be in `domain`."""
    adapter = TypeAdapter[Any](domain)
    read = PlainValidator(
        lambda text: Formula(parse_expression(text), adapter),
        json_schema_input_type=Annotated[str, Field(pattern="^=")],
    )
    return Annotated[Formula, read]


def takes(domain: Any) -> GetPydanticSchema:
    """A field that takes every way of writing a value which makes sense for its `domain`."""
    kind = get_args(domain)[0]
    if kind not in (int, float):
        return one_of(fixed=domain, choice=Choice[domain])
    strict = Annotated[domain, Strict()]
    span: dict[str, Any] = {"int": IntRange[strict]} if kind is int else {"float": FloatRange[strict]}
    return one_of(fixed=strict, choice=Choice[strict], **span, expression=formula(domain))


def takes_as(part: type[Part], name: str) -> GetPydanticSchema:
    """A field that takes what `part` allows in its field `name`."""
    info = part.model_fields[name]
    return takes(Annotated[(info.annotation, *info.metadata)])

"""The language itself, as frozen models: which sections a space file has, which fields, and what each may hold.

`SpaceFile.model_json_schema()` is the language's JSON Schema, for editors. What a field may hold comes from
`architecture.py`: whatever a file can say is something a candidate can be.
"""

import keyword
import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Annotated, Any, Literal, get_args

from pydantic import (
    AfterValidator,
    Field,
    GetPydanticSchema,
    PlainValidator,
    Strict,
    StrictBool,
    WithJsonSchema,
    WrapValidator,
    create_model,
    model_validator,
)

from archsearch.space.architecture import (
    Activation,
    Augment,
    Block,
    BlockFields,
    Cell,
    CellOperation,
    ClassWeights,
    Count,
    Custom,
    Downsample,
    Filters,
    Fraction,
    Head,
    HeadPool,
    Heads,
    Join,
    Kernel,
    Norm,
    Optimizer,
    Part,
    Recipe,
    Schedule,
    Share,
    Skip,
    code_reference,
)
from archsearch.space.explain import WAY_KEYS
from archsearch.space.expression import FUNCTIONS, MAX_SIZE, Number
from archsearch.space.source import Path, listed, shown
from archsearch.space.values import (
    EMPTY,
    Choice,
    FloatRange,
    IntRange,
    Options,
    Scalar,
    Section,
    Value,
    choice_of,
    formula,
    names_in,
    one_of,
    takes,
    takes_as,
)


def _number(value: Any) -> Number:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"found {shown(value)}, expected a number")
    if not abs(value) <= MAX_SIZE:
        raise ValueError(f"found {shown(value)}, expected a number no larger than {MAX_SIZE:g}")
    return value


def _scalar(value: Any) -> Scalar:
    return value if isinstance(value, str) else _number(value)


def _let_name(name: str) -> str:
    # Python reads some letters as others: the ligature in 'ﬁ' as two.
    if not name.isidentifier() or keyword.iskeyword(name) or unicodedata.normalize("NFKC", name) != name:
        raise ValueError(f"'{name}' cannot be used in an expression; expected letters, digits and _")
    if name in (*FUNCTIONS, *WAY_KEYS, "stage", "block"):
        raise ValueError(f"'{name}' already means something in the language; expected another name")
    return name


def _limit(value: Any) -> int:
    if isinstance(value, str) and (written := re.fullmatch(r"(\d+(?:\.\d+)?)([kKMG])", value)):
        value = round(float(written[1]) * {"K": 10**3, "M": 10**6, "G": 10**9}[written[2].upper()])
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ValueError(f"found {shown(value)}, expected a whole number above 0, such as 300_000 or 20M")
    return value


def _space_name(name: str) -> str:
    if not re.fullmatch(r"\w[\w.-]*", name):
        raise ValueError(f"found {shown(name)}, expected letters, digits, '-', '_' and '.' (reports show it)")
    return name


_LetNumber = Annotated[Any, PlainValidator(_number), WithJsonSchema({"type": "number"})]
_LetScalar = Annotated[Any, PlainValidator(_scalar), WithJsonSchema({"type": ["number", "string"]})]
_LetWhole = Annotated[int, Strict(), Field(ge=-MAX_SIZE, le=MAX_SIZE)]
_LetReal = Annotated[float, Strict(), Field(ge=-MAX_SIZE, le=MAX_SIZE)]
_LetValue = Annotated[
    Value,
    one_of(
        fixed=_LetNumber,
        choice=Choice[_LetNumber],
        int=IntRange[_LetWhole],
        float=FloatRange[_LetReal],
        expression=formula(_LetNumber),
    ),
]
_Limit = Annotated[
    int,
    PlainValidator(_limit),
    WithJsonSchema(
        {"anyOf": [{"type": "integer", "minimum": 1}, {"type": "string", "pattern": r"^\d+(\.\d+)?[kKMG]$"}]}
    ),
]
_OPTION = one_of(
    fixed=_LetScalar,
    choice=Choice[_LetScalar],
    int=IntRange[_LetWhole],
    float=FloatRange[_LetReal],
    expression=formula(_LetNumber),
)
_Scalar = Annotated[
    Scalar,
    PlainValidator(_scalar),
    WithJsonSchema({"anyOf": [{"type": "number"}, {"type": "string"}]}),
]
_Depth = Annotated[int, Field(ge=0, le=64)]


def _varying(part: type[Part]) -> dict[str, Any]:
    """The fields of `part` that belong to it alone, each in every way its type allows."""
    return {
        name: (Annotated[Value, takes_as(part, name)], info.default)
        for name, info in part.model_fields.items()
        if name not in BlockFields.model_fields and name != "kind"
    }


MOST_NODES = 8
"""Of a cell."""


class CellSection(Section):
    """A small graph whose nodes choose what they read and do (Zoph et al. 2017, https://arxiv.org/abs/1707.07012).

    Attributes:
        nodes: How many.
        operation: What a node does.
        join: How a node's inputs are joined, and, at the end, the features that no node has read.
    """

    nodes: Annotated[Value, takes(Annotated[int, Field(ge=1, le=MOST_NODES)])] = 3
    operation: Annotated[Value, takes(CellOperation)] = choice_of(get_args(CellOperation))
    join: Annotated[Value, takes(Join)] = "sum"


def cell_inputs(node: int) -> Choice[str]:
    """What a cell's node, counted from 1, may read: one or two features, such as `2` or `0+2`, where 0 is the input."""
    earlier = range(node - 1, -1, -1)
    options = (*map(str, earlier), *(f"{first}+{second}" for second in earlier for first in range(second)))
    return choice_of(options)


class CustomSection(Section):
    """A block that a function in Python code makes; `custom: blocks.py:ghost` is short for `custom: {code: …}`.

    Attributes:
        code: `module:function`, or `file.py:function` beside the space file.
        options: What the function finds in `block.options`; any names, any values.
    """

    code: Annotated[str, AfterValidator(code_reference)]
    options: dict[str, Annotated[Value, _OPTION]] = Field(default={})

    @model_validator(mode="before")
    @classmethod
    def _short(cls, raw: Any) -> Any:
        return {"code": raw} if isinstance(raw, str) else raw


_OWN_SECTIONS: dict[type[Part], type[Section]] = {Cell: CellSection, Custom: CustomSection}
"""Kinds whose section says more, or less, than the fields of the part."""


def _kind_of(union: Any) -> GetPydanticSchema:
    """A field that takes one kind of part in `union`, alone or with the fields that exist only with it."""
    parts: dict[str, type[Part]] = {part.model_fields["kind"].default: part for part in get_args(get_args(union)[0])}
    names: Any = Literal[tuple(kind for kind, part in parts.items() if part is not Custom)]
    sections = {
        kind: _OWN_SECTIONS.get(part) or create_model(part.__name__, __base__=Section, **_varying(part))
        for kind, part in parts.items()
    }
    for kind, section in sections.items():
        for name in section.model_fields:
            OPTIONS_OF.setdefault(name, []).append(kind)
    fields: dict[str, Any] = {kind: (section, None) for kind, section in sections.items()}
    options = create_model("Options", __base__=Section, **fields)
    written = create_model("Choice", __base__=Section, choice=(options, ...))

    def spelled_out(value: Any) -> Any:
        """A cell has values to draw even where nothing is said of it."""
        kinds = value.options if isinstance(value, Choice) else (value,)
        if Cell.model_fields["kind"].default not in kinds:
            return value
        return Options({kind: sections[kind]() for kind in kinds}, inside=())

    def read(raw: Any, handler: Callable[[Any], Any]) -> Options:
        chosen = handler(raw).choice
        if not raw["choice"]:
            raise ValueError(EMPTY)
        return Options({kind: getattr(chosen, kind) for kind in raw["choice"]}, inside=("choice",))

    def read_one(raw: Any, handler: Callable[[Any], Any]) -> Options:
        chosen = handler(raw)
        if len(raw) != 1:
            found = listed(list(raw), "and")
            raise ValueError(f"found {found}, expected one of them, or {{choice: {{…}}}} around them")
        return Options({kind: getattr(chosen, kind) for kind in raw}, inside=())

    return one_of(
        kinds=tuple(parts),
        fixed=Annotated[names, AfterValidator(spelled_out)],
        choice=Annotated[Choice[names], AfterValidator(spelled_out)],
        options=Annotated[written, WrapValidator(read)],
        kind=Annotated[options, WrapValidator(read_one)],
    )


OPTIONS_OF: dict[str, list[str]] = {}
"""By the name of an option, the blocks and optimizers that have it."""


class AugmentSection(Section):
    """The largest random change to a training image at strength 1; `strength` scales all of them.

    Attributes:
        strength: What the others are multiplied by; 0 is no augmentation.
    """

    strength: Annotated[Value, takes(Share)] = 1.0
    rotate: Annotated[Value, takes_as(Augment, "rotate")] = 0.0
    shift: Annotated[Value, takes_as(Augment, "shift")] = 0.0
    zoom: Annotated[Value, takes_as(Augment, "zoom")] = 0.0
    shear: Annotated[Value, takes_as(Augment, "shear")] = 0.0
    flip: Annotated[Value, takes_as(Augment, "flip")] = 0.0
    cutout: Annotated[Value, takes_as(Augment, "cutout")] = 0.0
    erase: Annotated[Value, takes_as(Augment, "erase")] = 0.0
    mixup: Annotated[Value, takes_as(Augment, "mixup")] = 0.0


class StageEntry(Section):
    """An entry of `stages`: blocks at one resolution, once or several times over.

    Attributes:
        repeat: How many copies, one after the other.
        share: Whether the copies are alike; otherwise each is drawn for itself.
        depth: Blocks in a copy; a copy with none is left out.
        block: The kind of all blocks in a copy.
        filters: Channels that a block gives; may differ from block to block by an expression.
        kernel: Side of the convolutions' windows, in pixels.
        activation: Behind each norm.
        norm: Normalisation behind each convolution.
        downsample: How the last block halves height and width: a pool, its own stride, or one more convolution.
        dropout: Share of values that are zeroed in training, behind each block.
        attention: Heads of self-attention behind the blocks; 0 is none.
        skip: How what goes into a copy joins what comes out of it.
    """

    repeat: Annotated[Value, takes(Count)] = 1
    share: StrictBool = False
    depth: Annotated[Value, takes(_Depth)] = 1
    block: Annotated[Value, _kind_of(Block)] = "conv"
    filters: Annotated[Value, takes(Filters)]
    kernel: Annotated[Value, takes(Kernel)] = 3
    activation: Annotated[Value, takes(Activation)] = "relu"
    norm: Annotated[Value, takes(Norm)] = "batch"
    downsample: Annotated[Value, takes(Downsample)] = "none"
    dropout: Annotated[Value, takes(Fraction)] = 0.0
    attention: Annotated[Value, takes(Heads)] = 0
    skip: Annotated[Value, takes(Skip)] = "none"

    def prefix(self, index: int, copy: int) -> str:
        """What the names of a copy's parameters begin with, for entry `index` of the file."""
        alike = self.share or self.repeat == 1
        return f"stages.{index}" if alike else f"stages.{index}.{copy}"


class HeadSection(Section):
    """From the last feature map to class scores; `hidden: 0` is no hidden layer."""

    pool: Annotated[Value, takes(HeadPool)] = "average"
    hidden: Annotated[Value, takes_as(Head, "hidden")] = 0
    activation: Annotated[Value, takes(Activation)] = "relu"
    dropout: Annotated[Value, takes(Fraction)] = 0.0


_Epochs = Annotated[int, Field(ge=1, le=10000)]


class TrainingSection(Section):
    """How every candidate is trained.

    Attributes:
        epochs: Passes over the training images of one fold; left out, a search plans them for its time and data.
    """

    optimizer: Annotated[Value, _kind_of(Optimizer)] = "adam"
    schedule: Annotated[Value, takes(Schedule)] = "cosine"
    warmup: Annotated[Value, takes_as(Recipe, "warmup")] = 0.0
    label_smoothing: Annotated[Value, takes_as(Recipe, "label_smoothing")] = 0.0
    class_weights: Annotated[Value, takes(ClassWeights)] = "none"
    batch_size: Annotated[Value, takes_as(Recipe, "batch_size")] = 128
    epochs: Annotated[Value | None, takes(_Epochs)] = None


class Limits(Section):
    """What a candidate may cost; what breaks a limit is never trained.

    Attributes:
        parameters: As Keras counts them, such as `300_000`, `300k` or `1.5M`.
        flops: Operations for one image, a multiply-add being two, such as `20M` or `1G`.
    """

    parameters: _Limit | None = None
    flops: _Limit | None = None


MOST_ENTRIES = 64
"""Of `let` and of `stages`: the checks of a file go through what its entries can be together."""


class SpaceFile(Section):
    """A whole space file.

    Attributes:
        name: Letters, digits, `-`, `_` and `.`; reports show it.
        description: A line for people.
        let: Values that are drawn once, by the names that expressions know them by.
        augment: Random changes to training images; without this section there are none.
        stages: Blocks, from the image to the last feature map.
        head: From there to class scores.
        training: How every candidate is trained.
        limits: What a candidate may cost.
        baseline: Values of the first candidate, by the names of parameters.
    """

    name: Annotated[str, AfterValidator(_space_name)]
    description: str = ""
    let: dict[Annotated[str, AfterValidator(_let_name)], _LetValue] = Field(default={}, max_length=MOST_ENTRIES)
    augment: AugmentSection | None = None
    stages: Annotated[tuple[StageEntry, ...], Field(min_length=1, max_length=MOST_ENTRIES)]
    head: HeadSection = HeadSection()
    training: TrainingSection = TrainingSection()
    limits: Limits = Limits()
    baseline: dict[str, _Scalar] = Field(default={})


ONCE_A_COPY = ("depth", "attention", "nodes")
"""Fields of a stage that are worked out once a copy: their expressions know `stage`, and not `block`."""


def known_names(path: Path, let: Iterable[str]) -> tuple[str, ...]:
    """The names that an expression at `path` of a file may use, given those of `let`."""
    match path:
        case ("stages", int(), "repeat", *_):
            return tuple(let)
        case ("stages", int(), str(), *_):
            return (*let, "stage") if path[-1] in ONCE_A_COPY else (*let, "stage", "block")
    return tuple(let)


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
        case Options(sections=sections, inside=inside):
            yield path, node
            path, below = (*path, *inside), sections.items()
        case None:
            return
        case _:
            yield path, node
            return
    for step, child in below:
        yield from _walk(child, (*path, step))


def causes(let: Mapping[str, Value], names: Iterable[str]) -> tuple[str, ...]:
    """Those of `names` that are in `let`, and all that they follow from, in the order of the file."""
    found: set[str] = set()
    waiting = [name for name in names if name in let]
    while waiting:
        name = waiting.pop()
        found.add(name)
        waiting += names_in(let[name]) - found
    return tuple(name for name in let if name in found)


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

"""An architecture and its recipe in words: a table, a line. Plain data, for a terminal to draw."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from archsearch.space.architecture import Architecture, Block, Cell, Head, Recipe, Stage
from archsearch.space.network import Node, lower


@dataclass(frozen=True)
class Row:
    """A stage of an architecture, or its head.

    Attributes:
        part: `stage 1`, or `head`.
        blocks: `2 x residual` and the options that only such blocks have; of the head, what it does.
        filters: Of the blocks, in their order; empty for the head.
        kernel: Of the blocks; empty for the head.
        downsample: How height and width are halved at the end; empty if they are not.
        shape: Of what comes out, for one image: `14x14x32`.
        parameters, flops: Of all that is in the row.
    """

    part: str
    blocks: str
    filters: str
    kernel: str
    downsample: str
    shape: str
    parameters: int
    flops: int


def rows(architecture: Architecture) -> list[Row]:
    """An architecture as a table: a row a stage, and one for the head."""
    nodes = lower(architecture).nodes
    found = []
    for number, stage in enumerate(architecture.stages, start=1):
        own = [node for node in nodes if node.name.startswith(f"stage{number}_")]
        found.append(
            Row(
                f"stage {number}",
                "; ".join([*_runs(map(_block, stage.blocks)), *_options(stage)]),
                ", ".join(_unlike(str(block.filters) for block in stage.blocks)),
                ", ".join(_unlike(str(block.kernel) for block in stage.blocks)),
                "" if stage.downsample == "none" else stage.downsample,
                *_result(own),
            )
        )
    own = [node for node in nodes if node.name.startswith("head_")]
    return [*found, Row("head", _head(architecture.head), "", "", "", *_result(own))]


def outline(architecture: Architecture) -> str:
    """An architecture in one line: `2 x conv 16 | residual 32 (dropout 0.12) | average, 64 units, relu`."""
    stages = (
        ", ".join(_runs(_block(block, with_filters=True) for block in stage.blocks)) for stage in architecture.stages
    )
    return " | ".join([*stages, _head(architecture.head)])


def recipe_line(recipe: Recipe) -> str:
    """A recipe in one line: `adam, learning rate 0.012; cosine, batches of 64, 20 epochs; rotate 7.1, shift 0.06`."""
    optimizer = [recipe.optimizer.kind, *_settings(recipe.optimizer.model_dump(exclude={"kind"}))]
    apart = {"augment", "optimizer", "schedule", "batch_size", "epochs"}
    training = [
        recipe.schedule,
        f"batches of {recipe.batch_size}",
        f"{recipe.epochs:g} epochs",
        *_settings(recipe.model_dump(exclude=apart)),
    ]
    augment = list(_settings(recipe.augment.model_dump())) or ["no augmentation"]
    return "; ".join(map(", ".join, (optimizer, training, augment)))


def _result(nodes: Sequence[Node]) -> tuple[str, int, int]:
    shape = "x".join(map(str, nodes[-1].shape))
    return shape, sum(node.parameters for node in nodes), sum(node.flops for node in nodes)


def _runs(words: Iterable[str]) -> Iterator[str]:
    """Equal neighbours as one."""
    for word, run in groupby(words):
        count = len(list(run))
        yield word if count == 1 else f"{count} x {word}"


_USUAL = {"activation": "relu", "norm": "batch"}
"""Not worth saying."""


def _block(block: Block, with_filters: bool = False) -> str:
    name = block.kind.replace("_", " ") + (f" {block.filters}" if with_filters else "")
    if isinstance(block, Cell):
        nodes = (f"{node.operation} of {'+'.join(map(str, node.inputs))}" for node in block.nodes)
        return f"{name} ({', '.join(nodes)}; {block.join})"
    settings = block.model_dump(exclude={"kind", "filters", "kernel"}).items()
    unusual = ", ".join(_setting(key, value) for key, value in settings if value and value != _USUAL.get(key))
    return f"{name} ({unusual})" if unusual else name


def _options(stage: Stage) -> Iterator[str]:
    if stage.attention:
        yield f"attention, {stage.attention} head{'s' * (stage.attention > 1)}"
    if stage.skip != "none":
        yield f"skip: {stage.skip}"


def _head(head: Head) -> str:
    words: list[str] = [head.pool]
    if head.hidden:
        words.append(f"{head.hidden} units, {head.activation}")
    if head.dropout:
        words.append(f"dropout {head.dropout:.2g}")
    return ", ".join(words)


def _unlike(words: Iterable[str]) -> list[str]:
    return [word for word, _ in groupby(words)]


def _settings(fields: Mapping[str, Any]) -> Iterator[str]:
    """Those that are switched on."""
    return (_setting(name, value) for name, value in fields.items() if value not in (0, "none"))


def _setting(name: str, value: Any) -> str:
    named = name.replace("_", " ")
    return f"{named} {value:.2g}" if isinstance(value, float) else f"{named} {value}"

"""Small candidates to build, train and count."""

from typing import Any

from archsearch.space.architecture import (
    Adam,
    Architecture,
    Augment,
    Block,
    Candidate,
    Cell,
    CellNode,
    Conv,
    ConvNeXt,
    DenseBlock,
    Head,
    Inverted,
    Recipe,
    Residual,
    Separable,
    Stage,
    Task,
)
from archsearch.space.hyper import HyperCandidate

BLOCK_CLASSES: dict[str, type[Conv | Residual | Separable | Inverted | ConvNeXt | DenseBlock | Cell]] = {
    "conv": Conv,
    "residual": Residual,
    "separable": Separable,
    "inverted": Inverted,
    "convnext": ConvNeXt,
    "dense_block": DenseBlock,
    "cell": Cell,
}

NODES = (
    CellNode(inputs=(0,), operation="conv"),
    CellNode(inputs=(0, 1), operation="separable"),
    CellNode(inputs=(0, 1), operation="max"),
    CellNode(inputs=(2,), operation="identity"),
)
"""Of a cell, where nothing else is said."""


def block(kind: str = "conv", **changes: Any) -> Block:
    fields: dict[str, Any] = {"filters": 8, "kernel": 3, "activation": "relu", "norm": "batch", "dropout": 0.0}
    if kind == "cell":
        fields["nodes"] = NODES
    return BLOCK_CLASSES[kind](**(fields | changes))


def architecture(*stages: Stage, side: int = 8, channels: int = 1, classes: int = 10, **head: Any) -> Architecture:
    fields: dict[str, Any] = {"pool": "flatten", "hidden": 0, "activation": "relu", "dropout": 0.0}
    return Architecture(
        task=Task.model_validate({"height": side, "width": side, "channels": channels, "classes": classes}),
        stages=stages or (Stage(blocks=(block(),), downsample="max"),),
        head=Head(**(fields | head)),
    )


def drawn_from_a_space(found: Candidate | HyperCandidate) -> Candidate:
    """`found`, where it can be nothing else."""
    assert isinstance(found, Candidate)
    return found


def candidate(network: Architecture | None = None, **recipe: Any) -> Candidate:
    fields: dict[str, Any] = {
        "augment": Augment(),
        "optimizer": Adam(learning_rate=1e-2),
        "schedule": "cosine",
        "batch_size": 64,
        "epochs": 4,
    }
    return Candidate(architecture=network or architecture(), recipe=Recipe(**(fields | recipe)))

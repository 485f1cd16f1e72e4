"""Small candidates to build, train and count."""

from typing import Any

from archsearch.space.architecture import (
    Adam,
    Architecture,
    Augment,
    Block,
    Candidate,
    Conv,
    DenseBlock,
    Head,
    Inverted,
    Recipe,
    Residual,
    Separable,
    Stage,
    Task,
)

BLOCK_CLASSES: dict[str, type[Conv | Residual | Separable | Inverted | DenseBlock]] = {
    "conv": Conv,
    "residual": Residual,
    "separable": Separable,
    "inverted": Inverted,
    "dense_block": DenseBlock,
}


def block(kind: str = "conv", **changes: Any) -> Block:
    fields: dict[str, Any] = {"filters": 8, "kernel": 3, "activation": "relu", "norm": "batch", "dropout": 0.0}
    return BLOCK_CLASSES[kind](**(fields | changes))


def architecture(*stages: Stage, side: int = 8, channels: int = 1, classes: int = 10, **head: Any) -> Architecture:
    fields: dict[str, Any] = {"pool": "flatten", "hidden": 0, "activation": "relu", "dropout": 0.0}
    return Architecture(
        task=Task.model_validate({"height": side, "width": side, "channels": channels, "classes": classes}),
        stages=stages or (Stage(blocks=(block(),), downsample="max"),),
        head=Head(**(fields | head)),
    )


def candidate(network: Architecture | None = None, **recipe: Any) -> Candidate:
    fields: dict[str, Any] = {
        "augment": Augment(),
        "optimizer": Adam(learning_rate=1e-2),
        "schedule": "cosine",
        "batch_size": 64,
        "epochs": 4,
    }
    return Candidate(architecture=network or architecture(), recipe=Recipe(**(fields | recipe)))

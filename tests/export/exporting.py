"""Models to export that take no training, and what goes with them."""

from pathlib import Path

import keras
import numpy as np

from archsearch.export.description import Description
from archsearch.export.formats import WHOLE, Order
from archsearch.export.runtimes import Pixels
from archsearch.model.build import build
from archsearch.space.architecture import Architecture

CLASSES = ("zero", "one <b>", "två")


def random_model(architecture: Architecture, seed: int = 0) -> keras.Model:
    """A model whose every weight is drawn, those that batch normalisation learns included."""
    chance = np.random.default_rng(seed)
    model = build(architecture)
    # Moving variances have to be positive, and answers unsure: a model that is sure hides what differs.
    drawn = [chance.uniform(0.02, 0.3, weights.shape) for weights in model.get_weights()]
    signs = [1 if "variance" in weight.path else chance.choice([-1, 1], weight.shape) for weight in model.weights]
    model.set_weights([sign * weights for sign, weights in zip(signs, drawn, strict=True)])
    return model


def pixels(count: int, *shape: int, seed: int = 1) -> Pixels:
    """Images (count, *shape) uint8."""
    return np.random.default_rng(seed).integers(0, 256, (count, *shape)).astype(np.uint8)


def described(model: keras.Model, **changes: object) -> Description:
    """As `model` is, with names for its classes."""
    _, height, width, channels = model.input_shape
    names = tuple(f"class {number}" for number in range(model.output_shape[-1]))
    fields: dict[str, object] = {"classes": names, "height": height, "width": width, "channels": channels}
    return Description(**(fields | changes))  # type: ignore[arg-type]


def order(model: keras.Model, path: Path, numbers: str = WHOLE, **changes: object) -> Order:
    """To write it to `path`."""
    return Order(model, described(model, **changes), path, numbers, pixels(20, *model.input_shape[1:]))

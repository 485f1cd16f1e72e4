"""From an architecture to a Keras model."""

from collections.abc import Callable
from typing import Any

import keras

from archsearch.model.norm import FusedBatchNormalization
from archsearch.space import layers as plain
from archsearch.space.architecture import Architecture
from archsearch.space.network import lower


def build(architecture: Architecture, norm_momentum: float = 0.99) -> keras.Model:
    """The model that is saved and shipped: standard layers only.

    Args:
        architecture: What to build.
        norm_momentum: Of the moving averages of batch normalisation, 0 to 1; matters only in training.

    Returns:
        A model from raw pixels (N, height, width, channels), 0 to 255, to class probabilities (N, classes) float32.
    """
    inputs, scores = _assemble(architecture, keras.layers.BatchNormalization, norm_momentum)
    return keras.Model(inputs, keras.layers.Softmax(name="probabilities")(scores), name="archsearch")


def build_for_training(architecture: Architecture, norm_momentum: float) -> keras.Model:
    """The same network as `build`'s, weight for weight, made to train fast; it gives logits (N, classes) float32."""
    inputs, scores = _assemble(architecture, FusedBatchNormalization, norm_momentum)
    return keras.Model(inputs, scores, name="archsearch_training")


def _assemble(architecture: Architecture, batch_norm: type[keras.layers.Layer], momentum: float) -> tuple[Any, Any]:
    tensors: list[Any] = []
    for node in lower(architecture).nodes:
        if isinstance(node.layer, plain.Input):
            tensors.append(keras.Input(node.shape, name="image"))
        elif isinstance(node.layer, plain.Norm) and node.layer.kind == "batch":
            tensors.append(batch_norm(momentum=momentum, name=node.name)(tensors[node.inputs[0]]))
        else:
            layer = KERAS[type(node.layer)](node.layer, node.shape, node.name)
            sources = [tensors[i] for i in node.inputs]
            tensors.append(layer(sources if len(sources) > 1 else sources[0]))
    return tensors[0], tensors[-1]


def _norm(layer: plain.Norm, shape: plain.Shape, name: str) -> keras.layers.Layer:
    if layer.kind == "layer":
        return keras.layers.LayerNormalization(name=name)
    return keras.layers.GroupNormalization(plain.Norm.groups(shape[-1]), name=name)


def _pool(layer: plain.Pool, shape: plain.Shape, name: str) -> keras.layers.Layer:
    pools = {"max": keras.layers.MaxPooling2D, "average": keras.layers.AveragePooling2D}
    return pools[layer.kind](layer.window, layer.stride, padding="same", name=name)


def _global_pool(layer: plain.GlobalPool, shape: plain.Shape, name: str) -> keras.layers.Layer:
    pools = {"max": keras.layers.GlobalMaxPooling2D, "average": keras.layers.GlobalAveragePooling2D}
    return pools[layer.kind](keepdims=True, name=name)


def _attention(layer: plain.SelfAttention, shape: plain.Shape, name: str) -> Callable[[Any], Any]:
    attention = keras.layers.MultiHeadAttention(layer.heads, layer.size, attention_axes=(1, 2), name=name)
    return lambda x: attention(x, x)


KERAS: dict[type, Callable[[Any, plain.Shape, str], Callable[[Any], Any]]] = {
    plain.Rescale: lambda layer, shape, name: keras.layers.Rescaling(1 / 255, name=name),
    plain.Conv: lambda layer, shape, name: keras.layers.Conv2D(
        layer.filters,
        layer.kernel,
        layer.stride,
        padding="same",
        use_bias=layer.bias,
        kernel_initializer="he_normal",
        name=name,
    ),
    plain.Depthwise: lambda layer, shape, name: keras.layers.DepthwiseConv2D(
        layer.kernel, layer.stride, padding="same", use_bias=layer.bias, depthwise_initializer="he_normal", name=name
    ),
    plain.SelfAttention: _attention,
    plain.Norm: _norm,
    plain.Activation: lambda layer, shape, name: keras.layers.Activation(layer.function, name=name),
    plain.Pool: _pool,
    plain.GlobalPool: _global_pool,
    plain.Flatten: lambda layer, shape, name: keras.layers.Flatten(name=name),
    plain.Dropout: lambda layer, shape, name: keras.layers.Dropout(layer.rate, name=name),
    # A noise of one value an image: it zeroes all of the image's features, or none.
    plain.DropPath: lambda layer, shape, name: keras.layers.Dropout(layer.rate, (None, 1, 1, 1), name=name),
    plain.Add: lambda layer, shape, name: keras.layers.Add(name=name),
    plain.Multiply: lambda layer, shape, name: keras.layers.Multiply(name=name),
    plain.Concatenate: lambda layer, shape, name: keras.layers.Concatenate(name=name),
    plain.Dense: lambda layer, shape, name: keras.layers.Dense(layer.units, name=name),
}
"""How Keras spells each layer: (layer, shape of its output, name) to what takes a tensor, or a list of them."""

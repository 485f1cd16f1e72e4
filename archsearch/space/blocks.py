"""The blocks of the language, one function each, and `BLOCKS`, the table of their kinds.

A function adds its block's layers behind node `x` and returns the last one:

    network.add(layer, *nodes) -> node      adds one of `layers.py`'s layers, fed by earlier nodes
    network.shape(node) -> shape            (height, width, channels) of what a node gives

Pooling comes before norm and activation: they then work on a quarter of the pixels, at no cost in accuracy. What all
blocks share is not theirs: `add` puts a learned downsampling behind a block, `network.py` its dropout.

A new block is a class in `architecture.py`, a function here and a row in `BLOCKS`. A user's own block is such a
function in a file of their own.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from archsearch.errors import TrialError
from archsearch.space import layers
from archsearch.space.architecture import (
    Activation,
    Block,
    BlockFields,
    Cell,
    CellOperation,
    Conv,
    ConvNeXt,
    Custom,
    DenseBlock,
    Downsample,
    Gated,
    Inverted,
    Norm,
    Residual,
    Separable,
    Shortcut,
)
from archsearch.space.code import bounded, load_code

if TYPE_CHECKING:
    from archsearch.space.network import Network


def conv(network: Network, x: int, block: Conv, downsample: Downsample) -> int:
    """Convolution, pool, norm, activation, gate."""
    y = _conv(network, x, block, block.filters, block.kernel, _stride(downsample))
    y = _finish(network, _pool(network, y, downsample), block)
    return _gate(network, y, block, network.shape(x)[-1])


def residual(network: Network, x: int, block: Residual, downsample: Downsample) -> int:
    """Two convolutions, gated, and a shortcut, which is a pointwise convolution where shapes differ."""
    stride = _stride(downsample)
    y = _finish(network, _conv(network, x, block, block.filters, block.kernel, stride), block)
    y = _norm(network, _conv(network, y, block, block.filters, block.kernel), block.norm)
    y = _branch(network, y, block, network.shape(x)[-1])
    if network.shape(x) != network.shape(y):
        x = _norm(network, _conv(network, x, block, block.filters, 1, stride), block.norm)
    x = _pool(network, network.add(layers.Add(), x, y), downsample)
    return _activate(network, x, block)


def separable(network: Network, x: int, block: Separable, downsample: Downsample) -> int:
    """Depthwise and pointwise convolution, pool, norm, activation, gate."""
    y = _separable(network, x, block, _stride(downsample))
    y = _finish(network, _pool(network, y, downsample), block)
    return _gate(network, y, block, network.shape(x)[-1])


def inverted(network: Network, x: int, block: Inverted, downsample: Downsample) -> int:
    """Pointwise expansion, depthwise convolution, gate, pointwise projection left linear, shortcut if it fits."""
    narrow = network.shape(x)[-1]
    y = x
    if block.expansion > 1:
        y = _finish(network, _conv(network, y, block, narrow * block.expansion, 1), block)
    y = _depthwise(network, y, block.kernel, _stride(downsample), bias=block.norm == "none")
    y = _gate(network, _finish(network, y, block), block, narrow)
    y = _norm(network, _conv(network, y, block, block.filters, 1), block.norm)
    if network.shape(x) == network.shape(y):
        y = network.add(layers.Add(), x, network.add(layers.DropPath(block.drop_path), y))
    return _pool(network, y, downsample)


def convnext(network: Network, x: int, block: ConvNeXt, downsample: Downsample) -> int:
    """Depthwise convolution, norm, pointwise expansion, activation, pointwise projection, gate, shortcut, pool.

    The shortcut is a pointwise convolution where shapes differ. There is no layer scale: it is for networks far deeper
    than are searched for here.
    """
    stride, narrow = _stride(downsample), network.shape(x)[-1]
    y = _norm(network, _depthwise(network, x, block.kernel, stride, bias=block.norm == "none"), block.norm)
    y = _activate(network, network.add(layers.Conv(narrow * block.expansion, 1, 1, bias=True), y), block)
    y = _branch(network, network.add(layers.Conv(block.filters, 1, 1, bias=True), y), block, narrow)
    if network.shape(x) != network.shape(y):
        x, _ = _widen_stride(network, x, 1, stride)
        x = network.add(layers.Conv(block.filters, 1, 1, bias=True), x)
    return _pool(network, network.add(layers.Add(), x, y), downsample)


def dense_block(network: Network, x: int, block: DenseBlock, downsample: Downsample) -> int:
    """Convolutions that each see all features before them, then a convolution to `filters`."""
    for _ in range(block.layers):
        y = _finish(network, _conv(network, x, block, block.growth, block.kernel), block)
        x = network.add(layers.Concatenate(), x, y)
    x = _conv(network, x, block, block.filters, 1, _stride(downsample))
    return _finish(network, _pool(network, x, downsample), block)


def cell(network: Network, x: int, block: Cell, downsample: Downsample) -> int:
    """The nodes in their order, then the features that none has read, joined; then the pool.

    Every feature has `filters` channels: a pointwise convolution, norm and activation bring them there where needed.
    With `stride`, a convolution of the block's kernel brings the cell's input to half its height and width.
    """
    fields = _fields(block.filters, block.kernel, block.activation, block.norm)
    if downsample == "stride":
        x = _finish(network, _conv(network, x, block, block.filters, block.kernel, stride=2), block)
    features = [network.chain(_project, x, fields)]
    for node in block.nodes:
        x = _join(network, [features[i] for i in node.inputs], block)
        features.append(network.chain(_operate, x, fields, node.operation))
    read = {i for node in block.nodes for i in node.inputs}
    ends = [feature for i, feature in enumerate(features) if i not in read]
    x = network.chain(_project, _join(network, ends, block), fields)
    return _pool(network, x, downsample)


def custom(network: Network, x: int, block: Custom, downsample: Downsample) -> int:
    """What the user's function `block.code` makes of it.

    It is called as any function here, and halves height and width unless `downsample` is `none`; it is told `max`,
    `average`, `stride` or `none`.

    Raises:
        InputError: The code is not trusted or cannot be loaded.
        TrialError: It fails, does not return a node of the right height and width, or leaves a node that nothing reads.
    """
    function = load_code(block.code)
    try:
        with bounded(block.code):
            end = function(network, x, block, downsample)
    except TrialError:
        raise
    except Exception as error:  # whatever a stranger's function raises
        raise TrialError(f"custom block '{block.code}' failed: {type(error).__name__}: {error}") from error
    if type(end) is not int or not 0 <= end < len(network.nodes):
        raise TrialError(f"custom block '{block.code}' returned {end!r}; expected a node, as network.add() gives it")
    sides = network.shape(x)[:2] if downsample == "none" else tuple(-(-side // 2) for side in network.shape(x)[:2])
    if len(network.shape(end)) != 3 or network.shape(end)[:2] != sides:
        raise TrialError(
            f"custom block '{block.code}' gives {network.shape(end)} for {network.shape(x)}; expected "
            f"({sides[0]}, {sides[1]}, channels) with downsample '{downsample}'"
        )
    if idle := {*range(x + 1, len(network.nodes))} - {end}.union(*(node.inputs for node in network.nodes)):
        names = ", ".join(network.nodes[node].name for node in sorted(idle))
        raise TrialError(f"custom block '{block.code}' adds {names}, but nothing reads it; expected no idle layers")
    return end


BLOCKS: dict[str, Callable[[Network, int, Any, Downsample], int]] = {
    "conv": conv,
    "residual": residual,
    "separable": separable,
    "inverted": inverted,
    "convnext": convnext,
    "dense_block": dense_block,
    "cell": cell,
    "custom": custom,
}


def add(network: Network, x: int, block: Block, downsample: Downsample) -> int:
    """Adds any block's layers behind node `x`, but for its dropout; returns the last one.

    With `conv`, a norm (if the block has one) and a convolution of 2 x 2 windows halve height and width behind it
    (Liu et al. 2022, https://arxiv.org/abs/2201.03545).
    """
    function = BLOCKS[block.kind]
    if downsample != "conv":
        return function(network, x, block, downsample)
    x = _norm(network, function(network, x, block, "none"), block.norm)
    return network.add(layers.Conv(network.shape(x)[-1], kernel=2, stride=2, bias=True), x)


def attend(network: Network, x: int, heads: int, norm: Norm) -> int:
    """Adds self-attention over all places of `x`, normalised first, to `x` (https://arxiv.org/abs/1706.03762)."""
    size = max(1, network.shape(x)[-1] // heads)
    return network.add(layers.Add(), x, network.add(layers.SelfAttention(heads, size), _norm(network, x, norm)))


def bring(network: Network, x: int, sides: layers.Shape, channels: int | None, norm: Norm) -> int:
    """Brings `x` to height and width `sides` by average pools, and to `channels`, if any, by a convolution."""
    while network.shape(x)[:2] != sides:
        x = network.add(layers.Pool("average"), x)
    if channels in (None, network.shape(x)[-1]):
        return x
    return _norm(network, network.add(layers.Conv(channels, 1, 1, bias=norm == "none"), x), norm)


def _conv(network: Network, x: int, block: BlockFields, filters: int, kernel: int, stride: int = 1) -> int:
    x, stride = _widen_stride(network, x, kernel, stride)
    # A norm has its own offset, so a bias before it would be two parameters for one thing.
    return network.add(layers.Conv(filters, kernel, stride, bias=block.norm == "none"), x)


def _depthwise(network: Network, x: int, kernel: int, stride: int, bias: bool) -> int:
    x, stride = _widen_stride(network, x, kernel, stride)
    return network.add(layers.Depthwise(kernel, stride, bias), x)


def _separable(network: Network, x: int, block: BlockFields, stride: int = 1) -> int:
    return _conv(network, _depthwise(network, x, block.kernel, stride, bias=False), block, block.filters, 1)


def _widen_stride(network: Network, x: int, kernel: int, stride: int) -> tuple[int, int]:
    """Averages first where a stride would step over three pixels of four (He et al. 2018, https://arxiv.org/abs/1812.01187).

    It also keeps clear of oneDNN's strided pointwise convolution of 1 or 3 channels, which corrupts the heap.
    """
    return (network.add(layers.Pool("average"), x), 1) if kernel == 1 and stride > 1 else (x, stride)


def _norm(network: Network, x: int, norm: Norm) -> int:
    return x if norm == "none" else network.add(layers.Norm(norm), x)


def _activate(network: Network, x: int, block: BlockFields) -> int:
    return network.add(layers.Activation(block.activation), x)


def _finish(network: Network, x: int, block: BlockFields) -> int:
    return _activate(network, _norm(network, x, block.norm), block)


def _stride(downsample: Downsample) -> int:
    return 2 if downsample == "stride" else 1


def _pool(network: Network, x: int, downsample: Downsample) -> int:
    return network.add(layers.Pool(downsample), x) if downsample in ("max", "average") else x


def _gate(network: Network, x: int, block: Gated, channels: int) -> int:
    if not block.squeeze_excite:
        return x
    gate = network.add(layers.GlobalPool("average"), x)
    gate = network.add(layers.Conv(max(1, round(channels * block.squeeze_excite)), 1, 1, bias=True), gate)
    gate = network.add(layers.Activation(block.activation), gate)
    gate = network.add(layers.Conv(network.shape(x)[-1], 1, 1, bias=True), gate)
    return network.add(layers.Multiply(), x, network.add(layers.Activation("sigmoid"), gate))


def _branch(network: Network, x: int, block: Shortcut, channels: int) -> int:
    """Ends the branch that will be added to the block's input, which has `channels`."""
    return network.add(layers.DropPath(block.drop_path), _gate(network, x, block, channels))


def _project(network: Network, x: int, block: BlockFields) -> int:
    if network.shape(x)[-1] == block.filters:
        return x
    return _finish(network, _conv(network, x, block, block.filters, 1), block)


def _join(network: Network, nodes: list[int], block: Cell) -> int:
    if len(nodes) == 1:
        return nodes[0]
    return network.add(layers.Add() if block.join == "sum" else layers.Concatenate(), *nodes)


@lru_cache(maxsize=1024)
def _fields(filters: int, kernel: int, activation: Activation, norm: Norm) -> BlockFields:
    """What a cell's operations know of it."""
    return BlockFields(filters=filters, kernel=kernel, activation=activation, norm=norm, dropout=0.0)


def _operate(network: Network, x: int, block: BlockFields, operation: CellOperation) -> int:
    match operation:
        case "conv":
            return _finish(network, _conv(network, x, block, block.filters, block.kernel), block)
        case "separable":
            return _finish(network, _separable(network, x, block), block)
        case "max" | "average":
            x = network.add(layers.Pool(operation, window=3, stride=1), x)
    return _project(network, x, block)

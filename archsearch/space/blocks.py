"""The blocks of the language, one function each, and `BLOCKS`, the table of their kinds.

A function adds its block's layers behind node `x` and returns the last one. Pooling comes before norm and activation:
they then work on a quarter of the pixels, at no cost in accuracy.

A new block is a class in `architecture.py`, a function here and a row in `BLOCKS`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from archsearch.space.architecture import (
    BlockFields,
    Conv,
    DenseBlock,
    Downsample,
    Inverted,
    Residual,
    Separable,
)
from archsearch.space.layers import (
    Activation,
    Add,
    Concatenate,
    Depthwise,
    Dropout,
    GlobalPool,
    Multiply,
    Norm,
    Pool,
)
from archsearch.space.layers import Conv as ConvLayer

if TYPE_CHECKING:
    from archsearch.space.network import Network


def conv(network: Network, x: int, block: Conv, downsample: Downsample) -> int:
    """Convolution, pool, norm, activation, dropout."""
    x = _conv(network, x, block, block.filters, block.kernel, _stride(downsample))
    x = _pool(network, x, downsample)
    return _finish(network, x, block)


def residual(network: Network, x: int, block: Residual, downsample: Downsample) -> int:
    """Two convolutions and a shortcut, which is a pointwise convolution where shapes differ."""
    stride = _stride(downsample)
    y = _conv(network, x, block, block.filters, block.kernel, stride)
    y = _activate(network, _norm(network, y, block), block)
    y = _norm(network, _conv(network, y, block, block.filters, block.kernel), block)
    if network.shape(x) != network.shape(y):
        x = _norm(network, _conv(network, x, block, block.filters, 1, stride), block)
    x = _pool(network, network.add(Add(), x, y), downsample)
    return _drop(network, _activate(network, x, block), block)


def separable(network: Network, x: int, block: Separable, downsample: Downsample) -> int:
    """Depthwise and pointwise convolution, pool, norm, activation, dropout."""
    x = _depthwise(network, x, block.kernel, _stride(downsample), bias=False)
    x = _pool(network, _conv(network, x, block, block.filters, 1), downsample)
    return _finish(network, x, block)


def inverted(network: Network, x: int, block: Inverted, downsample: Downsample) -> int:
    """Pointwise expansion, depthwise convolution, gate, pointwise projection left linear, shortcut if it fits."""
    narrow = network.shape(x)[-1]
    y = x
    if block.expansion > 1:
        y = _norm(network, _conv(network, y, block, narrow * block.expansion, 1), block)
        y = _activate(network, y, block)
    y = _depthwise(network, y, block.kernel, _stride(downsample), bias=block.norm == "none")
    y = _activate(network, _norm(network, y, block), block)
    if block.squeeze_excite:
        y = _gate(network, y, block, max(1, round(narrow * block.squeeze_excite)))
    y = _norm(network, _conv(network, y, block, block.filters, 1), block)
    if network.shape(x) == network.shape(y):
        y = network.add(Add(), x, y)
    return _drop(network, _pool(network, y, downsample), block)


def dense_block(network: Network, x: int, block: DenseBlock, downsample: Downsample) -> int:
    """Convolutions that each see all features before them, then a convolution to `filters`."""
    for _ in range(block.layers):
        y = _norm(network, _conv(network, x, block, block.growth, block.kernel), block)
        x = network.add(Concatenate(), x, _activate(network, y, block))
    x = _conv(network, x, block, block.filters, 1, _stride(downsample))
    return _finish(network, _pool(network, x, downsample), block)


BLOCKS: dict[str, Callable[[Network, int, Any, Downsample], int]] = {
    "conv": conv,
    "residual": residual,
    "separable": separable,
    "inverted": inverted,
    "dense_block": dense_block,
}


def add(network: Network, x: int, block: BlockFields, downsample: Downsample) -> int:
    """Adds any block's layers behind node `x`; returns the last one."""
    return BLOCKS[getattr(block, "kind")](network, x, block, downsample)  # noqa: B009


def _conv(network: Network, x: int, block: BlockFields, filters: int, kernel: int, stride: int = 1) -> int:
    x, stride = _widen_stride(network, x, kernel, stride)
    # A norm has its own offset, so a bias before it would be two parameters for one thing.
    return network.add(ConvLayer(filters, kernel, stride, bias=block.norm == "none"), x)


def _depthwise(network: Network, x: int, kernel: int, stride: int, bias: bool) -> int:
    x, stride = _widen_stride(network, x, kernel, stride)
    return network.add(Depthwise(kernel, stride, bias), x)


def _widen_stride(network: Network, x: int, kernel: int, stride: int) -> tuple[int, int]:
    """Averages first where a stride would step over three pixels of four (He et al. 2018, https://arxiv.org/abs/1812.01187).

    It also keeps clear of oneDNN's strided pointwise convolution of 1 or 3 channels, which corrupts the heap.
    """
    return (network.add(Pool("average"), x), 1) if kernel == 1 and stride > 1 else (x, stride)


def _norm(network: Network, x: int, block: BlockFields) -> int:
    return x if block.norm == "none" else network.add(Norm(block.norm), x)


def _activate(network: Network, x: int, block: BlockFields) -> int:
    return network.add(Activation(block.activation), x)


def _drop(network: Network, x: int, block: BlockFields) -> int:
    return network.add(Dropout(block.dropout), x) if block.dropout else x


def _finish(network: Network, x: int, block: BlockFields) -> int:
    return _drop(network, _activate(network, _norm(network, x, block), block), block)


def _stride(downsample: Downsample) -> int:
    return 2 if downsample == "stride" else 1


def _pool(network: Network, x: int, downsample: Downsample) -> int:
    return network.add(Pool(downsample), x) if downsample in ("max", "average") else x


def _gate(network: Network, x: int, block: BlockFields, width: int) -> int:
    gate = network.add(GlobalPool("average"), x)
    gate = network.add(ConvLayer(width, 1, 1, bias=True), gate)
    gate = network.add(Activation(block.activation), gate)
    gate = network.add(ConvLayer(network.shape(x)[-1], 1, 1, bias=True), gate)
    return network.add(Multiply(), x, network.add(Activation("sigmoid"), gate))

"""A block for the spaces beside it."""

from archsearch.space import layers
from archsearch.space.architecture import Custom, Downsample
from archsearch.space.network import Network


def ghost(network: Network, x: int, block: Custom, downsample: Downsample) -> int:
    """One convolution."""
    stride = 1 if downsample == "none" else 2
    return network.add(layers.Conv(block.filters, block.kernel, stride=stride, bias=True), x)

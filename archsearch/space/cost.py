"""What an architecture costs, by arithmetic: nothing is built."""

from dataclasses import dataclass
from math import prod

from archsearch.space.architecture import Architecture
from archsearch.space.network import lower


@dataclass(frozen=True)
class Cost:
    """Of one network.

    Attributes:
        parameters: As Keras's `count_params` counts them.
        flops: For one image, forward; `layers.py` states the convention.
        activation_bytes: Of all layers' outputs for one image as float32, which training keeps for the backward pass.
    """

    parameters: int
    flops: int
    activation_bytes: int


def cost(architecture: Architecture) -> Cost:
    """Counts `architecture`."""
    nodes = lower(architecture).nodes
    return Cost(
        parameters=sum(node.parameters for node in nodes),
        flops=sum(node.flops for node in nodes),
        activation_bytes=sum(4 * prod(node.shape) for node in nodes),
    )

"""Roughly how long training would take on this machine, without training: two measurements and a count.

A roofline (Williams et al. 2009, https://doi.org/10.1145/1498765.1498785) over the layers of a network, added up
instead of overlapped: a training step does the forward arithmetic three times (forward, and backward to inputs and to
weights), moves every layer's inputs and outputs five times, and takes 0.4 ms a layer to get going.

The factors 3, 5 and 0.4 ms hold for one thread of a CPU. They were fitted to the processor time of real epochs of 16
networks, of 800 to 500,000 parameters: plain, residual, separable, inverted and dense blocks on 8x8, 28x28 and 32x32
images, with each norm and most activations. The estimates were within a factor of 1.4 of the truth, either way;
expect 2 on another machine, and nothing where a GPU trains. Augmentation and evaluation are not in them.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from math import prod

import numpy as np
from threadpoolctl import threadpool_limits

from archsearch.space.architecture import Architecture
from archsearch.space.layers import Flatten, Input
from archsearch.space.network import Network, lower

ARITHMETIC = 3.0
TRAFFIC = 5.0
LAYER_SECONDS = 0.4e-3

SIDE = 512
"""Of the matrices that are multiplied: large enough for the full rate, small enough for the cache."""

FLOATS = 2**23
"""In the arrays that are copied: 32 MiB each, more than caches hold."""


@dataclass(frozen=True)
class Machine:
    """What one thread of a machine can do.

    Attributes:
        flops: Multiplications and additions of float32 a second, in a matrix product.
        bandwidth: Bytes read and written a second, in a copy of arrays that no cache holds.
    """

    flops: float
    bandwidth: float


def probe(seconds: float = 0.1) -> Machine:
    """Measures this machine by the processor time of one thread, taking about twice `seconds`."""
    generator = np.random.default_rng(0)
    matrix = generator.standard_normal((SIDE, SIDE), dtype=np.float32)
    result = np.empty_like(matrix)
    source = np.ones(FLOATS, dtype=np.float32)
    target = np.empty_like(source)
    with threadpool_limits(1):
        products = _rate(lambda: np.matmul(matrix, matrix, out=result), seconds)
        copies = _rate(lambda: np.copyto(target, source), seconds)
    return Machine(flops=products * 2 * SIDE**3, bandwidth=copies * 2 * source.nbytes)


def epoch_seconds(architecture: Architecture, images: int, machine: Machine, batch_size: int = 128) -> float:
    """About how many seconds one thread of `machine` trains for one epoch.

    Args:
        architecture: What is trained.
        images: How many an epoch goes over, 1 or more.
        machine: As `probe` found it.
        batch_size: Images a step, 1 or more.
    """
    network = lower(architecture)
    arithmetic = ARITHMETIC * sum(node.flops for node in network.nodes) / machine.flops
    traffic = TRAFFIC * _bytes_moved(network) / machine.bandwidth
    steps = max(1, images // batch_size)
    return images * (arithmetic + traffic) + steps * LAYER_SECONDS * len(network.nodes)


def _bytes_moved(network: Network) -> int:
    """By all layers, in and out, for one image as float32."""
    return sum(
        4 * (prod(node.shape) + sum(prod(network.shape(before)) for before in node.inputs))
        for node in network.nodes
        if not isinstance(node.layer, Input | Flatten)
    )


def _rate(work: Callable[[], object], seconds: float) -> float:
    """How often `work` is done a second."""
    work()  # the first time finds caches and pages empty
    start, times = time.process_time(), 0
    while time.process_time() - start < seconds:
        work()
        times += 1
    return times / (time.process_time() - start)

"""From an architecture to the layers it stands for: a small graph of plain data.

The cost count, the canonical hash and the Keras model all read this one graph, so they cannot disagree.
"""

import hashlib
from collections import Counter
from dataclasses import dataclass, field

from archsearch.space import blocks
from archsearch.space.architecture import Architecture, Candidate, Head
from archsearch.space.layers import (
    Activation,
    Dense,
    Dropout,
    Flatten,
    GlobalPool,
    Input,
    Layer,
    Rescale,
    Shape,
)


@dataclass(frozen=True)
class Node:
    """One layer in its place.

    Attributes:
        name: Unique in the network: stage, block and layer, such as `stage1_block2_conv`.
        layer: What it does.
        inputs: Positions in the network of the nodes it reads, all before its own.
        shape: Of its output, for one image.
        parameters, flops: Of this layer alone, by `layers.py`'s convention.
    """

    name: str
    layer: Layer
    inputs: tuple[int, ...]
    shape: Shape
    parameters: int
    flops: int


@dataclass
class Network:
    """Nodes in an order in which they can be computed; the last one gives the class scores (logits)."""

    nodes: list[Node] = field(default_factory=list)
    scope: str = ""
    _uses: Counter[str] = field(default_factory=Counter)

    def add(self, layer: Layer, *inputs: int) -> int:
        """Appends `layer`, fed by the nodes at `inputs`, under the current scope; returns its position."""
        shapes = [self.nodes[i].shape for i in inputs]
        self.nodes.append(
            Node(
                name=self._name(type(layer).__name__.lower()),
                layer=layer,
                inputs=inputs,
                shape=layer.shape(*shapes),
                parameters=layer.parameters(*shapes),
                flops=layer.flops(*shapes),
            )
        )
        return len(self.nodes) - 1

    def shape(self, node: int) -> Shape:
        """Shape of the output of the node at position `node`."""
        return self.nodes[node].shape

    def _name(self, word: str) -> str:
        stem = f"{self.scope}_{word}" if self.scope else word
        self._uses[stem] += 1
        return stem if self._uses[stem] == 1 else f"{stem}{self._uses[stem]}"


def lower(architecture: Architecture) -> Network:
    """The layers of `architecture`, raw pixels in, class scores out."""
    task = architecture.task
    network = Network()
    x = network.add(Input(task.height, task.width, task.channels))
    x = network.add(Rescale(), x)
    for s, stage in enumerate(architecture.stages, start=1):
        for b, block in enumerate(stage.blocks, start=1):
            network.scope = f"stage{s}_block{b}"
            last = b == len(stage.blocks)
            x = blocks.add(network, x, block, stage.downsample if last else "none")
    network.scope = "head"
    _add_head(network, x, architecture.head, task.classes)
    return network


def _add_head(network: Network, x: int, head: Head, classes: int) -> None:
    if head.pool != "flatten":
        x = network.add(GlobalPool(head.pool), x)
    x = network.add(Flatten(), x)
    if head.hidden:
        x = network.add(Dense(head.hidden), x)
        x = network.add(Activation(head.activation), x)
    if head.dropout:
        x = network.add(Dropout(head.dropout), x)
    network.add(Dense(classes), x)


def digest(candidate: Candidate) -> str:
    """Sixteen hexadecimal digits, equal for candidates that are the same layers trained the same way."""
    nodes = [(node.layer, node.inputs) for node in lower(candidate.architecture).nodes]
    return hashlib.sha256(f"{nodes}{candidate.recipe.model_dump_json()}".encode()).hexdigest()[:16]

"""From an architecture to the layers it stands for: a small graph of plain data.

The cost count, the canonical hash and the Keras model all read what `plan` puts together, so they cannot disagree. It
is made of fragments, which are found once for each kind of block and shape: counting a candidate takes microseconds.
"""

import hashlib
from collections import Counter
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, NamedTuple, cast

from archsearch.space import blocks
from archsearch.space.architecture import (
    Activation,
    Architecture,
    Block,
    Candidate,
    Custom,
    Downsample,
    HeadPool,
    Stage,
)
from archsearch.space.canonical import Key, graph_key, label, parallel, series
from archsearch.space.layers import (
    JOINS,
    Add,
    Concatenate,
    Dense,
    Dropout,
    DropPath,
    Flatten,
    GlobalPool,
    Input,
    Layer,
    Rescale,
    Shape,
)
from archsearch.space.layers import Activation as ActivationLayer


class Node(NamedTuple):
    """One layer in its place.

    Attributes:
        name: Unique in the network: stage, block and layer, such as `stage1_block2_conv`.
        layer: What it does.
        inputs: Positions in the network of the nodes it reads, all before its own.
        shape: Of its output, for one image.
        parameters, flops, values: Of this layer alone, by `layers.py`'s convention.
    """

    name: str
    layer: Layer
    inputs: tuple[int, ...]
    shape: Shape
    parameters: int
    flops: int
    values: int


@dataclass
class Network:
    """Nodes in an order in which they can be computed; the last one gives the class scores (logits)."""

    nodes: list[Node] = field(default_factory=list)
    scope: str = ""
    _uses: Counter[str] = field(default_factory=Counter)

    def add(self, layer: Layer, *inputs: int) -> int:
        """Appends `layer`, fed by the nodes at `inputs`, under the current scope; returns its position.

        A dropout of rate 0 does nothing: it is not added, and its input is returned.

        Raises:
            ValueError: The inputs are not nodes of this network, are too many or too few, or have unfit shapes.
        """
        if isinstance(layer, Dropout | DropPath) and not layer.rate:
            return inputs[0]
        if self.nodes and (not inputs or (len(inputs) > 1) != isinstance(layer, JOINS)):
            raise ValueError(f"{layer}: found {len(inputs)} inputs, expected {_arity(layer)}")
        if inputs and not 0 <= min(inputs) <= max(inputs) < len(self.nodes):
            raise ValueError(f"{layer}: found inputs {inputs}, expected nodes of this network")
        try:
            costs = _effect(layer, *[self.nodes[i].shape for i in inputs])
        except ValueError as error:
            raise ValueError(f"{layer}: {error}") from None
        self.nodes.append(Node(self._name(layer), layer, inputs, *costs))
        return len(self.nodes) - 1

    def shape(self, node: int) -> Shape:
        """Shape of the output of the node at position `node`."""
        return self.nodes[node].shape

    def extend(self, fragment: "Fragment", node: int, rate: float | None = None) -> int:
        """Appends a fragment behind `node`, with `rate` for its dropout if given; returns the last position."""
        places = [node]
        for found in fragment.nodes[1:]:
            layer = found.layer
            if isinstance(layer, Fragment):
                places.append(self.extend(layer, places[found.inputs[0]], rate))
                continue
            if rate is not None and isinstance(layer, Dropout | DropPath):
                layer = type(layer)(rate)
            places.append(self.add(layer, *(places[i] for i in found.inputs)))
        return places[-1]

    def chain(self, build: Callable[..., int], node: int, *details: Hashable) -> int:
        """Does what `build(self, node, *details)` does, which is to add layers one behind the other, or none."""
        return build(self, node, *details)

    def _name(self, layer: Layer) -> str:
        word = type(layer).__name__.lower()
        stem = f"{self.scope}_{word}" if self.scope else word
        self._uses[stem] += 1
        return stem if self._uses[stem] == 1 else f"{stem}{self._uses[stem]}"


class _Draft(Network):
    """The network of a fragment, in which a chain is a single node: costs and keys need no more, and are had sooner."""

    def chain(self, build: Callable[..., int], node: int, *details: Hashable) -> int:
        """Looks up what `build` adds."""
        found = _fragment(build, self.shape(node), *details)
        if len(found.nodes) == 1:
            return node
        layer = cast("Layer", found)  # nobody but `extend`, which unfolds it, and `_key` sees a draft's nodes
        self.nodes.append(Node("", layer, (node,), found.shape, found.parameters, found.flops, found.values))
        return len(self.nodes) - 1


@lru_cache(maxsize=8192)
def _effect(layer: Layer, *inputs: Shape) -> tuple[Shape, int, int, int]:
    """Shape, parameters, FLOPs and values of a layer fed with these shapes."""
    return layer.shape(*inputs), layer.parameters(*inputs), layer.flops(*inputs), layer.values(*inputs)


def _arity(layer: Layer) -> str:
    return "two or more" if isinstance(layer, JOINS) else "one"


@dataclass(frozen=True)
class Fragment:
    """A part of a network with one way in and one way out, fit for any place with the right shape.

    Attributes:
        nodes: The first stands for what goes in; the last gives what comes out.
        key: What it is, whatever the order of its nodes.
        parameters, flops, values: Of all its nodes together.
    """

    nodes: tuple[Node, ...]
    key: Key
    parameters: int
    flops: int
    values: int

    @property
    def shape(self) -> Shape:
        """Of what comes out."""
        return self.nodes[-1].shape


class Part(NamedTuple):
    """A fragment in its place, behind what comes before it.

    Attributes:
        scope: What it belongs to: `stage1_block2`, `stage1_attention`, `head`; empty for what prepares the image.
        fragment: What it is made of.
        rate: Of its dropout, instead of the one in the fragment; None keeps that.
    """

    scope: str
    fragment: Fragment
    rate: float | None = None

    @property
    def shape(self) -> Shape:
        """Of what comes out."""
        return self.fragment.shape

    @property
    def key(self) -> Key:
        """The fragment's, with this part's own rate."""
        key = self.fragment.key
        return key if self.rate is None else Key(key.structure, (self.rate,) * len(key.rates))


class Skip(NamedTuple):
    """A stage's input, brought to the shape of its output, joins it.

    Attributes:
        scope: What it belongs to: `stage1_skip`.
        over: How many steps of the plan it leads past.
        shortcut: What the input goes through.
        join: The layer that reads the shortcut's end and the stage's.
    """

    scope: str
    over: int
    shortcut: Fragment
    join: Node

    @property
    def shape(self) -> Shape:
        """Of what comes out."""
        return self.join.shape


Step = Part | Skip


def plan(architecture: Architecture) -> tuple[Step, ...]:
    """What stands between the raw pixels and the class scores of `architecture`, in this order.

    Raises:
        InputError: A custom block's code is not trusted or cannot be loaded.
        TrialError: A custom block fails.
    """
    steps: list[Step] = [Part("", _fragment(_prepare, _size(architecture)))]
    for number, stage in enumerate(architecture.stages, start=1):
        steps += _stage(f"stage{number}", stage, steps[-1].shape)
    head, shape = architecture.head, steps[-1].shape
    steps.append(Part("head", _fragment(_features, shape, head.pool, head.hidden, head.activation)))
    steps += _dropout("head", head.dropout, steps[-1].shape)
    steps.append(Part("head", _fragment(_scores, steps[-1].shape, architecture.task.classes)))
    return tuple(steps)


def lower(architecture: Architecture) -> Network:
    """The layers of `architecture`, raw pixels in, class scores out; raises what `plan` raises."""
    network = Network()
    ends = [network.add(Input(_size(architecture)))]
    for step in plan(architecture):
        network.scope = step.scope
        if isinstance(step, Part):
            ends.append(network.extend(step.fragment, ends[-1], step.rate))
        else:
            shortcut = network.extend(step.shortcut, ends[-1 - step.over])
            ends.append(network.add(step.join.layer, shortcut, ends[-1]))
    return network


def network_hash(architecture: Architecture) -> str:
    """Sixteen hexadecimal digits, equal for architectures that build the same network; raises what `plan` raises."""
    return plan_hash(plan(architecture))


def plan_hash(steps: Sequence[Step]) -> str:
    """`network_hash` of the architecture with this plan."""
    keys = [Key(repr(Input(steps[0].shape)))]
    for step in steps:
        if isinstance(step, Part):
            keys.append(step.key)
        else:
            branches = [step.shortcut.key, series(keys[-step.over :])]
            keys[-step.over :] = [parallel(label(step.join.layer), branches)]
    key = series(keys)
    return _hash(f"{key.structure}{key.rates}")


def digest(candidate: Candidate) -> str:
    """Sixteen hexadecimal digits, equal for candidates that are the same network trained the same way."""
    return _hash(f"{network_hash(candidate.architecture)}{candidate.recipe.model_dump_json()}")


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _size(architecture: Architecture) -> Shape:
    task = architecture.task
    return (task.height, task.width, task.channels)


# The parts of a plan --------------------------------------------------------------------------------------------------

_ANY_RATE = 0.5
"""Stands in fragments for the rates of dropout, which change neither shapes nor costs."""


@lru_cache(maxsize=8192)
def _fragment(build: Callable[..., int], shape: Shape, *details: Any) -> Fragment:
    """What `build(network, node, *details)` puts behind a node of this shape."""
    draft = _Draft()
    build(draft, draft.add(Input(shape)), *details)
    first, *nodes = draft.nodes
    return Fragment(
        nodes=(first, *nodes),
        key=graph_key([_key(node.layer) for node in draft.nodes], [node.inputs for node in draft.nodes]),
        parameters=sum(node.parameters for node in nodes),
        flops=sum(node.flops for node in nodes),
        values=sum(node.values for node in nodes),
    )


def _key(layer: Layer | Fragment) -> Key:
    return layer.key if isinstance(layer, Fragment) else label(layer)


def _stage(scope: str, stage: Stage, shape: Shape) -> list[Step]:
    steps: list[Step] = []
    before, norm = shape, stage.blocks[-1].norm
    for number, block in enumerate(stage.blocks, start=1):
        downsample = stage.downsample if number == len(stage.blocks) else "none"
        steps += _block(f"{scope}_block{number}", block, shape, downsample)
        shape = steps[-1].shape
    if stage.attention:
        steps.append(Part(f"{scope}_attention", _fragment(blocks.attend, shape, stage.attention, norm)))
    if stage.skip != "none":
        channels = shape[-1] if stage.skip == "add" else None
        shortcut = _fragment(blocks.bring, before, shape[:2], channels, norm)
        layer = Add() if stage.skip == "add" else Concatenate()
        join = Node("", layer, (), *_effect(layer, shortcut.shape, shape))
        steps.append(Skip(f"{scope}_skip", len(steps), shortcut, join))
    return steps


def _block(scope: str, block: Block, shape: Shape, downsample: Downsample) -> list[Step]:
    if isinstance(block, Custom):  # a user's function may do anything, so it is asked every time
        part = Part(scope, _fragment.__wrapped__(blocks.add, shape, block, downsample))
    else:
        fields = vars(block) | {"dropout": 0.0}
        if rate := fields.get("drop_path", 0.0):
            fields["drop_path"] = _ANY_RATE
        part = Part(scope, _fragment(_of_kind, shape, type(block), tuple(fields.items()), downsample), rate)
    return [part, *_dropout(scope, block.dropout, part.shape)]


def _dropout(scope: str, rate: float, shape: Shape) -> list[Step]:
    return [Part(scope, _fragment(_drop, shape), rate)] if rate else []


def _prepare(network: Network, x: int) -> int:
    return network.add(Rescale(), x)


def _of_kind(
    network: Network, x: int, kind: type[Block], fields: tuple[tuple[str, Any], ...], downsample: Downsample
) -> int:
    # The fields are those of a block: hashing them is faster than hashing it.
    return blocks.add(network, x, kind.model_construct(**dict(fields)), downsample)


def _drop(network: Network, x: int) -> int:
    return network.add(Dropout(_ANY_RATE), x)


def _features(network: Network, x: int, pool: HeadPool, hidden: int, activation: Activation) -> int:
    if pool != "flatten":
        x = network.add(GlobalPool(pool), x)
    x = network.add(Flatten(), x)
    return network.add(ActivationLayer(activation), network.add(Dense(hidden), x)) if hidden else x


def _scores(network: Network, x: int, classes: int) -> int:
    return network.add(Dense(classes), x)

"""Whatever the language can say: the arithmetic, the hash and the model agree on it."""

import itertools
import random
from pathlib import Path
from typing import Any, get_args

import keras
import numpy as np
import pytest
import tensorflow as tf
from candidates import architecture, block
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from archsearch.errors import InputError, TrialError
from archsearch.model.build import build, build_for_training
from archsearch.space import architecture as language
from archsearch.space import code
from archsearch.space.architecture import Architecture, Block, Cell, CellNode, Head, Stage, Task
from archsearch.space.cost import cost
from archsearch.space.layers import Add, Dropout, DropPath, SelfAttention
from archsearch.space.network import lower, network_hash

GHOST = """
from archsearch.space import layers


def ghost(network, x, block, downsample):
    if downsample != "none":
        x = network.add(layers.Pool("average"), x)
    y = network.add(layers.Conv(block.filters, block.kernel, stride=1, bias=True), x)
    cheap = network.add(layers.Depthwise(3, stride=1, bias=False), y)
    cheap = network.add(layers.Dropout(block.options.get("rate", 0.0)), cheap)
    return network.add(layers.Concatenate(), y, network.add(layers.Activation(block.activation), cheap))


def same(network, x, block, downsample):
    return x


def lost(network, x, block, downsample):
    network.add(layers.Activation("relu"), x)
    return network.add(layers.Activation("gelu"), x)


def halved(network, x, block, downsample):
    return network.add(layers.Pool("max"), x)


def nothing(network, x, block, downsample):
    pass


def unfit(network, x, block, downsample):
    return network.add(layers.Add(), x, network.add(layers.GlobalPool("max"), x))


def twins(network, x, block, downsample):
    a, b = (network.add(layers.Activation("relu"), x) for _ in range(2))
    a, b = (network.add(layers.Dropout(block.options[name]), node) for name, node in (("a", a), ("b", b)))
    return network.add(layers.Add(), a, b)
"""


@pytest.fixture(scope="module")
def ghosts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("code")
    (folder / "ghosts.py").write_text(GHOST)
    return folder


@pytest.fixture(autouse=True)
def _trusted(ghosts: Path) -> None:
    code.trust(ghosts)


def custom(name: str, **options: Any) -> language.Custom:
    fields = {name: value for name, value in block() if name in language.BlockFields.model_fields}
    return language.Custom(**fields, code=f"ghosts.py:{name}", options=options)


# Anything the language can say ----------------------------------------------------------------------------------------


def one_of(literal: Any) -> st.SearchStrategy[Any]:
    return st.sampled_from(get_args(literal))


RATES = st.sampled_from([0.0, 0.1, 0.25])
FIELDS = {
    "filters": st.integers(1, 6),
    "kernel": st.sampled_from([1, 2, 3, 5]),
    "activation": one_of(language.Activation),
    "norm": one_of(language.Norm),
    "dropout": RATES,
}
GATED = {"squeeze_excite": st.sampled_from([0.0, 0.01, 0.4, 1.0])}
SHORTCUT = GATED | {"drop_path": RATES}


@st.composite
def cells(draw: st.DrawFn, /, most: int = 3, **fixed: Any) -> Cell:
    nodes = []
    for number in range(draw(st.integers(1, most))):
        inputs = draw(st.sets(st.integers(0, number), min_size=1, max_size=2))
        nodes.append(CellNode(inputs=tuple(sorted(inputs)), operation=draw(one_of(language.CellOperation))))
    fields = draw(st.fixed_dictionaries(FIELDS | {"join": one_of(language.Join)}))
    return Cell(**fields | fixed, nodes=tuple(nodes))


BLOCKS: dict[str, st.SearchStrategy[Block]] = {
    "conv": st.builds(language.Conv, **FIELDS | GATED),
    "residual": st.builds(language.Residual, **FIELDS | SHORTCUT),
    "separable": st.builds(language.Separable, **FIELDS | GATED),
    "inverted": st.builds(language.Inverted, **FIELDS | SHORTCUT, expansion=st.integers(1, 3)),
    "convnext": st.builds(language.ConvNeXt, **FIELDS | SHORTCUT, expansion=st.integers(1, 3)),
    "dense_block": st.builds(language.DenseBlock, **FIELDS, layers=st.integers(1, 3), growth=st.integers(1, 4)),
    "cell": cells(),
    "custom": st.builds(language.Custom, **FIELDS, code=st.just("ghosts.py:ghost"), options=st.just({"rate": 0.1})),
}
STAGES = st.builds(
    Stage,
    blocks=st.lists(st.one_of(*BLOCKS.values()), min_size=1, max_size=2).map(tuple),
    downsample=one_of(language.Downsample),
    attention=st.sampled_from([0, 0, 1, 3]),
    skip=one_of(language.Skip),
)
ARCHITECTURES = st.builds(
    Architecture,
    task=st.builds(
        Task,
        height=st.integers(1, 9),
        width=st.integers(1, 9),
        channels=st.sampled_from([1, 3]),
        classes=st.integers(2, 4),
    ),
    stages=st.lists(STAGES, min_size=1, max_size=2).map(tuple),
    head=st.builds(
        Head,
        pool=one_of(language.HeadPool),
        hidden=st.sampled_from([0, 3]),
        activation=one_of(language.Activation),
        dropout=RATES,
    ),
)
FEW = settings(deadline=None, max_examples=25, derandomize=True, suppress_health_check=[HealthCheck.too_slow])


def test_every_kind_of_block_is_tried() -> None:
    kinds = {part.model_fields["kind"].default for part in get_args(get_args(Block)[0])}
    assert set(BLOCKS) == kinds


@FEW
@given(ARCHITECTURES)
def test_the_model_is_what_the_arithmetic_says(made: Architecture) -> None:
    keras.backend.clear_session()
    model, training, nodes = build(made), build_for_training(made, 0.9), lower(made).nodes
    assert model.count_params() == cost(made).parameters
    assert model.output_shape == (None, made.task.classes)
    for node in nodes[1:]:
        assert tuple(model.get_layer(node.name).output.shape[1:]) == node.shape
        assert model.get_layer(node.name).count_params() == node.parameters
    assert [(w.path, w.shape) for w in training.weights] == [(w.path, w.shape) for w in model.weights]


@settings(FEW, max_examples=200)
@given(ARCHITECTURES)
def test_counting_needs_no_network_and_json_loses_nothing(made: Architecture) -> None:
    nodes, found = lower(made).nodes, cost(made)
    assert found.parameters == sum(node.parameters for node in nodes)
    assert found.flops == sum(node.flops for node in nodes)
    assert found.activation_bytes == 4 * sum(node.values for node in nodes)
    again = Architecture.model_validate_json(made.model_dump_json())
    assert again == made
    assert network_hash(again) == network_hash(made)


def everything() -> Architecture:
    """Each block and each option, on images with odd sides."""
    gated = {"squeeze_excite": 0.5, "filters": 6, "dropout": 0.1}
    shortcut = gated | {"drop_path": 0.2}
    stages = [
        Stage(blocks=(block("conv", **gated), block("residual", **shortcut)), downsample="conv", skip="add"),
        Stage(
            blocks=(block("inverted", norm="group", **shortcut), block("convnext", norm="layer", **shortcut)),
            downsample="stride",
            attention=2,
            skip="concatenate",
        ),
        Stage(blocks=(block("separable", norm="none", **gated), block("dense_block")), downsample="average"),
        Stage(
            blocks=(block("cell", join="concatenate"), custom("ghost", rate=0.1)),
            downsample="max",
            attention=1,
        ),
    ]
    return architecture(*stages, side=11, channels=3, hidden=5, dropout=0.2)


def test_a_model_with_everything_is_saved_whole(tmp_path: Path) -> None:
    training = build_for_training(everything(), 0.5)
    images = np.random.default_rng(0).integers(0, 256, (8, 11, 11, 3)).astype(np.float32)
    training(images, training=True)
    model = build(everything())
    model.set_weights(training.get_weights())
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras", safe_mode=True)
    expected = tf.nn.softmax(training(images, training=False))
    np.testing.assert_allclose(loaded(images, training=False), expected, atol=1e-5)
    loaded.export(tmp_path / "exported", format="tf_saved_model", verbose=False)
    exported = tf.saved_model.load(str(tmp_path / "exported"))
    np.testing.assert_allclose(exported.serve(images), expected, atol=1e-5)
    assert all(type(layer).__module__.startswith("keras.") for layer in loaded.layers)


def test_drop_path_drops_whole_images() -> None:
    made = architecture(Stage(blocks=(block("convnext", filters=3, drop_path=0.75),), downsample="none"), channels=3)
    name = next(node.name for node in lower(made).nodes if isinstance(node.layer, DropPath))
    layer = build(made).get_layer(name)
    images = np.ones((400, 4, 4, 3), np.float32)
    np.testing.assert_array_equal(layer(images, training=False), images)
    dropped = np.asarray(layer(images, training=True)).reshape(400, -1)
    assert set(np.unique(dropped)) == {0.0, 4.0}
    assert (dropped == dropped[:, :1]).all()
    assert 0.6 < (dropped == 0).all(1).mean() < 0.9


def test_attention_by_hand() -> None:
    layer, shape = SelfAttention(heads=2, size=3), (4, 5, 7)
    assert layer.parameters(shape) == 3 * (7 * 6 + 6) + 6 * 7 + 7
    projections = 20 * (3 * 6 * (2 * 7 + 1) + 7 * (2 * 6 + 1))
    assert layer.flops(shape) == projections + 20 * 6 + 2 * (2 * 2 * 20 * 20 * 3) + 5 * 2 * 20 * 20
    assert layer.values(shape) == 20 * 7 + 4 * 20 * 6 + 2 * 2 * 20 * 20


# The hash -------------------------------------------------------------------------------------------------------------


def of_cell(*nodes: tuple[str, tuple[int, ...]], **fields: Any) -> str:
    made = tuple(CellNode(operation=operation, inputs=inputs) for operation, inputs in nodes)
    return network_hash(architecture(Stage(blocks=(block("cell", nodes=made, **fields),), downsample="none")))


def reordered(cell: Cell, seed: int) -> Cell:
    """The same nodes in another order in which they can be computed."""
    order: list[int] = []
    chance = random.Random(seed)
    while len(order) < len(cell.nodes):
        ready = [n for n in range(1, len(cell.nodes) + 1) if n not in order]
        ready = [n for n in ready if set(cell.nodes[n - 1].inputs) <= {0, *order}]
        order.append(chance.choice(ready))
    place = {0: 0} | {number: position for position, number in enumerate(order, start=1)}
    nodes = [cell.nodes[number - 1] for number in order]
    moved = [n.model_copy(update={"inputs": tuple(sorted(place[i] for i in n.inputs))}) for n in nodes]
    return cell.model_copy(update={"nodes": tuple(moved)})


@settings(FEW, max_examples=300)
@given(cells(most=8, join="sum"), st.integers(0, 9), st.booleans())
def test_the_order_of_a_cells_nodes_does_not_count(cell: Cell, seed: int, skip: bool) -> None:
    def stage(one: Cell) -> Stage:
        return Stage(blocks=(one,), downsample="none", skip="add" if skip else "none")

    assert network_hash(architecture(stage(cell))) == network_hash(architecture(stage(reordered(cell, seed))))


def test_there_are_as_many_hashes_as_cells_that_differ() -> None:
    """All cells of three nodes, against their least form over all orders of the nodes."""
    reads: list[list[tuple[int, ...]]]
    reads = [[(0,)], [(0,), (1,), (0, 1)], [(0,), (1,), (2,), (0, 1), (0, 2), (1, 2)]]
    hashes: dict[str, set[object]] = {}
    for operations in itertools.product(["conv", "max"], repeat=3):
        for inputs in itertools.product(*reads):
            nodes = list(zip(operations, inputs, strict=True))
            orders = ({0: 0, 1: a, 2: b, 3: c} for a, b, c in itertools.permutations((1, 2, 3)))
            least = min(
                sorted((order[n], name, sorted(order[i] for i in read)) for n, (name, read) in enumerate(nodes, 1))
                for order in orders
            )
            hashes.setdefault(of_cell(*nodes, filters=1), set()).add(str(least))
    assert max(map(len, hashes.values())) == 1
    assert len(hashes) == len(set().union(*hashes.values()))


def test_shared_features_are_not_equal_features() -> None:
    twice = of_cell(("conv", (0,)), ("identity", (1,)), ("identity", (1,)))
    two = of_cell(("conv", (0,)), ("conv", (0,)))
    assert twice != two
    assert two != of_cell(("conv", (0,)), ("conv", (0,)), ("identity", (1, 2)), ("identity", (1, 2)))


def test_a_ring_is_not_two_rings() -> None:
    """Each node sees the same from where it stands; the networks still differ."""
    four = [("conv", (0,))] * 4
    ring = [("max", pair) for pair in ((1, 2), (2, 3), (3, 4), (1, 4))]
    again = [("max", pair) for pair in ((1, 3), (2, 3), (2, 4), (1, 4))]
    rings = [("max", pair) for pair in ((1, 2), (1, 2), (3, 4), (3, 4))]
    assert of_cell(*four, *ring) == of_cell(*four, *again) != of_cell(*four, *rings)


def test_equal_networks_have_equal_hashes_however_they_are_said() -> None:
    def of(*stages: Stage, **more: Any) -> str:
        return network_hash(architecture(*stages, channels=3, **more))

    first, second = block("conv", filters=4), block("residual", filters=4, drop_path=0.1)
    apart = [Stage(blocks=(one,), downsample="none") for one in (first, second)]
    assert of(*apart) == of(Stage(blocks=(first, second), downsample="none"))
    lone = Stage(blocks=(block("cell", filters=3, nodes=(CellNode(inputs=(0,), operation="conv"),)),), downsample="max")
    assert of(lone) != of(Stage(blocks=(block("conv", filters=3),), downsample="max"))  # one pools before its norm
    lone = lone.model_copy(update={"downsample": "none"})
    assert of(lone) == of(Stage(blocks=(block("conv", filters=3),), downsample="none"))
    skipped = Stage(blocks=(block("conv", filters=3),), downsample="none", skip="add")
    nodes = (CellNode(inputs=(0,), operation="conv"), CellNode(inputs=(0, 1), operation="identity"))
    assert of(skipped) == of(Stage(blocks=(block("cell", filters=3, nodes=nodes),), downsample="none"))
    # What does nothing, does not count.
    wide = block("inverted", filters=8, squeeze_excite=0.5, drop_path=0.1)  # no shortcut: nothing to drop
    assert of(Stage(blocks=(wide,), downsample="none")) == of(
        Stage(blocks=(wide.model_copy(update={"drop_path": 0.0, "squeeze_excite": 0.6}),), downsample="none")
    )
    assert of(skipped, hidden=0, activation="gelu") == of(skipped, hidden=0, activation="relu")


def test_whatever_matters_changes_the_hash() -> None:
    fields: dict[str, list[Any]] = {
        "filters": [4], "kernel": [5], "activation": ["gelu"], "norm": ["layer", "none"], "dropout": [0.1, 0.2],
        "squeeze_excite": [0.5, 1.0], "drop_path": [0.1, 0.2], "expansion": [2],
    }  # fmt: skip
    stages: dict[str, list[Any]] = {
        "downsample": ["max", "average", "stride", "conv"], "attention": [1, 2], "skip": ["add", "concatenate"]
    }  # fmt: skip
    found = []
    for kind in ("residual", "convnext", "inverted"):
        made = block(kind, filters=3)
        blocks = [made] + [
            made.model_copy(update={name: value})
            for name, values in fields.items()
            for value in values
            if name in type(made).model_fields
        ]
        found += [Stage(blocks=(one,), downsample="none") for one in blocks]
        plain = Stage(blocks=(made,), downsample="none")
        found += [plain.model_copy(update={name: value}) for name, values in stages.items() for value in values]
    hashes = [network_hash(architecture(stage, channels=3)) for stage in found]
    assert len(set(hashes)) == len(hashes)
    task = [architecture(side=9), architecture(channels=3), architecture(classes=3), architecture(hidden=4)]
    assert len({network_hash(made) for made in [architecture(), *task]}) == 5


def test_rates_stay_with_their_place() -> None:
    def of(**options: float) -> str:
        return network_hash(architecture(Stage(blocks=(custom("twins", **options),), downsample="none")))

    assert of(a=0.1, b=0.2) == of(a=0.2, b=0.1) != of(a=0.1, b=0.1)
    little, much = block(dropout=0.1), block(dropout=0.2)
    orders = [Stage(blocks=order, downsample="none") for order in ((little, much), (much, little))]
    assert len({network_hash(architecture(stage)) for stage in orders}) == 2


# A user's own block ---------------------------------------------------------------------------------------------------


def of_custom(name: str, **stage: Any) -> Architecture:
    return architecture(Stage.model_validate({"blocks": [custom(name)], "downsample": "none"} | stage))


def test_a_custom_block_is_like_any_other() -> None:
    nodes = lower(of_custom("ghost", downsample="max")).nodes
    assert nodes[-3].shape == (4, 4, 16)
    assert not any(isinstance(node.layer, Dropout) for node in nodes)  # a rate of 0 is no layer
    assert any(isinstance(node.layer, Add) for node in lower(of_custom("same", skip="add")).nodes)


@pytest.mark.parametrize(
    ("name", "downsample", "message"),
    [
        ("lost", "none", "adds activation, but nothing reads it"),
        ("halved", "none", r"gives \(4, 4, 1\) for \(8, 8, 1\); expected \(8, 8, channels\) with downsample 'none'"),
        ("same", "stride", r"expected \(4, 4, channels\) with downsample 'stride'"),
        ("nothing", "none", "returned None; expected a node"),
        ("unfit", "none", r"failed: ValueError: Add\(\): found \(8, 8, 1\) and \(1, 1, 1\), expected equal shapes"),
    ],
)
def test_a_custom_block_that_goes_wrong_is_named(name: str, downsample: str, message: str) -> None:
    with pytest.raises(TrialError, match=rf"custom block 'ghosts.py:{name}' .*{message}"):
        cost(of_custom(name, downsample=downsample))


def test_untrusted_code_is_refused() -> None:
    code._trusted.clear()
    with pytest.raises(InputError, match="--trust-code"):
        cost(of_custom("ghost"))

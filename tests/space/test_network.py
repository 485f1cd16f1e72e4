import itertools

import pytest
from candidates import BLOCK_CLASSES, architecture, block, candidate

from archsearch.space.architecture import SGD, Architecture, Augment, CellNode, Stage
from archsearch.space.cost import cost
from archsearch.space.layers import Conv, Depthwise, Dropout, Norm, Pool
from archsearch.space.network import Network, digest, lower, network_hash

KINDS = list(BLOCK_CLASSES)


def shapes(network: Network) -> list[tuple[int, ...]]:
    return [node.shape for node in network.nodes]


def test_a_known_network_layer_by_layer() -> None:
    stage = Stage(blocks=(block(filters=16), block(filters=4, dropout=0.2)), downsample="max")
    nodes = lower(architecture(stage, side=7, hidden=5)).nodes
    assert [node.name for node in nodes] == [
        "input",
        "rescale",
        "stage1_block1_conv",
        "stage1_block1_norm",
        "stage1_block1_activation",
        "stage1_block2_conv",
        "stage1_block2_pool",
        "stage1_block2_norm",
        "stage1_block2_activation",
        "stage1_block2_dropout",
        "head_flatten",
        "head_dense",
        "head_activation",
        "head_dense2",
    ]
    assert [node.shape for node in nodes][5:8] == [(7, 7, 4), (4, 4, 4), (4, 4, 4)]
    assert nodes[-1].shape == (10,)


def test_parameters_and_flops_of_a_known_network_by_hand() -> None:
    found = cost(architecture(Stage(blocks=(block(filters=4, kernel=3),), downsample="max"), side=8))
    assert found.parameters == 3 * 3 * 1 * 4 + 4 * 4 + (4 * 4 * 4 + 1) * 10
    rescale, conv, pool, norm, relu, dense = 64, 8 * 8 * 4 * 18, 4 * 4 * 4 * 4, 4 * 4 * 4 * 2, 4 * 4 * 4, 10 * 129
    assert found.flops == rescale + conv + pool + norm + relu + dense
    assert found.activation_bytes == 4 * (64 + 64 + 256 + 64 + 64 + 64 + 64 + 10)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("downsample", ["max", "average", "stride", "conv", "none"])
@pytest.mark.parametrize("side", [1, 2, 7, 8])
def test_a_block_keeps_its_promise_on_shapes(kind: str, downsample: str, side: int) -> None:
    stage = Stage.model_validate({"blocks": [block(kind, filters=6)], "downsample": downsample})
    network = lower(architecture(stage, side=side, channels=3))
    after = -(-side // 2) if downsample != "none" else side
    last = max(i for i, node in enumerate(network.nodes) if node.name.startswith("stage1"))
    assert network.shape(last) == (after, after, 6)


@pytest.mark.parametrize(("kind", "kernel"), [*itertools.product(KINDS, [1, 3])])
def test_no_stride_steps_over_pixels(kind: str, kernel: int) -> None:
    stage = Stage(blocks=(block(kind, kernel=kernel),), downsample="stride")
    for node in lower(architecture(stage)).nodes:
        if isinstance(node.layer, Conv | Depthwise):
            assert node.layer.kernel >= node.layer.stride


def test_a_bias_is_only_where_no_norm_follows() -> None:
    for norm, biased in (("batch", False), ("layer", False), ("group", False), ("none", True)):
        stage = Stage(blocks=(block("conv", norm=norm),), downsample="none")
        layers = [node.layer for node in lower(architecture(stage)).nodes]
        assert [layer.bias for layer in layers if isinstance(layer, Conv)] == [biased]
        assert any(isinstance(layer, Norm) for layer in layers) != biased


@pytest.mark.parametrize(("channels", "groups"), [(1, 1), (6, 6), (7, 7), (8, 8), (9, 3), (12, 6), (16, 8), (11, 1)])
def test_groups_divide_the_channels(channels: int, groups: int) -> None:
    assert Norm.groups(channels) == groups


def test_dropout_of_zero_is_no_layer() -> None:
    assert not any(isinstance(node.layer, Dropout) for node in lower(architecture()).nodes)


def test_pooling_comes_before_norm() -> None:
    kinds = [type(node.layer) for node in lower(architecture()).nodes]
    assert kinds.index(Pool) < kinds.index(Norm)


def test_the_digest_is_of_what_is_built_and_how_it_is_trained() -> None:
    one = candidate()
    assert digest(one) == digest(candidate())
    assert digest(one) == digest(one.model_validate_json(one.model_dump_json()))
    # The activation of a hidden layer that is not there changes nothing.
    assert digest(one) == digest(candidate(architecture(activation="gelu")))
    others = [
        candidate(architecture(hidden=4)),
        candidate(architecture(Stage(blocks=(block(filters=9),), downsample="max"))),
        candidate(architecture(Stage(blocks=(block(),), downsample="average"))),
        candidate(epochs=5),
        candidate(augment=Augment(rotate=1.0)),
        candidate(optimizer=SGD()),
    ]
    assert len({digest(one), *map(digest, others)}) == 1 + len(others)


def test_an_architecture_goes_through_json_unchanged() -> None:
    stages = [Stage(blocks=(block(kind),), downsample="none") for kind in ("residual", "inverted", "dense_block")]
    made = architecture(*stages)
    assert Architecture.model_validate_json(made.model_dump_json()) == made


def test_a_cell_that_does_what_another_block_does_is_the_same_network() -> None:
    cell = block("cell", nodes=(CellNode(inputs=(0,), operation="conv"),))
    plain, found = (architecture(Stage(blocks=(block(), end), downsample="none")) for end in (block(), cell))
    assert [node.layer for node in lower(plain).nodes] == [node.layer for node in lower(found).nodes]
    assert network_hash(plain) == network_hash(found)
    pool = cell.model_copy(update={"nodes": (CellNode(inputs=(0,), operation="max"),)})
    assert network_hash(plain) != network_hash(architecture(Stage(blocks=(block(), pool), downsample="none")))

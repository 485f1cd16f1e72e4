from xml.etree import ElementTree

from report_studies import baseline

from archsearch.report.diagram import architecture_svg, side_by_side_svg
from archsearch.space.architecture import (
    Architecture,
    Cell,
    CellNode,
    Conv,
    ConvNeXt,
    DenseBlock,
    Head,
    Inverted,
    Residual,
    Separable,
    Stage,
    Task,
)
from archsearch.space.network import lower

SVG = "{http://www.w3.org/2000/svg}"


def architecture() -> Architecture:
    """Every kind of block and of downsampling, sides that do not divide by two."""
    return Architecture(
        task=Task(height=33, width=30, channels=3, classes=12),
        stages=(
            Stage(
                blocks=(Conv(filters=16, kernel=3, activation="relu", norm="batch", dropout=0.0),) * 2,
                downsample="stride",
            ),
            Stage(
                blocks=(
                    Inverted(filters=24, kernel=5, activation="silu", norm="group", dropout=0.1, squeeze_excite=0.25),
                    Separable(filters=32, kernel=3, activation="gelu", norm="layer", dropout=0.0),
                ),
                downsample="max",
            ),
            Stage(
                blocks=(DenseBlock(filters=40, kernel=3, activation="elu", norm="none", dropout=0.2),),
                downsample="average",
            ),
            Stage(
                blocks=(Residual(filters=48, kernel=3, activation="relu", norm="batch", dropout=0.0),),
                downsample="none",
            ),
        ),
        head=Head(pool="flatten", hidden=64, activation="relu", dropout=0.3),
    )


def newer() -> Architecture:
    """What else a stage can hold."""
    nodes = (CellNode(inputs=(0,), operation="conv"), CellNode(inputs=(0, 1), operation="max"))
    return Architecture(
        task=Task(height=16, width=16, channels=1, classes=3),
        stages=(
            Stage(
                blocks=(ConvNeXt(filters=8, kernel=7, activation="gelu", norm="layer", dropout=0.0, drop_path=0.05),),
                downsample="conv",
                attention=2,
                skip="concatenate",
            ),
            Stage(
                blocks=(Cell(filters=12, kernel=3, activation="relu", norm="batch", dropout=0.0, nodes=nodes),),
                downsample="none",
                attention=1,
                skip="add",
            ),
        ),
        head=Head(pool="average", hidden=0, activation="relu", dropout=0.0),
    )


def texts(svg: str) -> list[str]:
    return ["".join(node.itertext()) for node in ElementTree.fromstring(svg).iter(f"{SVG}text")]


def changed(svg: str) -> list[str]:
    return [node.text or "" for node in ElementTree.fromstring(svg).iter(f"{SVG}tspan")]


def test_everything_decided_is_in_the_drawing() -> None:
    words = " ".join(texts(architecture_svg(architecture())))
    for part in (
        "2 × Convolution 16", "3×3 · relu · batch norm", "↓ stride 2",
        "Inverted residual 24", "5×5", "expansion 4", "squeeze-excite 0.25", "silu", "group norm", "dropout 0.1",
        "Separable convolution 32", "gelu", "layer norm", "↓ max pool",
        "Dense block 40", "2 layers", "growth 12", "elu", "no norm", "dropout 0.2", "↓ average pool",
        "Residual 48", "Flatten", "Dense 64", "Class scores 12", "dropout 0.3",
    ):  # fmt: skip
        assert part in words, part


def test_what_joins_a_stage_has_a_box() -> None:
    found = texts(architecture_svg(newer()))
    words = " ".join(found)
    for part in (
        "ConvNeXt 8", "7×7", "expansion 4", "drop path 0.05", "↓ 2×2 convolution", "Self-attention", "2 heads",
        "Concatenate", "the input of stage 1", "Cell 12", "joined by sum", "1: conv ← 0", "2: max ← 0, 1", "1 head",
        "Add", "the input of stage 2",
    ):  # fmt: skip
        assert part in words, part
    assert [text for text in found if text.replace(" × ", "").isdigit()] == [
        "16 × 16 × 1", "8 × 8 × 8", "8 × 8 × 8", "8 × 8 × 9", "8 × 8 × 12", "8 × 8 × 12", "8 × 8 × 12", "12"
    ]  # fmt: skip


def test_only_the_cells_node_that_differs_is_marked() -> None:
    ours = newer()
    (cell,) = ours.stages[1].blocks
    assert isinstance(cell, Cell)
    nodes = (cell.nodes[0], cell.nodes[1].model_copy(update={"operation": "average"}))
    stage = ours.stages[1].model_copy(update={"blocks": (cell.model_copy(update={"nodes": nodes}),), "skip": "none"})
    theirs = ours.model_copy(update={"stages": (ours.stages[0], stage)})
    assert changed(side_by_side_svg(ours, theirs, ("a", "b"))) == ["2: average ← 0, 1"]


def test_shapes_are_those_of_the_network() -> None:
    drawn = [text for text in texts(architecture_svg(architecture())) if text.replace(" × ", "").isdigit()]
    nodes = lower(architecture()).nodes
    shapes = {" × ".join(map(str, node.shape)) for node in nodes}
    assert drawn == [
        "33 × 30 × 3", "17 × 15 × 16", "17 × 15 × 24", "9 × 8 × 32", "5 × 4 × 40", "5 × 4 × 48", "960", "64"
    ]  # fmt: skip
    assert set(drawn) <= shapes


def test_like_beside_like_marks_nothing() -> None:
    svg = side_by_side_svg(architecture(), architecture(), ("a", "b"))
    assert changed(svg) == []
    assert 'class="step new"' not in svg


def test_only_what_differs_is_marked() -> None:
    ours = baseline().architecture
    first = ours.stages[0].blocks[0].model_copy(update={"filters": 16, "activation": "gelu"})
    theirs = ours.model_copy(
        update={
            "stages": (ours.stages[0].model_copy(update={"blocks": (first,), "downsample": "stride"}), ours.stages[1]),
            "head": ours.head.model_copy(update={"hidden": 32}),
        }
    )
    svg = side_by_side_svg(ours, theirs, ("Baseline", "Winner"))
    assert changed(svg) == ["16", "gelu", "↓ stride 2", "Dense", "32", "relu"]
    assert svg.count('class="step new"') == 2


def test_equal_places_stand_on_equal_heights() -> None:
    small, large = baseline().architecture, architecture()
    root = ElementTree.fromstring(side_by_side_svg(small, large, ("small", "large")))
    left, right = ([box.get("y") for box in column.iter(f"{SVG}rect")] for column in root.findall(f"{SVG}g"))
    assert len(left) < len(right)
    assert (left[0], left[-1]) == (right[0], right[-1])
    assert set(left) <= set(right)


def test_titles_are_escaped() -> None:
    svg = side_by_side_svg(baseline().architecture, architecture(), ('<script>"1"</script>', "a & b"))
    assert "<script>" not in svg
    assert texts(svg)[:2] == ['<script>"1"</script>', "a & b"]


def test_the_drawing_lies_within_its_view() -> None:
    root = ElementTree.fromstring(architecture_svg(architecture()))
    height = float(root.get("viewBox", "").split()[3])
    ends = [float(box.get("y", "")) + float(box.get("height", "")) for box in root.iter(f"{SVG}rect")]
    assert max(ends) < height

import pytest

from archsearch.space.corners import MOST_CORNERS, corners, halvings, possible, settings
from archsearch.space.expression import Number
from archsearch.space.load import parse_space
from archsearch.space.schema import SpaceFile
from archsearch.space.values import Formula


def schema(let: str, stages: str, training: str = "{}") -> SpaceFile:
    return parse_space(f"name: a\nlet: {{{let}}}\nstages: [{stages}]\ntraining: {training}").schema


def tried(let: str, stages: str, field: str = "filters") -> list[dict[str, Number]]:
    """What an expression in a field of the last stage is tried for."""
    space = schema(let, stages)
    last = len(space.stages) - 1
    formula = getattr(space.stages[last], field)
    assert isinstance(formula, Formula)
    return list(settings(space, ("stages", last, field), formula))


@pytest.mark.parametrize(
    ("epochs", "values"),
    [
        ("7", [7]),
        ("{choice: [3, 9, 6]}", [3, 6, 9]),
        ("{int: [2, 8], step: 3}", [2, 5, 8]),
        ("= n", [2, 3, 4, 5]),
        ("= m", [5, 7, 9, 11]),
    ],
)
def test_possible_values(epochs: str, values: list[int]) -> None:
    space = schema("m: = 2 * n + 1, n: {int: [2, 5]}", "{filters: 8}", f"{{epochs: {epochs}}}")
    assert space.training.epochs is not None
    assert possible(space, space.training.epochs) == values


def test_names_are_tried_together() -> None:
    found = tried("half: = width / 2, width: {choice: [8, 16]}, other: {int: [1, 9]}", "{filters: = width + half}")
    assert found == [
        {"half": 4.0, "width": 8, "stage": 0, "block": 0},
        {"half": 8.0, "width": 16, "stage": 0, "block": 0},
    ]


def test_only_indices_that_exist_are_tried() -> None:
    first = "{filters: 8, repeat: {int: [1, 2]}}"
    places = [(names["stage"], names["block"]) for names in tried("", f"{first}, {{filters: = 8, depth: = stage}}")]
    assert places == [(1, 0), (2, 0), (2, 1)]


def test_what_follows_from_one_name_is_tried_for_one_value_of_it() -> None:
    found = tried("n: {choice: [1, 2, 3]}", "{depth: = n, filters: = 8 * (n - block)}")
    assert {(names["n"], names["block"]) for names in found} == {(1, 0), (2, 0), (2, 1), (3, 0), (3, 1), (3, 2)}


def test_a_depth_knows_no_block() -> None:
    assert tried("", "{filters: 8, repeat: 2, depth: = stage}", "depth") == [{"stage": 0}, {"stage": 1}]


@pytest.mark.parametrize(("depth", "stages"), [(1, [0, 1, 2]), ("= stage", [1, 2])])
def test_attention_knows_the_stages_that_have_blocks(depth: object, stages: list[int]) -> None:
    found = tried("", f"{{filters: 8, repeat: 3, depth: {depth}, attention: = stage}}", "attention")
    assert found == [{"stage": stage} for stage in stages]


def test_corners_of_every_way() -> None:
    stage = schema(
        "", "{filters: 8, block: {choice: {conv: {}, cell: {}}}, kernel: {choice: [3, 5, 7]}, depth: {int: [1, 4]}}"
    )
    entry = stage.stages[0]
    assert [corners(value) for value in (entry.filters, entry.block, entry.kernel, entry.depth)] == [
        (8,),
        ("conv", "cell"),
        (3, 5, 7),
        (1, 4),
    ]


def test_an_empty_stage_needs_no_filters() -> None:
    found = tried("n: {int: [0, 2]}", "{depth: = n, filters: = 8 * n}")
    assert {names["n"] for names in found} == {1, 2}


def test_many_corners_are_bounded() -> None:
    names = [f"n{i}" for i in range(40)]
    let = ", ".join(f"{name}: {{int: [1, 9]}}" for name in names)
    assert len(tried(let, f"{{filters: {'= ' + ' + '.join(names[:30])}, depth: 2}}")) == MOST_CORNERS


@pytest.mark.parametrize(
    ("stages", "most"),
    [
        ("{filters: 8, repeat: 4}", [0]),
        ("{filters: 8, repeat: 4, downsample: max}", [4]),
        ("{filters: 8, repeat: 4, downsample: max, depth: 0}", [0]),
        ("{filters: 8, repeat: 4, downsample: max, depth: {int: [0, 2]}}", [4]),
        ("{filters: 8, repeat: 4, downsample: max, depth: '= min(stage, 1)'}", [3]),
        (
            "{filters: 8, downsample: {choice: [none, stride]}}, {filters: 8, downsample: max, repeat: {int: [1, 3]}}",
            [1, 4],
        ),
        ("{filters: 8, downsample: max, repeat: = n}, {filters: 8, downsample: max, repeat: = 4 - n}", [3, 4]),
    ],
)
def test_halvings_are_counted_over_what_can_happen_together(stages: str, most: list[int]) -> None:
    found: dict[int, int] = {}
    for index, times in halvings(schema("n: {choice: [1, 2, 3]}", stages)):
        found[index] = max(found.get(index, 0), times)
    assert list(found.values()) == most

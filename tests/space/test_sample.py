import random
from collections.abc import Sequence
from typing import Any

import pytest
from pydantic import TypeAdapter

from archsearch.errors import InputError, SpaceError, TrialError
from archsearch.space.architecture import (
    Adam,
    Augment,
    BlockFields,
    Candidate,
    Cell,
    DenseBlock,
    Head,
    Inverted,
    Lion,
    Part,
    Recipe,
    Task,
)
from archsearch.space.cost import cost
from archsearch.space.load import Space, parse_space
from archsearch.space.sample import (
    EPOCHS,
    Chooser,
    FixedChooser,
    RandomChooser,
    RecordingChooser,
    Scalar,
    baseline_candidate,
    baseline_point,
    sample,
)
from archsearch.space.schema import AugmentSection, HeadSection, StageEntry, TrainingSection
from archsearch.space.values import Section, formula

TASK = Task(height=32, width=32, channels=3, classes=10)

RICH = """
name: rich
let: {late: = 2 * width, width: {choice: [8, 16]}}
augment: {strength: {float: [0.0, 1.0]}, rotate: {float: [5, 20]}, shift: 0.2}
stages:
  - filters: = width
  - repeat: {int: [1, 3]}
    depth: {int: [0, 2]}
    block:
      choice:
        inverted: {expansion: {choice: [2, 4]}, squeeze_excite: {choice: [0.0, 0.25]}}
        dense_block: {layers: = block + 1, growth: {int: [8, 32], log: true}}
        conv: {}
        cell: {nodes: {int: [1, 3]}, operation: {choice: [conv, max]}}
    filters: = width * 2 ** stage + block
    kernel: {int: [1, 5], step: 2}
    activation: {choice: [relu, gelu]}
    downsample: {choice: [none, max]}
    dropout: {float: [0.0, 0.5]}
    attention: {choice: [0, 2]}
    skip: {choice: [none, add]}
head: {hidden: {choice: [0, 64]}, activation: {choice: [gelu, silu]}}
training:
  optimizer: {choice: {adam: {learning_rate: {float: [1.0e-4, 1.0e-2], log: true}}, sgd: {}}}
  epochs: = late
"""


def drawn(space: Space, chooser: Chooser) -> tuple[dict[str, Scalar], Candidate]:
    recording = RecordingChooser(chooser)
    return recording.point, sample(space, recording, TASK)


def random_ones(space: Space, count: int = 200) -> list[tuple[dict[str, Scalar], Candidate]]:
    chooser = RandomChooser(random.Random(0))
    return [drawn(space, chooser) for _ in range(count)]


def fixed(text: str, point: dict[str, Scalar] | None = None) -> Candidate:
    return sample(parse_space(text), FixedChooser(point or {}), TASK)


def test_nothing_varies_nothing_is_asked() -> None:
    space = parse_space(
        "name: a\nlet: {w: 4}\nstages: [{filters: = w, kernel: {choice: [5]}, block: {choice: {conv: {}}}}]"
    )
    point, candidate = drawn(space, FixedChooser({}))
    assert point == {}
    assert candidate.architecture.stages[0].blocks[0].filters == 4
    assert candidate.architecture.stages[0].blocks[0].kernel == 5
    assert candidate.recipe.augment == Augment()
    assert candidate.recipe.optimizer == Adam()


@pytest.mark.parametrize(
    ("section", "part"),
    [(AugmentSection, Augment), (StageEntry, BlockFields), (HeadSection, Head), (TrainingSection, Recipe)],
)
def test_a_file_can_say_whatever_a_candidate_can_be(section: type[Section], part: type[Part]) -> None:
    assert set(part.model_fields) - {"augment"} <= set(section.model_fields)


def test_equal_generators_draw_equal_candidates() -> None:
    space = parse_space(RICH)
    assert random_ones(space, 20) == random_ones(space, 20)


def test_a_recorded_point_gives_the_candidate_again() -> None:
    space = parse_space(RICH)
    for point, candidate in random_ones(space, 50):
        assert drawn(space, FixedChooser(point)) == (point, candidate)


def test_names_are_those_of_the_space_and_all_of_them_come_up() -> None:
    space = parse_space(RICH)
    seen = {name for point, _ in random_ones(space) for name in point}
    assert seen == set(space.parameters)


def test_values_are_those_of_the_space() -> None:
    space = parse_space(RICH)
    for point, _ in random_ones(space, 50):
        for name, value in point.items():
            assert space.parameters[name].take(value) == value


def test_the_order_of_drawing_is_that_of_the_language() -> None:
    point, _ = drawn(parse_space(RICH), FixedChooser({"stages.1.repeat": 2, "head.hidden": 64}))
    copy = ["depth", "block", "block.inverted.squeeze_excite", "block.inverted.expansion"]
    copy += ["kernel", "activation", "downsample", "dropout", "attention", "skip"]
    assert list(point) == [
        "width",
        "augment.strength",
        "augment.rotate",
        "stages.1.repeat",
        *(f"stages.1.0.{name}" for name in copy),
        *(f"stages.1.1.{name}" for name in copy),
        "head.hidden",
        "head.activation",
        "training.optimizer",
        "training.optimizer.adam.learning_rate",
    ]


def test_only_what_matters_is_drawn() -> None:
    for point, candidate in random_ones(parse_space(RICH)):
        copies = point["stages.1.repeat"]
        assert {name.split(".")[2] for name in point if name.startswith("stages.1.") and "repeat" not in name} == {
            str(copy) for copy in range(int(copies))
        }
        for copy in range(int(copies)):
            here = f"stages.1.{copy}."
            names = {name.removeprefix(here) for name in point if name.startswith(here)}
            if point[here + "depth"] == 0:
                assert names == {"depth"}
                continue
            kind = str(point[here + "block"])
            nodes = range(1, int(point.get(here + "block.cell.nodes", 0)) + 1)
            options = {
                "inverted": {"expansion", "squeeze_excite"},
                "dense_block": {"growth"},
                "conv": set(),
                "cell": {"nodes", *(f"operation.{n}" for n in nodes), *(f"inputs.{n}" for n in nodes if n > 1)},
            }
            assert {name for name in names if name.startswith("block.")} == {f"block.{kind}.{x}" for x in options[kind]}
        assert ("training.optimizer.adam.learning_rate" in point) == (point["training.optimizer"] == "adam")
        assert ("head.activation" in point) == (candidate.architecture.head.hidden > 0)


def test_an_empty_copy_is_left_out_but_counts_as_a_stage() -> None:
    point: dict[str, Scalar] = {"stages.1.repeat": 3, "stages.1.1.depth": 0}
    stages = fixed(RICH, point).architecture.stages
    assert [[block.filters for block in stage.blocks] for stage in stages] == [[8], [16], [64]]


def test_expressions_know_stage_and_block() -> None:
    point: dict[str, Scalar] = {"stages.1.0.depth": 2, "stages.1.0.block": "dense_block", "stages.1.repeat": 1}
    blocks = fixed(RICH, point).architecture.stages[1].blocks
    assert [block.filters for block in blocks] == [16, 17]
    assert [block.layers for block in blocks if isinstance(block, DenseBlock)] == [1, 2]


def test_a_name_may_follow_from_a_later_one() -> None:
    assert fixed(RICH, {"width": 16}).recipe.epochs == 32


def test_epochs_that_are_left_out_wait_for_a_plan() -> None:
    assert fixed("name: a\nstages: [{filters: 8}]\n").recipe.epochs == EPOCHS


def test_options_carry_their_fields() -> None:
    block = (
        fixed(RICH, {"stages.1.0.depth": 1, "stages.1.0.block.inverted.expansion": 4}).architecture.stages[1].blocks[0]
    )
    assert block == Inverted(
        filters=16, kernel=3, activation="relu", norm="batch", dropout=0.25, expansion=4, squeeze_excite=0.0
    )


COPIES = "name: a\nstages: [{{filters: = 8 * (stage + 1), repeat: {}, share: {}, kernel: {{choice: [1, 3, 5, 7, 9]}}}}]"


@pytest.mark.parametrize(
    ("repeat", "share", "names"),
    [
        ("1", "false", ["stages.0.kernel"]),
        ("3", "true", ["stages.0.kernel"]),
        ("3", "false", ["stages.0.0.kernel", "stages.0.1.kernel", "stages.0.2.kernel"]),
        ("{int: [2, 3]}", "true", ["stages.0.repeat", "stages.0.kernel"]),
        ("= 1", "false", ["stages.0.0.kernel"]),
    ],
)
def test_names_of_copies(repeat: str, share: str, names: list[str]) -> None:
    point, _ = drawn(parse_space(COPIES.format(repeat, share)), FixedChooser({}))
    assert list(point) == names


def test_shared_copies_are_alike_and_others_are_not() -> None:
    def kernels(share: str) -> list[tuple[int, ...]]:
        candidates = [candidate for _, candidate in random_ones(parse_space(COPIES.format(3, share)), 30)]
        assert all([s.blocks[0].filters for s in c.architecture.stages] == [8, 16, 24] for c in candidates)
        return [tuple(stage.blocks[0].kernel for stage in c.architecture.stages) for c in candidates]

    assert all(len(set(found)) == 1 for found in kernels("true"))
    assert any(len(set(found)) == 3 for found in kernels("false"))


def test_strength_scales_augmentation() -> None:
    assert fixed(RICH, {"augment.strength": 0.5, "augment.rotate": 10}).recipe.augment == Augment(rotate=5, shift=0.1)
    point, candidate = drawn(parse_space(RICH), FixedChooser({"augment.strength": 0}))
    assert candidate.recipe.augment == Augment()
    assert "augment.rotate" not in point


def test_a_value_missing_from_a_point_is_the_first_or_the_middle() -> None:
    fixed = FixedChooser({})
    assert fixed.choice("a", ["x", "y"]) == "x"
    assert fixed.integer("a", 1, 4) == 2
    assert fixed.integer("a", 1, 10, step=3) == 4
    assert fixed.integer("a", 0, 10, step=2) == 4
    assert fixed.integer("a", 1, 1000, log=True) == 31
    assert fixed.real("a", 1.0, 2.0) == 1.5
    assert fixed.real("a", 1e-4, 1e-2, log=True) == pytest.approx(1e-3)


@pytest.mark.parametrize(
    ("value", "ask", "message"),
    [
        ("z", lambda c: c.choice("a", ["x", "y"]), "a: found 'z', expected x or y"),
        (4, lambda c: c.integer("a", 1, 5, step=2), "a: found 4, expected a whole number from 1 to 5 by 2"),
        (2.0, lambda c: c.integer("a", 1, 5), "a: found 2.0, expected a whole number from 1 to 5 by 1"),
        (7, lambda c: c.real("a", 1.0, 5.0), "a: found 7, expected a number from 1.0 to 5.0"),
        ("x", lambda c: c.real("a", 1.0, 5.0), "a: found 'x', expected a number from 1.0 to 5.0"),
    ],
)
def test_a_point_of_another_space_is_refused(value: Scalar, ask: Any, message: str) -> None:
    with pytest.raises(InputError) as caught:
        ask(FixedChooser({"a": value}))
    assert str(caught.value) == message


def test_random_draws_fill_their_ranges_evenly() -> None:
    chooser = RandomChooser(random.Random(0))
    assert {chooser.choice("a", ["x", "y"]) for _ in range(100)} == {"x", "y"}
    assert {chooser.integer("a", 1, 7, step=2) for _ in range(200)} == {1, 3, 5, 7}
    whole = [chooser.integer("a", 1, 1000, log=True) for _ in range(2000)]
    assert (min(whole), max(whole) > 900) == (1, True)
    assert 800 < sum(n <= 31 for n in whole) < 1200
    real = [chooser.real("a", 1e-4, 1e-2, log=True) for _ in range(2000)]
    assert all(1e-4 <= x <= 1e-2 for x in real)
    assert 900 < sum(x < 1e-3 for x in real) < 1100
    assert 900 < sum(chooser.real("a", 0.0, 1.0) < 0.5 for _ in range(2000)) < 1100


class Counting:
    """Answers with the number of times it was asked."""

    def __init__(self) -> None:
        self.asked = 0

    def choice(self, name: str, options: Sequence[Scalar]) -> Scalar:
        raise AssertionError("there is no choice to make")

    def integer(self, name: str, low: int, high: int, step: int = 1, log: bool = False) -> int:
        self.asked += 1
        return self.asked

    def real(self, name: str, low: float, high: float, log: bool = False) -> float:
        raise AssertionError("there is nothing real to draw")


def test_a_name_is_asked_for_once() -> None:
    counting = Counting()
    text = "name: a\nstages: [{filters: 8, repeat: 3, share: true, kernel: {int: [1, 9]}}]"
    candidate = sample(parse_space(text), counting, TASK)
    assert counting.asked == 1
    assert [stage.blocks[0].kernel for stage in candidate.architecture.stages] == [1, 1, 1]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "let: {n: {int: [1, 3000]}}\nname: a\nstages: [{filters: = 3000 / n, repeat: 2}]",
            "stages.0.0.filters: '= 3000 / n' gives 428.57142857142856 for n=7, "
            "expected a whole number (round(…) makes one)",
        ),
        (
            "let: {n: {int: [1, 3000]}, m: = 3000 / (n - 7)}\nname: a\nstages: [{filters: 8}]",
            "let: '= 3000 / (n - 7)' divides by zero for n=7",
        ),
        (
            "let: {n: {int: [1, 3000]}}\nname: a\n"
            "stages: [{filters: 8, block: {choice: {inverted: {expansion: = 16 - (n == 7) / 2}}}}]",
            "stages.0.block.inverted.expansion: '= 16 - (n == 7) / 2' gives 15.5 for n=7, "
            "expected a whole number (round(…) makes one)",
        ),
    ],
)
def test_an_expression_that_fails_between_the_corners_fails_its_trial(text: str, message: str) -> None:
    space = parse_space(text)
    sample(space, FixedChooser({"n": 5}), TASK)
    with pytest.raises(TrialError) as caught:
        sample(space, FixedChooser({"n": 7}), TASK)
    assert str(caught.value) == message


def test_the_baseline_is_filled_in() -> None:
    space = parse_space(RICH + "baseline: {stages.1.repeat: 2, stages.1.depth: 1, stages.1.1.kernel: 5, width: 16}")
    point = baseline_point(space, TASK)
    assert {name: point[name] for name in ("width", "stages.1.repeat", "stages.1.0.depth", "stages.1.1.depth")} == {
        "width": 16,
        "stages.1.repeat": 2,
        "stages.1.0.depth": 1,
        "stages.1.1.depth": 1,
    }
    assert (point["stages.1.0.kernel"], point["stages.1.1.kernel"]) == (3, 5)
    assert point["augment.strength"] == 0.5
    assert drawn(space, FixedChooser(point))[0] == point


def test_the_baseline_candidate_is_the_one_at_its_point() -> None:
    space = parse_space(RICH + "baseline: {stages.1.repeat: 2, stages.1.depth: 1, width: 16}")
    candidate = baseline_candidate(space, TASK)
    assert candidate == sample(space, FixedChooser(baseline_point(space, TASK)), TASK)
    assert [len(stage.blocks) for stage in candidate.architecture.stages] == [1, 1, 1]


LIMITED = "name: a\nstages: [{{filters: {{choice: [4, 8]}}}}]\nlimits: {{flops: {}, parameters: {}}}"


def test_a_baseline_breaks_a_limit_above_it() -> None:
    found = cost(baseline_candidate(parse_space(LIMITED.format("1G", "1G")), TASK).architecture)
    baseline_candidate(parse_space(LIMITED.format(found.flops, found.parameters)), TASK)
    with pytest.raises(SpaceError) as caught:
        baseline_candidate(parse_space(LIMITED.format(found.flops - 1, found.parameters), "f"), TASK)
    assert [problem.path for problem in caught.value.problems] == ["limits.flops"]


def test_all_limits_that_a_baseline_breaks_at_once() -> None:
    found = cost(baseline_candidate(parse_space(LIMITED.format("1G", "1G")), TASK).architecture)
    with pytest.raises(SpaceError) as caught:
        baseline_candidate(parse_space(LIMITED.format("1k", 100), "f"), TASK)
    todo = "make the baseline smaller or raise the limit"
    assert str(caught.value).splitlines() == [
        f"f:3:10: limits.flops: found {found.flops:,} in the baseline, the limit is 1,000; {todo}",
        f"f:3:21: limits.parameters: found {found.parameters:,} in the baseline, the limit is 100; {todo}",
    ]


def test_a_baseline_without_a_value_is_the_files_fault() -> None:
    text = "let: {n: {int: [1, 3000]}}\nname: a\nstages: [{filters: = 3000 / n}]\nbaseline: {n: 7}"
    with pytest.raises(SpaceError) as caught:
        baseline_candidate(parse_space(text, "f"), TASK)
    assert str(caught.value) == (
        "f:3:1: stages: the baseline cannot be built: stages.0.filters: '= 3000 / n' gives 428.57142857142856 for n=7, "
        "expected a whole number (round(…) makes one)"
    )


CELL_SPACE = """
name: cells
stages:
  - repeat: 2
    block: {cell: {nodes: {int: [1, 4]}, join: {choice: [sum, concatenate]}}}
    filters: 8
"""


def test_each_node_of_a_cell_draws_its_inputs_and_its_operation() -> None:
    point, candidate = drawn(parse_space(CELL_SPACE), FixedChooser({"stages.0.0.block.cell.nodes": 3}))
    assert [name for name in point if name.startswith("stages.0.0")] == [
        f"stages.0.0.block.cell.{name}"
        for name in ("nodes", "operation.1", "inputs.2", "operation.2", "inputs.3", "operation.3", "join")
    ]
    cell = candidate.architecture.stages[0].blocks[0]
    assert isinstance(cell, Cell)
    assert len(cell.nodes) == 3


def test_a_cell_is_a_chain_unless_something_else_is_chosen() -> None:
    chain = fixed(CELL_SPACE, {"stages.0.0.block.cell.nodes": 3}).architecture.stages[0].blocks[0]
    assert isinstance(chain, Cell)
    assert [node.inputs for node in chain.nodes] == [(0,), (1,), (2,)]
    point: dict[str, Scalar] = {"stages.0.0.block.cell.nodes": 3, "stages.0.0.block.cell.inputs.3": "0+2"}
    graph = fixed(CELL_SPACE, point).architecture.stages[0].blocks[0]
    assert isinstance(graph, Cell)
    assert [node.inputs for node in graph.nodes] == [(0,), (1,), (0, 2)]


def test_every_small_graph_comes_up() -> None:
    seen = set()
    for _, candidate in random_ones(parse_space(CELL_SPACE), 400):
        cell = candidate.architecture.stages[0].blocks[0]
        assert isinstance(cell, Cell)
        if len(cell.nodes) == 3:
            seen.add(tuple(node.inputs for node in cell.nodes))
    assert len(seen) == 1 * 3 * 6


def test_a_cell_of_which_nothing_is_said_is_searched_too() -> None:
    space = parse_space("name: a\nstages: [{block: {choice: [conv, cell]}, filters: 4}]")
    assert {"stages.0.block.cell.operation.3", "stages.0.block.cell.inputs.3"} <= set(space.parameters)


def test_a_key_of_the_baseline_speaks_of_all_nodes() -> None:
    text = CELL_SPACE + "baseline: {stages.0.block.cell.nodes: 3, stages.0.block.cell.operation: max}"
    space = parse_space(text)
    stages = sample(space, FixedChooser(space.baseline), TASK).architecture.stages
    assert {node.operation for stage in stages for node in stage.blocks[0].nodes} == {"max"}  # type: ignore[union-attr]


def test_one_kind_with_its_options_needs_no_choice_around_it() -> None:
    alone = parse_space("name: a\nstages: [{block: {inverted: {expansion: {int: [1, 4]}}}, filters: 4}]")
    chosen = parse_space("name: a\nstages: [{block: {choice: {inverted: {expansion: {int: [1, 4]}}}}, filters: 4}]")
    assert list(alone.parameters) == ["stages.0.block.inverted.expansion"]
    assert alone.hash == chosen.hash


def test_attention_and_depth_of_a_copy_may_follow_from_its_stage() -> None:
    stages = fixed("name: a\nstages: [{repeat: 3, filters: 4, depth: = stage + 1, attention: = 2 * stage}]")
    assert [len(stage.blocks) for stage in stages.architecture.stages] == [1, 2, 3]
    assert [stage.attention for stage in stages.architecture.stages] == [0, 2, 4]


def test_training_may_vary_in_everything() -> None:
    recipe = fixed("""
name: a
augment: {strength: 0.5, flip: 0.5, cutout: 0.4, erase: 0.2, mixup: 0.4}
stages: [{filters: 4}]
training:
  optimizer: {lion: {learning_rate: 1.0e-3, weight_decay: 0.1}}
  warmup: 0.1
  label_smoothing: {choice: [0.1, 0.2]}
  class_weights: balanced
""").recipe
    assert recipe.augment == Augment(flip=0.25, cutout=0.2, erase=0.1, mixup=0.2)
    assert recipe.optimizer == Lion(learning_rate=1e-3, weight_decay=0.1)
    assert (recipe.warmup, recipe.label_smoothing, recipe.class_weights) == (0.1, 0.1, "balanced")


def test_an_expression_remembers_whole_numbers_and_real_ones_apart() -> None:
    half = TypeAdapter(formula(Any)).validate_python("= 9 // x")
    found = [half.value({"x": x}) for x in (2, 2.0, 2)]
    assert found == [4, 4, 4]
    assert [type(each) for each in found] == [int, float, int]

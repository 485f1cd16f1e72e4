"""Mistakes in space files that were once accepted, or explained wrongly."""

from io import StringIO

import pytest
from rich.console import Console

from archsearch.display_space import candidate_view
from archsearch.errors import SpaceError
from archsearch.space.architecture import Task
from archsearch.space.cost import cost
from archsearch.space.load import parse_space
from archsearch.space.sample import FixedChooser, sample


def problem(text: str) -> str:
    """The only thing that is wrong with a file, without its name."""
    with pytest.raises(SpaceError) as caught:
        parse_space(f"name: a\n{text}", "a.yaml")
    (found,) = caught.value.problems
    return str(found).removeprefix("a.yaml:")


@pytest.mark.parametrize(
    ("let", "filters", "found"),
    [
        ("{int: [8, 64]}", "a / 2", "'= a / 2' gives 4.5 for a=9, expected a whole number (round(…) makes one)"),
        ("{int: [1, 5]}", "8 // (a - 3) + 20", "'= 8 // (a - 3) + 20' divides by zero for a=3"),
        ("{int: [0, 20]}", "(a - 10) ** 2", "'= (a - 10) ** 2' gives 0 for a=10, expected at least 1"),
        ("{int: [1, 9], step: 4}", "12 - 2 * a * (a == 5) - a", "gives -3 for a=5, expected at least 1"),
        (
            "{float: [1.0, 2.0]}",
            "8 * a",
            "gives 12.94427190999916 for a=1.618033988749895, expected a whole number (round(…) makes one)",
        ),
    ],
)
def test_expressions_are_tried_between_the_ends_of_a_range(let: str, filters: str, found: str) -> None:
    assert problem(f"let: {{a: {let}}}\nstages: [{{filters: = {filters}}}]").endswith(found)


@pytest.mark.parametrize(
    ("field", "written", "instead"),
    [
        ("filters", "{values: [8, 16]}", "{int: [8, 16]} for a range, or {choice: [8, 16]} for one of them"),
        (
            "dropout",
            "{distribution: uniform, min: 0.1, max: 0.5}",
            "{float: [0.1, 0.5]} for a range, or {choice: [0.1, 0.5]} for one of them",
        ),
        (
            "filters",
            "{type: uniform_int, lower: 8, upper: 64, default_value: 9, log: true}",
            "{int: [8, 64]} for a range, or {choice: [8, 64]} for one of them",
        ),
        ("norm", "{_type: choice, _value: [batch, none]}", "{choice: [batch, none]} for one of them"),
        (
            "kernel",
            "{_type: quniform, _value: [3, 7, 2]}",
            "a fixed value, {choice: […]}, {int: [low, high]} or '= expression'",
        ),
        (
            "filters",
            "{Int: {min_value: 8, max_value: 64, step: 8}}",
            "{int: [8, 64]} for a range, or {choice: [8, 64]} for one of them",
        ),
    ],
)
def test_values_of_other_tools_are_understood(field: str, written: str, instead: str) -> None:
    stage = {"filters": "8"} | {field: written}
    fields = ", ".join(f"{name}: {value}" for name, value in stage.items())
    assert problem(f"stages: [{{{fields}}}]").endswith(f"expected {instead}")


@pytest.mark.parametrize(
    "section", ["parameters: {lr: {values: [0.1, 0.2]}}", "parameters: [{name: lr}]", "layers: [{Conv2D: 8}, Dense]"]
)
def test_sections_of_other_tools_are_not_taken_for_a_field_of_that_name(section: str) -> None:
    assert "; allowed keys are name, description, let" in problem(f"stages: [{{filters: 8}}]\n{section}")


@pytest.mark.parametrize(
    ("training", "said"),
    [
        (
            "{lr: 0.01}",
            "it is an option of adam, adamw, sgd and lion: write 'optimizer: {adam: {learning_rate: 0.01}}'",
        ),
        ("{optimizer: {adam: {lr: 0.01}}}", "did you mean 'learning_rate'? allowed keys are learning_rate"),
        ("{batch_size: size}", "expected a whole number; a name in 'let' is written '= size'"),
    ],
)
def test_habits_from_python_are_understood(training: str, said: str) -> None:
    assert problem(f"stages: [{{filters: 8}}]\ntraining: {training}").endswith(said)


def test_a_sample_costs_in_all_what_it_is_counted_to_cost() -> None:
    space = parse_space("name: a\nstages: [{filters: 8}]")
    task = Task(height=8, width=8, channels=1, classes=10)
    candidate = sample(space, FixedChooser({}), task)
    console = Console(width=120, record=True, file=StringIO())
    console.print(candidate_view("candidate 1", candidate))
    (total,) = [line for line in console.export_text().splitlines() if line.startswith("all")]
    assert total.split() == ["all", "194", "11.5k"]
    assert cost(candidate.architecture).flops == 11_498

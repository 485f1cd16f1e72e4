"""What a space holds: counted by arithmetic, and by going through all of it."""

import random
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archsearch.errors import TrialError
from archsearch.space.analyse import BATCH, EXAMPLES, MEASURES, analyse, different_networks, quantile
from archsearch.space.architecture import Task
from archsearch.space.cost import cost
from archsearch.space.count import NETWORK, count, network_names
from archsearch.space.every import EveryChooser, every
from archsearch.space.load import Space, load_space, parse_space
from archsearch.space.sample import RandomChooser, RecordingChooser, Scalar, sample

FOLDER = Path(__file__).parents[2] / "search_spaces"
TASK = Task(height=8, width=8, channels=1, classes=3)


def points(space: Space) -> list[dict[str, Scalar]]:
    """Every point, by asking the sampler for all of them."""
    chooser, found, more = EveryChooser(), [], True
    while more:
        recording = RecordingChooser(chooser)
        try:
            sample(space, recording, TASK)
            found.append(dict(recording.point))
        except TrialError:
            pass
        more = chooser.advance()
    return found


def of_network(space: Space, point: dict[str, Scalar]) -> frozenset[tuple[str, Scalar]]:
    let = network_names(space.schema)
    return frozenset((name, value) for name, value in point.items() if name.split(".")[0] in (*NETWORK, *let))


def agrees(text: str) -> int:
    space = parse_space(text)
    found = points(space)
    assert len({frozenset(point.items()) for point in found}) == len(found)
    counted = count(space)
    assert counted.candidates.discrete == len(found)
    assert counted.architectures.discrete == len({of_network(space, point) for point in found})
    return len(found)


SPACES = {
    "nothing varies": "stages: [{filters: 8}]",
    "copies for themselves": "stages: [{repeat: {int: [1, 3]}, filters: {choice: [4, 8]}, kernel: {choice: [1, 3]}}]",
    "copies alike": "stages: [{repeat: {int: [1, 3]}, share: true, filters: {choice: [4, 8]}, depth: {int: [0, 2]}}]",
    "a repeat of one, as a choice": "stages: [{repeat: {choice: [1]}, filters: {choice: [4, 8]}}]",
    "empty copies": "stages: [{repeat: 2, depth: {choice: [0, 2]}, filters: {choice: [4, 8, 16]}}]",
    "depth by stage": "stages: [{repeat: {int: [1, 3]}, depth: = stage, filters: {choice: [4, 8]}}]",
    "depth by stage, alike": (
        "stages: [{repeat: {int: [1, 3]}, share: true, depth: = stage % 2, filters: {choice: [4, 8]}}]"
    ),
    "the second entry's stage": (
        "stages: [{repeat: {int: [1, 2]}, filters: 4}, {depth: = stage - 1, filters: {choice: [4, 8]}}]"
    ),
    "repeat by name": (
        "let: {n: {int: [1, 3]}, w: {choice: [4, 8]}}\nstages: [{repeat: = n, filters: {choice: [4, 8]}}]"
    ),
    "a name by a name": (
        "let: {n: {int: [1, 2]}, m: = n * 2}\nstages: [{repeat: = m, filters: = n * 4, kernel: {choice: [1, 3]}}]"
    ),
    "a name for training only": (
        "let: {b: {choice: [16, 32]}, w: {choice: [4, 8]}}\nstages: [{filters: = w}]\ntraining: {batch_size: = b}"
    ),
    "options": (
        "stages: [{filters: 8, block: {choice: {conv: {squeeze_excite: {choice: [0.0, 0.5]}}, residual: {}, "
        "inverted: {expansion: {int: [2, 4]}, drop_path: {choice: [0.0, 0.1]}}}}}]"
    ),
    "one kind with options": "stages: [{filters: 8, block: {inverted: {expansion: {int: [2, 4]}}}}]",
    "kinds": "stages: [{filters: 8, repeat: 2, block: {choice: [conv, residual]}}]",
    "cells": (
        "stages: [{filters: 4, block: {cell: {nodes: {int: [1, 2]}, operation: {choice: [conv, identity]}, "
        "join: {choice: [sum, concatenate]}}}}]"
    ),
    "a cell among others": (
        "stages: [{filters: 4, block: {choice: {conv: {}, cell: {nodes: 2, operation: {choice: [conv, max]}}}}}]"
    ),
    "nodes by stage, alike": (
        "stages: [{repeat: 2, share: true, filters: 4, block: {cell: {nodes: = stage + 1, operation: "
        "{choice: [conv, max]}}}}]"
    ),
    "hidden": "stages: [{filters: 8}]\nhead: {hidden: {choice: [0, 16, 32]}, activation: {choice: [relu, gelu]}}",
    "hidden in a range": (
        "stages: [{filters: 8}]\nhead: {hidden: {int: [0, 32], step: 8}, activation: {choice: [relu, gelu]}}"
    ),
    "hidden by name": (
        "let: {h: {choice: [0, 16]}}\nstages: [{filters: 8}]\n"
        "head: {hidden: = h, activation: {choice: [relu, gelu]}, pool: {choice: [flatten, average]}}"
    ),
    "augmentation": (
        "stages: [{filters: 8}]\naugment: {strength: {choice: [0.0, 0.5, 1.0]}, rotate: {choice: [5.0, 10.0]}, "
        "flip: {choice: [0.0, 0.5]}}"
    ),
    "augmentation by name": (
        "let: {a: {choice: [0, 1]}}\nstages: [{filters: 8}]\naugment: {strength: = a, rotate: {choice: [5.0, 10.0]}}"
    ),
    "optimizers": (
        "stages: [{filters: 8}]\ntraining: {optimizer: {choice: {adam: {}, sgd: {momentum: {choice: [0.5, 0.9]}}}}, "
        "batch_size: {choice: [16, 32]}, warmup: {choice: [0.0, 0.1]}}"
    ),
}


@pytest.mark.parametrize("name", SPACES)
def test_the_count_is_the_number_of_points(name: str) -> None:
    number = agrees(f"name: small\n{SPACES[name]}\n")
    assert (number == 1) == (name == "nothing varies")


VALUES = {
    "repeat": ["1", "2", "{int: [1, 2]}", "= n", "{choice: [1, 3]}"],
    "share": ["true", "false"],
    "depth": ["1", "{int: [0, 2]}", "= stage", "= n - 1", "{choice: [0, 1]}"],
    "filters": ["4", "{choice: [4, 8]}", "= 4 * n"],
    "block": [
        "conv",
        "{choice: [conv, separable]}",
        "{choice: {inverted: {expansion: {int: [1, 2]}}, conv: {}}}",
        "{cell: {nodes: {choice: [1, 2]}, operation: {choice: [conv, max]}}}",
        "{cell: {nodes: = n, operation: conv}}",
    ],
    "skip": ["none", "{choice: [none, add]}"],
}
ENTRY = st.fixed_dictionaries({key: st.sampled_from(written) for key, written in VALUES.items()})


@settings(max_examples=60, deadline=None)
@given(st.lists(ENTRY, min_size=1, max_size=2), st.sampled_from(["1", "{int: [1, 2]}", "{choice: [1, 2]}"]))
def test_any_count_is_the_number_of_points(entries: list[dict[str, str]], n: str) -> None:
    stages = "".join(f"  - {{{', '.join(f'{key}: {value}' for key, value in entry.items())}}}\n" for entry in entries)
    space = parse_space(f"name: any\nlet: {{n: {n}}}\nstages:\n{stages}")
    if (count(space).candidates.discrete or 0) <= 2_000:
        agrees(space.text)


def test_real_numbers_are_named_and_skeletons_counted() -> None:
    space = parse_space(
        "name: real\nlet: {x: {float: [0.0, 0.5]}, y: {float: [0.0, 1.0]}}\n"
        "stages: [{repeat: 2, filters: {choice: [4, 8]}, dropout: = x}]\nhead: {dropout: {float: [0.0, 0.4]}}\n"
        "augment: {strength: = y}\n"
    )
    found = count(space)
    assert (found.architectures.discrete, found.architectures.reals) == (4, ("x", "head.dropout"))
    assert (found.candidates.discrete, found.candidates.reals) == (4, ("x", "y", "head.dropout"))
    assert found.architectures.points is None
    assert different_networks(space, TASK) is None


def test_a_number_that_is_not_known_is_not_given() -> None:
    space = parse_space("name: real\nlet: {x: {float: [1.0, 3.0]}}\nstages: [{depth: = round(x), filters: 8}]\n")
    found = count(space).architectures
    assert found.discrete is None
    assert "stages.0.depth" in found.unknown
    assert "'x'" in found.unknown


def test_large_spaces_are_counted_at_once() -> None:
    space = parse_space("name: large\nstages: [{repeat: 64, filters: {int: [1, 4096]}, kernel: {choice: [1, 3]}}]\n")
    assert count(space).architectures.points == 8192**64


def test_different_points_may_be_one_network() -> None:
    space = parse_space(
        "name: twins\nlet: {w: {choice: [4, 8, 16]}}\nstages: [{filters: '= min(w, 8)', depth: {int: [1, 2]}}]\n"
    )
    assert count(space).architectures.points == 6
    assert different_networks(space, TASK) == 4
    assert len(list(every(space, TASK))) == 6


def test_quantiles_are_values() -> None:
    assert [quantile([3, 1, 2, 5, 4], share) for share in (0.0, 0.5, 0.95, 1.0)] == [1, 3, 5, 5]


def test_the_analysis_is_that_of_the_samples() -> None:
    space = load_space(FOLDER / "digits.yaml")
    found = analyse(space, TASK, samples=400, seed=3)
    chooser = RandomChooser(random.Random("3 0"))  # a batch has a seed of its own
    drawn = [sample(space, chooser, TASK).architecture for _ in range(400)]
    assert found.costs == tuple(map(cost, drawn))
    assert found.examples == tuple(drawn[:EXAMPLES])
    assert (found.samples, found.failed) == (400, 0)
    for name in MEASURES:
        values = sorted(getattr(each, name) for each in found.costs)
        spread = found.spreads[name]
        assert (spread.smallest, spread.largest, spread.p50) == (values[0], values[-1], quantile(values, 0.5))
        assert getattr(cost(spread.at_smallest), name) == values[0]
        assert getattr(cost(spread.at_largest), name) == values[-1]
    over = {name: sum(getattr(each, name) > limit for each in found.costs) for name, limit in space.limits.items()}
    assert found.over == over
    assert found.affordable < 400


def test_the_number_of_cores_does_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    space = load_space(FOLDER / "digits.yaml")
    found = analyse(space, TASK, samples=3 * BATCH // 2)
    monkeypatch.setattr("os.cpu_count", lambda: 1)
    assert analyse(space, TASK, samples=3 * BATCH // 2) == found
    assert len(found.costs) == 3 * BATCH // 2


def test_repeated_networks_are_counted() -> None:
    space = parse_space("name: few\nstages: [{filters: {choice: [4, 8]}}]\n")
    found = analyse(space, TASK, samples=50)
    assert (found.different, found.repeated) == (2, 48)


def test_draws_that_fail_are_counted() -> None:
    space = parse_space("name: gap\nlet: {w: {float: [1, 3]}}\nstages: [{filters: = round(9 * (w - 2) ** 2)}]\n")
    found = analyse(space, TASK, samples=100)
    assert 0 < found.failed < 100
    assert "expected at least 1" in found.failure
    assert len(found.costs) == 100 - found.failed


def test_it_loads_nothing_heavy() -> None:
    code = (
        "import sys; from archsearch.space.analyse import analyse; from archsearch.space.architecture import Task; "
        f"from archsearch.space.load import load_space; analyse(load_space({str(FOLDER / 'mnist.yaml')!r}), "
        "Task(height=28, width=28, channels=1, classes=10), 20); print(*sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not set(done.stdout.split()) & {"tensorflow", "keras", "optuna", "sklearn", "pandas", "numpy"}

import random
import re
from pathlib import Path

import pytest

from archsearch.space.architecture import Architecture, Candidate, Conv, Head, Stage, Task
from archsearch.space.check import check_space
from archsearch.space.cost import cost
from archsearch.space.load import Space, load_space
from archsearch.space.sample import FixedChooser, RandomChooser, Scalar, baseline_point, sample

FOLDER = Path(__file__).parents[2] / "search_spaces"

TASKS = {
    "digits": Task(height=8, width=8, channels=1, classes=10),
    "mnist": Task(height=28, width=28, channels=1, classes=10),
    "cifar": Task(height=32, width=32, channels=3, classes=10),
    "lenet": Task(height=28, width=28, channels=1, classes=10),
    "vgg": Task(height=32, width=32, channels=3, classes=10),
    "resnet": Task(height=32, width=32, channels=3, classes=100),
    "mobilenet": Task(height=96, width=96, channels=3, classes=5),
    "convnext": Task(height=64, width=64, channels=3, classes=10),
    "cells": Task(height=32, width=32, channels=3, classes=10),
}


def shipped(name: str) -> Space:
    return load_space(FOLDER / f"{name}.yaml")


def affordable(space: Space, candidate: Candidate) -> bool:
    found = cost(candidate.architecture)
    return all(getattr(found, name) <= limit for name, limit in space.limits.items())


def test_every_shipped_space_is_tested() -> None:
    assert {file.stem for file in FOLDER.glob("*.yaml")} == set(TASKS)


@pytest.mark.parametrize("name", sorted(set(TASKS) - {"digits", "mnist", "cifar"}))
def test_a_family_says_when_to_use_it_and_where_it_is_from(name: str) -> None:
    head = shipped(name).text.split("name:")[0]
    assert "# When:" in head
    assert re.search(r"# Papers?:", head)
    assert "https://" in head


@pytest.mark.parametrize("name", TASKS)
def test_its_name_is_its_files(name: str) -> None:
    assert shipped(name).name == name


@pytest.mark.parametrize("name", TASKS)
def test_it_leaves_the_epochs_to_the_search(name: str) -> None:
    assert shipped(name).most_epochs is None


@pytest.mark.parametrize("name", TASKS)
def test_it_fits_its_images(name: str) -> None:
    check_space(FOLDER / f"{name}.yaml", TASKS[name])


@pytest.mark.parametrize("name", TASKS)
def test_random_candidates_are_valid_and_half_of_them_affordable(name: str) -> None:
    space, chooser = shipped(name), RandomChooser(random.Random(0))
    candidates = [sample(space, chooser, TASKS[name]) for _ in range(200)]
    for candidate in candidates:
        assert Candidate.model_validate_json(candidate.model_dump_json()) == candidate
    assert sum(affordable(space, candidate) for candidate in candidates) > 100


@pytest.mark.parametrize("name", TASKS)
def test_its_baseline_is_affordable_and_not_augmented(name: str) -> None:
    space, task = shipped(name), TASKS[name]
    candidate = sample(space, FixedChooser(baseline_point(space, task)), task)
    assert affordable(space, candidate)
    assert not any(value for _, value in candidate.recipe.augment)


def test_mnist_holds_the_network_that_is_known_to_be_good() -> None:
    space, task = shipped("mnist"), TASKS["mnist"]
    point: dict[str, Scalar] = {
        "width": 16,
        "stages.0.depth": 1,
        "stages.1.downsample": "max",
        "stages.1.dropout": 0,
        "head.dropout": 0,
        "training.optimizer.adam.learning_rate": 5e-3,
    }
    candidate = sample(space, FixedChooser(point), task)
    convs = [Conv(filters=filters, kernel=3, activation="relu", norm="batch", dropout=0.0) for filters in (16, 32, 64)]
    assert candidate.architecture == Architecture(
        task=task,
        stages=tuple(Stage(blocks=(conv,), downsample="max") for conv in convs),
        head=Head(pool="flatten", hidden=0, activation="relu", dropout=0.0),
    )
    assert (candidate.recipe.batch_size, candidate.recipe.schedule) == (128, "cosine")
    assert affordable(space, candidate)

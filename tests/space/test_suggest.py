import random
from pathlib import Path

import pytest

from archsearch.space.architecture import Task
from archsearch.space.check import check_space
from archsearch.space.cost import cost
from archsearch.space.load import parse_space
from archsearch.space.sample import RandomChooser, sample
from archsearch.space.suggest import epochs, pick, suggest


def task(side: int, channels: int, classes: int = 10) -> Task:
    return Task.model_validate({"height": side, "width": side, "channels": channels, "classes": classes})


@pytest.mark.parametrize(
    ("side", "channels", "family"),
    [
        (8, 1, "tiny"),
        (12, 3, "tiny"),
        (28, 1, "grey"),
        (48, 1, "grey"),
        (32, 3, "colour"),
        (64, 1, "large"),
        (224, 3, "large"),
    ],
)
def test_the_family_follows_from_size_and_channels(side: int, channels: int, family: str) -> None:
    assert pick(task(side, channels)).name == family


def test_few_images_are_seen_more_often_and_colour_ones_too() -> None:
    assert epochs(300, 1) == 30
    assert epochs(40_000, 1) == 4
    assert epochs(33_000, 3) > epochs(33_000, 1)


@pytest.mark.parametrize("images", [20, 1_000, 40_000, 1_000_000])
@pytest.mark.parametrize(
    ("side", "channels"), [(1, 1), (2, 1), (3, 3), (8, 1), (15, 3), (28, 1), (32, 3), (63, 1), (64, 3), (224, 3)]
)
def test_a_suggestion_is_a_sound_space_for_its_images(tmp_path: Path, side: int, channels: int, images: int) -> None:
    made = suggest("mine", task(side, channels), images)
    file = tmp_path / "made.yaml"
    file.write_text(made.text)
    check_space(file, task(side, channels))
    assert parse_space(made.text).hash == made.space.hash
    assert made.space.name == "mine"
    assert made.space.most_epochs is None


@pytest.mark.parametrize(("side", "channels"), [(8, 1), (28, 1), (32, 3), (96, 3)])
def test_most_of_what_is_suggested_keeps_its_limits(side: int, channels: int) -> None:
    made = suggest("mine", task(side, channels), 1_200)
    chooser = RandomChooser(random.Random(0))
    costs = [cost(sample(made.space, chooser, task(side, channels)).architecture) for _ in range(100)]
    assert sum(found.flops <= made.space.limits["flops"] for found in costs) > 50


def test_the_sentence_names_family_and_images() -> None:
    made = suggest("mine", task(28, 1), 40_000)
    assert made.why == "family 'grey' for grey images: 28x28, grey, 40,000 images a fold"
    assert "28x28 pixels, grey, 10 classes, 40,000 images" in made.text


def test_unequal_classes_bring_weights_and_colour_brings_flips() -> None:
    assert "training.class_weights" in suggest("a", task(28, 1), 4_000, imbalance=5.0).space.parameters
    assert "training.class_weights" not in suggest("a", task(28, 1), 4_000).space.parameters
    assert "augment.flip" in suggest("a", task(32, 3), 4_000).space.parameters
    assert "augment.flip" not in suggest("a", task(28, 1), 4_000).space.parameters

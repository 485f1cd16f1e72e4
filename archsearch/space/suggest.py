"""A search space for images that nobody has written one for: the family that suits them, as a file to edit."""

import random
from dataclasses import dataclass
from math import ceil, sqrt

import jinja2

from archsearch.space.architecture import Task
from archsearch.space.cost import cost
from archsearch.space.load import Space, parse_space
from archsearch.space.sample import RandomChooser, sample

SMALLEST_MAP = 4
"""Sides are halved down to about so many pixels."""
SECONDS_A_FOLD = 90
"""What one fold of the dearest candidate may take on one core, roughly."""
FLOPS_A_SECOND = 20e9
"""That a core gives in training, roughly; a training step takes three times the FLOPs of a forward pass."""
MOST_PARAMETERS = 500_000
WIDTHS = ((8, 16, 32), (8, 12, 16), (4, 8, 12))
"""Filters of the first stage, wide to narrow: taken are the widest of which most candidates can be afforded."""
MOST = 0.6
DRAWS = 100


@dataclass(frozen=True)
class Family:
    """A kind of space.

    Attributes:
        name: In the table of the documentation.
        reason: Which images it suits, as the end of a sentence.
        blocks: What the search chooses from.
        stem: Whether a strided convolution halves the images before anything else.
        flip: Whether mirrored images may mean the same.
    """

    name: str
    reason: str
    blocks: tuple[str, ...]
    stem: bool
    flip: bool


TINY = Family("tiny", "images below 16 pixels", ("conv", "residual", "separable"), stem=False, flip=False)
GREY = Family("grey", "grey images", ("conv", "separable", "residual"), stem=False, flip=False)
COLOUR = Family("colour", "colour images", ("conv", "residual", "inverted"), stem=False, flip=True)
LARGE = Family("large", "images of 64 pixels and more", ("inverted", "residual"), stem=True, flip=True)


@dataclass(frozen=True)
class Suggestion:
    """A space made for some images.

    Attributes:
        family: Which one was picked.
        why: The choice in one sentence.
        text: The space file, commented.
        space: The same, read.
    """

    family: Family
    why: str
    text: str
    space: Space


def pick(task: Task) -> Family:
    """The family that suits images of this size and number of channels."""
    side = max(task.height, task.width)
    if side < 16:
        return TINY
    if side >= 64:
        return LARGE
    return GREY if task.channels == 1 else COLOUR


def epochs(images: int, channels: int) -> int:
    """About how long a candidate will train: more passes over few images, and over colour images; 4 to 30.

    Only what a candidate may cost follows from it; a search plans its epochs itself.
    """
    return min(max(ceil(150_000 * sqrt(channels) / images), 4), 30)


def suggest(name: str, task: Task, images: int, imbalance: float = 1.0, file: str = "<suggested>") -> Suggestion:
    """A space for a data set.

    Args:
        name: What the space is to be called.
        task: Shape of the images, and number of classes.
        images: That train in one fold.
        imbalance: Images of the most frequent class for each of the rarest.
        file: What problems are said to be in.
    """
    family = pick(task)
    side = min(task.height, task.width)
    halvings = max((side // SMALLEST_MAP).bit_length() - 1, 1)
    passes = epochs(images, task.channels)
    words = {
        "name": name,
        "task": task,
        "images": images,
        "family": family,
        "copies": max(halvings - family.stem, 1),
        "few": images < 5_000,
        "epochs": passes,
        "batch_sizes": (32, 64) if images < 5_000 else (64, 128),
        "balance": imbalance > 1.5,
        "halves": side > 1,
    }
    page = jinja2.Environment(
        loader=jinja2.PackageLoader("archsearch", "space"),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    ).get_template("suggested.yaml.j2")
    affordable = SECONDS_A_FOLD * FLOPS_A_SECOND / 3 / passes / images
    for width in WIDTHS:
        draft = page.render(words, width=width, parameters="1G", flops="1000G")
        parameters, flops = _costs_of_most(parse_space(draft, file), task)
        if flops <= affordable:
            break
    limits = {"parameters": max(MOST_PARAMETERS, parameters), "flops": max(affordable, flops)}
    text = page.render(words, width=width, **{name: _rounded(limit) for name, limit in limits.items()})
    why = (
        f"family '{family.name}' for {family.reason}: {task.height}x{task.width}, "
        f"{'grey' if task.channels == 1 else 'colour'}, {images:,} images a fold"
    )
    return Suggestion(family, why, text, parse_space(text, file))


def _costs_of_most(space: Space, task: Task) -> tuple[int, int]:
    """Parameters and FLOPs that the share `MOST` of random candidates keep to."""
    chooser = RandomChooser(random.Random(0))
    costs = [cost(sample(space, chooser, task).architecture) for _ in range(DRAWS)]
    nth = int(MOST * DRAWS)
    return sorted(found.parameters for found in costs)[nth], sorted(found.flops for found in costs)[nth]


def _rounded(number: float) -> str:
    """A little more, in two digits and a unit, as a limit is written: `5.2M`."""
    size, unit = next((size, unit) for size, unit in ((1e9, "G"), (1e6, "M"), (1e3, "K"), (1, "")) if number >= size)
    digits = 1 if number < 10 * size else 0 if number < 100 * size else -1
    return f"{ceil(number / size * 10**digits) / 10**digits:g}{unit}"

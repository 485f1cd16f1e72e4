"""Images of no class, in the manner of a data set."""

import numpy as np
import pytest

from archsearch.data.corruptions import background, stroke_width
from archsearch.stress.outsiders import Images, outsiders

DRAWN = ("triangles", "crosses", "scribbles")


def drawings(ink: int, paper: int, side: int = 28) -> Images:
    images = np.full((5, side, side, 1), paper, np.uint8)
    images[:, 3:-3, 10:13] = ink
    return images


@pytest.mark.parametrize("shape", [(3, 8, 8, 1), (4, 32, 20, 3)])
def test_so_many_of_each_kind_in_the_shape_of_the_set(shape: tuple[int, ...]) -> None:
    found = outsiders(np.random.default_rng(0).integers(0, 256, shape, np.uint8), 6, 0)
    assert list(found) == ["noise", "nothing", "one colour", *DRAWN]
    for images in found.values():
        assert images.shape == (6, *shape[1:])
        assert images.dtype == np.uint8


@pytest.mark.parametrize(("ink", "paper"), [(230, 10), (40, 250)])
def test_shapes_are_drawn_in_the_colours_and_breadth_of_the_set(ink: int, paper: int) -> None:
    found = outsiders(drawings(ink, paper), 20, 0)
    for name in DRAWN:
        images = found[name]
        assert {images.min(), images.max()} == {ink, paper}, name
        assert set(background(images).ravel()) == {paper}, name
        assert 2 < np.median(stroke_width(images)) < 4.5, name
    assert set(found["nothing"].ravel()) == {paper}


def test_one_colour_is_one_and_another_each_time() -> None:
    images = outsiders(np.zeros((1, 8, 8, 3), np.uint8), 30, 0)["one colour"].reshape(30, -1, 3)
    assert (images == images[:, :1]).all()
    assert len(np.unique(images[:, 0], axis=0)) == 30


def test_no_two_shapes_are_alike() -> None:
    found = outsiders(drawings(255, 0), 15, 0)
    for name in DRAWN:
        assert len(np.unique(found[name].reshape(15, -1), axis=0)) == 15


def test_a_triangle_has_a_hole_and_a_cross_a_full_middle() -> None:
    found = outsiders(drawings(255, 0), 20, 0)
    middle = (slice(None), slice(13, 15), slice(13, 15), 0)
    assert np.median(found["triangles"][middle]) == 0
    assert np.median(found["crosses"][middle]) == 255


def test_equal_seeds_give_equal_images() -> None:
    first, again, other = (outsiders(drawings(255, 0), 5, seed) for seed in (1, 1, 2))
    for name in ("noise", *DRAWN):
        np.testing.assert_array_equal(first[name], again[name])
        assert (first[name] != other[name]).any()

"""What happens to images: exactly what is said, at every size, in every colour, and always the same."""

from itertools import pairwise

import numpy as np
import pytest
from digit_files import Digits
from scipy.ndimage import gaussian_filter

from archsearch.data import corruptions
from archsearch.data.corruptions import (
    CORRUPTIONS,
    LEVELS,
    Corruption,
    Images,
    are_line_drawings,
    background,
    corrupted,
    corruptions_for,
    ink,
    stroke_width,
)

BY_NAME = {corruption.name: corruption for corruption in CORRUPTIONS}
NAMES = list(BY_NAME)


def only(name: str, strength: float) -> Corruption:
    """A corruption of which every level has the same strength."""
    kind = BY_NAME[name]
    return Corruption(name, (strength,) * LEVELS, kind.amount, kind.phrase, kind.change, kind.drawings_only)


def changed(images: Images, name: str, strength: float, seed: int = 0) -> Images:
    return corrupted(images, only(name, strength), 1, seed)


def bars(width: int, count: int = 8, side: int = 20, ink: int = 200, paper: int = 0) -> Images:
    """Upright bars, `width` pixels broad, in the middle."""
    images = np.full((count, side, side, 1), paper, np.uint8)
    start = (side - width) // 2
    images[:, 3:-3, start : start + width] = ink
    return images


def coloured(shape: tuple[int, ...]) -> Images:
    return np.random.default_rng(3).integers(0, 256, shape, np.uint8)


def damage(before: Images, after: Images) -> float:
    return float(np.abs(before.astype(float) - after).mean())


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("shape", [(6, 8, 8, 1), (5, 32, 24, 3), (0, 8, 8, 1)])
def test_level_0_changes_nothing_and_every_level_keeps_shape_and_type(name: str, shape: tuple[int, ...]) -> None:
    images = coloured(shape)
    before = images.copy()
    assert corrupted(images, BY_NAME[name], 0, 0) is images
    for level in range(1, LEVELS + 1):
        after = corrupted(images, BY_NAME[name], level, 0)
        assert after.shape == shape
        assert after.dtype == np.uint8
    np.testing.assert_array_equal(images, before)


@pytest.mark.parametrize("name", NAMES)
def test_each_level_does_more_than_the_one_before(name: str, digits: Digits) -> None:
    images = digits.pixels[:200, ..., None]
    done = [damage(images, corrupted(images, BY_NAME[name], level, 0)) for level in range(LEVELS + 1)]
    assert done[0] == 0
    assert all(less < more for less, more in pairwise(done)), done


@pytest.mark.parametrize("name", NAMES)
def test_equal_seeds_give_equal_images(name: str) -> None:
    images = bars(3, 40)
    first, again = (corrupted(images, BY_NAME[name], 5, 7) for _ in range(2))
    np.testing.assert_array_equal(first, again)
    if name not in ("blur", "inversion", "contrast"):
        assert damage(first, corrupted(images, BY_NAME[name], 5, 8)) > 0


def test_large_sets_are_changed_piece_by_piece(monkeypatch: pytest.MonkeyPatch) -> None:
    images = coloured((7, 8, 8, 3))
    whole = corrupted(images, BY_NAME["contrast"], 3, 0)
    monkeypatch.setattr(corruptions, "AT_ONCE", 2 * 8 * 8 * 3)
    np.testing.assert_array_equal(corrupted(images, BY_NAME["contrast"], 3, 0), whole)


def test_a_shift_moves_by_whole_pixels_and_brings_in_background() -> None:
    images = coloured((40, 10, 10, 3))
    images[:, [0, -1]] = images[:, :, [0, -1]] = (90, 30, 200)
    moved = changed(images, "shift", 0.2)
    padded = np.pad(images, ((0, 0), (2, 2), (2, 2), (0, 0)))
    padded[:, :2] = padded[:, -2:] = padded[:, :, :2] = padded[:, :, -2:] = (90, 30, 200)
    expected = {way: padded[:, 2 - 2 * way[0] :, 2 - 2 * way[1] :][:, :10, :10] for way in corruptions.WAYS}
    found = [next(way for way in expected if np.array_equal(after, expected[way][n])) for n, after in enumerate(moved)]
    assert set(found) == set(corruptions.WAYS)


def test_half_a_pixel_is_half_of_each() -> None:
    images = np.zeros((12, 4, 4, 1), np.uint8)
    images[:, 1:3, 1:3] = 200
    moved = changed(images, "shift", 0.5 / 4)
    assert {tuple(after[:, :, 0].max(axis)) for after in moved for axis in (0, 1)} == {
        (0, 200, 200, 0),
        (0, 100, 200, 100),
        (100, 200, 100, 0),
    }


def test_a_quarter_turn_is_a_quarter_turn() -> None:
    images = coloured((30, 9, 9, 3))
    turned = changed(images, "rotation", 90)
    ways = [
        [np.array_equal(after, np.rot90(image, k)) for k in (1, 3)] for image, after in zip(images, turned, strict=True)
    ]
    assert all(sum(way) == 1 for way in ways)
    assert {way.index(True) for way in ways} == {0, 1}


def test_twice_as_large_or_half_as_large() -> None:
    images = np.full((20, 20, 20, 1), 30, np.uint8)
    images[:, 6:14, 6:14] = 230
    sides = {round(float((ink(after[None]) > 100).sum()) ** 0.5) for after in changed(images, "scale", 2)}
    assert sides == {4, 16}


@pytest.mark.parametrize(("ink_", "paper"), [(200, 0), (30, 250)])
def test_strokes_become_broader_or_narrower_by_their_share(ink_: int, paper: int) -> None:
    images = bars(4, 12, ink=ink_, paper=paper)
    after = changed(images, "stroke width", 0.5)
    # How broad in ink, along a line through the middle.
    across = ink(after)[:, 10, :, 0].sum(1) / abs(ink_ - paper)
    gained = np.abs(across - 4) / stroke_width(images)
    np.testing.assert_allclose(gained, 0.5, atol=0.01)
    assert {bool(way) for way in across > 4} == {True, False}
    assert set(after[:, 0, 0, 0]) == {paper}


def test_strokes_that_become_much_broader_have_no_gap() -> None:
    images = bars(2, 8)
    after = changed(images, "stroke width", 3.0)
    broad = after[after.sum((1, 2, 3)).argmax(), 10, :, 0] / 200
    assert broad.sum() == pytest.approx(2 + 3 * stroke_width(images)[0], abs=0.05)
    assert (np.diff(np.sign(np.diff(broad[broad > 0]))) <= 0).all()  # one hump


@pytest.mark.parametrize("sigma", [0.2, 2.0])
def test_blur_is_a_gaussian_over_squares(sigma: float) -> None:
    images = coloured((2, 20, 20, 3))
    fine = images.repeat(16, 1).repeat(16, 2).astype(float)
    blurred = gaussian_filter(fine, (0, 16 * sigma, 16 * sigma, 0), mode="nearest")
    expected = blurred.reshape(2, 20, 16, 20, 16, 3).mean((2, 4))
    np.testing.assert_allclose(changed(images, "blur", sigma / 20), expected, atol=1.0)


def test_noise_has_the_deviation_that_is_said() -> None:
    images = np.full((50, 20, 20, 1), 128, np.uint8)
    noise = changed(images, "noise", 0.1).astype(float) - 128
    assert noise.std() == pytest.approx(25.5, rel=0.03)
    assert abs(noise.mean()) < 0.5


def test_a_full_inversion_is_the_negative() -> None:
    images = coloured((3, 8, 8, 3))
    np.testing.assert_array_equal(changed(images, "inversion", 1.0), 255 - images)


def test_contrast_is_lost_around_the_mean() -> None:
    images = np.zeros((1, 4, 4, 1), np.uint8)
    images[:, :2] = 200
    assert sorted(set(changed(images, "contrast", 0.75).ravel())) == [75, 125]


def test_occlusion_is_a_grey_square_inside_the_image() -> None:
    images = np.zeros((200, 10, 20, 3), np.uint8)
    covered = changed(images, "occlusion", 0.4)
    places = set()
    for image in covered:
        rows, columns, _ = np.nonzero(image)
        assert [np.ptp(rows) + 1, np.ptp(columns) + 1, len(rows)] == [4, 4, 4 * 4 * 3]
        assert set(image[rows, columns].ravel()) == {128}
        places.add((rows.min(), columns.min()))
    assert {row for row, _ in places} == set(range(7))
    assert {column for _, column in places} == set(range(17))


@pytest.mark.parametrize("name", ["shift", "rotation", "scale", "occlusion"])
def test_an_image_is_changed_the_same_way_at_every_strength(name: str) -> None:
    """So that the example images tell a story: further on, not somewhere else."""
    images = bars(4, 60)
    images[:, 3:6, 8:16] = 200
    steps = [corrupted(images, BY_NAME[name], level, 1).astype(float) - images for level in (3, 5)]
    likeness = [np.corrcoef(*(step[n].ravel() for step in steps))[0, 1] for n in range(len(images))]
    assert min(likeness) > 0.15


def test_background_is_the_median_of_the_border() -> None:
    image = np.full((1, 9, 7, 3), (9, 80, 250), np.uint8)
    image[:, 2:7, 2:5] = 0
    image[:, 0, :3] = 255
    np.testing.assert_array_equal(background(image), np.full((1, 1, 1, 3), (9, 80, 250)))


def test_ink_is_above_0_on_paper_of_either_kind() -> None:
    for drawing in (bars(4, ink=200, paper=20), bars(4, ink=20, paper=200)):
        assert sorted(set(ink(drawing).ravel())) == [0, 180]


@pytest.mark.parametrize("width", [1, 2, 5])
def test_stroke_width_of_a_long_bar_is_its_width(width: int) -> None:
    images = np.zeros((2, 200, 20, 1), np.uint8)
    images[0, :, 4 : 4 + width] = 250
    np.testing.assert_allclose(stroke_width(images), [width, 0], rtol=0.03)


def test_handwriting_is_line_drawing_and_nothing_else_is(digits: Digits) -> None:
    drawn = digits.pixels[:300, ..., None]
    assert are_line_drawings(drawn)
    assert are_line_drawings(255 - drawn)
    assert not are_line_drawings(np.repeat(drawn, 3, axis=3))
    assert not are_line_drawings(coloured((20, 16, 16, 1)))
    assert not are_line_drawings(bars(14))  # an object, not a stroke
    assert corruptions_for(drawn) == CORRUPTIONS
    assert [each.name for each in CORRUPTIONS if each not in corruptions_for(bars(14))] == ["stroke width"]


def test_strengths_are_ascending_and_say_what_they_are() -> None:
    for corruption in CORRUPTIONS:
        assert len(corruption.strengths) == LEVELS
        assert list(corruption.strengths) == sorted(set(corruption.strengths))
    assert BY_NAME["rotation"].written(5) == "45°"
    assert BY_NAME["rotation"].said(5) == "turned by 45°"
    assert BY_NAME["shift"].said(1) == "moved by 3.5 % of their side"

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from digit_files import Digits, write_folder
from PIL import Image

from archsearch.data.check import ClassCount, Duplicates, check_data
from archsearch.data.sources import load_data
from archsearch.errors import DataError


def test_digits_are_fine(cache: Path) -> None:
    check = check_data("digits", cache=cache)
    assert (check.shape, check.train_images, check.test_images) == ((8, 8, 1), 1797, 0)
    assert check.classes[3] == ClassCount("3", 183, 0)
    assert check.imbalance == pytest.approx(183 / 174)
    assert check.duplicates == check.leaks == Duplicates(0, ())
    assert check.problems == check.warnings == ()
    assert check.fingerprint == load_data("digits", cache=cache).fingerprint


def test_duplicates_are_found_within_train_and_across(npz: Callable[..., Path], cache: Path, digits: Digits) -> None:
    x = np.concatenate([digits.pixels[:100], digits.pixels[[4, 4, 7]]])
    y = np.concatenate([digits.labels[:100], digits.labels[[4, 4]], [3]])
    path = npz(x_train=x, y_train=y, x_test=digits.pixels[95:105], y_test=digits.labels[95:105])
    check = check_data(path, cache=cache)
    assert check.duplicates == Duplicates(3, ((4, 100), (4, 101), (7, 102)))
    assert check.contradictions == Duplicates(1, ((7, 102),))
    assert check.leaks == Duplicates(5, ((95, 0), (96, 1), (97, 2), (98, 3), (99, 4)))
    assert check.test_images == 10
    assert check.problems == ()
    warnings = "\n".join(check.warnings)
    assert "3 training images are exact duplicates" in warnings
    assert "1 of these duplicates have another label" in warnings
    assert "5 of 10 test images are also training images" in warnings
    missing = sorted(set(range(10)) - set(digits.labels[95:105].tolist()))
    assert f"the test set has no images of {', '.join(map(str, missing))}" in warnings


def test_only_the_first_duplicates_are_examples(npz: Callable[..., Path], cache: Path, digits: Digits) -> None:
    check = check_data(npz(x=np.tile(digits.pixels, (2, 1, 1)), y=np.tile(digits.labels, 2)), cache=cache)
    assert check.duplicates.count == 1797
    assert check.duplicates.examples == tuple((i, 1797 + i) for i in range(5))


def test_imbalance_is_told(npz: Callable[..., Path], cache: Path, digits: Digits) -> None:
    chosen = np.r_[np.flatnonzero(digits.labels == 0)[:100], np.flatnonzero(digits.labels == 1)[:10]]
    check = check_data(npz(x=digits.pixels[chosen], y=digits.labels[chosen]), cache=cache)
    assert check.imbalance == 10
    assert "class '0' has 100 training images and class '1' 10" in check.warnings[0]


def test_unreadable_files_are_listed_and_the_rest_is_counted(tmp_path: Path, cache: Path, digits: Digits) -> None:
    root = write_folder(tmp_path / "pictures", digits, each=6)
    shutil.copy(root / "0" / "0.png", root / "0" / "twin.png")
    for name in ("1/0.png", "2/5.png"):
        (root / name).write_bytes((root / name).read_bytes()[:-30])
    check = check_data(root, cache=cache)
    assert [entry.name for entry in check.unreadable] == ["1/0.png", "2/5.png"]
    assert [entry.train for entry in check.classes] == [7, 5, 5]
    assert check.duplicates == Duplicates(1, ((0, 6),))
    assert len(check.problems) == 1
    assert "2 images cannot be read: 1/0.png (" in check.problems[0]


def test_all_problems_are_told_at_once(folder: Path, cache: Path) -> None:
    (folder / "empty").mkdir()
    for number in range(3):
        (folder / "1" / f"{number}.png").unlink()
    (folder / "2" / "0.png").write_bytes(b"nothing")
    check = check_data(folder, cache=cache)
    assert len(check.problems) == 3
    assert check.imbalance == float("inf")
    with pytest.raises(DataError) as caught:
        load_data(folder, cache=cache)
    assert str(caught.value).splitlines() == [f"{folder}: {problem}" for problem in check.problems]


def test_what_cannot_be_read_at_all_is_raised(folder: Path, cache: Path, digits: Digits) -> None:
    with pytest.raises(DataError, match="did you mean 'digits'"):
        check_data("digit", cache=cache)
    Image.fromarray(digits.pixels[0][:5]).save(folder / "0" / "9.png")
    with pytest.raises(DataError, match="images differ in size"):
        check_data(folder, cache=cache)
    assert check_data(folder, 10, cache).shape == (10, 10, 1)

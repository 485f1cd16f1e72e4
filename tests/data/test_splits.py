from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from digit_files import Digits
from numpy.typing import NDArray

from archsearch.data.dataset import Dataset
from archsearch.data.sources import load_data
from archsearch.data.splits import LARGE, make_splits, parts_for
from archsearch.errors import DataError


@pytest.fixture
def dataset(cache: Path) -> Dataset:
    return load_data("digits", cache=cache)


@pytest.fixture
def few(npz: Callable[..., Path], cache: Path, digits: Digits) -> Callable[..., Dataset]:
    """Digits with so many images of each class, by label."""

    def load(*counts: int) -> Dataset:
        chosen = np.concatenate([np.flatnonzero(digits.labels == label)[:n] for label, n in enumerate(counts)])
        return load_data(npz(x=digits.pixels[chosen], y=digits.labels[chosen]), cache=cache)

    return load


def _rows(images: NDArray[np.uint8]) -> set[bytes]:
    return {image.tobytes() for image in images}


def test_the_test_set_is_a_stratified_share_in_a_folder_of_its_own(dataset: Dataset, cache: Path) -> None:
    splits = make_splits(dataset, 5, 0, cache)
    assert splits.test_origin == "stratified"
    assert len(splits.test) == 270  # 15 % of 1,797, rounded up
    assert splits.train.path.parent == splits.test.path.parent
    assert splits.train.path != splits.test.path
    assert sorted(path.name for path in splits.train.path.iterdir()) == ["images.npy", "labels.npy"]
    everything = np.bincount(dataset.train.labels)
    assert np.abs(np.bincount(splits.test.labels) - everything * 0.15).max() <= 1


def test_train_and_test_are_all_images_and_share_none(dataset: Dataset, cache: Path) -> None:
    splits = make_splits(dataset, 5, 0, cache)
    train, test = _rows(splits.train.images), _rows(splits.test.images)
    assert not train & test
    assert train | test == _rows(dataset.train.images)
    labels = {image.tobytes(): label for image, label in zip(dataset.train.images, dataset.train.labels, strict=True)}
    for part in (splits.train, splits.test):
        assert [labels[image.tobytes()] for image in part.images] == part.labels.tolist()


@pytest.mark.parametrize("folds", [2, 5])
def test_each_image_is_in_exactly_one_stratified_fold(folds: int, dataset: Dataset, cache: Path) -> None:
    splits = make_splits(dataset, folds, 3, cache)
    assert len(splits.folds) == folds
    assert all(fold.dtype == np.int32 for fold in splits.folds)
    np.testing.assert_array_equal(np.sort(np.concatenate(splits.folds)), np.arange(len(splits.train)))
    counts = [np.bincount(splits.train.labels[fold], minlength=10) for fold in splits.folds]
    assert np.ptp(counts, axis=0).max() <= 1


def test_a_given_test_set_is_taken_as_it_is(npz: Callable[..., Path], cache: Path, digits: Digits) -> None:
    x, y = digits
    dataset = load_data(npz(x_train=x[:1000], y_train=y[:1000], x_test=x[1000:], y_test=y[1000:]), cache=cache)
    splits = make_splits(dataset, 4, 0, cache)
    assert splits.test_origin == "given"
    assert (splits.train, splits.test) == (dataset.train, dataset.test)
    assert sum(map(len, splits.folds)) == 1000


def test_equal_seeds_give_equal_splits_in_any_cache(dataset: Dataset, cache: Path, tmp_path: Path) -> None:
    here, there = make_splits(dataset, 5, 7, cache), make_splits(dataset, 5, 7, tmp_path / "elsewhere")
    assert here.folds_hash == there.folds_hash
    np.testing.assert_array_equal(here.test.images, there.test.images)
    for one, other in zip(here.folds, there.folds, strict=True):
        np.testing.assert_array_equal(one, other)


def test_another_seed_or_number_of_folds_gives_another_split(dataset: Dataset, cache: Path) -> None:
    hashes = {make_splits(dataset, folds, seed, cache).folds_hash for folds, seed in ((5, 0), (5, 1), (4, 0))}
    assert len(hashes) == 3
    first, second = make_splits(dataset, 5, 0, cache), make_splits(dataset, 5, 1, cache)
    assert _rows(first.test.images) != _rows(second.test.images)


def test_more_folds_keep_the_test_set(dataset: Dataset, cache: Path) -> None:
    first, second = make_splits(dataset, 2, 0, cache), make_splits(dataset, 5, 0, cache)
    assert first.test.path == second.test.path


@pytest.mark.parametrize("folds", [1, 0, -2])
def test_fewer_than_two_folds_are_refused(folds: int, dataset: Dataset, cache: Path) -> None:
    with pytest.raises(DataError, match=f"folds: found {folds}; expected 2 or more"):
        make_splits(dataset, folds, 0, cache)


def test_a_class_with_too_few_images_for_the_folds_is_named(few: Callable[..., Dataset], cache: Path) -> None:
    dataset = few(50, 8, 50)
    with pytest.raises(DataError, match=r"class '1' has 8 training images, 7 of them once the test set is set aside; "):
        make_splits(dataset, 8, 0, cache)
    assert not (cache / "splits").exists()
    assert min(np.bincount(make_splits(dataset, 7, 0, cache).train.labels)) == 7


def test_a_class_of_which_none_would_be_tested_is_named(few: Callable[..., Dataset], cache: Path) -> None:
    with pytest.raises(DataError, match=r"class '2' has 2 images, and none falls into the test set of 15%; expected 7"):
        make_splits(few(100, 100, 2), 2, 0, cache)
    splits = make_splits(few(100, 100, 7), 2, 0, cache)
    assert min(np.bincount(splits.test.labels)) == 1


def test_as_many_test_images_as_classes_are_set_aside(few: Callable[..., Dataset], cache: Path) -> None:
    splits = make_splits(few(*[3] * 10), 2, 0, cache)
    assert np.bincount(splits.test.labels).tolist() == [1] * 10


def test_a_given_training_set_too_small_for_the_folds_is_refused(
    npz: Callable[..., Path], cache: Path, digits: Digits
) -> None:
    x, y = digits
    dataset = load_data(npz(x_train=x[:30], y_train=y[:30], x_test=x, y_test=y), cache=cache)
    with pytest.raises(DataError, match=r"class '0' has 3 training images; .* each of 5 folds: ask for 3 folds"):
        make_splits(dataset, 5, 0, cache)


# Into how many folds --------------------------------------------------------------------------------------------------


def test_a_usual_data_set_is_cut_into_five(dataset: Dataset) -> None:
    assert parts_for(dataset) == 5


@pytest.mark.parametrize(("count", "given", "parts"), [(LARGE, True, 10), (LARGE - 1, True, 5), (LARGE, False, 5)])
def test_a_large_one_is_cut_into_ten(
    npz: Callable[..., Path], cache: Path, count: int, given: bool, parts: int
) -> None:
    # What counts is what is left once a test set is set aside.
    x, y = np.zeros((count, 2, 2), np.uint8), np.arange(count) % 2
    test = {"x_test": x[:10], "y_test": y[:10]} if given else {}
    names = ("x_train", "y_train") if given else ("x", "y")
    dataset = load_data(npz(**dict(zip(names, (x, y), strict=True)), **test), cache=cache)
    assert parts_for(dataset) == parts


@pytest.mark.parametrize(
    ("counts", "parts"),
    [((100, 100, 4), 3), ((100, 100, 5), 4), ((100, 100, 8), 5), ((100, 100, 2), 2), ((9, 9, 9), 5)],
)
def test_a_rare_class_has_an_image_in_every_fold(
    few: Callable[..., Dataset], counts: tuple[int, ...], parts: int
) -> None:
    assert parts_for(few(*counts)) == parts


@pytest.mark.parametrize("rare", range(7, 14))
def test_what_is_proposed_can_be_made(few: Callable[..., Dataset], cache: Path, rare: int) -> None:
    dataset = few(100, 150, rare)
    parts = parts_for(dataset)
    assert len(make_splits(dataset, parts, 0, cache).folds) == parts

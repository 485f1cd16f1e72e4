import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from digit_files import Digits
from PIL import Image

from archsearch.data.sources import NAMES, SOURCES, load_data
from archsearch.errors import DataError
from archsearch.space.architecture import Task

MNIST = Path(__file__).parents[3] / "shared" / "data" / "mnist.npz"


def _stamps(cache: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in cache.rglob("*.npy")}


def test_digits(cache: Path, digits: Digits) -> None:
    dataset = load_data("digits", cache=cache)
    assert dataset.task == Task(height=8, width=8, channels=1, classes=10)
    assert dataset.classes == tuple("0123456789")
    assert dataset.source == "digits"
    assert dataset.test is None
    np.testing.assert_array_equal(dataset.train.images[..., 0], digits.pixels)
    np.testing.assert_array_equal(dataset.train.labels, digits.labels)
    assert dataset.train.images.max() == 255


def test_what_no_disk_can_hold_is_not_begun(cache: Path) -> None:
    with pytest.raises(DataError, match=r"1,797 images of 300000×300000 take 161,730.0 GB once converted, and "):
        load_data("digits", 300_000, cache)
    assert list((cache / "data").glob("[!.]*")) == []


@pytest.mark.skipif(not MNIST.is_file(), reason=f"{MNIST} is not there")
def test_mnist(cache: Path) -> None:
    dataset = load_data(MNIST, cache=cache)
    assert dataset.test is not None
    assert dataset.task == Task(height=28, width=28, channels=1, classes=10)
    assert (len(dataset.train), len(dataset.test)) == (60000, 10000)
    with np.load(MNIST) as original:
        np.testing.assert_array_equal(dataset.train.images[::97, :, :, 0], original["x_train"][::97])
        np.testing.assert_array_equal(dataset.test.labels, original["y_test"])


def test_the_second_time_nothing_is_converted(folder: Path, cache: Path) -> None:
    first = load_data(folder, cache=cache)
    stamps = _stamps(cache)
    second = load_data(str(folder), cache=cache)
    assert second.train.path == first.train.path
    assert second.fingerprint == first.fingerprint
    assert _stamps(cache) == stamps


def test_a_changed_file_is_read_again(folder: Path, cache: Path, digits: Digits) -> None:
    first = load_data(folder, cache=cache)
    Image.fromarray(255 - digits.pixels[0]).save(folder / "0" / "0.png")
    second = load_data(folder, cache=cache)
    assert second.fingerprint != first.fingerprint
    (folder / "0" / "0.png").unlink()
    assert len(load_data(folder, cache=cache).train) == 11


def test_each_size_is_a_conversion_of_its_own(cache: Path) -> None:
    sizes = [load_data("digits", size, cache).train.images.shape[1:] for size in (None, 12, 8)]
    assert sizes == [(8, 8, 1), (12, 12, 1), (8, 8, 1)]


def test_moving_the_data_does_not_change_its_fingerprint(folder: Path, cache: Path) -> None:
    first = load_data(folder, cache=cache)
    moved = Path(shutil.copytree(folder, folder.with_name("copy")))
    second = load_data(moved, cache=cache)
    assert (second.fingerprint, second.source) == (first.fingerprint, str(moved))


def test_processes_that_convert_at_once_get_the_same_whole_data(
    npz: Callable[..., Path], cache: Path, digits: Digits
) -> None:
    path = npz(x=np.tile(digits.pixels, (4, 1, 1)), y=np.tile(digits.labels, 4))
    code = (
        "import sys; from pathlib import Path; from archsearch.data.sources import load_data\n"
        "data = load_data(sys.argv[1], cache=Path(sys.argv[2])); print(data.fingerprint, data.train.images.sum())"
    )
    command = [sys.executable, "-c", code, str(path), str(cache)]
    started = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    found = {process.communicate()[0] for process in started}
    assert found == {f"{load_data(path, cache=cache).fingerprint} {4 * int(digits.pixels.sum())}\n"}
    assert len(_stamps(cache)) == 2


def test_a_refused_source_leaves_nothing_in_the_cache(npz: Callable[..., Path], cache: Path, digits: Digits) -> None:
    path = npz(x=digits.pixels, y=digits.labels[:-1])
    with pytest.raises(DataError):
        load_data(path, cache=cache)
    assert not [entry for entry in (cache / "data").iterdir() if entry.suffix not in (".lock", ".used")]


def test_a_damaged_conversion_says_what_to_delete(cache: Path) -> None:
    entry = load_data("digits", cache=cache).train.path.parent
    (entry / "dataset.json").write_text("{")
    with pytest.raises(DataError, match=f"{entry}: converted data is damaged .* delete this folder"):
        load_data("digits", cache=cache)


@pytest.mark.parametrize("written", ["digts", "Digits", "fashion-mnist", "cifar_10"])
def test_a_misspelt_name_is_answered_with_the_close_one(written: str, cache: Path) -> None:
    close = {"digts": "digits", "Digits": "digits", "fashion-mnist": "fashion_mnist", "cifar_10": "cifar10"}[written]
    with pytest.raises(DataError, match=f"'{written}': found no such file, folder or data set; did you mean '{close}'"):
        load_data(written, cache=cache)


def test_an_unknown_source_lists_what_is_accepted(cache: Path) -> None:
    with pytest.raises(DataError, match=r"expected a folder .* \.npz .* \.csv .* digits, mnist"):
        load_data("/nowhere/at/all", cache=cache)
    with pytest.raises(DataError, match="'': found no such file"):
        load_data("", cache=cache)


def test_a_path_is_never_taken_for_a_name(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match="'digits': found no such file"):
        load_data(Path("digits"), cache=cache)


@pytest.mark.parametrize(("name", "found"), [("data.zip", "ending in .zip"), ("data", "of no type")])
def test_a_file_of_another_type_is_refused(name: str, found: str, tmp_path: Path, cache: Path) -> None:
    (tmp_path / name).write_text("something")
    with pytest.raises(DataError, match=f"{name}: found a file {found}; expected"):
        load_data(tmp_path / name, cache=cache)


@pytest.mark.parametrize("suffix", [".npz", ".csv"])
def test_an_empty_file_is_refused(suffix: str, tmp_path: Path, cache: Path) -> None:
    path = tmp_path / f"data{suffix}"
    path.touch()
    with pytest.raises(DataError, match="the file is empty"):
        load_data(path, cache=cache)


@pytest.mark.parametrize("size", [0, -3])
def test_a_size_below_one_is_refused(size: int, cache: Path) -> None:
    with pytest.raises(DataError, match=f"size: found {size}"):
        load_data("digits", size, cache)


@contextmanager
def _somebody_else() -> Iterator[None]:
    """Root may read everything, so the test becomes nobody for a while."""
    user = os.geteuid()
    if user == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(user)


@pytest.mark.skipif(os.name == "nt", reason="permissions work otherwise there")
def test_what_may_not_be_read_is_refused(digits: Digits) -> None:
    with tempfile.TemporaryDirectory() as made:
        root = Path(made)
        root.chmod(0o777)
        file, closed = root / "data.npz", root / "pictures"
        np.savez(file, x=digits.pixels, y=digits.labels)
        file.chmod(0)
        (closed / "cat").mkdir(parents=True)
        (closed / "cat").chmod(0)
        with _somebody_else():
            for path, named in ((file, file), (closed, closed / "cat")):
                with pytest.raises(DataError, match=rf"{named}: cannot be read \(Permission denied\)"):
                    load_data(path, cache=root / "cache")
        (closed / "cat").chmod(0o700)


def test_every_name_and_type_has_a_reader() -> None:
    assert NAMES == ("digits", "mnist", "fashion_mnist", "cifar10", "cifar100")
    assert set(SOURCES) - set(NAMES) == {".npz", ".csv", "/"}


@pytest.mark.slow
def test_a_failed_download_says_what_to_do(tmp_path: Path) -> None:
    code = "from archsearch.data.sources import load_data; load_data('cifar100')"
    # Nothing listens on port 9, so the download fails at once, with or without a network.
    nowhere = dict.fromkeys(("http_proxy", "https_proxy", "HTTPS_PROXY"), "http://127.0.0.1:9")
    kept = {"ARCHSEARCH_CACHE": str(tmp_path / "cache"), "KERAS_HOME": str(tmp_path / "keras")}
    ended = subprocess.run(
        [sys.executable, "-c", code], env=os.environ | nowhere | kept, capture_output=True, text=True, check=False
    )
    assert "DataError: cifar100: Keras could not download it" in ended.stderr
    assert "give the path of a .npz file" in ended.stderr

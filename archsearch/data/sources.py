"""Where images come from: `SOURCES`, a reader a source, and the one conversion they share.

A reader finds out what is there; the conversion streams its images into the cache. From then on they are opened from
there, until the source, its options or the conversion changes.
"""

import difflib
import hashlib
import json
import logging
import math
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np

from archsearch.data import arrays, pictures, table
from archsearch.data.cache import CACHE_VARIABLE, cache_folder, make_once
from archsearch.data.contents import Contents, Part, Pixels, Unreadable, listing
from archsearch.data.dataset import Dataset, ImageSet, fingerprint
from archsearch.errors import DataError

FORMAT = 1
"""Of the conversion; to be raised when it changes, so that older ones are not opened."""

FOLDER = "/"
Reader = Callable[[str, int | None], Contents]
SOURCES: dict[str, Reader] = {
    "digits": arrays.read_digits,
    "mnist": arrays.read_keras,
    "fashion_mnist": arrays.read_keras,
    "cifar10": arrays.read_keras,
    "cifar100": arrays.read_keras,
    ".npz": arrays.read_npz,
    ".csv": table.read_csv,
    FOLDER: pictures.read_folder,
}
"""By name, suffix, or `FOLDER`. A reader is given the name or absolute path, and the size to resize to."""

MOST_NAMED = 10
"""Classes with too few images that are named, one by one."""

NAMES = tuple(key for key in SOURCES if key.isidentifier())
ACCEPTED = (
    "a folder with a sub-folder of PNG or JPEG images for each class, a .npz file with x_train and y_train, "
    f"a .csv file with one image a row, or one of {', '.join(NAMES)}"
)

logger = logging.getLogger(__name__)


def load_data(source: str | Path, size: int | None = None, cache: Path | None = None) -> Dataset:
    """Opens a source of images, converting it first if that has not been done.

    Args:
        source: A name or a path. Names: digits (scikit-learn's), mnist, fashion_mnist, cifar10, cifar100 (Keras's,
            downloaded). Paths: a folder of classes, or one with such folders train/ and test/; a .npz file with
            x_train, y_train and maybe x_test, y_test, or with x, y; a .csv file with one image a row. A `Path` is
            never taken for a name.
        size: Side in pixels to which every image is resized, whatever its proportions; None keeps them as they are.
        cache: Folder for converted data; None is $ARCHSEARCH_CACHE, or the user's cache folder on this system.

    Raises:
        DataError: The source is missing, unreadable or not what its suffix says; or no search can be run on it, because
            of images that are damaged or differ in shape, labels that only the test set has, fewer than two classes,
            or a class with fewer than two images.
    """
    dataset, unreadable = read_source(source, size, cache)
    problems = find_problems(dataset, unreadable)
    if problems:
        raise DataError("\n".join(f"{dataset.source}: {problem}" for problem in problems))
    return dataset


def read_source(
    source: str | Path, size: int | None = None, cache: Path | None = None
) -> tuple[Dataset, tuple[Unreadable, ...]]:
    """`load_data` without the verdict of `find_problems`: damaged images are left out and listed beside."""
    if size is not None and size < 1:
        raise DataError(f"size: found {size}; expected a side of 1 pixel or more")
    kind, name = recognise(source)
    identity = json.dumps([FORMAT, kind, name, size, _version(kind, name)])
    key = hashlib.sha256(identity.encode()).hexdigest()[:16]
    folder = cache_folder(cache) / "data" / key
    if folder.is_dir() and _open(folder, name)[1]:
        shutil.rmtree(folder)  # what could not be read may be readable now, without a new size or time
    return _open(make_once(folder, lambda beside: _convert(kind, name, size, beside)), name)


def find_problems(dataset: Dataset, unreadable: Sequence[Unreadable]) -> tuple[str, ...]:
    """Why no search can be run on what was read, a sentence each; empty if one can."""
    problems = [pictures.unreadable_sentence(unreadable)] if unreadable else []
    counts = np.bincount(dataset.train.labels, minlength=len(dataset.classes)).tolist()
    if len(counts) < 2:
        problems.append(f"found one class only, {listing(dataset.classes)}; expected at least 2 to tell apart")
    few = [(name, count) for name, count in zip(dataset.classes, counts, strict=True) if count < 2]
    problems += [
        f"class '{name}' has {count} training image{'' if count == 1 else 's'}; expected at least 2: "
        "add some, or take the class away"
        for name, count in few[:MOST_NAMED]
    ]
    if len(few) > MOST_NAMED:
        problems.append(f"{len(few) - MOST_NAMED:,} more of {len(counts):,} classes have fewer than 2 training images")
    if dataset.test is not None and not len(dataset.test):
        problems.append("the test set has no images; add some, or take it away to have one split off")
    return tuple(problems)


def recognise(source: str | Path) -> tuple[str, str]:
    """The key in `SOURCES` of a source, and its name or absolute path. Raises DataError if there is none."""
    if isinstance(source, str) and source in NAMES:
        return source, source
    path = Path(source).expanduser()
    try:
        if path.is_dir() and str(source):
            return FOLDER, str(path.resolve())
        if not path.is_file():
            close = difflib.get_close_matches(str(source).lower(), NAMES, n=1)
            hint = f"did you mean '{close[0]}'? " if close else ""
            raise DataError(f"'{source}': found no such file, folder or data set; {hint}expected {ACCEPTED}")
        with path.open("rb") as file:
            empty = not file.read(1)
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror or error})") from error
    suffix = path.suffix.lower()
    if suffix not in SOURCES:
        raise DataError(
            f"{path}: found a file {f'ending in {suffix}' if suffix else 'of no type'}; expected {ACCEPTED}"
        )
    if empty:
        raise DataError(f"{path}: the file is empty; expected {ACCEPTED}")
    return suffix, str(path.resolve())


def _version(kind: str, name: str) -> object:
    """What differs when a source has changed, found without opening a file; named sets do not change."""
    if kind in NAMES:
        return None
    if kind != FOLDER:
        return _stamp(Path(name))
    tree = pictures.walk(Path(name))
    return [tree.classes, [[file.name, _stamp(file.path)] for file in tree.files]]


def _stamp(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except OSError:  # a link to nothing; decoding it says so
        return None
    return status.st_size, status.st_mtime_ns


def _convert(kind: str, name: str, size: int | None, folder: Path) -> None:
    logger.info("converting %s", name)
    try:
        contents = SOURCES[kind](name, size)
    except MemoryError as error:
        raise DataError(f"{name}: does not fit into the memory; expected fewer images, or smaller ones") from error
    _require_space(name, contents, folder)
    unreadable: list[Unreadable] = []
    train = ImageSet.write(folder / "train", contents.shape, _samples(contents.train, unreadable))
    if not len(train):
        raise DataError(f"{name}: {pictures.unreadable_sentence(unreadable) if unreadable else 'found no images'}")
    test = None
    if contents.test is not None:
        test = ImageSet.write(folder / "test", contents.shape, _samples(contents.test, unreadable))
    facts = {
        "classes": contents.classes,
        "fingerprint": fingerprint(contents.classes, train, test),
        "unreadable": unreadable,
    }
    (folder / "dataset.json").write_text(json.dumps(facts), encoding="utf-8")


def _require_space(name: str, contents: Contents, folder: Path) -> None:
    """Raises DataError, before anything is decoded, if the disk cannot hold what comes of it."""
    images = sum(len(part.labels) for part in (contents.train, contents.test) if part)
    wanted, free = images * math.prod(contents.shape), shutil.disk_usage(folder).free
    if wanted > free:
        height, width, _ = contents.shape
        raise DataError(
            f"{name}: {images:,} images of {width}×{height} take {wanted / 1e9:,.1f} GB once converted, and "
            f"{folder.parent} has {free / 1e9:,.1f} GB left; expected smaller ones (--size), or another cache folder "
            f"in the environment variable {CACHE_VARIABLE}"
        )


def _samples(part: Part, unreadable: list[Unreadable]) -> Iterator[tuple[Pixels, int]]:
    """Pairs of image and label; what cannot be decoded is added to `unreadable` instead."""
    for image, label in zip(part.images, part.labels, strict=True):
        if isinstance(image, Unreadable):
            unreadable.append(image)
        else:
            yield image, label


def _open(folder: Path, source: str) -> tuple[Dataset, tuple[Unreadable, ...]]:
    try:
        facts = json.loads((folder / "dataset.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{folder}: converted data is damaged ({error}); delete this folder and run again") from error
    dataset = Dataset(
        train=ImageSet.open(folder / "train"),
        test=ImageSet.open(folder / "test") if (folder / "test").is_dir() else None,
        classes=tuple(facts["classes"]),
        fingerprint=facts["fingerprint"],
        source=source,
    )
    return dataset, tuple(Unreadable(*entry) for entry in facts["unreadable"])

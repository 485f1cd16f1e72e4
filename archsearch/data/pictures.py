"""Reader of a folder with a sub-folder of PNG and JPEG files for each class."""

import os
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from stat import S_ISREG
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageOps

from archsearch.data.contents import (
    Contents,
    Part,
    Pixels,
    Shape,
    Unreadable,
    listing,
    require_printable,
    resized,
    unknown_classes,
)
from archsearch.errors import DataError, first_line
from archsearch.printable import printable

SUFFIXES = (".png", ".jpg", ".jpeg")
FORMATS = ("PNG", "JPEG")
GREY_MODES = ("1", "L", "LA", "I", "I;16", "I;16B")
ORIENTATION = 0x0112  # Exif 2.3, table 4; 5 to 8 exchange width and height


class File(NamedTuple):
    """An image file: `train` or `test`, its class, its path within the source (with forward slashes) and on disk."""

    part: str
    label: str
    name: str
    path: Path


@dataclass(frozen=True)
class Tree:
    """What a folder holds, by name alone: the classes of `train` and maybe `test`, and all image files, sorted."""

    classes: dict[str, tuple[str, ...]]
    files: tuple[File, ...]


def walk(root: Path) -> Tree:
    """Finds classes and image files, also further down in a class; hidden ones are ignored, and so are other files.

    Links are followed, except to folders further down: large sets are often put together from links. Nothing but
    images is read through one.

    Raises DataError if there are no classes, if one has a name that cannot be shown, if a validation set lies beside
    train/, or a folder cannot be read.
    """
    try:
        parts = _parts(root)
        classes = {part: tuple(_subfolders(folder)) for part, folder in parts.items()}
        files = tuple(
            File(part, label, path.relative_to(root).as_posix(), path)
            for part, folder in parts.items()
            for label in classes[part]
            for path in _image_files(folder / label)
        )
    except OSError as error:
        raise DataError(f"{error.filename or root}: cannot be read ({error.strerror or error})") from error
    require_printable(str(root), (name for names in classes.values() for name in names))
    if not classes["train"]:
        raise DataError(f"{parts['train']}: found no sub-folders; expected one for each class, with PNG or JPEG images")
    return Tree(classes, files)


def read_folder(name: str, size: int | None) -> Contents:
    """Images of a folder, in the files' order.

    They are grey if every file is stored as grey, else all are RGB. A palette is resolved, transparency is laid over
    white, 16-bit grey is scaled to 8, and a picture is turned as its EXIF orientation says. What decides is a file's
    content: a JPEG named .png is read.
    """
    tree = walk(Path(name))
    classes = tree.classes["train"]
    unknown = sorted(set(tree.classes.get("test", ())) - set(classes))
    if unknown:
        raise unknown_classes(name, unknown, classes)
    heads = [_head(file) for file in tree.files]
    readable = [head for head in heads if isinstance(head, _Head)]
    if not readable:
        found = unreadable_sentence([h for h in heads if isinstance(h, Unreadable)]) if heads else "found no images"
        raise DataError(f"{name}: {found}; expected PNG or JPEG files in a sub-folder for each class")
    if size is None:
        _require_one_size(name, readable)
    shape = (size or readable[0].height, size or readable[0].width, 1 if all(head.grey for head in readable) else 3)
    parts = {
        key: _part([file for file in tree.files if file.part == key], classes, shape, size) for key in tree.classes
    }
    return Contents(classes, shape, parts["train"], parts.get("test"))


def find_pictures(paths: Sequence[Path]) -> list[Path]:
    """The files that are named, and all PNG and JPEG files in the folders that are, in the order of their names.

    Raises DataError if one is not there, or a folder holds none or cannot be read.
    """
    found: list[Path] = []
    for path in paths:
        try:
            inside = _image_files(path) if path.is_dir() else [path]
        except OSError as error:
            raise DataError(f"{error.filename or path}: cannot be read ({error.strerror or error})") from error
        if not path.exists():
            raise DataError(f"{path}: there is no such file or folder")
        if not inside:
            raise DataError(f"{path}: found no images; expected PNG or JPEG files")
        found += inside
    return found


def read_picture(path: Path, shape: Shape) -> Pixels | Unreadable:
    """One image file as (height, width, channels) uint8, made larger or smaller as `--size` does if it has to be."""
    try:
        with _opened(path) as opened:
            picture = _plain(ImageOps.exif_transpose(opened), "L" if shape[2] == 1 else "RGB")
        if picture.size != (shape[1], shape[0]):
            picture = picture.resize((shape[1], shape[0]), Image.Resampling.BILINEAR)
        return np.asarray(picture).reshape(shape)
    except Exception as error:  # on damaged files Pillow raises nearly anything
        return _unreadable(str(path), error)


@contextmanager
def _opened(path: Path) -> Iterator[Image.Image]:
    """An image file, its header read: PNG or JPEG, and of no more pixels than Pillow thinks harmless (89 million)."""
    if not S_ISREG(path.stat().st_mode):
        raise OSError("not a file")  # a pipe would be waited for
    with warnings.catch_warnings(action="ignore"):  # of what else is odd about it: it can be read or it cannot
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        with Image.open(path, formats=FORMATS) as opened:
            yield opened


def unreadable_sentence(unreadable: Sequence[Unreadable]) -> str:
    """How many image files cannot be read, and the first ten with their reasons."""
    what = "1 image" if len(unreadable) == 1 else f"{len(unreadable)} images"
    names = listing(f"{entry.name} ({entry.reason})" for entry in unreadable)
    return f"{what} cannot be read: {names}; repair or remove them"


def _parts(root: Path) -> dict[str, Path]:
    """The folders whose sub-folders are classes: train/ and test/ if train/ has sub-folders, else `root` itself."""
    inside = _subfolders(root)
    if "train" not in inside or not _subfolders(root / "train"):
        return {"train": root}
    others = [name for name in inside if name not in ("train", "test")]
    if others:
        raise DataError(
            f"{root}: found {listing(others)} beside train; expected only train and test there: "
            "move a validation set's images into train, because folds are made of it"
        )
    return {part: root / part for part in ("train", "test") if part in inside}


def _subfolders(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir() if not entry.name.startswith(".") and entry.is_dir())


def _image_files(folder: Path) -> list[Path]:
    def fail(error: OSError) -> None:
        raise error  # os.walk would pass over a folder that it cannot read

    found = []
    for where, folders, files in os.walk(folder, onerror=fail):
        folders[:] = [name for name in folders if not name.startswith(".")]
        found += [Path(where, name) for name in files if name.lower().endswith(SUFFIXES) and not name.startswith(".")]
    return sorted(found)


class _Head(NamedTuple):
    """What a file's first bytes say: its height and width as seen, and whether it is stored as grey."""

    name: str
    height: int
    width: int
    grey: bool


def _head(file: File) -> _Head | Unreadable:
    try:
        with _opened(file.path) as picture:
            # Not PngImageFile.getexif: it decodes the whole picture to look behind the pixels too.
            turned = Image.Image.getexif(picture).get(ORIENTATION, 1) >= 5
            width, height = reversed(picture.size) if turned else picture.size
            return _Head(file.name, height, width, _is_grey(picture))
    except Exception as error:  # on damaged files Pillow raises nearly anything
        return _unreadable(file.name, error)


def _is_grey(picture: Image.Image) -> bool:
    if picture.mode != "P":
        return picture.mode in GREY_MODES
    colours = np.reshape(picture.getpalette("RGB") or [], (-1, 3))
    return bool((colours == colours[:, :1]).all())


def _require_one_size(where: str, heads: Sequence[_Head]) -> None:
    first = heads[0]
    for other in heads:
        if (other.height, other.width) != (first.height, first.width):
            raise DataError(
                f"{where}: images differ in size: {first.name} is {first.width}×{first.height} and {other.name} is "
                f"{other.width}×{other.height} (width×height); expected one size; "
                "resize them all with --size, such as --size 32"
            )


def _part(files: Sequence[File], classes: Sequence[str], shape: Shape, size: int | None) -> Part:
    labels = {label: number for number, label in enumerate(classes)}
    return Part([labels[file.label] for file in files], (_decode(file, shape, size) for file in files))


def _decode(file: File, shape: Shape, size: int | None) -> Pixels | Unreadable:
    try:
        with _opened(file.path) as opened:
            if size:
                opened.draft(None, (size, size))  # lets a large JPEG be decoded at a half, a quarter or an eighth
            picture = _plain(ImageOps.exif_transpose(opened), "L" if shape[2] == 1 else "RGB")
        image = np.asarray(resized(picture, size) if size else picture)
    except Exception as error:  # on damaged files Pillow raises nearly anything
        return _unreadable(file.name, error)
    if image.shape[:2] != shape[:2]:
        return Unreadable(file.name, f"decodes to {image.shape[1]}×{image.shape[0]}, which is not what its header says")
    return image.reshape(shape)


def _plain(picture: Image.Image, mode: str) -> Image.Image:
    """8 bits, no palette, no transparency: `mode` is L or RGB."""
    if picture.mode.startswith("I"):
        picture = Image.fromarray(np.rint(np.asarray(picture) / 257).astype(np.uint8))
    elif picture.has_transparency_data:
        picture = picture.convert("RGBA")
        picture = Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture)
    return picture.convert(mode)


def _unreadable(name: str, error: Exception) -> Unreadable:
    known = {
        "UnidentifiedImageError": "not a PNG or JPEG",
        "PermissionError": "permission denied",
        "DecompressionBombWarning": _TOO_LARGE,
        "DecompressionBombError": _TOO_LARGE,
    }
    return Unreadable(printable(name), known.get(type(error).__name__, printable(first_line(error))))


_TOO_LARGE = f"more than {Image.MAX_IMAGE_PIXELS:,} pixels, which could fill the memory; make it smaller"

"""Images and labels on disk, opened by memory mapping.

A worker process is given the path of an `ImageSet` and opens it: the system's page cache shares the pixels.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from archsearch.errors import DataError
from archsearch.files import whole_folder
from archsearch.space.architecture import Task

IMAGES = "images.npy"
LABELS = "labels.npy"


@dataclass(frozen=True, eq=False)
class ImageSet:
    """Images with their labels, in a folder of their own.

    Attributes:
        path: The folder; it holds images.npy and labels.npy and nothing else.
        images: (N, height, width, channels) uint8 pixels in 0..255, a read-only memory map.
        labels: (N,) int32, each in 0..classes - 1, read-only.
    """

    path: Path
    images: NDArray[np.uint8]
    labels: NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.labels)

    @classmethod
    def open(cls, path: Path) -> "ImageSet":
        """Opens what `write` wrote. Raises DataError if it is not there or is damaged."""
        try:
            images = np.load(path / IMAGES, mmap_mode="r", allow_pickle=False)
            labels = np.load(path / LABELS, allow_pickle=False)
        except (OSError, ValueError, EOFError) as error:
            raise _damaged(path, str(error)) from error
        if images.dtype != np.uint8 or images.ndim != 4 or labels.dtype != np.int32 or labels.shape != images.shape[:1]:
            found = f"{images.dtype} images {images.shape}, {labels.dtype} labels {labels.shape}"
            raise _damaged(path, found)
        labels.setflags(write=False)
        return cls(path, images, labels)

    @classmethod
    def write(
        cls, path: Path, shape: tuple[int, int, int], samples: Iterable[tuple[NDArray[np.uint8], int]]
    ) -> "ImageSet":
        """Writes images as they come, none of them kept in memory; `path` appears when all are written.

        Args:
            path: Folder to make; it must not exist.
            shape: (height, width, channels) of every image.
            samples: Each an image of that shape, uint8, and its label; how many need not be known before.
        """
        labels: list[int] = []
        with whole_folder(path) as beside:
            with (beside / IMAGES).open("wb") as file:
                _write_header(file, (0, *shape))
                for image, label in samples:
                    if image.shape != shape or image.dtype != np.uint8:
                        raise ValueError(
                            f"image {len(labels)}: found {image.dtype} {image.shape}, expected uint8 {shape}"
                        )
                    file.write(image.tobytes())
                    labels.append(label)
                # NumPy pads the header so that the first dimension can be written over once it is known.
                file.seek(0)
                _write_header(file, (len(labels), *shape))
            with (beside / LABELS).open("wb") as file:  # `numpy.save` does not say that the disk is full
                _write_header(file, (len(labels),), "<i4")
                file.write(np.array(labels, "<i4").tobytes())
        return cls.open(path)


@dataclass(frozen=True, eq=False)
class Dataset:
    """A data source, converted.

    Attributes:
        train: What the source calls its training images, or all it has.
        test: The test set the source came with, if any.
        classes: Name of each class, by label.
        fingerprint: Sixteen hexadecimal digits of a hash of all images, labels and class names.
        source: Name of the source, or its absolute path.
    """

    train: ImageSet
    test: ImageSet | None
    classes: tuple[str, ...]
    fingerprint: str
    source: str

    @property
    def task(self) -> Task:
        """Shape of the images and number of classes."""
        _, height, width, channels = self.train.images.shape
        return Task.model_validate(
            {"height": height, "width": width, "channels": channels, "classes": len(self.classes)}
        )


def fingerprint(classes: tuple[str, ...], train: ImageSet, test: ImageSet | None) -> str:
    """Sixteen hexadecimal digits that change with any pixel, label, class name, or their order."""
    digest = hashlib.sha256(repr(classes).encode())
    for part in (train, test):
        if part is None:
            digest.update(b"none")
            continue
        digest.update(repr(part.images.shape).encode())
        digest.update(part.images.reshape(-1).data)
        digest.update(part.labels.astype("<i4").data)
    return digest.hexdigest()[:16]


def _write_header(file: BinaryIO, shape: tuple[int, ...], kind: str = "|u1") -> None:
    np.lib.format.write_array_header_1_0(file, {"descr": kind, "fortran_order": False, "shape": shape})


def _damaged(path: Path, found: str) -> DataError:
    return DataError(f"{path}: no image set here ({found}); if this is the cache, delete the folder and run again")

"""Whatever is done to a data file: it is read as images and labels, or refused with an error of our own."""

import io
import struct
import zipfile
import zlib
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from fuzzing import SEEDS, fuzzed, no_hanging, spoilt
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from archsearch.data.arrays import read_npz
from archsearch.data.contents import Contents, Part, Unreadable
from archsearch.data.pictures import read_folder, read_picture
from archsearch.data.table import read_csv
from archsearch.errors import InputError
from archsearch.printable import is_printable

CHANCE = np.random.default_rng(0)
PIXELS = CHANCE.integers(0, 256, (6, 4, 4)).astype(np.uint8)
LABELS = np.arange(6) % 2
SIZES = st.sampled_from([None, 1, 3])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("fuzzed")


def against(read: Callable[[str, int | None], Contents], path: Path, size: int | None) -> str:
    """What a reader says against a file; nothing if it reads all of it."""
    with no_hanging():
        try:
            all_there(read(str(path), size))
        except InputError as error:
            return str(error)
    return ""


def all_there(contents: Contents) -> None:
    """Every image has the shape that was promised, and every label is one of a class."""
    assert all(map(is_printable, contents.classes))
    for part in filter(None, (contents.train, contents.test)):
        counted(part, contents)


def counted(part: Part, contents: Contents) -> None:
    images = list(part.images)
    assert len(images) == len(part.labels)
    assert all(0 <= label < len(contents.classes) for label in part.labels)
    for image in images:
        if isinstance(image, Unreadable):
            assert is_printable(image.name)
            assert is_printable(image.reason)
        else:
            assert image.dtype == np.uint8
            assert image.shape == contents.shape


# Arrays ---------------------------------------------------------------------------------------------------------------


def npy(array: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


ARRAYS = [npy(array) for array in (PIXELS, PIXELS / 255, np.asfortranarray(PIXELS.astype(">i2")), PIXELS[..., None])]
ALL_LABELS = [npy(labels) for labels in (LABELS, LABELS.astype(float), LABELS[:, None].astype(np.uint8), LABELS > 0)]


def archive(images: bytes, labels: bytes, test: bool, method: int) -> bytes:
    """A `.npz` file with these members."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as made:
        for part in ("_train", "_test") if test else ("",):
            made.writestr(f"x{part}.npy", images)
            made.writestr(f"y{part}.npy", labels)
    return file.getvalue()


METHODS = st.sampled_from([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
IMAGES, NUMBERS = st.sampled_from(ARRAYS), st.sampled_from(ALL_LABELS)
ARCHIVES = st.one_of(
    st.builds(archive, st.builds(spoilt, IMAGES, SEEDS), NUMBERS, st.booleans(), METHODS),
    st.builds(archive, IMAGES, st.builds(spoilt, NUMBERS, SEEDS), st.booleans(), METHODS),
    st.builds(spoilt, st.builds(archive, IMAGES, NUMBERS, st.booleans(), METHODS), SEEDS),
)


@fuzzed
@given(content=ARCHIVES, size=SIZES)
def test_arrays(content: bytes, size: int | None, folder: Path) -> None:
    file = folder / "data.npz"
    file.write_bytes(content)
    said = against(read_npz, file, size)
    assert not said or said.startswith(str(file))


# Tables ---------------------------------------------------------------------------------------------------------------

ROWS = "\n".join(f"{label},{','.join(map(str, pixels.ravel()))}" for label, pixels in zip(LABELS, PIXELS, strict=True))
TABLES = [
    ROWS.encode(),
    ("label," + ",".join(f"p{number}" for number in range(16)) + "\n" + ROWS).encode("utf-8-sig"),
    b"a,b,c,y\r\n0.5,0.25,1,0\r\n1,0,0.125,1\r\n",
    b'"1","2"\n"0","3"\n',
]
ODD_CELLS = ("-1", "1e400", "nan", "inf", "", " ", '"', '""', "=1+1", "x", "\0", "é", "1_0", "0x1", "label", "1\r0")
CELLS = st.sampled_from(["0", "1", "255", *ODD_CELLS])
GENERATED = st.lists(st.lists(CELLS, max_size=5).map(",".join), max_size=5).map("\n".join).map(str.encode)


@fuzzed
@given(content=st.builds(spoilt, st.sampled_from(TABLES), SEEDS) | GENERATED, size=SIZES)
def test_tables(content: bytes, size: int | None, folder: Path) -> None:
    file = folder / "data.csv"
    file.write_bytes(content)
    said = against(read_csv, file, size)
    assert not said or said.startswith(str(file))


# Images ---------------------------------------------------------------------------------------------------------------


def picture(mode: str, kind: str = "PNG", **options: object) -> bytes:
    file = io.BytesIO()
    Image.fromarray(PIXELS[0]).convert(mode).save(file, kind, **options)
    return file.getvalue()


def turned(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


PICTURES = [
    *(picture(mode) for mode in ("L", "RGB", "RGBA", "LA", "P", "1", "I;16")),
    picture("P", transparency=3),
    picture("L", exif=turned(6)),
    picture("RGB", icc_profile=b"profile", dpi=(72, 72)),
    *(picture(mode, "JPEG") for mode in ("L", "RGB", "CMYK")),
    picture("RGB", "JPEG", progressive=True, exif=turned(5)),
    picture("L", "JPEG", optimize=True, restart_marker_blocks=1),
]


def mended(content: bytes) -> bytes:
    """A PNG whose chunks have the checksums of what they hold, so that it is looked at further."""
    place, parts = 8, [content[:8]]
    while place + 8 <= len(content):
        (size,) = struct.unpack(">I", content[place : place + 4])
        inside = content[place + 4 : place + 8 + size]
        parts.append(struct.pack(">I", len(inside) - 4) + inside + struct.pack(">I", zlib.crc32(inside)))
        place += 12 + size
    return b"".join(parts)


SPOILT = st.builds(spoilt, st.sampled_from(PICTURES), SEEDS)


@cache
def pictures(root: Path) -> Path:
    """A folder of two classes, and a place for one more image."""
    for number, name in enumerate(("cat", "dog")):
        (root / "pictures" / name).mkdir(parents=True)
        Image.fromarray(PIXELS[number]).save(root / "pictures" / name / "0.png")
    return root / "pictures"


@fuzzed
@given(content=SPOILT | SPOILT.map(mended), size=SIZES)
def test_pictures(content: bytes, size: int | None, folder: Path) -> None:
    root = pictures(folder)
    (root / "dog" / "1.png").write_bytes(content)
    said = against(read_folder, root, size)
    assert not said or "images differ in size" in said
    with no_hanging():
        found = read_picture(root / "dog" / "1.png", (3, 5, 3))
    assert isinstance(found, Unreadable) or found.shape == (3, 5, 3)


ODD_NAMES = ["-rf", "train", "test", "<script>", "a\nb", "\x1b[31m", "\u202ex", " ", "...", "con", "a" * 300, "\udcff"]
NAMES = st.sampled_from(ODD_NAMES) | st.text(st.characters(exclude_characters="/\\"), min_size=1, max_size=40)


@fuzzed
@given(name=NAMES, inside=NAMES)
def test_names_of_classes_and_files(name: str, inside: str) -> None:
    with TemporaryDirectory() as made:
        root = Path(made)
        for part in {"cat", name} - {".", ".."}:
            with suppress(OSError, ValueError):  # nothing can be called that
                (root / part).mkdir()
                (root / part / f"{inside}.png").write_bytes(PICTURES[0])
                (root / part / f"{inside}.jpg").write_bytes(b"")
        assert is_printable(against(read_folder, root, None))

import os
import shutil
import struct
import warnings
import zlib
from pathlib import Path
from unittest.mock import ANY

import numpy as np
import pytest
from digit_files import Digits, write_folder
from numpy.typing import NDArray
from PIL import Image, ImageOps

from archsearch.data.contents import Unreadable
from archsearch.data.pictures import read_picture
from archsearch.data.sources import load_data, read_source
from archsearch.errors import DataError

ORIENTATION = 0x0112


def _only(
    folder: Path, cache: Path, picture: Image.Image, name: str = "9.png", size: int | None = None
) -> NDArray[np.uint8]:
    """What `picture` becomes when it is the last image of class 0."""
    picture.save(folder / "0" / name, exif=picture.getexif())
    images = load_data(folder, size, cache).train.images
    assert len(images) == 13
    return np.asarray(images[4])


def _colour(digits: Digits) -> NDArray[np.uint8]:
    return np.stack([digits.pixels[0], 255 - digits.pixels[0], digits.pixels[0] // 2], axis=-1)


def test_classes_are_sub_folders_in_order(folder: Path, cache: Path, digits: Digits) -> None:
    dataset = load_data(folder, cache=cache)
    assert dataset.classes == ("0", "1", "2")
    assert dataset.train.labels.tolist() == [0] * 4 + [1] * 4 + [2] * 4
    assert dataset.train.images.shape == (12, 8, 8, 1)
    for label in range(3):
        expected = digits.pixels[digits.labels == label][:4]
        np.testing.assert_array_equal(dataset.train.images[4 * label : 4 * label + 4, ..., 0], expected)


def test_train_and_test_folders(tmp_path: Path, cache: Path, digits: Digits) -> None:
    write_folder(tmp_path / "both" / "train", digits)
    write_folder(tmp_path / "both" / "test", digits, each=2, start=4)
    dataset = load_data(tmp_path / "both", cache=cache)
    assert dataset.test is not None
    assert (len(dataset.train), len(dataset.test)) == (12, 6)
    np.testing.assert_array_equal(dataset.test.images[0, ..., 0], digits.pixels[digits.labels == 0][4])
    assert dataset.test.labels.tolist() == [0, 0, 1, 1, 2, 2]
    shutil.rmtree(tmp_path / "both" / "test")
    assert load_data(tmp_path / "both", cache=cache).test is None


def test_classes_may_be_called_train_and_test(folder: Path, cache: Path) -> None:
    (folder / "0").rename(folder / "train")
    (folder / "1").rename(folder / "test")
    dataset = load_data(folder, cache=cache)
    assert dataset.classes == ("2", "test", "train")
    assert dataset.test is None


def test_hidden_and_other_files_are_passed_over(folder: Path, cache: Path) -> None:
    (folder / ".git" / "objects").mkdir(parents=True)
    (folder / "0" / ".thumbnails").mkdir()
    shutil.copy(folder / "0" / "0.png", folder / "0" / ".thumbnails" / "0.png")
    (folder / "0" / "._0.png").write_bytes(b"resource fork")
    (folder / "0" / "notes.txt").write_text("notes")
    (folder / "notes.txt").write_text("notes")
    dataset = load_data(folder, cache=cache)
    assert (len(dataset.train), dataset.classes) == (12, ("0", "1", "2"))


def test_suffixes_in_any_case_and_folders_further_down_count(folder: Path, cache: Path) -> None:
    (folder / "0" / "3.png").rename(folder / "0" / "3.PNG")
    (folder / "0" / "more").mkdir()
    (folder / "0" / "2.png").rename(folder / "0" / "more" / "2.png")
    Image.open(folder / "0" / "1.png").save(folder / "0" / "5.JPeG")
    assert len(load_data(folder, cache=cache).train) == 13


def test_one_coloured_image_makes_all_coloured(folder: Path, cache: Path, digits: Digits) -> None:
    colour = _colour(digits)
    np.testing.assert_array_equal(_only(folder, cache, Image.fromarray(colour)), colour)
    images = load_data(folder, cache=cache).train.images
    grey = digits.pixels[digits.labels == 0][0]
    np.testing.assert_array_equal(images[0], np.stack([grey] * 3, axis=-1))


@pytest.mark.parametrize("mode", ["1", "P", "LA"])
def test_every_way_to_store_grey_stays_grey(mode: str, folder: Path, cache: Path, digits: Digits) -> None:
    picture = Image.fromarray(digits.pixels[0]).convert(mode)
    expected = np.asarray(picture.convert("L"))
    np.testing.assert_array_equal(_only(folder, cache, picture)[..., 0], expected)


def test_sixteen_bits_are_scaled_to_eight(folder: Path, cache: Path, digits: Digits) -> None:
    deep = Image.fromarray(digits.pixels[0].astype(np.uint16) * 257)
    assert deep.mode == "I;16"
    np.testing.assert_array_equal(_only(folder, cache, deep)[..., 0], digits.pixels[0])


def test_a_coloured_palette_is_resolved(folder: Path, cache: Path, digits: Digits) -> None:
    picture = Image.fromarray(_colour(digits)).quantize(16)
    np.testing.assert_array_equal(_only(folder, cache, picture), np.asarray(picture.convert("RGB")))


def test_transparency_is_laid_over_white(folder: Path, cache: Path, digits: Digits) -> None:
    ink = np.zeros((8, 8, 4), np.uint8)
    ink[..., 3] = digits.pixels[0]
    np.testing.assert_array_equal(_only(folder, cache, Image.fromarray(ink))[..., 0], 255 - digits.pixels[0])


def test_a_palettes_transparent_colour_is_white(folder: Path, cache: Path, digits: Digits) -> None:
    picture = Image.fromarray((digits.pixels[0] > 0).astype(np.uint8), mode=None).convert("P")
    picture.putpalette([0, 0, 0, 10, 20, 30])
    picture.info["transparency"] = 0
    found = _only(folder, cache, picture)
    np.testing.assert_array_equal(found[digits.pixels[0] == 0], 255)
    np.testing.assert_array_equal(found[digits.pixels[0] > 0] - np.array([10, 20, 30]), 0)


@pytest.mark.parametrize("name", ["9.jpg", "9.png"])
@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_the_exif_orientation_is_honoured(
    name: str, orientation: int, tmp_path: Path, cache: Path, digits: Digits
) -> None:
    root = write_folder(tmp_path / "wide", digits)
    for path in root.rglob("*.png"):
        Image.open(path).resize((12, 8)).save(path)
    upright = Image.open(root / "0" / "0.png")
    stored = {
        1: upright,
        3: upright.rotate(180),
        6: upright.rotate(90, expand=True),
        8: upright.rotate(-90, expand=True),
    }
    picture = stored[orientation].copy()
    picture.getexif()[ORIENTATION] = orientation
    found = _only(root, cache, picture, name)
    with Image.open(root / "0" / name) as saved:
        assert saved.getexif()[ORIENTATION] == orientation
        np.testing.assert_array_equal(found[..., 0], np.asarray(ImageOps.exif_transpose(saved)))
    assert np.abs(found[..., 0].astype(int) - np.asarray(upright)).mean() < 12  # JPEG is not exact


def test_mixed_sizes_need_a_size(folder: Path, cache: Path, digits: Digits) -> None:
    Image.fromarray(digits.pixels[0][:, :6]).save(folder / "1" / "9.png")
    with pytest.raises(DataError, match=r"0/0\.png is 8×8 and 1/9\.png is 6×8 \(width×height\).*resize .* with --size"):
        load_data(folder, cache=cache)
    images = load_data(folder, 16, cache).train.images
    assert images.shape == (13, 16, 16, 1)
    expected = Image.fromarray(digits.pixels[0][:, :6]).resize((16, 16), Image.Resampling.BILINEAR)
    np.testing.assert_array_equal(images[8, ..., 0], np.asarray(expected))


def test_a_large_jpeg_is_shrunk_smoothly(folder: Path, cache: Path, digits: Digits) -> None:
    large = Image.fromarray(digits.pixels[0]).resize((512, 512), Image.Resampling.NEAREST)
    found = _only(folder, cache, large, "9.jpg", size=8)
    expected = np.asarray(large.resize((8, 8), Image.Resampling.BILINEAR))
    assert np.abs(found[..., 0].astype(int) - expected).max() < 12  # JPEG is not exact


def test_images_that_cannot_be_read_are_named(folder: Path, cache: Path) -> None:
    whole = (folder / "0" / "0.png").read_bytes()
    (folder / "0" / "0.png").write_bytes(whole[:-30])
    (folder / "1" / "1.png").write_bytes(b"")
    (folder / "2" / "2.jpg").write_bytes(b"BM not a bitmap either")
    with pytest.raises(DataError) as caught:
        load_data(folder, cache=cache)
    message = str(caught.value)
    assert "3 images cannot be read: 0/0.png (" in message
    assert "1/1.png (not a PNG or JPEG), 2/2.jpg (not a PNG or JPEG)" in message
    dataset, unreadable = read_source(folder, cache=cache)
    assert [entry.name for entry in unreadable] == ["0/0.png", "1/1.png", "2/2.jpg"]
    assert dataset.train.labels.tolist() == [0] * 3 + [1] * 3 + [2] * 4


def test_what_could_not_be_read_is_tried_again(folder: Path, cache: Path) -> None:
    path = folder / "0" / "0.png"
    whole, status = path.read_bytes(), path.stat()
    path.write_bytes(b"-" * len(whole))
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    with pytest.raises(DataError, match="1 image cannot be read"):
        load_data(folder, cache=cache)
    path.write_bytes(whole)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert len(load_data(folder, cache=cache).train) == 12


def test_a_truncated_jpeg_is_named(folder: Path, cache: Path, digits: Digits) -> None:
    path = folder / "0" / "9.jpg"
    Image.fromarray(digits.pixels[0]).resize((64, 64)).resize((8, 8)).save(path)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(DataError, match=r"1 image cannot be read: 0/9\.jpg \(.*truncated"):
        load_data(folder, cache=cache)


def test_of_many_unreadable_images_ten_are_named(tmp_path: Path, cache: Path, digits: Digits) -> None:
    root = write_folder(tmp_path / "many", digits, each=8)
    for path in [*root.glob("0/*.png"), *root.glob("1/*.png")][:13]:
        path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(DataError, match=r"13 images cannot be read.* and 3 more; repair or remove them") as caught:
        load_data(root, cache=cache)
    assert str(caught.value).count(".png") == 10


@pytest.mark.skipif(os.name == "nt", reason="links need rights there")
def test_a_link_to_nothing_is_an_unreadable_image(folder: Path, cache: Path) -> None:
    (folder / "0" / "gone.png").symlink_to(folder / "nowhere.png")
    with pytest.raises(DataError, match=r"0/gone\.png \(.*No such file"):
        load_data(folder, cache=cache)


def png(width: int, height: int, **chunks: bytes) -> bytes:
    """A PNG of black pixels whose header says how many; a hundred times as many are quick to write."""
    parts = {b"IHDR": struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)}
    parts |= {name.encode(): data for name, data in chunks.items()}
    parts |= {b"IDAT": zlib.compress(bytes((width + 1) * min(height, 100))), b"IEND": b""}
    packed = (struct.pack(">I", len(d)) + n + d + struct.pack(">I", zlib.crc32(n + d)) for n, d in parts.items())
    return b"\x89PNG\r\n\x1a\n" + b"".join(packed)


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (png(60_000, 60_000), "more than 89,478,485 pixels, which could fill the memory; make it smaller"),
        (png(9_500, 9_500), "more than 89,478,485 pixels"),
        (png(8, 8, zTXt=b"k\0\0" + zlib.compress(bytes(10**8))), "Decompressed data too large"),
        (b"", "not a PNG or JPEG"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>", "not a PNG or JPEG"),
        (b"GIF89a" + bytes(100), "not a PNG or JPEG"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n", "not a PNG or JPEG"),
    ],
)
@pytest.mark.parametrize("size", [None, 8])
def test_bombs_and_what_is_no_image(content: bytes, why: str, size: int | None, folder: Path, cache: Path) -> None:
    (folder / "0" / "z.png").write_bytes(content)
    with pytest.raises(DataError, match=rf"1 image cannot be read: 0/z\.png \({why}"):
        load_data(folder, size, cache)
    assert read_picture(folder / "0" / "z.png", (8, 8, 1)) == Unreadable(str(folder / "0" / "z.png"), ANY)


def test_what_else_is_odd_about_an_image_is_not_told(folder: Path, cache: Path) -> None:
    exif = b"MM\0*\0\0\0\x08" + struct.pack(">H", 65535) + b"\x01\x12\0\x03\xff\xff\xff\xff\0\0\0\0" * 3
    (folder / "0" / "z.png").write_bytes(png(8, 8, eXIf=exif))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(load_data(folder, cache=cache).train) == 13


@pytest.mark.skipif(os.name == "nt", reason="there are no such files there")
def test_a_pipe_is_not_waited_for(folder: Path, cache: Path) -> None:
    os.mkfifo(folder / "0" / "pipe.png")
    (folder / "0" / "zero.png").symlink_to("/dev/zero")
    with pytest.raises(DataError, match=r"0/pipe\.png \(not a file\), 0/zero\.png \(not a file\)"):
        load_data(folder, cache=cache)


@pytest.mark.skipif(os.name == "nt", reason="such names cannot be there")
@pytest.mark.parametrize("name", ["\x1b[31mred", "two\nlines", "\u202etxt", "\u200b", "half\udcff"])
def test_a_class_whose_name_cannot_be_shown(name: str, folder: Path, cache: Path) -> None:
    (folder / "0").rename(folder / name)
    with pytest.raises(DataError, match=r"found a class with the name '.*'; expected one without control") as caught:
        load_data(folder, cache=cache)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("name", ["<script>alert(1)<-script>", "a|b", "it's", "[red]", "a b", "می‌خواهم", "=1+1"])
def test_other_names_are_those_of_classes(name: str, folder: Path, cache: Path) -> None:
    (folder / "0").rename(folder / name)
    assert name in load_data(folder, cache=cache).classes


@pytest.mark.skipif(os.name == "nt", reason="such names cannot be there")
def test_a_file_name_is_shown_without_effect(folder: Path, cache: Path) -> None:
    (folder / "0" / "\x1b[31m\n\udcff.png").write_bytes(b"")
    with pytest.raises(DataError, match=r"0/\\x1b\[31m\\n\\udcff\.png \(not a PNG or JPEG\)"):
        load_data(folder, cache=cache)


def test_a_jpeg_that_is_called_png_is_read(folder: Path, cache: Path, digits: Digits) -> None:
    Image.fromarray(digits.pixels[0]).save(folder / "0" / "9.png", format="JPEG")
    assert len(load_data(folder, cache=cache).train) == 13


def test_a_folder_without_classes_is_refused(tmp_path: Path, cache: Path, digits: Digits) -> None:
    Image.fromarray(digits.pixels[0]).save(tmp_path / "0.png")
    with pytest.raises(DataError, match="found no sub-folders; expected one for each class"):
        load_data(tmp_path, cache=tmp_path / ".cache")
    (tmp_path / "cat").mkdir()
    with pytest.raises(DataError, match="found no images; expected PNG or JPEG files in a sub-folder"):
        load_data(tmp_path, cache=tmp_path / ".cache")


def test_a_folder_of_damaged_images_only_is_refused(folder: Path, cache: Path) -> None:
    for path in folder.rglob("*.png"):
        path.write_bytes(path.read_bytes()[:20])
    with pytest.raises(DataError, match="12 images cannot be read"):
        read_source(folder, cache=cache)


def test_one_class_is_refused(folder: Path, cache: Path) -> None:
    shutil.rmtree(folder / "0")
    shutil.rmtree(folder / "1")
    with pytest.raises(DataError, match="found one class only, 2; expected at least 2"):
        load_data(folder, cache=cache)


def test_classes_with_too_few_images_are_all_named(folder: Path, cache: Path) -> None:
    (folder / "empty").mkdir()
    for number in range(3):
        (folder / "1" / f"{number}.png").unlink()
    with pytest.raises(DataError) as caught:
        load_data(folder, cache=cache)
    assert "class '1' has 1 training image; expected at least 2" in str(caught.value)
    assert "class 'empty' has 0 training images; expected at least 2" in str(caught.value)


def test_a_test_class_that_is_not_in_train_is_refused(tmp_path: Path, cache: Path, digits: Digits) -> None:
    write_folder(tmp_path / "both" / "train", digits)
    write_folder(tmp_path / "both" / "test", digits)
    (tmp_path / "both" / "test" / "1").rename(tmp_path / "both" / "test" / "one")
    with pytest.raises(DataError, match="no training image has the test labels one; expected only 0, 1, 2"):
        load_data(tmp_path / "both", cache=cache)


def test_an_empty_test_set_is_refused(tmp_path: Path, cache: Path, digits: Digits) -> None:
    write_folder(tmp_path / "both" / "train", digits)
    (tmp_path / "both" / "test").mkdir()
    with pytest.raises(DataError, match="the test set has no images"):
        load_data(tmp_path / "both", cache=cache)


def test_a_validation_folder_beside_train_is_refused(tmp_path: Path, cache: Path, digits: Digits) -> None:
    for part in ("train", "val"):
        write_folder(tmp_path / "both" / part, digits)
    with pytest.raises(DataError, match="found val beside train; expected only train and test"):
        load_data(tmp_path / "both", cache=cache)

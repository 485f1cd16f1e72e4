from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from digit_files import Digits

from archsearch.data.sources import load_data
from archsearch.errors import DataError


def _frame(digits: Digits, label: str = "label") -> pd.DataFrame:
    frame = pd.DataFrame(digits.pixels.reshape(-1, 64), columns=[f"pixel{i}" for i in range(64)])
    frame.insert(0, label, digits.labels)
    return frame


def _load(path: Path, cache: Path, frame: pd.DataFrame, **options: Any) -> tuple[Any, Any]:
    frame.to_csv(path, index=False, **options)
    train = load_data(path, cache=cache).train
    return train.images, train.labels


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data.csv"


@pytest.mark.parametrize("label", ["label", "Class", "TARGET", "y", "digit"])
def test_the_label_column_is_found_by_name_or_is_the_first(label: str, path: Path, cache: Path, digits: Digits) -> None:
    frame = _frame(digits, label)
    if label != "digit":
        frame = frame[[*frame.columns[1:], label]]
    images, labels = _load(path, cache, frame)
    np.testing.assert_array_equal(images[..., 0], digits.pixels)
    np.testing.assert_array_equal(labels, digits.labels)


def test_a_header_of_numbers_is_one_if_it_names_the_label(path: Path, cache: Path, digits: Digits) -> None:
    images, _ = _load(path, cache, _frame(digits).set_axis(["label", *map(str, range(64))], axis=1))
    np.testing.assert_array_equal(images[..., 0], digits.pixels)


def test_a_header_is_optional(path: Path, cache: Path, digits: Digits) -> None:
    images, labels = _load(path, cache, _frame(digits), header=False)
    np.testing.assert_array_equal(images[..., 0], digits.pixels)
    np.testing.assert_array_equal(labels, digits.labels)


def test_floats_in_0_to_1_are_scaled(path: Path, cache: Path, digits: Digits) -> None:
    frame = _frame(digits)
    images, _ = _load(path, cache, (frame / 255).assign(label=frame["label"]))
    np.testing.assert_array_equal(images[..., 0], digits.pixels)


def test_three_squares_are_colour(path: Path, cache: Path, digits: Digits) -> None:
    colour = np.stack([digits.pixels, 255 - digits.pixels, digits.pixels // 2], axis=-1)
    frame = pd.DataFrame(colour.reshape(-1, 192))
    frame.insert(0, "label", digits.labels)
    images, _ = _load(path, cache, frame)
    np.testing.assert_array_equal(images, colour)


def test_large_labels_are_kept_apart(path: Path, cache: Path, digits: Digits) -> None:
    frame = _frame(digits)
    frame["label"] += 2**24
    frame.to_csv(path, index=False)
    assert load_data(path, cache=cache).classes[:2] == ("16777216", "16777217")


def test_a_byte_order_mark_and_empty_lines_are_passed_over(path: Path, cache: Path, digits: Digits) -> None:
    _frame(digits).to_csv(path, index=False, encoding="utf-8-sig", lineterminator="\r\n")
    path.write_bytes(path.read_bytes() + b"\r\n\r\n")
    assert len(load_data(path, cache=cache).train) == 1797


@pytest.mark.parametrize("header", [True, False])
@pytest.mark.parametrize(("cell", "found"), [("", "nothing"), ("abc", "'abc'"), ("1;2", "'1;2'")])
def test_a_cell_that_is_no_number_is_named(
    header: bool, cell: str, found: str, path: Path, cache: Path, digits: Digits
) -> None:
    frame = _frame(digits).astype(str)
    frame.iloc[1200, 4] = cell
    frame.to_csv(path, index=False, header=header)
    where = r"row 1202, column 5 \('pixel3'\)" if header else "row 1201, column 5"
    with pytest.raises(DataError, match=f"{path}: {where}: found {found}, expected a number"):
        load_data(path, cache=cache)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("label,a,b\n0,1,2\n1,3,4\n", "found 2 pixels a row besides the label; expected those of a square"),
        ("0;1;2\n1;3;4\n", "found 0 pixels a row"),
        ("label,a\n", "found no rows below the header"),
        ("\n\n", "found only empty lines"),
        ("label,a\n0,1\n1,2,3\n", "Expected 2 fields in line 3, saw 3; expected as many cells in every row"),
        ("label,a,b,c,d\n0,1\n1,2\n", "the first row has 5 cells and the next 2"),
        ("label,a\n0,1\n1.5,2\n", "labels: found 1.5; expected whole numbers"),
        ("label,a\n0,1\n1,256\n", "found pixels from 1 to 256"),
        ("0,abc,1,2,3\n1,2,3,4,5\n", r"row 1, column 2: found 'abc'.*no header was recognised"),
    ],
)
def test_what_is_wrong_is_named(text: str, message: str, path: Path, cache: Path) -> None:
    path.write_text(text)
    with pytest.raises(DataError, match=message):
        load_data(path, cache=cache)


def test_bytes_that_are_no_text_are_refused(path: Path, cache: Path, folder: Path) -> None:
    path.write_bytes((folder / "0" / "0.png").read_bytes())
    with pytest.raises(DataError, match="not a text file"):
        load_data(path, cache=cache)
    path.write_bytes(b"label,a\n0,1\n" + b"1,2\n" * 100_000 + b"\xff,1\n")
    with pytest.raises(DataError, match="not a text file"):
        load_data(path, cache=cache)


def test_a_line_without_end_is_not_read_to_it(path: Path, cache: Path) -> None:
    with path.open("wb") as file:
        file.truncate(10**12)
    with pytest.raises(DataError, match="found a line of more than 3,932,160 bytes; expected one image a row"):
        load_data(path, cache=cache)


def test_an_image_that_is_too_wide_for_a_table(path: Path, cache: Path) -> None:
    path.write_text("0" + ",0" * (444**2) + "\n")
    with pytest.raises(DataError, match=r"found 197136 pixels a row besides the label; expected .*at most 196,608"):
        load_data(path, cache=cache)


def test_paths_are_not_followed(path: Path, cache: Path) -> None:
    path.write_text("label,a,b,c,d\n1,../../etc/passwd,2,3,4\n")
    with pytest.raises(DataError, match=r"found '\.\./\.\./etc/passwd', expected a number"):
        load_data(path, cache=cache)


def test_a_bad_cell_beyond_the_header(path: Path, cache: Path) -> None:
    path.write_text("label,a\n0,0,x\n")
    with pytest.raises(DataError, match="row 2, column 3: found 'x', expected a number"):
        load_data(path, cache=cache)


@pytest.mark.filterwarnings("error")
def test_a_number_that_is_too_large(path: Path, cache: Path) -> None:
    path.write_text("label,a\n0,1e300\n1,2\n")
    with pytest.raises(DataError, match="pixels: found pixels from 2 to inf; expected"):
        load_data(path, cache=cache)

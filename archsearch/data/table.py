"""Reader of .csv files: one image a row, a label and its pixels."""

import csv
import math
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from archsearch.data.arrays import array_contents
from archsearch.data.contents import Contents, Shape
from archsearch.errors import DataError

LABEL_COLUMNS = ("label", "class", "target", "y")
MOST_PIXELS = 256 * 256 * 3
"""Of an image: more columns than these take pandas minutes."""
MOST_LINE = 20 * MOST_PIXELS
"""Bytes of a line: all pixels as numbers of twenty characters."""


def read_csv(name: str, size: int | None) -> Contents:
    """A table of numbers, with or without a header.

    The label is the first of `LABEL_COLUMNS` in the header, whatever its case, else the first column. The others are
    pixels from the top left, row by row, a coloured pixel's red, green and blue side by side.
    """
    import pandas as pd  # takes half a second to import, and only this reader needs it

    path = Path(name)
    _require_lines(path)
    first = _first_row(path)
    titles = [cell.strip().lower() for cell in first]
    named = [titles.index(title) for title in LABEL_COLUMNS if title in titles]
    header = bool(named) or sum(not _is_number(title) for title in titles) > len(titles) / 2
    label = named[0] if named else 0
    shape = _image_shape(path, len(titles) - 1)
    options: dict[str, Any] = {"header": None, "skiprows": int(header), "encoding": "utf-8-sig"}
    # float32 halves the memory and holds every pixel exactly, but not every label.
    types: dict[int, type[np.floating]] = defaultdict(lambda: np.float32, {label: np.float64})
    try:
        with _parsing(path), np.errstate(over="ignore"):  # infinite is too large for a pixel, too
            frame = pd.read_csv(path, dtype=types, **options)
    except ValueError as error:
        raise _bad_cell(path, options, first if header else None) or DataError(f"{path}: {error}") from error
    if frame.shape[1] != len(titles):
        raise DataError(
            f"{path}: the first row has {len(titles)} cells and the next {frame.shape[1]}; expected as many"
        )
    if frame.isna().to_numpy().any():
        raise _bad_cell(path, options, first if header else None) or DataError(f"{path}: found NaN; expected numbers")
    pixels = frame.drop(columns=label).to_numpy(np.float32)
    return array_contents(
        name, pixels.reshape(-1, *shape), frame[label].to_numpy(), size=size, keys=("pixels", "labels")
    )


@contextmanager
def _parsing(path: Path) -> Iterator[None]:
    """Turns what makes a text no table into DataError; ValueError from a cell passes through."""
    import pandas as pd

    try:
        yield
    except pd.errors.EmptyDataError as error:
        raise DataError(f"{path}: found no rows below the header; expected one image a row") from error
    except pd.errors.ParserError as error:
        raise DataError(f"{path}: {str(error).strip()}; expected as many cells in every row") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path}: not a text file ({error}); expected comma-separated numbers in UTF-8") from error


def _require_lines(path: Path) -> None:
    """Raises DataError for a line that no image can have, before anybody takes it into memory."""
    with path.open("rb") as file:
        while line := file.readline(MOST_LINE + 1):
            if len(line) > MOST_LINE:
                raise DataError(
                    f"{path}: found a line of more than {MOST_LINE:,} bytes; expected one image a row, separated by "
                    "commas; larger images than 256×256 belong into a folder or a .npz file"
                )


def _first_row(path: Path) -> list[str]:
    with _parsing(path), path.open(newline="", encoding="utf-8-sig") as file:
        row = next((row for row in csv.reader(file) if row), None)
    if row is None:
        raise DataError(f"{path}: found only empty lines; expected one image a row")
    return row


def _image_shape(path: Path, pixels: int) -> Shape:
    for channels in (1, 3):
        side = math.isqrt(pixels // channels)
        if 0 < pixels <= MOST_PIXELS and side * side * channels == pixels:
            return side, side, channels
    raise DataError(
        f"{path}: found {pixels} pixels a row besides the label; expected those of a square image, "
        f"n·n in grey or 3·n·n in colour, at most {MOST_PIXELS:,}, separated by commas"
    )


def _bad_cell(path: Path, options: dict[str, Any], titles: list[str] | None) -> DataError | None:
    """Reads the table again, as text, to find the first cell that is missing or not a number."""
    import pandas as pd

    with _parsing(path):
        for chunk in pd.read_csv(path, dtype=str, chunksize=1000, **options):
            wrong = np.argwhere(chunk.apply(pd.to_numeric, errors="coerce").isna().to_numpy())
            if len(wrong):
                row, column = wrong[0].tolist()
                cell = chunk.iloc[row, column]
                line = chunk.index[row] + 1 + options["skiprows"]
                title = f" ('{titles[column]}')" if titles and column < len(titles) else ""
                found = repr(cell) if isinstance(cell, str) else "nothing"
                return DataError(
                    f"{path}: row {line}, column {column + 1}{title}: found {found}, expected a number "
                    f"({'rows count from the header, 1' if titles else 'no header was recognised'})"
                )
    return None


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from digit_files import Digits, write_folder
from sklearn.datasets import load_digits


@pytest.fixture(scope="session")
def digits() -> Digits:
    bunch = load_digits()
    return Digits(np.rint(bunch.images * (255 / 16)).astype(np.uint8), bunch.target.astype(np.int64))


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


@pytest.fixture
def npz(tmp_path: Path) -> Callable[..., Path]:
    """Writes named arrays into a .npz file."""

    def write(**arrays: Any) -> Path:
        path = tmp_path / "data.npz"
        np.savez(path, **arrays)
        return path

    return write


@pytest.fixture
def folder(tmp_path: Path, digits: Digits) -> Path:
    """Four PNG files for each of the digits 0, 1 and 2."""
    return write_folder(tmp_path / "pictures", digits)

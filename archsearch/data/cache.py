"""The cache of converted data."""

import os
from collections.abc import Callable
from pathlib import Path

from filelock import FileLock
from platformdirs import user_cache_path

from archsearch.errors import DataError
from archsearch.files import whole_folder

CACHE_VARIABLE = "ARCHSEARCH_CACHE"


def cache_folder(cache: Path | None = None) -> Path:
    """Where converted data is kept: `cache`, else $ARCHSEARCH_CACHE, else the user's cache folder of this system."""
    return Path(cache or os.environ.get(CACHE_VARIABLE) or user_cache_path("archsearch")).expanduser().absolute()


def make_once(folder: Path, fill: Callable[[Path], None]) -> Path:
    """Returns `folder`, filled by `fill` unless it is already there; of several processes one fills and the rest wait.

    `fill` is given an empty folder beside. Raises DataError if the cache cannot be written.
    """
    try:
        if not folder.is_dir():
            folder.parent.mkdir(parents=True, exist_ok=True)
            with FileLock(folder.with_name(f".{folder.name}.lock")):
                if not folder.is_dir():
                    with whole_folder(folder) as beside:
                        fill(beside)
    except OSError as error:
        raise DataError(
            f"{folder}: converted images cannot be kept here ({error.strerror or error}); "
            f"free some space, or name another cache folder in the environment variable {CACHE_VARIABLE}"
        ) from error
    return folder

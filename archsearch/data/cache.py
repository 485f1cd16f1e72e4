"""The cache of converted data: made once, kept while somebody uses it, and no larger than it may be."""

import contextlib
import os
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path

from filelock import FileLock
from platformdirs import user_cache_path

from archsearch.errors import DataError
from archsearch.files import whole_folder

CACHE_VARIABLE = "ARCHSEARCH_CACHE"

LIMIT = 20_000_000_000
"""Bytes: ten data sets of 10,000 colour images of 256 pixels a side. Beyond it goes what was not used for longest; it
can be made again."""

_held: dict[Path, int] = {}
"""Open files that say that this process uses a folder."""


def cache_folder(cache: Path | None = None) -> Path:
    """Where converted data is kept: `cache`, else $ARCHSEARCH_CACHE, else the user's cache folder of this system."""
    return Path(cache or os.environ.get(CACHE_VARIABLE) or user_cache_path("archsearch")).expanduser().absolute()


def make_once(folder: Path, fill: Callable[[Path], None]) -> Path:
    """Returns `folder`, filled by `fill` unless it is already there; of several processes one fills and the rest wait.

    It stays there as long as this process lives. Others may go for it, once the cache is larger than `LIMIT`.

    Args:
        folder: `<cache>/<kind>/<key>`.
        fill: Is given an empty folder beside.

    Raises:
        DataError: The cache cannot be written.
    """
    try:
        if not folder.is_dir():
            folder.parent.mkdir(parents=True, exist_ok=True)
        _hold(folder)
        if not folder.is_dir():
            with FileLock(folder.with_name(f".{folder.name}.lock")):
                if not folder.is_dir():
                    with whole_folder(folder) as beside:
                        fill(beside)
                    _trim(folder)
    except OSError as error:
        raise DataError(
            f"{folder}: converted images cannot be kept here ({error.strerror or error}); "
            f"free some space, or name another cache folder in the environment variable {CACHE_VARIABLE}"
        ) from error
    return folder


def _mark(folder: Path) -> Path:
    """An empty file beside: locked by all who use the folder, and as old as its last use. It is never removed."""
    return folder.with_name(f".{folder.name}.used")


def _hold(folder: Path) -> None:
    """Keeps a folder, which need not be there yet, from being cleared away as long as this process lives."""
    with contextlib.suppress(OSError):  # a cache that cannot be written is not cleared, either
        if folder not in _held:
            mark = os.open(_mark(folder), os.O_RDWR | os.O_CREAT, 0o666)
            if sys.platform != "win32":
                import fcntl

                fcntl.flock(mark, fcntl.LOCK_SH)
            _held[folder] = mark
        now = time.time()
        os.utime(_mark(folder), (now, now))


def _trim(newest: Path) -> None:
    """Clears away what nobody uses, from what was used longest ago, until the cache keeps its limit."""
    marks = sorted(newest.parent.parent.glob("*/.*.used"), key=lambda mark: mark.stat().st_mtime)
    folders = [mark.with_name(mark.name[1 : -len(".used")]) for mark in marks]
    sizes = {folder: _size(folder) for folder in folders if folder.is_dir()}
    excess = sum(sizes.values()) - LIMIT
    for folder, size in sizes.items():
        if excess > 0 and folder != newest and _clear(folder):
            excess -= size


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _clear(folder: Path) -> bool:
    """Removes a folder, in one go for whoever looks; False if it is in use."""
    beside = folder.with_name(f".{folder.name}.tmp")
    shutil.rmtree(beside, ignore_errors=True)
    try:
        with _mark(folder).open("r+b") as mark:
            if sys.platform != "win32":  # there a folder whose files are open cannot be renamed
                import fcntl

                fcntl.flock(mark, fcntl.LOCK_EX | fcntl.LOCK_NB)
            folder.replace(beside)
    except OSError:
        return False
    shutil.rmtree(beside, ignore_errors=True)
    return True

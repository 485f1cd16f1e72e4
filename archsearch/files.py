"""How files are written: beside their place, then renamed, so that nobody ever sees half of one.

What has its name is on the disk, too: after a power cut a file is the old one or the new one.
"""

import atexit
import contextlib
import errno
import glob
import os
import shutil
import tempfile
import time
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from filelock import FileLock

ABANDONED_SECONDS = 3600.0
"""What is beside its place for longer was left there by a process that died: nothing takes so long to write."""

_OWNED = ".lock"

_FULL = "free some space and run the same command again; what is finished is kept"
_REMEDIES = {
    errno.ENOSPC: _FULL,
    errno.EDQUOT: _FULL,
    errno.EFBIG: "raise the limit for the size of a file ('ulimit -f') and run the same command again",
    errno.EROFS: "copy it to a place that can be written",
    errno.EACCES: "allow this user to do that, or work on a copy",
    errno.EPERM: "allow this user to do that, or work on a copy",
    errno.EIO: "the disk or the network is failing: copy what is there to another one, and run the command again",
}


def write_whole(path: Path, content: str | bytes) -> None:
    """Writes a file beside its place, waits for the disk and renames it. An OSError names `path`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    _clear_abandoned(path)
    beside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with naming(path):
            with beside.open("wb") as file:
                file.write(content.encode() if isinstance(content, str) else content)
                file.flush()
                os.fsync(file.fileno())
            beside.replace(path)
    finally:
        with contextlib.suppress(OSError):
            beside.unlink()


@contextmanager
def whole_folder(path: Path) -> Iterator[Path]:
    """An empty folder that becomes `path` when the block ends, and vanishes if the block fails.

    What a killed process left of an earlier attempt is cleared away. Two must not make the same `path` at once.
    """
    beside = path.with_name(f".{path.name}.tmp")
    shutil.rmtree(beside, ignore_errors=True)
    beside.mkdir(parents=True)
    try:
        yield beside
        sync(beside)
        beside.replace(path)
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def sync(folder: Path) -> None:
    """Waits until every file below `folder` is on the disk: else a power cut could leave names and no contents."""
    for path in folder.rglob("*"):
        if path.is_file():
            with path.open("r+b") as file:
                os.fsync(file.fileno())


def is_whole_zip(path: Path) -> bool:
    """Whether a file, such as Keras's, is a ZIP archive in which nothing is damaged."""
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.testzip() is None
    except (OSError, zipfile.BadZipFile, zlib.error):
        return False


@cache
def scratch() -> Path:
    """A temporary folder of this process, which goes when it ends; if it is killed, a later process clears it away."""
    for other in Path(tempfile.gettempdir()).glob(f"archsearch-*/{_OWNED}"):
        _clear_orphan(other)
    folder = Path(tempfile.mkdtemp(prefix="archsearch-"))
    lock = FileLock(folder / _OWNED)
    lock.acquire()
    atexit.register(lock.release)  # and keeps it alive until then
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Has an OSError in the block name `path`, in place of no file or of one beside it."""
    try:
        yield
    except OSError as error:
        if error.errno is None or not (error.filename is None or path.parent in Path(error.filename).parents):
            raise
        raise OSError(error.errno, error.strerror, str(path)) from error


def trouble(error: OSError) -> str | None:
    """What is wrong with a file or a disk, and what to do, in a sentence; None if the error is about neither."""
    remedy = _REMEDIES.get(error.errno or 0)
    if error.errno == errno.ENOENT and error.filename is None:  # from `tempfile`
        remedy = "free some space, or name another folder in the environment variable TMPDIR"
    if error.strerror is None or (error.filename is None and remedy is None):
        return None
    about = "" if error.filename is None else f"{error.filename}: cannot be read or written: "
    return about + error.strerror + (f"; {remedy}" if remedy else "")


def _clear_orphan(lock: Path) -> None:
    """Removes a temporary folder whose owner, which would hold its lock, is dead."""
    with contextlib.suppress(OSError):  # a Timeout, too: the owner lives
        if time.time() - lock.stat().st_mtime > ABANDONED_SECONDS:  # a younger one may not be locked yet
            with FileLock(lock, timeout=0):
                shutil.rmtree(lock.parent, ignore_errors=True)


def _clear_abandoned(path: Path) -> None:
    for left in path.parent.glob(f".{glob.escape(path.name)}.*.tmp"):
        with contextlib.suppress(OSError):
            if time.time() - left.stat().st_mtime > ABANDONED_SECONDS:
                left.unlink()

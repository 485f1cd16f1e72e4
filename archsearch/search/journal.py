"""The journal file in a study's folder, in Optuna's format: how it is written, and what is done about damage."""

import json
import logging
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from optuna.storages.journal import BaseJournalBackend

from archsearch.errors import StudyError
from archsearch.files import naming
from archsearch.search.folder import StudyFolder

logger = logging.getLogger(__name__)

Log = dict[str, Any]
LONGEST_APPEND = 1.0
"""Seconds that a reader waits for somebody who is writing the last line."""


class Journal(BaseJournalBackend):
    """A line of JSON for each operation, appended under a lock that the kernel releases when its holder dies.

    Optuna's own waits for the disk at every parameter that is drawn; this one when a trial's record or its end is
    written. A killed process loses nothing either way, and a power cut loses at most what belongs to no record yet.

    After a power cut the end may be half a line, NUL bytes or garbage. Whoever reads is given all that is before that;
    whoever writes next puts it aside (`mend`).

    Args:
        path: The file, made by the first line.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = FileLock(f"{path}.lock")
        self._begins = [0]
        self._warned_of = -1

    def read_logs(self, log_number_from: int) -> Iterator[Log]:
        """The lines from a number on (from 0), up to the first that is damaged, of which a warning tells once."""
        if not self._path.exists():
            return
        with self._path.open("rb") as file:
            begin = file.seek(self._begins[log_number_from])
            for number, line in enumerate(file, log_number_from):
                log = _parsed(line)
                if log is None:
                    self._warn(number)
                    return
                begin += len(line)
                if number + 1 == len(self._begins):
                    self._begins.append(begin)
                yield log

    def append_logs(self, logs: list[Log]) -> None:
        """Appends all lines or, with an OSError that names the file, none."""
        lines = "".join(json.dumps(log, separators=(",", ":")) + "\n" for log in logs).encode()
        with self._lock:
            if not self._ends_with_a_line():
                self.mend()
            with naming(self._path), self._path.open("ab", buffering=0) as file:
                before = file.seek(0, os.SEEK_END)
                try:
                    written = 0
                    while written < len(lines):
                        written += file.write(lines[written:])
                    if any(map(_is_awaited, logs)):
                        os.fsync(file.fileno())
                except BaseException:  # Ctrl-C, too
                    file.truncate(before)
                    raise

    def mend(self) -> None:
        """Moves the first line that is damaged, and all after it, into a file beside the journal.

        Raises:
            StudyError: The lines after it were waited for. No power cut does that, so it is not ours to decide.
        """
        with self._lock:
            damage = self._find_damage()
            if damage is None:
                return
            if damage.has_awaited:
                raise StudyError(
                    f"{self._path}: line {damage.line} is damaged, and finished work follows it; put an undamaged copy "
                    "in its place, or delete that line and all that follow to go on from what is before them"
                )
            aside = self._path.with_name(f"{self._path.name}.damaged")
            with self._path.open("r+b") as file:
                file.seek(damage.begin)
                end = file.read()
                with naming(aside), aside.open("ab") as kept:
                    kept.write(end)
                    kept.flush()
                    os.fsync(kept.fileno())
                file.truncate(damage.begin)
                os.fsync(file.fileno())
        logger.warning(
            "%s: line %d was cut off or damaged: the last %d bytes are in %s now; all that is before them is kept",
            *(self._path, damage.line, len(end), aside.name),
        )

    def _warn(self, number: int) -> None:
        """Warns of a damaged line, unless somebody was just writing it."""
        begin = self._begins[number]
        if begin == self._warned_of or not self._is_damaged(begin):
            return
        self._warned_of = begin
        left_out = self._path.stat().st_size - begin
        logger.warning(
            "%s: line %d is cut off or damaged: the last %d bytes are left out; all that is before them is kept",
            *(self._path, number + 1, left_out),
        )

    def _is_damaged(self, begin: int) -> bool:
        try:
            self._lock.acquire(timeout=LONGEST_APPEND)
        except Timeout:
            return False
        except OSError:  # a folder that cannot be written, so nobody is writing
            return True
        try:
            with self._path.open("rb") as file:
                file.seek(begin)
                return _parsed(file.readline()) is None
        finally:
            self._lock.release()

    def _ends_with_a_line(self) -> bool:
        if not self._path.exists() or not self._path.stat().st_size:
            return True
        with self._path.open("rb") as file:
            file.seek(-1, os.SEEK_END)
            return file.read() == b"\n"

    def _find_damage(self) -> "_Damage | None":
        if not self._path.exists():
            return None
        begin = 0
        with self._path.open("rb") as file:
            for number, line in enumerate(file, 1):
                if _parsed(line) is None:
                    return _Damage(number, begin, any(_is_awaited(log) for log in map(_parsed, file) if log))
                begin += len(line)
        return None


@dataclass(frozen=True)
class _Damage:
    """The first line that cannot be read: its number from 1, the byte where it begins, and what follows."""

    line: int
    begin: int
    has_awaited: bool


def _parsed(line: bytes) -> Log | None:
    """A line's operation; None if the line is not whole."""
    try:
        log = json.loads(line) if line.endswith(b"\n") else None
    except (ValueError, RecursionError):
        return None
    return log if isinstance(log, dict) and "op_code" in log else None


def _is_awaited(log: Log) -> bool:
    """Whether the disk is waited for when this is written: it is part of a record, or a trial's end."""
    return "user_attr" in log or "state" in log


def journal(folder: StudyFolder) -> Journal:
    """The journal file in `folder`, made by the first line that is written."""
    return Journal(folder.journal)

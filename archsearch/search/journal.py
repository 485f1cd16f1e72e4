"""The journal file in a study's folder: Optuna's, with a lock and a way to write that are ours."""

import json
import os
from pathlib import Path
from typing import Any

from filelock import FileLock
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock

from archsearch.search.folder import StudyFolder


class _KernelLock(JournalFileOpenLock):
    """A journal lock that the kernel releases when its holder dies; Optuna's own outlives it by half a minute."""

    def __init__(self, path: str) -> None:
        self._lock = FileLock(path)

    def acquire(self) -> bool:
        self._lock.acquire()
        return True

    def release(self) -> None:
        self._lock.release()


class _Journal(JournalFileBackend):
    """A journal file that waits for the disk only when a trial's record or its end is written.

    Optuna's own waits at every parameter that is drawn. A killed process loses nothing either way, and a power cut
    loses at most what belongs to no record yet.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._written = _KernelLock(f"{path}.lock")
        super().__init__(str(path), self._written)

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        lines = "".join(json.dumps(log, separators=(",", ":")) + "\n" for log in logs)
        self._written.acquire()
        try:
            with self._path.open("ab") as file:
                file.write(lines.encode())
                if any("user_attr" in log or "state" in log for log in logs):
                    file.flush()
                    os.fsync(file.fileno())
        finally:
            self._written.release()


def journal(folder: StudyFolder) -> JournalFileBackend:
    """The journal file in `folder`, made if it is not there."""
    return _Journal(folder.journal)

"""With what a study was made: versions, and the state of the user's repository."""

import platform
import subprocess
from importlib.metadata import version
from pathlib import Path

LIBRARIES = ("archsearch", "tensorflow", "keras", "optuna", "numpy")
GIT_SECONDS = 10


def versions() -> dict[str, str]:
    """Of Python and the libraries whose version may change a result."""
    return {"python": platform.python_version(), **{name: version(name) for name in LIBRARIES}}


def commit(folder: Path) -> str:
    """The Git commit that `folder` is at, with a `+` if tracked files differ from it; empty outside of a repository."""
    head = _git(folder, "rev-parse", "HEAD")
    return head and head + ("+" if _git(folder, "status", "--porcelain", "--untracked-files=no") else "")


def _git(folder: Path, *words: str) -> str:
    try:
        done = subprocess.run(["git", "-C", str(folder), *words], capture_output=True, text=True, timeout=GIT_SECONDS)
    except (OSError, subprocess.TimeoutExpired):  # no Git here, or a repository on a disk that sleeps
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""

"""The cache of converted data: filled once, and not for ever."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from archsearch.data.cache import cache_folder, make_once
from archsearch.errors import DataError


def test_a_folder_is_filled_once(tmp_path: Path) -> None:
    made: list[Path] = []

    def fill(folder: Path) -> None:
        made.append(folder)
        (folder / "file").write_text("whole")

    for _ in range(2):
        assert (make_once(tmp_path / "deep" / "entry", fill) / "file").read_text() == "whole"
    assert len(made) == 1


def test_a_failed_filling_leaves_no_folder(tmp_path: Path) -> None:
    def fill(folder: Path) -> None:
        (folder / "file").write_text("half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make_once(tmp_path / "entry", fill)
    assert not (tmp_path / "entry").exists()
    assert not (tmp_path / ".entry.tmp").exists()


def test_what_a_killed_process_left_is_not_taken_for_whole(tmp_path: Path) -> None:
    code = (
        "import os, signal, sys; from pathlib import Path; from archsearch.data.cache import make_once\n"
        "def fill(folder): (folder / 'half').write_text('half'); os.kill(os.getpid(), signal.SIGKILL)\n"
        "make_once(Path(sys.argv[1]), fill)"
    )
    entry = tmp_path / "entry"
    assert subprocess.run([sys.executable, "-c", code, str(entry)], check=False).returncode == -signal.SIGKILL
    assert (tmp_path / ".entry.tmp" / "half").exists()
    assert not entry.exists()
    make_once(entry, lambda folder: (folder / "file").touch())
    assert os.listdir(entry) == ["file"]  # noqa: PTH208
    assert not (tmp_path / ".entry.tmp").exists()


def test_a_cache_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(DataError, match=r"cannot be kept here.*ARCHSEARCH_CACHE"):
        make_once(tmp_path / "file" / "entry", lambda folder: None)


def test_the_cache_is_the_argument_then_the_variable_then_the_users(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ARCHSEARCH_CACHE", str(tmp_path / "variable"))
    assert cache_folder(tmp_path / "argument") == tmp_path / "argument"
    assert cache_folder() == tmp_path / "variable"
    monkeypatch.delenv("ARCHSEARCH_CACHE")
    assert "archsearch" in cache_folder().parts

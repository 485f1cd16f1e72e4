"""The cache of converted data: filled once, and not for ever."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from archsearch.data import cache
from archsearch.data.cache import cache_folder, make_once
from archsearch.data.sources import load_data
from archsearch.data.splits import make_splits
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


def entry(root: Path, name: str, size: int) -> Path:
    """A folder of so many bytes, made by a process that has ended."""
    code = (
        "import sys; from pathlib import Path; from archsearch.data.cache import make_once\n"
        "make_once(Path(sys.argv[1]), lambda folder: (folder / 'file').write_bytes(bytes(int(sys.argv[2]))))"
    )
    subprocess.run([sys.executable, "-c", code, str(root / name), str(size)], check=True)
    return root / name


def filled(size: int) -> Callable[[Path], None]:
    def fill(folder: Path) -> None:
        (folder / "file").write_bytes(bytes(size))

    return fill


def test_beyond_its_limit_the_cache_loses_what_was_not_used_for_longest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second, third = (entry(tmp_path / kind, kind, 400) for kind in ("data", "splits", "shipped"))
    strange = tmp_path / "data" / "of a user"
    strange.mkdir()
    (strange / "file").write_bytes(bytes(5000))
    entry(tmp_path / "data", "data", 400)  # used again
    monkeypatch.setattr(cache, "LIMIT", 1300)
    newest = make_once(tmp_path / "data" / "newest", filled(400))
    assert [path.is_dir() for path in (first, second, third, newest, strange)] == [True, False, True, True, True]
    assert not list(tmp_path.glob("*/.*.tmp"))
    make_once(second, filled(400))
    assert [path.is_dir() for path in (first, second, third, newest)] == [True, True, False, True]


def test_the_newest_stays_even_if_it_is_larger_than_the_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "LIMIT", 100)
    old = entry(tmp_path / "data", "old", 50)
    assert make_once(tmp_path / "data" / "large", filled(1000)).is_dir()
    assert not old.exists()


def test_what_a_living_process_uses_is_not_cleared_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old = entry(tmp_path / "data", "old", 500)
    code = (
        "import sys; from pathlib import Path; from archsearch.data.cache import make_once\n"
        "make_once(Path(sys.argv[1]), print); print('there', flush=True); sys.stdin.read()"
    )
    monkeypatch.setattr(cache, "LIMIT", 600)
    with subprocess.Popen(
        [sys.executable, "-c", code, str(old)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as user:
        assert user.stdout is not None
        assert user.stdout.readline() == "there\n"
        make_once(tmp_path / "data" / "second", filled(400))
        assert old.is_dir()
        user.kill()
    make_once(tmp_path / "data" / "third", filled(100))
    assert not old.exists()
    assert (tmp_path / "data" / "second").is_dir(), "this process uses it"


def test_data_that_was_cleared_away_is_converted_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = load_data("digits", cache=tmp_path)
    make_splits(before, 3, 0, tmp_path)
    monkeypatch.setattr(cache, "_held", {})  # as if by another process
    shutil.rmtree(before.train.path.parent)
    assert load_data("digits", cache=tmp_path).fingerprint == before.fingerprint

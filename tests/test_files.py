"""Files are whole or not there, and errors name them."""

import os
import resource
import subprocess
import sys
import time
from pathlib import Path

import pytest

from archsearch.files import ABANDONED_SECONDS, naming, sync, trouble, whole_folder, write_whole


def test_whole_folder_appears_only_at_the_end(tmp_path: Path) -> None:
    with whole_folder(tmp_path / "entry") as beside:
        assert beside.is_dir()
        assert not (tmp_path / "entry").exists()
    assert (tmp_path / "entry").is_dir()


def test_a_file_is_written_with_its_folder_and_nothing_lies_beside_it(tmp_path: Path) -> None:
    for content in ("first", b"second"):
        write_whole(tmp_path / "deep" / "file", content)
    assert (tmp_path / "deep" / "file").read_bytes() == b"second"
    assert os.listdir(tmp_path / "deep") == ["file"]  # noqa: PTH208


def test_what_cannot_be_written_whole_leaves_the_former_file_and_is_named(tmp_path: Path) -> None:
    file = tmp_path / "file"
    write_whole(file, "former")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
    try:
        with pytest.raises(OSError, match="too large") as failed:
            write_whole(file, "x" * 2000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert failed.value.filename == str(file)
    assert file.read_text() == "former"
    assert os.listdir(tmp_path) == ["file"]  # noqa: PTH208


def test_a_file_and_a_folder_are_on_the_disk_before_they_have_their_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[tuple[int, bool]] = []
    fsync = os.fsync

    def noted(file: int) -> None:
        fsync(file)
        synced.append((os.fstat(file).st_size, (tmp_path / "file").exists() or (tmp_path / "folder").exists()))

    monkeypatch.setattr(os, "fsync", noted)
    write_whole(tmp_path / "file", "12345")
    (tmp_path / "file").unlink()
    with whole_folder(tmp_path / "folder") as beside:
        (beside / "deep").mkdir()
        (beside / "deep" / "file").write_text("123")
    assert synced == [(5, False), (3, False)]
    sync(tmp_path)
    assert synced[2:] == [(3, True)]


def test_what_killed_processes_left_beside_a_file_goes_in_time(tmp_path: Path) -> None:
    old, young, others = (tmp_path / name for name in (".file.17.tmp", ".file.18.tmp", ".other.17.tmp"))
    for path in (old, young, others):
        path.touch()
    for path in (old, others):
        os.utime(path, (0, time.time() - ABANDONED_SECONDS - 1))
    write_whole(tmp_path / "file", "whole")
    assert sorted(os.listdir(tmp_path)) == [".file.18.tmp", ".other.17.tmp", "file"]  # noqa: PTH208


def test_an_error_names_its_file_and_says_what_to_do() -> None:
    with pytest.raises(OSError, match="No space") as failed, naming(Path("a/file")):
        raise OSError(28, "No space left on device")
    said = trouble(failed.value)
    assert said == (
        "a/file: cannot be read or written: No space left on device; free some space and run the same command again; "
        "what is finished is kept"
    )
    assert (trouble(OSError(28, "No space left on device")) or "").startswith("No space left on device; free some")
    assert trouble(OSError(32, "Broken pipe")) is None
    assert trouble(OSError("of a library")) is None
    denied = "file: cannot be read or written: Permission denied; allow this user to do that, or work on a copy"
    assert trouble(OSError(13, "Permission denied", "file")) == denied


SCRATCH = "from archsearch.files import scratch; import os, signal; print(scratch(), flush=True); "


def owner(tmp_path: Path, then: str) -> Path:
    """The temporary folder of a process that ended as told."""
    given = {**os.environ, "TMPDIR": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", SCRATCH + then], env=given, capture_output=True, text=True, check=False
    )
    return Path(done.stdout.strip())


def test_the_temporary_folder_of_a_process_goes_with_it(tmp_path: Path) -> None:
    assert owner(tmp_path, "pass").parent == tmp_path
    assert not list(tmp_path.iterdir())


def test_the_temporary_folder_of_a_killed_process_goes_with_a_later_one(tmp_path: Path) -> None:
    killed = owner(tmp_path, "os.kill(os.getpid(), signal.SIGKILL)")
    strange = tmp_path / "archsearch-of-a-user"
    strange.mkdir()
    assert killed.is_dir()
    owner(tmp_path, "pass")
    assert killed.is_dir(), "so young, it may be one that is just being made"
    long_ago = time.time() - ABANDONED_SECONDS - 1
    os.utime(killed / ".lock", (long_ago, long_ago))
    owner(tmp_path, "pass")
    assert [*tmp_path.iterdir()] == [strange]


def test_the_temporary_folder_of_a_living_process_stays(tmp_path: Path) -> None:
    given = {**os.environ, "TMPDIR": str(tmp_path)}
    with subprocess.Popen(
        [sys.executable, "-c", SCRATCH + "input()"], env=given, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as living:
        assert living.stdout is not None
        folder = Path(living.stdout.readline().strip())
        long_ago = time.time() - ABANDONED_SECONDS - 1
        os.utime(folder / ".lock", (long_ago, long_ago))
        owner(tmp_path, "pass")
        assert folder.is_dir()
        living.communicate("\n")
    assert not folder.exists()


def test_no_room_for_temporary_files_is_said() -> None:
    said = trouble(FileNotFoundError(2, "No usable temporary directory found in ['/tmp']"))
    assert said == (
        "No usable temporary directory found in ['/tmp']; free some space, or name another folder in the environment "
        "variable TMPDIR"
    )

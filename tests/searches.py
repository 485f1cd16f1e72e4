"""Real searches on the built-in digits, and the command line in processes of its own."""

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Timer
from typing import NamedTuple

import pytest
from spaces import SMALL

from archsearch.launch import run_search
from archsearch.search.config import SearchConfig
from archsearch.search.coordinator import Progress
from archsearch.search.executors.local import LocalExecutor
from archsearch.study import Study
from archsearch.training.job import TrialJob

ENDING = "\nending; Ctrl-C again ends at once\n"
"""What is said of the first Ctrl-C."""
COMMAND = Path(sys.executable).with_name("archsearch")
TRIALS = 4
HANGING = 120
"""Seconds after which whatever a test waits for will not come any more."""


class Done(NamedTuple):
    code: int | str | None
    out: str
    err: str


Cli = Callable[..., Done]


@dataclass(frozen=True)
class Searched:
    """A search that has been run: what it was told, what it left, and what passed by meanwhile."""

    config: SearchConfig
    study: Study
    ended: str
    jobs: tuple[TrialJob, ...]
    seen: tuple[Progress, ...]


def search_small(space: Path, out: Path) -> Searched:
    space.write_text(SMALL)
    config = SearchConfig(space=space, data="digits", out=out, trials=TRIALS, workers=2, pruner="none")
    jobs: list[TrialJob] = []
    seen: list[Progress] = []
    submit = LocalExecutor.submit

    def listened(self: LocalExecutor, job: TrialJob) -> None:
        jobs.append(job)
        submit(self, job)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(LocalExecutor, "submit", listened)
        study, ended = run_search(config, seen.append)
    study.retrain()
    study.report()
    return Searched(config, study, ended, tuple(jobs), tuple(seen))


def contents(folder: Path) -> dict[Path, bytes]:
    """Every file below `folder`, whole: equal before and after means that nothing was written."""
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


class Background:
    """A command in a process group of its own, as a shell starts one."""

    def __init__(self, words: Sequence[object]) -> None:
        self._errors = tempfile.TemporaryFile("w+")  # noqa: SIM115  # a pipe that nobody reads fills up
        self._said: list[str] = []
        self.process = subprocess.Popen(
            [COMMAND, *map(str, words)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            start_new_session=True,
        )

    def until(self, text: str) -> None:
        """Waits for a line with `text` in it."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._said.append(line)
            if text in line:
                return
        raise AssertionError(f"the command ended without saying '{text}': {self.finish()}")

    def wait_for(self, there: Callable[[], object]) -> None:
        """Waits until `there` returns something true while the command runs."""
        while not there():
            assert self.process.poll() is None, f"the command ended: {self.finish()}"
            time.sleep(0.05)

    def ctrl_c(self) -> None:
        """What a terminal does: an interrupt to every process of the group."""
        os.killpg(self.process.pid, signal.SIGINT)

    def finish(self) -> Done:
        """Waits for the end."""
        assert self.process.stdout is not None
        self._said += self.process.stdout
        self._errors.seek(0)
        return Done(self.process.wait(), "".join(self._said), self._errors.read())

    def close(self) -> None:
        """Closes the pipe and the file."""
        assert self.process.stdout is not None
        self.process.stdout.close()
        self._errors.close()


@contextmanager
def background(*words: object) -> Iterator[Background]:
    """A command that is running; nothing of it is left when the block ends, nor when it hangs."""
    command = Background(words)
    deadline = Timer(HANGING, kill_group, [command.process.pid])
    deadline.start()
    try:
        yield command
    finally:
        deadline.cancel()
        kill_group(command.process.pid)
        command.finish()
        command.close()


def kill_group(group: int) -> None:
    if alive_in(group):
        os.killpg(group, signal.SIGKILL)


def alive_in(group: int, holding: str = "") -> list[str]:
    """Processes of a group that have not ended, as `ps` has them; those whose command line holds some text."""
    listing = subprocess.run(["ps", "-ewwo", "pgid=,stat=,args="], capture_output=True, text=True, check=True).stdout
    rows = [line.split(None, 2) for line in listing.splitlines()]
    return [row[2] for row in rows if int(row[0]) == group and not row[1].startswith("Z") and holding in row[2]]


def server_of(pid: int) -> int | None:
    """The process that the workers of a coordinator are forked from, if it is there."""
    return next((each for each, parent, args in _processes() if parent == pid and "forkserver" in args), None)


def workers_of(pid: int) -> list[int]:
    """Processes that a coordinator has started to train, or to draw."""
    server = server_of(pid)
    return [each for each, parent, _ in _processes() if server is not None and parent == server]


def _processes() -> list[tuple[int, int, str]]:
    """Each process that has not ended: its number, its parent's, and its command line."""
    listing = subprocess.run(["ps", "-ewwo", "pid=,ppid=,stat=,args="], capture_output=True, text=True, check=True)
    rows = [line.split(None, 3) for line in listing.stdout.splitlines()]
    return [(int(row[0]), int(row[1]), row[3]) for row in rows if not row[2].startswith("Z")]


def wait_for_the_end_of(group: int) -> None:
    """Waits until no process of a group is left."""
    deadline = time.monotonic() + HANGING
    while left := alive_in(group):
        assert time.monotonic() < deadline, f"still there: {left}"
        time.sleep(0.1)

"""The command line in child processes: who they are, how one run of it ends, and what it holds meanwhile."""

import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from searches import COMMAND, alive_in

GONE_SECONDS = 5.0
"""After a coordinator's death, until nothing of it is left."""
PAGE = os.sysconf("SC_PAGE_SIZE")


class Sample(NamedTuple):
    """What a coordinator holds: seconds since it began, bytes of resident memory, open files."""

    seconds: float
    memory: int
    files: int


@dataclass
class Run:
    """One run of the command, in a session of its own.

    Attributes:
        words: After `archsearch`.
        faults: Injected while it ran, by kind, in their order.
        samples: About one a second.
        left: Processes that were still there `GONE_SECONDS` after its end.
        gone: Seconds from its end until nothing was left.
    """

    words: Sequence[str]
    environment: Mapping[str, str]
    faults: list[str] = field(default_factory=list)
    samples: list[Sample] = field(default_factory=list)
    left: list[str] = field(default_factory=list)
    gone: float = 0.0
    code: int | None = None
    out: str = ""
    err: str = ""

    def __post_init__(self) -> None:
        self._out = tempfile.TemporaryFile("w+")  # noqa: SIM115  # a pipe that nobody reads fills up
        self._err = tempfile.TemporaryFile("w+")  # noqa: SIM115
        self.began = time.monotonic()
        self._process = subprocess.Popen(
            [COMMAND, *self.words],
            stdin=subprocess.DEVNULL,
            stdout=self._out,
            stderr=self._err,
            env={**os.environ, **self.environment},
            start_new_session=True,
        )

    @property
    def pid(self) -> int:
        """Of the coordinator."""
        return self._process.pid

    @property
    def said(self) -> int:
        """Bytes that it has printed so far."""
        return os.fstat(self._out.fileno()).st_size

    def sample(self) -> None:
        """Notes what the coordinator holds, at most once a second."""
        seconds = time.monotonic() - self.began
        if self.samples and seconds - self.samples[-1].seconds < 1.0:
            return
        try:
            pages = int(Path(f"/proc/{self.pid}/statm").read_text().split()[1])
            files = len(list(Path(f"/proc/{self.pid}/fd").iterdir()))
        except (OSError, IndexError):
            return
        self.samples.append(Sample(seconds, pages * PAGE, files))

    def has_ended(self) -> bool:
        """Whether it has; then what it said, and what of it is left, is known."""
        if self.code is None and self._process.poll() is not None:
            self.code = self._process.returncode
            ended = time.monotonic()
            while (left := alive_in(self.pid)) and time.monotonic() - ended < GONE_SECONDS:
                time.sleep(0.1)
            self.gone, self.left = time.monotonic() - ended, left
            if left:
                os.killpg(self.pid, signal.SIGKILL)
            for file in (self._out, self._err):
                file.seek(0)
            self.out, self.err = self._out.read(), self._err.read()
            self._out.close()
            self._err.close()
        return self.code is not None

    def end(self) -> None:
        """Kills all of it."""
        if self.code is None and alive_in(self.pid):
            os.killpg(self.pid, signal.SIGKILL)
        self._process.wait()

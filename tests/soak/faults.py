"""Faults: each is done to a run of the command, and undone if it is one that passes."""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

from databases import Server
from searches import server_of, workers_of

from soak.command import Run

TRIAL_TIMEOUT = 15
"""Seconds; `hang worker` needs it."""
HOG = """
import time
memory = bytearray(1_000_000_000)
for place in range(0, len(memory), 4096):
    memory[place] = 1
time.sleep(3)
"""
SPACE_FOR_THE_HOG = 3e9

OF_ALL = ("memory hog", "clock jump", "full disk", "database restart")
"""What happens to every run at once."""

Undo = Callable[[], None]


class Faults:
    """What can happen to a run.

    Args:
        chance: Where all chance comes from.
        disk: Of the study, small, so that it can be filled; None if it cannot.
        clock: The file that sets the coordinator's clock.
        server: The study's database, or None.
    """

    def __init__(self, chance: random.Random, disk: Path | None, clock: Path, server: Server | None) -> None:
        self._chance, self._disk, self._clock, self._server = chance, disk, clock, server
        self._undone: list[tuple[float, Undo]] = []
        self._hogs: list[subprocess.Popen[bytes]] = []
        gentle: dict[str, tuple[int, Callable[[Run], bool]]] = {
            "kill worker": (3, lambda run: self._signal(workers_of(run.pid), signal.SIGKILL)),
            "kill server": (1, lambda run: self._signal([server_of(run.pid)], signal.SIGKILL)),
            "stop worker": (2, lambda run: self._stop(workers_of(run.pid))),
            "hang worker": (1, lambda run: self._signal(workers_of(run.pid), signal.SIGSTOP)),
            "hang server": (1, lambda run: self._signal([server_of(run.pid)], signal.SIGSTOP)),
            "stop coordinator": (1, lambda run: self._stop([run.pid])),
            "memory hog": (1, lambda run: self._hog()),
            "clock jump": (2, lambda run: self._jump()),
        }
        fatal: dict[str, tuple[int, Callable[[Run], bool]]] = {
            "kill coordinator": (4, lambda run: self._signal([run.pid], signal.SIGKILL)),
            "stop worker, kill coordinator": (1, self._orphan),
            "interrupt": (2, lambda run: self._signal([run.pid], signal.SIGINT)),
        }
        if server is not None:
            gentle["database restart"] = (3, lambda run: self._restart(server))
        if disk is not None:
            fatal["full disk"] = (2, lambda run: self._fill(disk))
        self._gentle, self._all = gentle, gentle | fatal
        self._deck: list[str] = []
        self.kinds = tuple(self._all)

    def inject(self, run: Run, calm: bool) -> str:
        """Has the next fault happen; empty if there was nothing that it could happen to.

        Each kind comes up once, then as often as it should, in an order that is left to chance.

        Args:
            run: The command.
            calm: Only what a coordinator survives.
        """
        kinds = self._gentle if calm else self._all
        deck = [kind for kind in self._deck if kind in kinds]
        if not deck:
            others = [kind for kind, (times, _) in kinds.items() for _ in range(times - 1)]
            deck = self._shuffled(others) + self._shuffled(kinds)  # dealt from the end: first each kind once
        kind = deck.pop()
        done = kinds[kind][1](run)
        self._deck = deck if done else [*deck[:-1], kind, *deck[-1:]]  # soon, but not at once
        return kind if done else ""

    def _shuffled(self, kinds: Iterable[str]) -> list[str]:
        shuffled = [*kinds]
        self._chance.shuffle(shuffled)
        return shuffled

    def tick(self) -> None:
        """Undoes what has lasted long enough."""
        now = time.monotonic()
        for due, undo in [each for each in self._undone if each[0] <= now]:
            self._undone.remove((due, undo))
            undo()
        self._hogs = [hog for hog in self._hogs if hog.poll() is None]

    def undo_all(self) -> None:
        """Undoes everything."""
        for _, undo in self._undone:
            undo()
        self._undone.clear()
        for hog in self._hogs:
            hog.kill()
            hog.wait()

    def _later(self, least: float, most: float, undo: Undo) -> None:
        self._undone.append((time.monotonic() + self._chance.uniform(least, most), undo))

    def _signal(self, pids: list[int | None] | list[int], number: signal.Signals) -> bool:
        there = [pid for pid in pids if pid is not None]
        if not there:
            return False
        try:
            os.kill(self._chance.choice(there), number)
        except ProcessLookupError:
            return False
        return True

    def _stop(self, pids: list[int]) -> bool:
        if not pids:
            return False
        pid = self._chance.choice(pids)

        def go_on() -> None:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)

        done = self._signal([pid], signal.SIGSTOP)
        self._later(0.5, 4.0, go_on)
        return done

    def _orphan(self, run: Run) -> bool:
        return self._signal(workers_of(run.pid), signal.SIGSTOP) and self._signal([run.pid], signal.SIGKILL)

    def _hog(self) -> bool:
        lines = Path("/proc/meminfo").read_text().splitlines()
        free = next(1024 * int(line.split()[1]) for line in lines if line.startswith("MemAvailable"))
        if free < SPACE_FOR_THE_HOG:
            return False
        self._hogs.append(subprocess.Popen([sys.executable, "-c", HOG]))
        return True

    def _jump(self) -> bool:
        self._clock.write_text(str(self._chance.choice([-1, 1]) * self._chance.uniform(60, 86_400)))
        return True

    def _fill(self, disk: Path) -> bool:
        filler = disk / "filler"
        with filler.open("wb", buffering=0) as file, suppress(OSError):
            while True:
                file.write(bytes(4096))
        self._later(1.0, 5.0, lambda: filler.unlink(missing_ok=True))
        return True

    def _restart(self, server: Server) -> bool:
        self._chance.choice([server.stop, server.kill])()
        self._later(0.5, 4.0, server.start)
        return True


ALLOWED = {
    "-9": ({"kill coordinator", "stop worker, kill coordinator"}, ""),
    "130 interrupted": ({"interrupt"}, ""),
    "1 no space": ({"full disk"}, "No space left on device"),
    "1 retraining": ({"kill worker", "kill server"}, "the process that retrains"),
    "1 hung retraining": ({"hang worker"}, "retraining has made no step"),
    "2 no database": ({"database restart"}, "postgresql://"),
}
"""How a run may end early: its exit code, which faults explain it, and what it must have said."""


def explained(run: Run) -> str:
    """By which of `ALLOWED`, or success, a run's end is explained; empty if by none."""
    if "Traceback" in run.err:
        return ""
    if run.code == 0:
        return "0"
    for name, (kinds, said) in ALLOWED.items():
        if str(run.code) == name.split()[0] and kinds & {*run.faults} and said in run.err:
            return name
    return ""

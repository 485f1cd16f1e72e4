"""How much memory there is, and whether the kernel had to kill for it."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

PROC, CGROUP = Path("/proc"), Path("/sys/fs/cgroup")


class _Files(NamedTuple):
    """What a control group says of its memory."""

    limit: str
    used: str
    unused: str
    kills: str


VERSION_1 = _Files("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file", "memory.oom_control")
VERSION_2 = _Files("memory.max", "memory.current", "inactive_file", "memory.events")
"""See https://docs.kernel.org/admin-guide/cgroup-v1/memory.html and …/cgroup-v2.html."""


def out_of_memory_kills() -> int:
    """Processes that the kernel has killed for their memory so far, here or in this container; 0 if it does not say."""
    said = [PROC / "vmstat", *(group / files.kills for group, files in _groups())]
    return sum(_number(file, r"^oom_kill (\d+)") or 0 for file in said)


def available_memory() -> int | None:
    """Bytes that new processes can have before the kernel kills some; None if it does not say.

    What the machine has left, or this container or batch job of its limit; files that are only kept in case somebody
    reads them again do not count as used.
    """
    free = _number(PROC / "meminfo", r"^MemAvailable:\s+(\d+) kB")
    found = [] if free is None else [1024 * free]
    for group, files in _groups():
        limit, used = _number(group / files.limit, r"^(\d+)$"), _number(group / files.used, r"^(\d+)$")
        if limit is not None and used is not None:
            unused = _number(group / "memory.stat", rf"^{files.unused} (\d+)") or 0
            found.append(max(0, limit - used + unused))
    return min(found, default=None)


def _groups() -> Iterator[tuple[Path, _Files]]:
    """The control groups that this process is in, outermost first: each may have a limit."""
    try:
        lines = (PROC / "self" / "cgroup").read_text().splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers in ("", "memory"):
            files = VERSION_1 if controllers else VERSION_2
            top = CGROUP / controllers
            # In a container its own group is at the top, whatever it is called outside.
            parts = Path(path.lstrip("/")).parts
            yield from ((top.joinpath(*parts[:depth]), files) for depth in range(len(parts) + 1))


def _number(file: Path, pattern: str) -> int | None:
    try:
        match = re.search(pattern, file.read_text(), re.MULTILINE)
    except OSError:
        return None
    return int(match[1]) if match else None

"""How much memory there is, and whether the kernel had to kill for it."""

import re
from pathlib import Path

CGROUP = Path("/sys/fs/cgroup")
"""Of a container, with either version of its files."""


def out_of_memory_kills() -> int:
    """Processes that the kernel has killed for their memory so far, here or in this container; 0 if it does not say."""
    counts = [_number(Path("/proc/vmstat"), r"^oom_kill (\d+)"), _number(CGROUP / "memory.events", r"^oom_kill (\d+)")]
    counts.append(_number(CGROUP / "memory" / "memory.oom_control", r"^oom_kill (\d+)"))
    return sum(count or 0 for count in counts)


def available_memory() -> int | None:
    """Bytes that new processes can have before the kernel kills some; None if it does not say.

    What the machine has left, or this container of its limit.
    """
    free = _number(Path("/proc/meminfo"), r"^MemAvailable:\s+(\d+) kB")
    found = [] if free is None else [1024 * free]
    for limit, used in (
        (CGROUP / "memory.max", CGROUP / "memory.current"),
        (CGROUP / "memory" / "memory.limit_in_bytes", CGROUP / "memory" / "memory.usage_in_bytes"),
    ):
        most, now = _number(limit, r"^(\d+)$"), _number(used, r"^(\d+)$")
        if most is not None and now is not None:
            found.append(max(0, most - now))
    return min(found, default=None)


def _number(file: Path, pattern: str) -> int | None:
    try:
        match = re.search(pattern, file.read_text(), re.MULTILINE)
    except OSError:
        return None
    return int(match[1]) if match else None

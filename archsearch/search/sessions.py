"""When a study was searched: each search keeps its own time, so that several at once do not overwrite each other's."""

from collections.abc import Mapping
from typing import Any, NamedTuple

PREFIX = "session:"
"""Of study attributes: what follows tells sessions apart."""


class Session(NamedTuple):
    """A search, from its beginning to its last sign of life, in seconds since 1970 by its machine's clock."""

    began: float
    seen: float


def sessions_of(attributes: Mapping[str, Any]) -> list[Session]:
    """All that have written to a study, by its user attributes; the oldest first."""
    return sorted(Session(*kept) for name, kept in attributes.items() if name.startswith(PREFIX))


def spent(sessions: list[Session], at_once: bool) -> float:
    """Seconds in which at least one search was at work: what several do at once counts once.

    Args:
        sessions: All of a study.
        at_once: Whether there may be several at once. If not, those that seem to be are of a clock that was set back.
    """
    if not at_once:
        return sum(seen - began for began, seen in sessions)
    seconds, until = 0.0, float("-inf")
    for began, seen in sorted(sessions):
        seconds += max(0.0, seen - max(began, until))
        until = max(until, seen)
    return seconds

"""What follows from a failed trial: pure functions.

| cause | policy |
|---|---|
| exception, not a number, stalled | it is given up, and the sampler is shown a bad trial |
| out of memory | tried again alone; then given up, and shown as a bad one |
| worker lost | tried again; then given up |

Many that are alike end the search (`explanation`).
"""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence

from archsearch.search.record import TrialRecord
from archsearch.space.sample import Scalar

MOST_ALIKE = 8
"""So many failures of one kind with something in common that nothing else has, and the search ends."""


def is_tried_again(record: TrialRecord) -> bool:
    """Whether the candidate of a trial that has failed gets another chance."""
    if record.state != "failed":
        return False
    if record.cause == "out of memory":
        return not record.alone
    return record.cause == "worker lost" and record.retries is None


def needs_to_be_alone(record: TrialRecord, records: Mapping[int, TrialRecord]) -> bool:
    """Whether a trial tries again what ran out of memory beside others; `records` are all trials, by number."""
    return record.retries is not None and records[record.retries].cause == "out of memory"


def is_to_blame(record: TrialRecord) -> bool:
    """Whether a trial has failed for what it tried: a sampler had better look elsewhere."""
    return record.state == "failed" and record.cause != "worker lost" and not is_tried_again(record)


def given_up(records: Sequence[TrialRecord]) -> dict[int, str]:
    """Why trials have failed for good, by number."""
    return {r.number: r.reason for r in records if r.state == "failed" and not is_tried_again(r)}


def explanation(failed: Mapping[int, str], well: Collection[int], drawn: Mapping[int, Mapping[str, Scalar]]) -> str:
    """What many failures have in common, as a sentence; empty if there is no such thing.

    Args:
        failed: Why trials have failed, by number; the newest last.
        well: Trials that have come to a score.
        drawn: What was drawn for each trial, by parameter.
    """
    if not failed:
        return ""
    newest, reason = list(failed.items())[-1]
    alike = [number for number, why in failed.items() if _kind(why) == _kind(reason)]
    if len(alike) < MOST_ALIKE:
        return ""
    elsewhere = {trait for number in well for trait in _traits(drawn[number])}
    for name, value in _traits(drawn[newest]):
        if (name, value) not in elsewhere and all((name, value) in _traits(drawn[number]) for number in alike):
            return f"all {len(alike)} trials with {name} {value} have failed, and no other has it: {reason}"
    return ""


def _kind(reason: str) -> str:
    """Errors of the same kind differ in their numbers: shapes, addresses, line numbers."""
    return re.sub(r"\d[\d.,xe+-]*", "#", reason)


def _traits(point: Mapping[str, Scalar]) -> Iterator[tuple[str, Scalar]]:
    """What was chosen by name: anywhere in the network first, then at its place."""
    named = {path: value for path, value in point.items() if isinstance(value, str | bool)}
    yield from {(path.rpartition(".")[2], value): None for path, value in named.items()}
    yield from named.items()

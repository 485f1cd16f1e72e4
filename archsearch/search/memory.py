"""How many workers fit into the memory: pure functions."""

from collections.abc import Sequence

from archsearch.search.record import TrialRecord

WORKER_BYTES = 500_000_000
"""A worker that trains next to nothing, with TensorFlow and the images that it reads."""
STATE_BYTES = 16
"""Of a parameter in training: its value, its gradient and two moments of an optimizer, as float32."""
USED = 0.9
"""Share of the memory that is counted on."""


def needed(activation_bytes: int, parameters: int, batch_size: int) -> int:
    """Bytes that a training takes beyond `WORKER_BYTES`, by arithmetic: activations of a batch, and the parameters."""
    return batch_size * activation_bytes + STATE_BYTES * parameters


def expected(needs: int, records: Sequence[TrialRecord]) -> float:
    """Bytes that a worker will take in all.

    Args:
        needs: What it needs by arithmetic; 0 if that is unknown, which is then taken to be as much as the most so far.
        records: Trials so far; what they took beyond their arithmetic is expected again.
    """
    measured = [record for record in records if record.peak_memory]
    if not needs:
        return max([WORKER_BYTES, *(record.peak_memory for record in measured)])
    # Beside small needs, what any worker takes would be taken for an error of the arithmetic.
    large = [record for record in measured if record.needs > WORKER_BYTES / 4]
    excess = max([1.0, *((record.peak_memory - WORKER_BYTES) / record.needs for record in large)])
    return WORKER_BYTES + excess * needs


def fits(needs: int, running: Sequence[TrialRecord], records: Sequence[TrialRecord], memory: int | None) -> bool:
    """Whether another worker fits beside those that run; the only one always does.

    Args:
        needs: Of the new one, by arithmetic (`needed`).
        running: Trials that train.
        records: All trials.
        memory: Bytes for all workers; None if unknown.
    """
    if not running or memory is None:
        return True
    return sum(expected(each, records) for each in (needs, *(r.needs for r in running))) <= USED * memory

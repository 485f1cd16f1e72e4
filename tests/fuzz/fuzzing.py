"""How many inputs are made up, and how real files are spoilt.

`make fuzz` takes the profile `fuzz`; otherwise it is `short`, which tries the same inputs each time.
"""

import os
import random
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

LONGEST = 60
"""Seconds that one input may take; it is far less, but other programs may be running."""

settings.register_profile(
    "short", max_examples=300, derandomize=True, deadline=None, suppress_health_check=list(HealthCheck)
)
settings.register_profile(
    "fuzz", settings.get_profile("short"), max_examples=100_000, derandomize=False, print_blob=True
)
fuzzed = settings.get_profile(os.environ.get("HYPOTHESIS_PROFILE", "short"))


class Hangs(BaseException):
    """An input that takes for ever; nothing in the way catches it."""


@contextmanager
def no_hanging() -> Iterator[None]:
    """Raises Hangs if the block takes longer than `LONGEST`."""

    def fail(number: int, frame: FrameType | None) -> None:
        raise Hangs(f"after {LONGEST} seconds")

    before = signal.signal(signal.SIGALRM, fail)
    signal.alarm(LONGEST)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


ODD = (b"\0", b"\xff", b"\x7f", b"\x80", b"\n", b"\r", b'"', b"'", b",", b"-", b"9", b"\xff" * 4, b"\0" * 4)
SEEDS = st.integers(0, 2**48)


def spoilt(whole: bytes, seed: int) -> bytes:
    """`whole` with a few changes: bytes replaced, put in, left out, doubled or moved, or its end cut off."""
    chance = random.Random(seed)
    for _ in range(chance.choice((1, 1, 1, 2, 3, 6))):
        at, to = chance.randrange(len(whole) + 1), chance.randrange(len(whole) + 1)
        until = at + chance.randrange(1, 12)
        piece = chance.choice((*ODD, chance.randbytes(1), chance.randbytes(1), chance.randbytes(3), whole[to : to + 5]))
        match chance.randrange(12):
            case 0:
                whole = whole[:at]
            case 1 | 2:
                whole = whole[:at] + whole[until:]
            case 3 | 4:
                whole = whole[:at] + piece + whole[at:]
            case 5:
                whole = whole[:until] + whole[at:until] * chance.randrange(1, 20) + whole[until:]
            case 6 if whole:
                changed = bytearray(whole)
                changed[at % len(whole)] ^= 1 << chance.randrange(8)
                whole = bytes(changed)
            case _:
                whole = whole[:at] + piece + whole[at + len(piece) :]
    return whole

"""How many inputs are made up, and how real files are spoilt.

`make fuzz` takes the profile `fuzz`; otherwise it is `short`, which tries the same inputs each time.
"""

import os
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


_ODD = st.sampled_from(
    [b"\0", b"\xff", b"\x7f", b"\x80", b"\n", b"\r", b'"', b"'", b",", b"-", b"9", b"\xff" * 4, b"\0" * 4]
)
_PIECE = _ODD | st.binary(max_size=8)


@st.composite
def spoilt(draw: st.DrawFn, whole: bytes) -> bytes:
    """`whole` with up to six changes: bytes replaced, put in, left out, doubled or moved, or its end cut off."""
    for _ in range(draw(st.integers(1, 6))):
        size = len(whole)
        at = draw(st.integers(0, size))
        until = min(size, at + draw(st.integers(0, 12)))
        match draw(st.integers(0, 6)):
            case 0 | 1:
                piece = draw(_PIECE)
                whole = whole[:at] + piece + whole[at + len(piece) :]
            case 2:
                whole = whole[:at] + draw(_PIECE) + whole[at:]
            case 3:
                whole = whole[:at] + whole[until:]
            case 4:
                whole = whole[:until] + whole[at:until] * draw(st.integers(1, 20)) + whole[until:]
            case 5:
                to = draw(st.integers(0, size))
                whole = whole[:to] + whole[at:until] + whole[to:]
            case _:
                whole = whole[:at]
    return whole

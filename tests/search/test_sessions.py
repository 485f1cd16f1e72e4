"""The time that a study was searched."""

import pytest

from archsearch.search.sessions import PREFIX, Session, sessions_of, spent


@pytest.mark.parametrize(
    ("sessions", "seconds"),
    [
        ([], 0.0),
        ([(10.0, 15.0)], 5.0),
        ([(10.0, 15.0), (100.0, 101.0)], 6.0),
        ([(10.0, 15.0), (12.0, 20.0)], 10.0),
        ([(12.0, 13.0), (10.0, 20.0)], 10.0),
        ([(10.0, 10.0), (12.0, 11.0)], 0.0),  # a clock that was set back
    ],
)
def test_what_several_do_at_once_counts_once(sessions: list[tuple[float, float]], seconds: float) -> None:
    assert spent([Session(*each) for each in sessions], at_once=True) == seconds


def test_one_after_the_other_counts_though_the_clock_was_set_back() -> None:
    assert spent([Session(100.0, 150.0), Session(90.0, 120.0)], at_once=False) == 80.0


def test_sessions_are_read_from_a_studys_attributes() -> None:
    attributes = {"plan": {}, f"{PREFIX}b": [3.0, 4.0], f"{PREFIX}a": [1.0, 2.0]}
    assert sessions_of(attributes) == [Session(1.0, 2.0), Session(3.0, 4.0)]

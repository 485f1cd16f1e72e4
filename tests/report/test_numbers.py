"""Numbers as people read them."""

import pytest

from archsearch.report.numbers import percent, signed


@pytest.mark.parametrize(
    ("score", "error", "text"),
    [(0.98314, 0.0012, "98.31 ± 0.12 %"), (0.98314, None, "98.31 %"), (1.0, 0.0, "100.00 ± 0.00 %"), (None, None, "–")],
)
def test_percent(score: float | None, error: float | None, text: str) -> None:
    assert percent(score, error) == text


@pytest.mark.parametrize(("share", "text"), [(0.0123, "+1.23"), (-0.00001, "+0.00"), (-0.5, "-50.00")])
def test_nothing_is_less_than_nothing(share: float, text: str) -> None:
    assert signed(share) == text

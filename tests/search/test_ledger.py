"""What a coordinator keeps of its own time."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from archsearch.search import ledger
from archsearch.search.folder import StudyFolder
from archsearch.search.ledger import Ledger
from archsearch.search.storage import create_study, open_storage


@dataclass
class Clock:
    """Two clocks: one that is set now and then, and one that is not."""

    passed: float = 500.0
    shown: float = 1e9

    def time(self) -> float:
        return self.shown

    def monotonic(self) -> float:
        return self.passed


@pytest.mark.parametrize("jump", [-7200.0, 7200.0])
def test_a_clock_that_is_set_is_no_time_that_passes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, jump: float
) -> None:
    clock = Clock()
    monkeypatch.setattr(ledger, "time", clock)
    began = clock.passed
    clock.passed += 3.0
    clock.shown += 3.0 + jump  # before the study is open
    kept = Ledger(create_study(open_storage(StudyFolder(tmp_path)), "archsearch", ("accuracy",)), began)
    assert kept.seconds() == pytest.approx(3.0)
    started = kept.now()
    clock.passed += 10.0
    clock.shown += 10.0 - 2 * jump
    assert kept.now() - started == pytest.approx(10.0)
    assert kept.seconds() == pytest.approx(13.0)
    kept.sign_of_life()
    assert Ledger(kept.study, clock.passed).seconds() == pytest.approx(13.0)

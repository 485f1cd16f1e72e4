"""What a coordinator keeps of its own time, and what two of them make of one study."""

from dataclasses import dataclass
from pathlib import Path

import optuna
import pytest
from optuna.trial import FrozenTrial, TrialState
from trials import trial

from archsearch.search import company, ledger
from archsearch.search.company import Alone
from archsearch.search.folder import StudyFolder
from archsearch.search.ledger import GONE, Ledger
from archsearch.search.storage import create_study, enqueue, open_storage, point_of


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
    for module in (company, ledger):
        monkeypatch.setattr(module, "time", clock)
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
    again = Ledger(kept.study, clock.passed)
    assert again.seconds() == pytest.approx(13.0)
    clock.passed += 5.0
    again.sign_of_life()
    assert Ledger(kept.study, clock.passed).seconds() == pytest.approx(18.0)


# Two coordinators on one study ----------------------------------------------------------------------------------------


@dataclass
class Shared(Alone):
    """Company whose trials of certain numbers are dead."""

    pause = 1e-6
    gone: tuple[int, ...] = ()

    def dead(self, study: optuna.Study) -> list[FrozenTrial]:
        return [each for each in study.get_trials(states=(TrialState.RUNNING,)) if each.number in self.gone]


def ledger_of(folder: Path, gone: tuple[int, ...] = (), began: float = 0.0) -> Ledger:
    study = optuna.load_study(study_name="archsearch", storage=open_storage(StudyFolder(folder)))
    return Ledger(study, began, Shared(gone))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Of a study in which one candidate is to be tried."""
    study = create_study(open_storage(StudyFolder(tmp_path)), "archsearch", ("accuracy",))
    enqueue(study, {"x": 3})
    return tmp_path


def begin(ledger: Ledger) -> int:
    with ledger.turn():
        asked, _ = ledger.ask()
        asked.suggest_int("x", 0, 9)
        ledger.begin(asked, trial(asked.number, state="running", digest="3"))
    return asked.number


def queue(ledger: Ledger) -> list[object]:
    return [point_of(each) for each in ledger.study.get_trials(states=(TrialState.WAITING,))]


def test_what_others_have_taken_over_is_what_they_say_it_is(folder: Path) -> None:
    first = ledger_of(folder)
    number = begin(first)
    second = ledger_of(folder, gone=(number,))
    with second.turn():
        assert queue(second) == [{"x": 3}]
    first.end(number, "complete", "", TrialState.COMPLETE, (0.9,))  # it had been stopped, and knows of nothing
    assert first.listen()
    assert (first.records[number].state, first.records[number].reason) == ("interrupted", GONE)
    assert not first.running


def test_others_go_on_with_what_one_that_ends_early_leaves(folder: Path) -> None:
    first, second = ledger_of(folder), ledger_of(folder)
    begin(first)
    first.leave()
    with second.turn():
        assert queue(second) == [{"x": 3}]
    with second.turn():
        assert queue(second) == [{"x": 3}], "once"


def test_what_was_drawn_and_not_begun_goes_back_to_the_queue_at_once(folder: Path) -> None:
    first, second = ledger_of(folder), ledger_of(folder)
    asked, _ = first.ask()
    asked.suggest_int("x", 0, 9)
    with second.turn():
        assert queue(second) == [{"x": 3}]
    begun = False
    with first.unless_taken_over():  # it was stopped meanwhile
        first.begin(asked, trial(asked.number, state="running"))
        begun = True
    assert not begun
    assert not first.running
    assert first.records == {}


def test_a_trial_that_runs_is_not_taken_for_one_that_was_not_begun(folder: Path) -> None:
    first, second = ledger_of(folder), ledger_of(folder)
    begin(first)
    with second.turn():
        assert queue(second) == []
    assert second.others_run


def test_the_time_counts_that_a_search_is_killed_after(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    for module in (company, ledger):
        monkeypatch.setattr(module, "time", clock)
    killed = ledger_of(folder, began=clock.passed)
    clock.passed += 25.0
    killed.listen()
    assert Ledger(killed.study, clock.passed).seconds() == pytest.approx(25.0)

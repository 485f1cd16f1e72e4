"""Machines that have searched a study together: one of them retrains its winner, and another one if that dies."""

import time
from contextlib import closing
from threading import Timer

import pytest
from coordinators import NAME, Opened, Process, load_study, new_study
from databases import Server, needs_postgresql

from archsearch.search import claim, lock
from archsearch.search.claim import SharedClaim

pytestmark = needs_postgresql


def claimed(opened: Opened, here: str, trial: int = 3) -> SharedClaim:
    database = opened()
    return SharedClaim(database, load_study(database), trial, here)


def test_one_machine_retrains_the_winner(opened: Opened) -> None:
    new_study(opened())
    with closing(claimed(opened, "one")) as ours, closing(claimed(opened, "two")) as theirs:
        assert (ours.elsewhere, theirs.elsewhere) == ("", "one")
    with closing(claimed(opened, "three")) as ours, closing(claimed(opened, "two")) as theirs:
        assert (ours.elsewhere, theirs.elsewhere) == ("", "three")


def test_what_is_done_stays_where_it_is(opened: Opened) -> None:
    new_study(opened())
    with closing(claimed(opened, "one")) as ours:
        ours.settle()
    assert claimed(opened, "two").elsewhere == "one"
    with closing(claimed(opened, "one")) as ours:
        assert ours.elsewhere == ""


def test_another_winner_is_another_matter(opened: Opened) -> None:
    new_study(opened())
    with closing(claimed(opened, "one", trial=3)), closing(claimed(opened, "two", trial=5)) as ours:
        assert ours.elsewhere == ""
        assert claimed(opened, "three", trial=5).elsewhere == "two"


def test_who_is_killed_leaves_it(url: str, opened: Opened) -> None:
    new_study(opened())
    script = """
from archsearch.search.claim import SharedClaim
claim = SharedClaim(database, study, 3, "killed")
print(claim.elsewhere or "ours")
time.sleep(3600)"""
    with Process(url, script) as other:
        assert other.line() == "ours"
        assert claimed(opened, "two").elsewhere == "killed"
        other.kill()
        deadline = time.monotonic() + 10
        while claimed(opened, "two").elsewhere:
            assert time.monotonic() < deadline


def test_who_is_stopped_loses_it(opened: Opened, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock, "MOST_SECONDS", 1)
    monkeypatch.setattr(claim, "KEEP_SECONDS", 0.2)
    new_study(opened())
    with closing(claimed(opened, "one")) as ours:
        until = time.monotonic() + 3
        while time.monotonic() < until:
            ours.keep()
            time.sleep(0.1)
        assert claimed(opened, "two").elsewhere == "one"
        time.sleep(2)
        assert claimed(opened, "two").elsewhere == ""


def test_the_name_of_a_study_is_part_of_it(url: str, opened: Opened) -> None:
    new_study(opened())
    assert opened().study_name == NAME
    one, other = opened(), opened()
    other.study_name = "another"
    with closing(one.lock("retraining 3")) as held, closing(one.lock("retraining 3")) as same:
        assert held.acquire()
        assert not same.acquire()
        with closing(other.lock("retraining 3")) as another:
            assert another.acquire()


def test_who_is_done_while_another_waits_for_the_claim_is_done(opened: Opened) -> None:
    new_study(opened())
    ours = claimed(opened, "one")

    def end() -> None:
        ours.settle()
        ours.close()

    Timer(0.2, end).start()
    with closing(claimed(opened, "two")) as theirs:
        assert (theirs.elsewhere, theirs.is_done) == ("one", True)


def test_a_claim_outlives_a_database_that_restarts(
    postgresql: Server, opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(claim, "KEEP_SECONDS", 0.0)
    new_study(opened())
    with closing(claimed(opened, "one")) as ours:
        postgresql.kill()
        ours.keep()
        postgresql.start()
        ours.keep()
        with closing(claimed(opened, "two")) as theirs:
            assert (ours.elsewhere, theirs.elsewhere) == ("", "one")


def test_who_comes_back_too_late_learns_of_it(opened: Opened, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock, "MOST_SECONDS", 1)
    monkeypatch.setattr(claim, "KEEP_SECONDS", 0.0)
    new_study(opened())
    with closing(claimed(opened, "one")) as ours:
        time.sleep(2)
        with closing(claimed(opened, "two")) as theirs:
            assert theirs.elsewhere == ""
            ours.keep()
            assert (ours.elsewhere, ours.is_done) == ("two", False)

"""Coordinators on one PostgreSQL: it is killed under them, they are killed themselves, and nothing is lost."""

import inspect
import json
import logging
import re
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager, suppress
from itertools import pairwise
from threading import Event, Thread, Timer
from typing import Any

import optuna
import psycopg
import pytest
import trials
from coordinators import NAME, Opened, Process, load_study, new_study
from databases import HANGING, Server, needs_postgresql
from optuna.exceptions import UpdateFinishedTrialError
from optuna.storages import _CachedStorage
from optuna.trial import TrialState

from archsearch.errors import SearchError
from archsearch.search import database as databases
from archsearch.search import lock, record
from archsearch.search.address import parse_address
from archsearch.search.database import Database, open_database
from archsearch.search.ledger import end_the_dead
from archsearch.search.patience import OPERATIONS

pytestmark = needs_postgresql


def down_for(server: Server, seconds: float) -> Timer:
    """Kills the server, which is up again after a while."""
    server.kill()
    again = Timer(seconds, server.start)
    again.start()
    return again


# The storage ----------------------------------------------------------------------------------------------------------


def test_whatever_optuna_asks_of_the_storage_waits() -> None:
    asked = set(re.findall(r"_backend\.(\w+)", inspect.getsource(_CachedStorage)))
    never = {"get_heartbeat_interval", "get_heartbeat_stale_trial_callback"}  # which ask nothing of the database
    assert asked - never == set(OPERATIONS)


def test_time_goes_by_the_clock_of_the_database(opened: Opened, monkeypatch: pytest.MonkeyPatch) -> None:
    right = time.time()
    monkeypatch.setattr(time, "time", lambda: right + 3600)
    assert opened().now() == pytest.approx(right, abs=60)


def test_coordinators_may_begin_at_the_same_time(opened: Opened) -> None:
    with ThreadPoolExecutor(6) as threads:
        found = list(threads.map(lambda _: opened(), range(6)))
    new_study(found[0])
    assert {load_study(database).study_name for database in found} == {NAME}


def test_no_result_is_lost_while_the_server_is_killed_again_and_again(
    postgresql: Server, opened: Opened, caplog: pytest.LogCaptureFixture
) -> None:
    study = new_study(opened())
    told: dict[int, float] = {}

    def kill_again_and_again() -> None:
        for _ in range(3):
            enough = len(told) + 5
            while len(told) < enough:
                time.sleep(0.01)
            down_for(postgresql, 1.0).join()

    killing = Thread(target=kill_again_and_again, daemon=True)
    killing.start()
    while killing.is_alive():
        trial = study.ask()
        trial.suggest_float("rate", 0.0, 1.0)
        for step in range(3):
            trial.report(trial.params["rate"] / (step + 1), step)
        trial.set_user_attr("record", {"number": trial.number})
        study.tell(trial, trial.params["rate"])
        told[trial.number] = trial.params["rate"]
    complete = {t.number: t for t in load_study(opened()).trials if t.state == TrialState.COMPLETE}
    assert {number: trial.value for number, trial in complete.items()} == told
    assert all(len(t.intermediate_values) == 3 and t.user_attrs["record"] for t in complete.values())
    waited, over = "the database does not answer; waiting for it", "the database answers again"
    assert [record.getMessage().split(": ")[1] for record in caplog.records] == 3 * [waited, over]
    assert {record.levelno for record in caplog.records} == {logging.WARNING}


def test_connections_that_an_administrator_cuts_are_made_anew(
    postgresql: Server, opened: Opened, caplog: pytest.LogCaptureFixture
) -> None:
    study = new_study(opened())
    for value in (0.1, 0.2, 0.3):
        trial = study.ask()
        postgresql.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'archsearch'"
        )
        study.tell(trial, value)
    assert [trial.value for trial in study.trials] == [0.1, 0.2, 0.3]
    assert caplog.records == []


def test_a_server_that_is_full_is_waited_for(
    postgresql: Server, opened: Opened, caplog: pytest.LogCaptureFixture
) -> None:
    database = opened()
    study = new_study(database)
    database.close()
    with ExitStack() as stack:
        with suppress(psycopg.OperationalError):
            while True:
                stack.enter_context(psycopg.connect(postgresql.url("postgres")))
        Timer(1.0, stack.close).start()
        study.ask()
    assert "too many clients" in caplog.text


def cut_after_the_next_commit() -> None:
    """The connection breaks when the server has committed and before it could say so."""
    patch, commit = pytest.MonkeyPatch(), psycopg.Connection.commit

    def cut(connection: psycopg.Connection[Any]) -> None:
        patch.undo()
        commit(connection)
        connection.close()
        raise psycopg.OperationalError("server closed the connection unexpectedly")

    patch.setattr(psycopg.Connection, "commit", cut)


@pytest.mark.parametrize(
    ("state", "values"), [(TrialState.COMPLETE, [0.5]), (TrialState.PRUNED, [0.25]), (TrialState.FAIL, None)]
)
def test_an_end_is_told_once_even_if_nobody_heard_that_it_was_kept(
    opened: Opened, state: TrialState, values: Sequence[float] | None
) -> None:
    database = opened()
    trial = new_study(database).ask()
    cut_after_the_next_commit()
    assert database.storage.set_trial_state_values(trial._trial_id, state, values)
    kept = database.storage.get_trial(trial._trial_id)
    assert (kept.state, kept.values) == (state, values)


def test_another_end_is_refused(opened: Opened) -> None:
    database = opened()
    study = new_study(database)
    trial = study.ask()
    study.tell(trial, 0.5)
    for state, values in ((TrialState.COMPLETE, [0.6]), (TrialState.FAIL, None)):
        with pytest.raises(UpdateFinishedTrialError):
            database.storage.set_trial_state_values(trial._trial_id, state, values)


@pytest.mark.parametrize("what", ["set_user_attr", "report", "suggest_float"])
def test_writing_twice_is_writing_once(opened: Opened, what: str) -> None:
    study = new_study(opened())
    trial = study.ask()
    given = {"set_user_attr": ("key", {"a": 1}), "report": (0.5, 3), "suggest_float": ("rate", 0.5, 0.5)}
    cut_after_the_next_commit()
    getattr(trial, what)(*given[what])
    study.tell(trial, 1.0)
    (kept,) = load_study(opened()).trials
    found = {"set_user_attr": kept.user_attrs, "report": kept.intermediate_values, "suggest_float": kept.params}
    assert found[what] == {"set_user_attr": {"key": {"a": 1}}, "report": {3: 0.5}, "suggest_float": {"rate": 0.5}}[what]


def test_patience_ends_the_waiting(postgresql: Server, opened: Opened) -> None:
    patient = iter([True] * 12)
    database = opened(patience=lambda: next(patient, False))
    study = new_study(database)
    trial = study.ask()
    postgresql.stop()
    with pytest.raises(SearchError, match=r"does not answer: .*refused; .* start it and run the same command again"):
        study.tell(trial, 0.5)
    with pytest.raises(SearchError), database.turn():
        raise AssertionError("there is no turn without a database")
    postgresql.start()
    study.tell(trial, 0.5)


def test_what_is_no_matter_of_waiting_is_raised_at_once(opened: Opened) -> None:
    database = opened(patience=lambda: False)
    study = new_study(database)
    with pytest.raises(KeyError):
        database.storage.get_study_id_from_name("another")
    database.storage.engine.dispose()
    with pytest.raises(optuna.exceptions.DuplicatedStudyError):
        new_study(database)
    with database.storage.engine.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE trials RENAME TO gone")
    with pytest.raises(optuna.exceptions.StorageInternalError):
        study.ask()


# Turns ----------------------------------------------------------------------------------------------------------------

DRAWS = """
print("ready"); sys.stdin.read(0)
for _ in range(20):
    with database.turn() as ours:
        began = time.monotonic()
        trial = study.ask()
        trial.suggest_float("rate", 0.0, 1.0)
        database.beat([trial])
        print(json.dumps([ours, trial.number, began, time.monotonic()]))
print("null")
"""


def test_turns_of_two_processes_never_overlap(url: str, opened: Opened) -> None:
    new_study(opened())
    with Process(url, DRAWS) as one, Process(url, DRAWS) as other:
        assert (one.line(), other.line()) == ("ready", "ready")
        with ThreadPoolExecutor(2) as threads:
            said = list(threads.map(lambda process: [*map(json.loads, iter(process.line, "null"))], (one, other)))
    turns = sorted((began, ended, number, ours) for each in said for ours, number, began, ended in each)
    assert all(ours for *_, ours in turns)
    assert [number for _, _, number, _ in turns] == [*range(40)]
    assert all(before[1] < after[0] for before, after in pairwise(turns))


def test_who_is_killed_in_its_turn_leaves_it(url: str, opened: Opened) -> None:
    database = opened()
    new_study(database)
    with Process(url, "with database.turn():\n    print('ours')\n    time.sleep(3600)") as other:
        assert other.line() == "ours"
        with database.turn(seconds=1.0) as ours:
            assert not ours
        other.kill()
        with database.turn() as ours:
            assert ours


def test_turns_of_other_studies_do_not_matter(url: str, opened: Opened) -> None:
    other = open_database(parse_address(url), "another")
    with opened().turn(), other.turn(seconds=0.0) as ours:
        assert ours
    other.close()


def test_patience_ends_the_waiting_for_a_turn(opened: Opened) -> None:
    with opened().turn(), opened(patience=lambda: False).turn() as ours:
        assert not ours


def test_a_turn_is_waited_for_while_the_server_is_killed(postgresql: Server, opened: Opened) -> None:
    one, other = opened(), opened()

    def wait() -> bool:
        with other.turn() as ours:
            return ours

    with ThreadPoolExecutor(1) as threads:
        with one.turn():
            waiting = threads.submit(wait)
            time.sleep(0.2)
            assert not waiting.done()
            down_for(postgresql, 2.0).join()
        assert waiting.result(HANGING)


def test_what_was_done_in_a_turn_is_done_though_the_server_was_killed_in_it(
    postgresql: Server, opened: Opened, caplog: pytest.LogCaptureFixture
) -> None:
    database = opened()
    study = new_study(database)
    with database.turn():
        down_for(postgresql, 1.0)
        trial = study.ask()
    assert "so it may have been another's" in caplog.text
    study.tell(trial, 0.5)
    with database.turn() as ours:
        assert ours


def test_who_does_not_come_back_loses_its_turn(
    opened: Opened, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(lock, "MOST_SECONDS", 1)
    with opened().turn(), opened().turn(seconds=HANGING) as ours:
        assert ours
    assert "so it may have been another's" in caplog.text


def test_a_turn_ends_with_an_error_in_it(opened: Opened) -> None:
    one, other = opened(), opened()
    with pytest.raises(ZeroDivisionError), one.turn():
        raise ZeroDivisionError
    with other.turn(seconds=0.0) as ours:
        assert ours


# Heartbeats -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything goes twenty times as fast."""
    monkeypatch.setattr(databases, "GRACE_SECONDS", 1.5)
    monkeypatch.setattr(databases, "HEARTBEAT_SECONDS", 0.5)
    monkeypatch.setattr(Database, "pause", 0.1)


def numbers_of_the_dead(database: Database, study: optuna.Study) -> list[int]:
    return [trial.number for trial in database.dead(study)]


@pytest.mark.usefixtures("hurried")
def test_trials_of_a_killed_coordinator_are_dead_after_a_while(url: str, opened: Opened) -> None:
    database = opened()
    study = new_study(database)
    mine = study.ask()
    script = "trials = [study.ask(), study.ask()]\ndatabase.beat(trials)\nprint('beating')\ntime.sleep(3600)"
    with Process(url, script) as other:
        assert other.line() == "beating"
        other.kill()
    database.beat([mine])
    assert database.dead(study) == []
    deadline = time.monotonic() + HANGING
    while not (dead := database.dead(study)):
        database.beat([mine])
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert [trial.number for trial in dead] == [1, 2]
    for trial in dead:
        study.tell(trial.number, state=TrialState.FAIL)
    assert database.dead(study) == []


@pytest.mark.usefixtures("hurried")
def test_what_the_dead_leave_is_ended_once_nobody_searches_any_more(url: str, opened: Opened) -> None:
    database = opened()
    study = new_study(database)
    for number in range(2):
        record.write(study.ask(), trials.trial(number, state="running"))
    script = """
trial = optuna.Trial(study, study.get_trials()[1]._trial_id)
database.beat([trial])
print("beating")
time.sleep(3600)"""
    with beating(url, optuna.Trial(study, study.get_trials()[0]._trial_id)), Process(url, script) as other:
        assert other.line() == "beating"
        other.kill()
        assert end_the_dead(study, database, lambda: True) == 0
        assert [trial.state for trial in study.get_trials()] == [TrialState.RUNNING] * 2
        assert end_the_dead(study, database, lambda: False) == 1
        began = time.monotonic()
        assert end_the_dead(study, database, lambda: False) == 0
        assert time.monotonic() - began < databases.GRACE_SECONDS
    assert [trial.state for trial in study.get_trials()] == [TrialState.RUNNING, TrialState.FAIL]


@contextmanager
def beating(url: str, trial: optuna.Trial) -> Iterator[None]:
    """Another coordinator, whose trial it is, goes on meanwhile."""
    begun, over = Event(), Event()

    def beat() -> None:
        with closing(open_database(parse_address(url), NAME)) as database:
            while not over.wait(0.1):
                database.beat([trial])
                begun.set()

    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(beat)
        assert begun.wait(HANGING)
        try:
            yield
        finally:
            over.set()
        running.result()


@pytest.mark.usefixtures("hurried")
def test_a_trial_that_nobody_has_ever_beaten_dies_too(opened: Opened) -> None:
    database = opened()
    study = new_study(database)
    cut_after_the_next_commit()
    mine = optuna.Trial(study, study._storage.create_new_trial(study._study_id))
    database.beat([mine])
    assert (mine.number, database.dead(study)) == (1, [])
    time.sleep(2.0)
    assert numbers_of_the_dead(database, study) == [0]


@pytest.mark.usefixtures("hurried")
def test_who_was_held_up_does_not_think_itself_dead(opened: Opened) -> None:
    database = opened()
    study = new_study(database)
    database.beat([study.ask()])
    time.sleep(2.0)
    assert numbers_of_the_dead(database, study) == []
    other = opened()
    assert numbers_of_the_dead(other, load_study(other)) == [0]
    database.beat([])
    assert numbers_of_the_dead(database, study) == [0]


@pytest.mark.usefixtures("hurried")
def test_all_are_given_time_after_the_database_was_away(postgresql: Server, opened: Opened) -> None:
    database, other = opened(), opened()
    study = new_study(database)
    other.beat([load_study(other).ask()])
    down_for(postgresql, 2.0)
    assert database.dead(study) == []
    newcomer = opened()
    assert newcomer.dead(load_study(newcomer)) == []
    time.sleep(2.0)
    assert numbers_of_the_dead(database, study) == [0]
    assert numbers_of_the_dead(newcomer, load_study(newcomer)) == [0]


@pytest.mark.usefixtures("hurried")
def test_who_was_cut_off_gives_time_to_others_who_may_have_been_too(
    postgresql: Server, url: str, opened: Opened
) -> None:
    database, other = opened(), opened()
    study = new_study(database)
    other.beat([load_study(other).ask()])
    name = url.rpartition("/")[2]
    postgresql.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
    postgresql.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'archsearch'")
    Timer(2.0, postgresql.execute, [f"ALTER DATABASE {name} ALLOW_CONNECTIONS true"]).start()
    assert database.dead(study) == []
    time.sleep(2.0)
    assert numbers_of_the_dead(database, study) == [0]


def heartbeats(server: Server, url: str) -> list[Any]:
    return server.execute("SELECT heartbeat FROM trial_heartbeats ORDER BY trial_id", url.rpartition("/")[2])


def test_beats_are_few(postgresql: Server, url: str, opened: Opened, monkeypatch: pytest.MonkeyPatch) -> None:
    database = opened()
    study = new_study(database)
    trials = [study.ask()]
    database.beat(trials)
    (first,) = heartbeats(postgresql, url)
    trials.append(study.ask())
    database.beat(trials)
    unmoved, second = heartbeats(postgresql, url)
    assert unmoved == first < second
    monkeypatch.setattr(databases, "HEARTBEAT_SECONDS", 0)
    database.beat(trials)
    assert all(after > before for after, before in zip(heartbeats(postgresql, url), (first, second), strict=True))


def test_heartbeats_are_of_one_time_zone(opened: Opened, monkeypatch: pytest.MonkeyPatch) -> None:
    database = opened()
    study = new_study(database)
    trial = study.ask()
    for zone in ("America/New_York", "Asia/Tokyo"):
        monkeypatch.setenv("PGTZ", zone)
        far = opened()
        far.beat([trial])
        ((_, silence, _),) = database._silences(study._study_id)
        assert silence is not None
        assert 0 <= silence < 5

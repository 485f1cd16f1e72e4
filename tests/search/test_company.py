"""Several coordinators on one study in a real database: real processes, killed."""

import json
import os
import signal
import time
from contextlib import ExitStack, closing
from pathlib import Path
from urllib.request import urlopen

import optuna
import pytest
from dashboards import begun
from databases import PASSWORD, Server, needs_postgresql
from optuna.trial import FrozenTrial, TrialState
from searches import Done, background, contents, wait_for_the_end_of
from spaces import SMALL

from archsearch.search import record
from archsearch.search.address import parse_address
from archsearch.search.database import open_database
from archsearch.search.record import TrialRecord
from archsearch.search.storage import create_study

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("company"), needs_postgresql]


def command(tmp_path: Path, machine: str, url: str, trials: int, epochs: int = 2, *more: object) -> list[object]:
    """What a machine runs; each has a disk of its own."""
    space = tmp_path / "small.yaml"
    space.write_text(SMALL.replace("  epochs: 2\n", ""))
    own = ("--out", tmp_path / machine / "study", "--storage", url)
    how = ("--trials", trials, "--epochs", epochs, "--folds", 2, "--workers", 1, "--pruner", "none", "--finalists", 0)
    return ["search", space, "--data", "digits", *how, *own, *more]


def read(url: str) -> tuple[list[FrozenTrial], list[TrialRecord]]:
    """All trials, as Optuna has them and as we do."""
    with closing(open_database(parse_address(url), "study")) as database:
        study = optuna.load_study(study_name="study", storage=database.storage)
        return study.get_trials(), record.read(study)


def is_training(url: str) -> bool:
    return any(each.state == "running" and each.reports for each in read(url)[1])


def check_accounts(url: str, trials: int) -> list[TrialRecord]:
    """Every trial has ended, none twice, and as many have trained as the budget says."""
    drawn, found = read(url)
    assert all(trial.state.is_finished() or trial.state == TrialState.WAITING for trial in drawn)
    trained = [each for each in found if each.state in ("complete", "pruned")]
    assert len(trained) == trials
    assert len({each.digest for each in trained}) == trials
    assert all(len(each.fold_scores) == 2 for each in trained if each.state == "complete")
    return found


def test_two_machines_share_a_study_and_its_budget(
    tmp_path: Path, postgresql: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = postgresql.new_database()
    with ExitStack() as stack:
        machines = [stack.enter_context(background(*command(tmp_path, name, url, 6))) for name in "ab"]
        done = [machine.finish() for machine in machines]
    assert [each.code for each in done] == [0, 0], done
    found = check_accounts(url, 6)
    assert sum(each.baseline and each.state == "complete" for each in found) == 1
    # One of them retrains; both have a report of everything.
    models = [(tmp_path / name / "study" / "best" / "model.keras").is_file() for name in "ab"]
    assert sorted(models) == [False, True]
    assert sum("retrained elsewhere" in each.out for each in done) == 1
    for name in "ab":
        told = json.loads((tmp_path / name / "study" / "report.json").read_text())
        assert len(told["ranking"]) == sum(each.state == "complete" for each in found)
    monkeypatch.setenv("PGPASSWORD", PASSWORD)
    with begun(tmp_path / "b" / "study") as (page, _):
        (shown,) = json.load(urlopen(f"{page}/api/studies", timeout=30))["study_summaries"]
        trials = json.load(urlopen(f"{page}/api/studies/{shown['study_id']}?after=0", timeout=30))["trials"]
        assert (shown["study_name"], len(trials)) == ("study", len(found))
        assert trials[0]["note"]["body"].startswith("## Trial 0, the baseline: complete")
    for each in done:
        assert PASSWORD not in each.out + each.err
    for path, content in contents(tmp_path).items():
        assert PASSWORD.encode() not in content, path
        assert url.partition("@")[0].encode() not in content, path


def test_a_machine_that_dies_is_replaced_within_a_minute(tmp_path: Path, postgresql: Server) -> None:
    url = postgresql.new_database()
    with background(*command(tmp_path, "a", url, 3, 200)) as first:
        first.wait_for(lambda: is_there(tmp_path / "a") and is_training(url))
        os.kill(first.process.pid, signal.SIGKILL)
        killed = time.time()
        wait_for_the_end_of(first.process.pid)
    with closing(open_database(parse_address(url), "study")) as database:
        optuna.load_study(study_name="study", storage=database.storage).ask()  # and another, before it began anything
    with background(*command(tmp_path, "b", url, 3, 200)) as second:
        done = second.finish()
    assert done.code == 0, done
    found = check_accounts(url, 3)
    (lost,) = [each for each in found if each.state == "interrupted"]
    assert lost.reason == "its coordinator is gone"
    assert lost.ended is not None
    assert lost.ended - killed < 60
    (again,) = [each for each in found if each.digest == lost.digest and each.number != lost.number]
    assert again.carried == len(lost.fold_scores)


def is_there(machine: Path) -> bool:
    return (machine / "study" / "study.json").is_file()


@pytest.mark.parametrize("how", ["restart", "kill", "kill while it retrains"])
def test_a_database_that_goes_away_is_waited_for(tmp_path: Path, postgresql: Server, how: str) -> None:
    url = postgresql.new_database()
    with background(*command(tmp_path, "a", url, 4, 20)) as machine:
        if how == "kill while it retrains":
            machine.until("retraining")
        else:
            machine.wait_for(lambda: is_there(tmp_path / "a") and is_training(url))
        if how == "restart":
            postgresql.restart()
        else:
            postgresql.kill()
            time.sleep(8)
            postgresql.start()
        done = machine.finish()
    assert done.code == 0, done
    assert "report: " in done.out
    found = check_accounts(url, 4)
    assert {each.state for each in found} <= {"complete", "pruned", "duplicate", "infeasible"}
    assert how == "restart" or "the database answers again" in done.err


def test_ctrl_c_ends_what_waits_for_a_database(tmp_path: Path, postgresql: Server) -> None:
    url = postgresql.new_database()
    with background(*command(tmp_path, "a", url, 4, 500)) as machine:
        machine.wait_for(lambda: is_there(tmp_path / "a") and is_training(url))
        postgresql.kill()
        try:
            time.sleep(3)
            began = time.monotonic()
            machine.ctrl_c()
            done = machine.finish()
            assert time.monotonic() - began < 20
        finally:
            postgresql.start()
    assert done.code == 1
    assert "the database does not answer" in done.err
    assert "Traceback" not in done.err


def test_a_study_whose_first_coordinator_was_killed_at_once_is_begun(tmp_path: Path, postgresql: Server) -> None:
    url = postgresql.new_database()
    with closing(open_database(parse_address(url), "study")) as database:
        create_study(database.storage, "study", ("accuracy",))
    words = command(tmp_path, "a", url, 2)
    with background(*words) as machine:
        machine.wait_for(lambda: is_there(tmp_path / "a"))
        with background(*words) as same_folder:
            refused = same_folder.finish()
        done = machine.finish()
    assert done.code == 0, done
    assert sum(each.baseline and each.state == "complete" for each in check_accounts(url, 2)) == 1
    assert (refused.code, "another archsearch is at work on this study" in refused.err) == (2, True)


def test_another_study_of_the_same_name_is_left_alone(tmp_path: Path, postgresql: Server) -> None:
    url = postgresql.new_database()

    def run(machine: str, *more: object) -> Done:
        with background(*command(tmp_path, machine, url, 1, 1, *more)) as running:
            return running.finish()

    assert run("a").code == 0
    other = run("b", "--seed", 5)
    assert other.code == 2
    assert "--seed has changed since it began (found 5, expected 0)" in other.err
    assert not is_there(tmp_path / "b")

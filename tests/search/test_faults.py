"""Whole searches whose coordinator is killed where it hurts most, and Ctrl-C beside a worker that does not listen."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import optuna
import pytest
from searches import alive_in, background, kill_group, wait_for_the_end_of, workers_of
from soak import checks
from spaces import SMALL

from archsearch.search import record
from archsearch.search.executors.local import GRACE_SECONDS
from archsearch.search.storage import open_study
from archsearch.study import Study

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("faults")]

TRIALS = 3

KILLED = """
import os, signal, sys
from importlib import import_module

def dies_at(where, when, condition):
    module, _, path = where.partition(":")
    *owners, name = path.split(".")
    owner = import_module(module)
    for each in owners:
        owner = getattr(owner, each)
    real = getattr(owner, name)

    def dies(*args, **kwargs):
        if when == "before" and eval(condition):
            os.kill(os.getpid(), signal.SIGKILL)
        found = real(*args, **kwargs)
        if when == "after" and eval(condition):
            os.kill(os.getpid(), signal.SIGKILL)
        return found

    setattr(owner, name, dies)

if __name__ == "__main__":
    where, when, condition, *words = sys.argv[1:]
    dies_at(where, when, condition)
    sys.argv = ["archsearch", *words]
    from archsearch.cli import main
    main()
"""
"""The command, which is killed before or after a call of a function, once a condition on its `args` holds."""

WRITE = "archsearch.search.record:write"
POINTS = {
    "the baseline was drawn and not begun": ("archsearch.search.ledger:Ledger.begin", "before", "True"),
    "a first fold is over": (WRITE, "after", "len(args[1].fold_scores) == 1"),
    "a last fold is over": (WRITE, "after", "args[1].state == 'running' and len(args[1].fold_scores) == 2"),
    "a trial is complete, and Optuna not told": (WRITE, "after", "args[1].state == 'complete'"),
    "a finalist's second run is not begun": ("archsearch.search.ledger:Ledger.ask_again", "after", "True"),
    "the winner is trained and not saved": ("archsearch.retrain:_follow", "after", "True"),
    "the report is not written": ("archsearch.report.page:write_whole", "before", "True"),
}


def command(space: Path, out: Path) -> list[str]:
    space.write_text(SMALL)
    options = {"--trials": TRIALS, "--folds": 2, "--workers": 2, "--finalists": 2, "--pruner": "none", "--out": out}
    return ["search", str(space), *(str(word) for option in options.items() for word in option)]


def test_a_search_that_is_killed_at_every_turn_comes_to_its_end(tmp_path: Path) -> None:
    words, study = command(tmp_path / "small.yaml", tmp_path / "study"), Study(tmp_path / "study")
    script = tmp_path / "killed.py"
    script.write_text(KILLED)
    for point, (where, when, condition) in POINTS.items():
        search = subprocess.Popen(
            [sys.executable, script, where, when, condition, *words],
            stdout=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            assert search.wait(timeout=90) == -signal.SIGKILL, point
            wait_for_the_end_of(search.pid)
        finally:
            kill_group(search.pid)
    with background(*words) as search_again:
        done = search_again.finish()
    assert (done.code, done.err) == (0, "")
    kept = open_study(study.folder)
    trials, records = kept.get_trials(), record.read(kept)
    for wrong in (
        checks.states(records),
        checks.numbers(trials, records, deaths=len(POINTS)),
        checks.budget(records, TRIALS),
        checks.folds(records),
    ):
        assert [*wrong] == []
    baseline = record.find_baseline(records)
    assert baseline is not None
    assert baseline.state == "complete"
    assert any(each.carried for each in records)
    assert sum(each.state == "confirmation" for each in records) == 2
    assert study.is_retrained
    winner = study.winner()
    assert winner is not None
    assert study.collect().openings == (winner.test,)
    assert study.folder.report.is_file()
    assert [trial.state for trial in trials if trial.state == optuna.trial.TrialState.WAITING] == []


@pytest.mark.parametrize("presses", [1, 2])
def test_ctrl_c_beside_a_worker_that_is_stopped(tmp_path: Path, presses: int) -> None:
    words, study = command(tmp_path / "small.yaml", tmp_path / "study"), Study(tmp_path / "study")
    (tmp_path / "small.yaml").write_text(SMALL.replace("epochs: 2", "epochs: 10000"))
    with background(*words) as search:
        search.wait_for(lambda: study.folder.info.is_file() and len(study.trials()) == 2)
        time.sleep(2.0)  # into the training
        for worker in workers_of(search.process.pid):
            os.kill(worker, signal.SIGSTOP)
        for _ in range(presses):
            search.ctrl_c()
            time.sleep(0.5)
        began = time.monotonic()
        done = search.finish()
        assert done.code == 130
        assert "Traceback" not in done.err
        assert time.monotonic() - began < GRACE_SECONDS + 10
        wait_for_the_end_of(search.process.pid)
        assert not alive_in(search.process.pid)
    assert {(each.state, each.reason) for each in study.trials()} == {("interrupted", "the search ended before it did")}

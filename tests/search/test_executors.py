"""What every executor promises, and what the local one does when its processes die."""

import os
import re
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from candidates import architecture, block, candidate
from searches import server_of, workers_of

from archsearch.data.sources import load_data
from archsearch.data.splits import Splits, make_splits
from archsearch.search.executors import processes
from archsearch.search.executors.base import Executor
from archsearch.search.executors.local import LocalExecutor
from archsearch.space.architecture import SGD, Augment, Stage
from archsearch.space.hyper import HyperCandidate, HyperRecipe
from archsearch.training.job import Outcome, Report, TrialJob

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("executors")]

EXECUTORS = {"local": lambda: LocalExecutor(2)}


@pytest.fixture(params=EXECUTORS)
def executor(request: pytest.FixtureRequest) -> Iterator[Executor]:
    made = EXECUTORS[request.param]()
    yield made
    made.close()


@pytest.fixture(scope="module")
def splits() -> Splits:
    return make_splits(load_data("digits"), folds=3, seed=0)


def job(splits: Splits, trial: int, epochs: int = 1, **recipe: Any) -> TrialJob:
    points = tuple(epoch / epochs for epoch in range(1, min(epochs, 100) + 1))
    return TrialJob(trial, candidate(epochs=epochs, **recipe), splits.train.path, splits.folds, points, seed=0)


def until_over(executor: Executor, count: int, seconds: float = 90) -> list[Report | Outcome]:
    """Events until `count` jobs are over."""
    found: list[Report | Outcome] = []
    deadline = time.monotonic() + seconds
    while sum(isinstance(event, Outcome) for event in found) < count:
        assert time.monotonic() < deadline, f"still waiting, with {found}"
        found += executor.events(0.5)
    return found


def test_reports_come_in_order_and_one_outcome_ends_a_job(executor: Executor, splits: Splits) -> None:
    executor.submit(job(splits, 4, epochs=2))
    executor.submit(job(splits, 7, epochs=1))
    events = until_over(executor, 2)
    for trial, epochs in ((4, 2), (7, 1)):
        mine = [event for event in events if event.trial == trial]
        steps = [(event.fold, event.epoch) for event in mine if isinstance(event, Report)]
        assert steps == [(fold, epoch) for fold in range(3) for epoch in range(1, epochs + 1)]
        ended = mine[-1]
        assert isinstance(ended, Outcome)
        assert (ended.state, ended.error) == ("finished", "")
        assert ended.peak_memory > 50e6
    assert executor.events(0) == []


def test_what_one_job_has_compiled_the_next_one_finds(splits: Splits) -> None:
    (where,) = re.findall(r"directory=(\S+)", processes._compiled()["TF_XLA_FLAGS"])
    executor = LocalExecutor(1)
    found = []
    for trial, (kernel, rotate) in enumerate([(3, 10.0), (5, 3.0)]):
        network = architecture(Stage(blocks=(block(kernel=kernel),) * (trial + 1), downsample="max"))
        made = candidate(network, epochs=1, augment=Augment(rotate=rotate, shift=0.1))
        executor.submit(TrialJob(trial, made, splits.train.path, splits.folds[:1], (1.0,), seed=0))
        assert isinstance(until_over(executor, 1)[-1], Outcome)
        found.append(set(Path(where).iterdir()))
    executor.close()
    assert found[0] == found[1] != set()


def test_a_stopped_job_ends_soon(executor: Executor, splits: Splits) -> None:
    executor.submit(job(splits, 1, epochs=10_000))
    while not executor.events(1.0):
        pass
    executor.stop(1)
    executor.stop(1)
    last = until_over(executor, 1)[-1]
    assert isinstance(last, Outcome)
    assert last.state == "stopped"
    executor.stop(1)
    assert executor.events(0) == []


def test_a_candidate_that_cannot_be_trained_says_why(executor: Executor, splits: Splits) -> None:
    linear = block(norm="none", activation="elu")
    stage = Stage(blocks=(linear,) * 6, downsample="average")  # deep enough to overflow whatever the seed
    made = candidate(architecture(stage), optimizer=SGD(learning_rate=100.0))
    executor.submit(TrialJob(3, made, splits.train.path, splits.folds, (1.0,), seed=0))
    last = until_over(executor, 1)[-1]
    assert isinstance(last, Outcome)
    assert last.state == "failed"
    assert "training loss became" in last.error


def test_an_exception_in_a_worker_is_its_error(executor: Executor, splits: Splits, tmp_path: Path) -> None:
    executor.submit(TrialJob(3, candidate(), tmp_path / "gone", splits.folds, (1.0,), seed=0))
    last = until_over(executor, 1)[-1]
    assert isinstance(last, Outcome)
    assert last.state == "failed"
    assert "gone" in last.error


def test_the_same_job_gives_the_same_reports(executor: Executor, splits: Splits) -> None:
    executor.submit(job(splits, 1))
    executor.submit(job(splits, 2))
    events = [event for event in until_over(executor, 2) if isinstance(event, Report)]
    one, two = ([(e.fold, e.loss, e.val_accuracy) for e in events if e.trial == trial] for trial in (1, 2))
    assert one == two


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV])
def test_a_killed_worker_is_one_failed_job(splits: Splits, number: signal.Signals) -> None:
    executor = LocalExecutor(2)
    executor.submit(job(splits, 1, epochs=10_000))
    while not executor.events(1.0):
        pass
    (worker,) = workers_of(os.getpid())
    os.kill(worker, number)
    last = until_over(executor, 1)[-1]
    assert isinstance(last, Outcome)
    assert last.state == "failed"
    assert number.name in last.error
    executor.submit(job(splits, 2))
    assert isinstance(until_over(executor, 1)[-1], Outcome)
    executor.close()


def test_a_worker_that_does_not_listen_is_killed(splits: Splits, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("archsearch.search.executors.local.GRACE_SECONDS", 0.5)
    executor = LocalExecutor(1)
    executor.submit(job(splits, 1, epochs=10_000))
    while not executor.events(1.0):
        pass
    (worker,) = workers_of(os.getpid())
    os.kill(worker, signal.SIGSTOP)
    executor.stop(1)
    last = until_over(executor, 1)[-1]
    assert isinstance(last, Outcome)
    assert last.state == "stopped"
    executor.close()


def test_closing_leaves_no_process(splits: Splits) -> None:
    executor = LocalExecutor(2)
    executor.submit(job(splits, 1, epochs=10_000))
    while not executor.events(1.0):
        pass
    assert workers_of(os.getpid())
    executor.close()
    assert not workers_of(os.getpid())


HERE = Path(__file__).parent


def hostile(splits: Splits, name: str, trial: int = 1) -> TrialJob:
    """Trains a HyperModel of `hostile.py`."""
    recipe = HyperRecipe(batch_size=128, epochs=1)
    made = HyperCandidate(code=f"hostile.py:{name}", task=load_data("digits").task, values={}, recipe=recipe)
    return TrialJob(trial, made, splits.train.path, splits.folds, (1.0,), seed=0, code=HERE)


@pytest.mark.parametrize(
    ("name", "cause", "said"),
    [
        ("Exits", "exception", "SystemExit: 0"),
        ("Interrupts", "exception", "KeyboardInterrupt"),
        ("ExitsAtOnce", "worker lost", "ended with exit code 3"),
        ("Aborts", "worker lost", "was killed by SIGABRT"),
        ("Hungry", "out of memory", "MemoryError"),
        ("LosesItsWay", "not a number", "became nan"),
    ],
)
def test_a_models_own_code_fails_one_job(splits: Splits, name: str, cause: str, said: str) -> None:
    executor = LocalExecutor(1)
    executor.submit(hostile(splits, name))
    last = until_over(executor, 1)[-1]
    executor.close()
    assert isinstance(last, Outcome)
    assert (last.state, last.cause) == ("failed", cause)
    assert said in last.error


def test_a_thread_that_a_models_code_leaves_keeps_nobody(splits: Splits) -> None:
    executor = LocalExecutor(1)
    executor.submit(hostile(splits, "LeavesAThread"))
    last = until_over(executor, 1)[-1]
    assert isinstance(last, Outcome)
    assert last.state == "finished"
    assert not workers_of(os.getpid())
    executor.close()


def test_a_model_that_catches_everything_is_stopped_all_the_same(
    splits: Splits, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("archsearch.search.executors.local.GRACE_SECONDS", 0.5)
    executor = LocalExecutor(1)
    executor.submit(hostile(splits, "Deaf"))
    executor.events(3.0)
    executor.stop(1)
    last = until_over(executor, 1)[-1]
    executor.close()
    assert isinstance(last, Outcome)
    assert last.state == "stopped"


def test_a_worker_that_makes_no_step_has_stalled(splits: Splits) -> None:
    executor = LocalExecutor(1, timeout=3.0)
    executor.submit(job(splits, 1, epochs=10_000))
    while not executor.events(1.0):
        pass
    (worker,) = workers_of(os.getpid())
    os.kill(worker, signal.SIGSTOP)
    last = until_over(executor, 1)[-1]
    executor.close()
    assert isinstance(last, Outcome)
    assert (last.state, last.cause) == ("failed", "stalled")
    assert "no training step for 3 s" in last.error


def test_time_in_which_nobody_looked_is_no_silence(splits: Splits) -> None:
    executor = LocalExecutor(1, timeout=3.0)
    executor.submit(job(splits, 1, epochs=10_000))
    while not executor.events(1.0):
        pass
    (worker,) = workers_of(os.getpid())
    os.kill(worker, signal.SIGSTOP)
    executor.events(0.0)
    time.sleep(4.0)  # the machine sleeps, with all that is on it
    assert not [event for event in executor.events(0.0) if isinstance(event, Outcome)]
    os.kill(worker, signal.SIGCONT)
    assert all(isinstance(event, Report) for event in executor.events(1.0))
    executor.close()


def test_a_killed_server_loses_its_jobs_and_the_next_ones_get_another(splits: Splits) -> None:
    executor = LocalExecutor(2)
    executor.submit(job(splits, 1, epochs=10_000))
    while not executor.events(1.0):
        pass
    before = server_of(os.getpid())
    assert before is not None
    os.kill(before, signal.SIGKILL)
    executor.submit(job(splits, 2))  # at once: it may still be on its way out
    outcomes = {event.trial: event for event in until_over(executor, 2) if isinstance(event, Outcome)}
    executor.close()
    assert (outcomes[1].state, outcomes[1].cause) == ("failed", "worker lost")
    assert outcomes[2].state == "finished"
    assert server_of(os.getpid()) != before


@pytest.mark.parametrize("how", ["trains", "hangs", "is stopped"])
def test_workers_end_when_the_coordinator_dies(splits: Splits, tmp_path: Path, how: str) -> None:
    script = tmp_path / "coordinator.py"
    script.write_text(
        textwrap.dedent(f"""
        import sys
        sys.path[:0] = [{str(HERE)!r}, {str(HERE.parent)!r}]
        from archsearch.data.sources import load_data
        from archsearch.data.splits import make_splits
        from archsearch.search.executors.local import LocalExecutor
        from test_executors import hostile, job

        if __name__ == "__main__":
            splits = make_splits(load_data("digits"), folds=3, seed=0)
            executor = LocalExecutor(1)
            executor.submit(hostile(splits, "Loops") if {how == "hangs"} else job(splits, 1, epochs=10_000))
            executor.events(3.0)
            print("training", flush=True)
            while True:
                executor.events(1.0)
        """)
    )
    with subprocess.Popen([sys.executable, script], stdout=subprocess.PIPE, text=True) as coordinator:
        try:
            assert coordinator.stdout is not None
            assert coordinator.stdout.readline() == "training\n"
            server = server_of(coordinator.pid)
            assert server is not None
            left = [*workers_of(coordinator.pid), server]
            assert len(left) == 2
            if how == "is stopped":
                os.kill(left[0], signal.SIGSTOP)
        finally:
            coordinator.kill()
    deadline = time.monotonic() + 30
    while there := [pid for pid in left if is_there(pid)]:
        if time.monotonic() > deadline:
            for pid in there:
                os.kill(pid, signal.SIGKILL)
            pytest.fail("a process goes on without its coordinator")
        time.sleep(0.2)


def is_there(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists() and ") Z " not in Path(f"/proc/{pid}/stat").read_text()

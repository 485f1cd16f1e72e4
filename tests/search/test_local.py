"""What the local executor does with models that misbehave, and when its processes die."""

import os
import re
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from threading import Thread

import pytest
from candidates import architecture, block, candidate
from jobs import job, until_over
from searches import server_of, workers_of

from archsearch.data.sources import load_data
from archsearch.data.splits import Splits, make_splits
from archsearch.search.executors import processes
from archsearch.search.executors.local import LocalExecutor
from archsearch.space.architecture import Augment, Stage
from archsearch.space.hyper import HyperCandidate, HyperRecipe
from archsearch.training.job import Outcome, Report, TrialJob

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("executors")]


@pytest.fixture(scope="module")
def splits() -> Splits:
    return make_splits(load_data("digits"), folds=3, seed=0)


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


def test_a_stopped_server_is_killed_and_replaced(splits: Splits, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "ANSWER_SECONDS", 2)
    executor = LocalExecutor(2)
    executor.submit(job(splits, 1, epochs=10_000))
    while not executor.events(1.0):
        pass
    server, (worker,) = server_of(os.getpid()), workers_of(os.getpid())
    assert server is not None
    os.kill(server, signal.SIGSTOP)
    os.kill(worker, signal.SIGKILL)
    *_, lost = until_over(executor, 1)
    assert isinstance(lost, Outcome)
    assert lost.cause == "worker lost"
    executor.submit(job(splits, 2, epochs=10_000))
    while not executor.events(1.0):
        pass
    after = server_of(os.getpid())
    assert after not in (None, server)
    os.kill(after, signal.SIGSTOP)
    executor.submit(job(splits, 3))
    outcomes = {event.trial: event for event in until_over(executor, 2) if isinstance(event, Outcome)}
    executor.close()
    assert (outcomes[2].state, outcomes[2].cause) == ("failed", "worker lost")
    assert outcomes[3].state == "finished"


def test_a_worker_that_is_stopped_before_it_knows_what_to_do_ends_with_its_server(splits: Splits) -> None:
    executor = LocalExecutor(1)
    executor.submit(job(splits, 1, epochs=10_000))
    (worker,) = workers_of(os.getpid())
    os.kill(worker, signal.SIGSTOP)
    server = server_of(os.getpid())
    assert server is not None
    os.kill(server, signal.SIGKILL)
    deadline = time.monotonic() + 10
    while Path(f"/proc/{worker}").exists():
        assert time.monotonic() < deadline, "it is stopped for ever"
        time.sleep(0.1)
    executor.close()


def test_a_server_that_is_stopped_while_it_loads_is_replaced(splits: Splits, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "ANSWER_SECONDS", 2)
    if (loaded := server_of(os.getpid())) is not None:
        os.kill(loaded, signal.SIGKILL)

    def stop() -> None:
        while (server := server_of(os.getpid())) in (None, loaded):
            time.sleep(0.05)
        assert server is not None
        os.kill(server, signal.SIGSTOP)

    stopping = Thread(target=stop)
    stopping.start()
    executor = LocalExecutor(1)
    executor.submit(job(splits, 1))
    stopping.join()
    *_, last = until_over(executor, 1)
    executor.close()
    assert isinstance(last, Outcome)
    assert last.state == "finished"


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
        from jobs import job
        from test_local import hostile

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

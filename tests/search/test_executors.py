"""What every executor promises, and what Ray's does when its nodes die."""

import os
import re
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from candidates import architecture, block, candidate
from jobs import job, until_over
from ray.cluster_utils import Cluster
from searches import COMMAND
from spaces import SMALL

from archsearch.data.sources import load_data
from archsearch.data.splits import Splits, make_splits
from archsearch.errors import InputError
from archsearch.search.executors.base import Executor
from archsearch.search.executors.local import LocalExecutor
from archsearch.search.executors.ray import QUIET, RayExecutor
from archsearch.space.architecture import SGD, Stage
from archsearch.training.job import Outcome, Report, TrialJob

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("executors")]

EXECUTORS: dict[str, Callable[[], Executor]] = {
    "local": lambda: LocalExecutor(2, timeout=12.0),
    "ray": lambda: RayExecutor(2, timeout=12.0),
}


@pytest.fixture(scope="module")
def cluster(shared_cache: Path) -> Iterator[Cluster]:
    """A Ray cluster with one node, which every executor here joins."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in QUIET.items():
            patch.setenv(name, value)
        made = Cluster(initialize_head=True, head_node_args={"num_cpus": 4, "num_gpus": 0})
        patch.setenv("RAY_ADDRESS", made.address)
        yield made
        made.shutdown()  # type: ignore[no-untyped-call]


@pytest.fixture(scope="module", params=EXECUTORS)
def kind(request: pytest.FixtureRequest) -> str:
    if request.param == "ray":
        request.getfixturevalue("cluster")
    return str(request.param)


@pytest.fixture(scope="module")
def executor(kind: str) -> Iterator[Executor]:
    made = EXECUTORS[kind]()
    yield made
    made.close()


@pytest.fixture(scope="module")
def splits() -> Splits:
    return make_splits(load_data("digits"), folds=3, seed=0)


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


def workers_of(pid: int) -> list[int]:
    """Processes that train, in the forkservers of `pid` and of its descendants."""
    listing = subprocess.run(["ps", "-ewwo", "pid=,ppid=,args="], capture_output=True, text=True, check=True).stdout
    table = {int(row[0]): (int(row[1]), row[2]) for row in (line.split(None, 2) for line in listing.splitlines())}

    def is_below(process: int) -> bool:
        return process == pid or (process in table and is_below(table[process][0]))

    forked = [process for process, (_, command) in table.items() if "forkserver" in command and is_below(process)]
    return [process for process in forked if table[process][0] in forked]


def parent(process: int) -> int:
    return int(re.search(r"^PPid:\s+(\d+)", Path(f"/proc/{process}/status").read_text(), re.MULTILINE)[1])  # type: ignore[index]


def wait_for_the_end_of(process: int) -> None:
    deadline = time.monotonic() + 30
    while Path(f"/proc/{process}").exists() and "Z" not in Path(f"/proc/{process}/stat").read_text():
        assert time.monotonic() < deadline, "the worker goes on"
        time.sleep(0.2)


def until_training(executor: Executor) -> int:
    """Waits for a report, and returns the one process that trains."""
    while not any(isinstance(event, Report) for event in executor.events(1.0)):
        pass
    (worker,) = workers_of(os.getpid())
    return worker


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV])
def test_a_killed_worker_is_one_failed_job(executor: Executor, splits: Splits, number: signal.Signals) -> None:
    executor.submit(job(splits, 1, epochs=10_000))
    os.kill(until_training(executor), number)
    last = until_over(executor, 1)[-1]
    assert isinstance(last, Outcome)
    assert (last.state, last.cause) == ("failed", "worker lost")
    assert number.name in last.error
    executor.submit(job(splits, 2))
    last = until_over(executor, 1)[-1]
    assert isinstance(last, Outcome)
    assert last.state == "finished"


def test_a_worker_that_does_not_listen_is_killed(executor: Executor, splits: Splits) -> None:
    executor.submit(job(splits, 1, epochs=10_000))
    os.kill(until_training(executor), signal.SIGSTOP)
    executor.stop(1)
    last = until_over(executor, 1)[-1]
    assert isinstance(last, Outcome)
    assert last.state == "stopped"


def test_a_worker_that_makes_no_step_is_stalled(executor: Executor, splits: Splits) -> None:
    executor.submit(job(splits, 1, epochs=10_000))
    os.kill(until_training(executor), signal.SIGSTOP)
    last = until_over(executor, 1)[-1]
    assert isinstance(last, Outcome)
    assert (last.state, last.cause) == ("failed", "stalled")
    assert "no training step for 12 s" in last.error


def test_closing_leaves_no_process(kind: str, splits: Splits) -> None:
    executor = EXECUTORS[kind]()
    executor.submit(job(splits, 1, epochs=10_000))
    worker = until_training(executor)
    executor.close()
    executor.close()
    wait_for_the_end_of(worker)


def test_workers_end_when_the_coordinator_dies(kind: str, splits: Splits, tmp_path: Path) -> None:
    np.savez(tmp_path / "folds.npz", *splits.folds)
    script = tmp_path / "coordinator.py"
    script.write_text(
        textwrap.dedent(f"""
        import sys, time
        from pathlib import Path
        import numpy as np
        sys.path.insert(0, {str(Path(__file__).parents[1])!r})
        from candidates import candidate
        from archsearch.search.executors.{kind} import {kind.title()}Executor
        from archsearch.training.job import TrialJob

        if __name__ == "__main__":
            folds = tuple(np.load({str(tmp_path / "folds.npz")!r}).values())
            executor = {kind.title()}Executor(1)
            executor.submit(TrialJob(0, candidate(epochs=10_000), Path({str(splits.train.path)!r}), folds, (1e-4,), 0))
            while not executor.events(1.0):
                pass
            print("training", flush=True)
            time.sleep(600)
        """)
    )
    with subprocess.Popen([sys.executable, script], stdout=subprocess.PIPE, text=True) as coordinator:
        try:
            assert coordinator.stdout is not None
            assert coordinator.stdout.readline() == "training\n"
            (worker,) = workers_of(os.getpid())
        finally:
            coordinator.kill()
    wait_for_the_end_of(worker)


# Ray only -----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def second_node(cluster: Cluster) -> Any:
    """The only one with five CPUs."""
    return cluster.add_node(num_cpus=5, num_gpus=0)


@pytest.fixture(scope="module")
def elsewhere(second_node: Any) -> Iterator[RayExecutor]:
    """Its jobs run on the second node."""
    made = RayExecutor(cpus=5)
    yield made
    made.close()


def test_a_node_without_the_images_is_sent_them(elsewhere: RayExecutor, splits: Splits, tmp_path: Path) -> None:
    assert elsewhere.workers == 1
    images = Path(shutil.copytree(splits.train.path, tmp_path / "images"))
    reports = []
    for trial in (1, 2):
        elsewhere.submit(TrialJob(trial, candidate(epochs=1), images, splits.folds[:1], (1.0,), seed=0))
        report, outcome = until_over(elsewhere, 1)
        assert isinstance(report, Report)
        assert isinstance(outcome, Outcome)
        assert outcome.state == "finished"
        reports.append((report.loss, report.val_accuracy))
        shutil.rmtree(images, ignore_errors=True)
    assert reports[0] == reports[1]


def test_a_node_that_dies_is_a_failed_job(
    cluster: Cluster, second_node: Any, elsewhere: RayExecutor, splits: Splits
) -> None:
    elsewhere.submit(job(splits, 1, epochs=10_000))
    worker = until_training(elsewhere)
    cluster.remove_node(second_node, allow_graceful=False)
    last = until_over(elsewhere, 1)[-1]
    assert isinstance(last, Outcome)
    assert (last.state, last.cause) == ("failed", "worker lost")
    wait_for_the_end_of(worker)
    elsewhere.submit(job(splits, 1))  # no node is left for it
    assert elsewhere.events(1.0) == []
    elsewhere.stop(1)
    last = until_over(elsewhere, 1, seconds=5)[-1]
    assert isinstance(last, Outcome)
    assert last.state == "stopped"


def test_an_actor_that_does_not_answer_is_killed(cluster: Cluster, splits: Splits) -> None:
    executor = RayExecutor(1)
    executor.submit(job(splits, 1, epochs=10_000))
    worker = until_training(executor)
    os.kill(parent(parent(worker)), signal.SIGSTOP)
    executor.stop(1)
    last = until_over(executor, 1)[-1]
    assert isinstance(last, Outcome)
    assert last.state == "stopped"
    wait_for_the_end_of(worker)
    executor.close()


def test_what_no_node_has_is_refused_at_once(cluster: Cluster) -> None:
    with pytest.raises(InputError, match="asks for 64 CPUs and 0 GPUs, and no node has that: the largest has"):
        RayExecutor(cpus=64)


def test_a_search_on_a_cluster(cluster: Cluster, tmp_path: Path) -> None:
    (tmp_path / "small.yaml").write_text(SMALL)
    study = tmp_path / "study"
    options = ["--executor", "ray", "--workers", 1, "--trials", 2, "--folds", 2, "--out", study]
    words = [str(word) for word in (COMMAND, "search", tmp_path / "small.yaml", *options)]
    refused = subprocess.run([*words, "--gpus-per-trial", "1"], capture_output=True, text=True, check=False)
    assert refused.returncode == 2
    assert refused.stderr.startswith("ray: a trial asks for 1 CPU and 1 GPU, and no node has that")
    assert refused.stderr.count("\n") == 1
    assert not study.exists()
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert (study / "best" / "model.keras").is_file()

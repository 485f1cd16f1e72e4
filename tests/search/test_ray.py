"""What a cluster has room for."""

import pytest

from archsearch.errors import InputError
from archsearch.search.executors.ray import RayExecutor, capacity

HEAD, WORKER = {"CPU": 2.0}, {"CPU": 16.0, "GPU": 2.0}


@pytest.mark.parametrize(
    ("cpus", "gpus", "jobs"),
    [
        (1, 0, 34),
        (4, 0, 8),
        (0.5, 0, 68),
        (0.1, 0, 340),
        (1, 1, 4),
        (1, 0.5, 8),
        (1, 0.1, 32),
        (16, 2, 2),
        (2, 0.3, 12),
        (2, 0.6, 4),
    ],
)
def test_jobs_that_nodes_hold(cpus: float, gpus: float, jobs: int) -> None:
    assert capacity([HEAD, WORKER, WORKER], cpus, gpus) == jobs


@pytest.mark.parametrize(
    ("cpus", "gpus", "message"),
    [
        (17, 0, "asks for 17 CPUs and 0 GPUs, and no node has that: the largest has 16 CPUs and 2 GPUs"),
        (1, 3, "asks for 1 CPU and 3 GPUs, and no node has that: the largest has 16 CPUs and 2 GPUs"),
    ],
)
def test_what_no_node_holds_is_refused(cpus: float, gpus: float, message: str) -> None:
    with pytest.raises(InputError, match=message):
        capacity([HEAD, WORKER, WORKER], cpus, gpus)


def test_a_cluster_that_is_not_there_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:1")
    with pytest.raises(InputError, match=r"RAY_ADDRESS=127\.0\.0\.1:1 cannot be used: .*refused"):
        RayExecutor()


def test_a_cluster_without_nodes_is_refused() -> None:
    with pytest.raises(InputError, match="the largest has 0 CPUs and 0 GPUs"):
        capacity([], 1, 0)

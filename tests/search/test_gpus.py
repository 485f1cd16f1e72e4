"""Which GPUs there are and who gets them, on a machine that has none: `nvidia-smi` is a script here."""

import os
import re
from pathlib import Path

import numpy as np
import pytest
from candidates import architecture, candidate
from searches import Cli

from archsearch.data.sources import load_data
from archsearch.data.splits import make_splits
from archsearch.errors import InputError
from archsearch.search.config import SearchConfig, cores
from archsearch.search.executors import choose
from archsearch.search.executors import gpus as detection
from archsearch.search.executors.choose import UNUSABLE, executor_for, local_executor, workers_for
from archsearch.search.executors.gpus import gpus, identifiers, least_used, usable
from archsearch.search.executors.local import LocalExecutor
from archsearch.space.architecture import Custom, Stage
from archsearch.training.environment import VISIBLE
from archsearch.training.job import Outcome, TrialJob

TWO = """GPU 0: NVIDIA H100 80GB HBM3 (UUID: GPU-aaaa1111-0000-0000-0000-000000000000)
GPU 1: NVIDIA H100 80GB HBM3 (UUID: GPU-bbbb2222-0000-0000-0000-000000000000)
"""
FIRST, SECOND = re.findall(r"GPU-[\w-]+", TWO)
PARTS = """GPU 0: NVIDIA A100-SXM4-40GB (UUID: GPU-aaaa1111-0000-0000-0000-000000000000)
  MIG 3g.20gb     Device  0: (UUID: MIG-cccc3333-0000-0000-0000-000000000000)
  MIG 3g.20gb     Device  1: (UUID: MIG-GPU-dddd4444-0000-0000-0000-000000000000/2/0)
GPU 1: NVIDIA A100-SXM4-40GB (UUID: GPU-bbbb2222-0000-0000-0000-000000000000)
"""
TELLS = f"""
import os
from pathlib import Path
from archsearch.space import layers

Path(__file__).with_name("told").joinpath(str(os.getpid())).write_text(os.environ.get("{VISIBLE}", "not set"))

def block(network, x, block, downsample):
    return network.add(layers.Conv(block.filters, block.kernel, stride=1, bias=False), x)
"""


@pytest.fixture
def two_gpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = tmp_path / "bin" / "nvidia-smi"
    script.parent.mkdir()
    script.write_text(f'#!/bin/sh\n[ "$*" = "-L" ] || exit 9\ncat << END\n{TWO}END\n')
    script.chmod(0o755)
    monkeypatch.setenv("PATH", str(script.parent), prepend=os.pathsep)
    monkeypatch.delenv(VISIBLE, raising=False)


def test_what_nvidia_smi_lists() -> None:
    assert identifiers(TWO) == (FIRST, SECOND)
    assert identifiers(PARTS) == (
        "MIG-cccc3333-0000-0000-0000-000000000000",
        "MIG-GPU-dddd4444-0000-0000-0000-000000000000/2/0",
        SECOND,
    )
    assert identifiers("Model: NVIDIA H100\nGPU UUID:      GPU-aaaa1111-0000\nDevice Minor: 0\n") == (
        "GPU-aaaa1111-0000",
    )
    assert identifiers("NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver.") == ()


@pytest.mark.parametrize(
    ("visible", "found"),
    [
        (None, (FIRST, SECOND)),
        ("", ()),
        ("-1", ()),
        ("NoDevFiles", ()),
        ("1", ("1",)),
        ("1, 0", ("1", "0")),
        ("0,-1,1", ("0",)),
        ("0,7,1", ("0",)),
        ("GPU-bbbb", ("GPU-bbbb",)),
        (f"{SECOND},0", (SECOND, "0")),
    ],
)
def test_a_variable_restricts_them(visible: str | None, found: tuple[str, ...]) -> None:
    assert usable((FIRST, SECOND), visible) == found


def test_the_least_used_device_is_next() -> None:
    assert least_used((), [None]) is None
    assert least_used(("a", "b"), []) == "a"
    assert least_used(("a", "b"), ["a"]) == "b"
    assert least_used(("a", "b"), ["b", "a"]) == "a"
    assert least_used(("a", "b"), ["a", "b", "a"]) == "b"


def test_workers_that_suit_a_machine() -> None:
    assert workers_for(0, None, cores=8) == 8
    assert workers_for(2, None, cores=8) == 2
    assert workers_for(2, 3, cores=8) == 6
    with pytest.raises(InputError, match="workers-per-gpu: found no GPU"):
        workers_for(0, 3, cores=8)


def test_a_machine_is_asked(two_gpus: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choose, "tensorflow_sees_one", lambda: True)
    assert gpus(None) == (FIRST, SECOND)
    assert (local_executor(None).workers, local_executor(None, 2).workers, local_executor(3).workers) == (2, 4, 3)
    monkeypatch.setenv(VISIBLE, "1")
    assert local_executor(None).workers == 1
    with pytest.raises(InputError, match=r"workers: found 999, expected at most \d+ on a machine of \d+ cores"):
        local_executor(999)
    monkeypatch.setenv(VISIBLE, "0,1")
    config = SearchConfig(space=None, data="digits", out=Path("study"), workers_per_gpu=2)
    assert (executor_for(config).workers, executor_for(config).has_gpus) == (4, True)


def test_gpus_that_tensorflow_cannot_use_are_left_alone(two_gpus: None, caplog: pytest.LogCaptureFixture) -> None:
    executor = local_executor(None)
    assert (executor.workers, executor.has_gpus) == (cores(), False)
    assert caplog.messages == [f"{UNUSABLE}; until then, candidates train on the CPU"]
    with pytest.raises(InputError, match="workers-per-gpu: found a GPU that TensorFlow cannot use"):
        local_executor(None, 2)


def test_a_tensorflow_that_breaks_down_in_its_search_sees_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(detection, "_look", os._exit)
    assert not detection.tensorflow_sees_one()


def test_the_driver_is_asked_where_nvidia_smi_is_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(detection, "DRIVER", tmp_path)
    for bus, identifier in (("0000:81:00.0", SECOND), ("0000:41:00.0", FIRST)):
        (tmp_path / bus).mkdir()
        (tmp_path / bus / "information").write_text(f"Model: \t NVIDIA H100\nGPU UUID: \t {identifier}\n")
    assert gpus(None) == (FIRST, SECOND)
    monkeypatch.setattr(detection, "DRIVER", tmp_path / "gone")
    assert gpus(None) == ()


@pytest.mark.slow
@pytest.mark.xdist_group("executors")
@pytest.mark.parametrize(("devices", "told"), [((FIRST, SECOND), [FIRST, SECOND, FIRST]), ((), [])])
def test_a_worker_sees_its_own_gpu(tmp_path: Path, devices: tuple[str, ...], told: list[str]) -> None:
    ours = os.environ[VISIBLE]
    (tmp_path / "told").mkdir()
    (tmp_path / "mine.py").write_text(TELLS)
    splits = make_splits(load_data("digits"), folds=3, seed=0)
    own = Custom(code=f"{tmp_path / 'mine.py'}:block", filters=4, kernel=3, activation="relu", norm="none", dropout=0.0)
    made = candidate(architecture(Stage(blocks=(own,), downsample="none")), epochs=1)
    executor = LocalExecutor(2, gpus=devices)

    def run(*trials: int) -> list[str]:
        before = set((tmp_path / "told").iterdir())
        for trial in trials:
            executor.submit(TrialJob(trial, made, splits.train.path, splits.folds[:1], (1.0,), seed=0, code=tmp_path))
        outcomes: list[Outcome] = []
        while len(outcomes) < len(trials):
            outcomes += [event for event in executor.events(1.0) if isinstance(event, Outcome)]
        assert {(outcome.state, outcome.error) for outcome in outcomes} == {("finished", "")}
        seen = sorted(file.read_text() for file in set((tmp_path / "told").iterdir()) - before)
        return [device for device in seen if device in (FIRST, SECOND)]  # else what the server that forks them has seen

    assert run(1, 2) + run(3) == told
    assert os.environ[VISIBLE] == ours
    executor.close()


def test_the_command_line_counts_gpus(
    two_gpus: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cli: Cli
) -> None:
    done = cli("search", "--workers", 2, "--workers-per-gpu", 2, "--out", tmp_path / "study")
    assert (done.code, done.err) == (2, "workers-per-gpu: found with --workers: expected one\n")
    monkeypatch.setenv(VISIBLE, "-1")
    done = cli("search", "--workers-per-gpu", 2, "--out", tmp_path / "study")
    assert done.code == 2
    assert done.err.startswith("workers-per-gpu: found no GPU")
    assert not (tmp_path / "study").exists()


@pytest.mark.slow
def test_a_search_without_cudas_libraries_trains_on_the_cpu(
    two_gpus: None, tmp_path: Path, cli: Cli, caplog: pytest.LogCaptureFixture
) -> None:
    digits = load_data("digits").train
    np.savez(tmp_path / "few.npz", x=digits.images[:300], y=digits.labels[:300])
    words = ("--data", tmp_path / "few.npz", "--out", tmp_path / "study", "--folds", 2, "--trials", 2)
    assert cli("search", *words).code == 0
    assert caplog.messages[0] == f"{UNUSABLE}; until then, candidates train on the CPU"

"""On a machine that has a GPU: what is trained and shipped there. Everywhere else these are skipped."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from candidates import BLOCK_CLASSES, architecture, block, candidate
from searches import COMMAND

from archsearch.data.sources import load_data
from archsearch.data.splits import Splits, make_splits
from archsearch.search.executors.gpus import gpus, tensorflow_sees_one
from archsearch.search.executors.local import LocalExecutor
from archsearch.space.architecture import Augment, Candidate, Stage
from archsearch.study import Study
from archsearch.training.environment import VISIBLE
from archsearch.training.job import Outcome, Report, TrialJob
from archsearch.training.numerics import COMPILED_STEPS

GPUS = gpus(None)
pytestmark = [
    pytest.mark.slow,
    pytest.mark.xdist_group("gpu"),
    pytest.mark.skipif(not (GPUS and tensorflow_sees_one()), reason="there is no GPU that TensorFlow can use"),
]
FULL = """
import ctypes, sys
cuda, free, total, taken = ctypes.CDLL("libcuda.so.1"), ctypes.c_size_t(), ctypes.c_size_t(), ctypes.c_void_p()
cuda.cuInit(0)
device, context = ctypes.c_int(), ctypes.c_void_p()
cuda.cuDeviceGet(ctypes.byref(device), 0)
cuda.cuCtxCreate_v2(ctypes.byref(context), 0, device)
cuda.cuMemGetInfo_v2(ctypes.byref(free), ctypes.byref(total))
size = free.value - int(sys.argv[1])
while cuda.cuMemAlloc_v2(ctypes.byref(taken), ctypes.c_size_t(size)):
    size -= 2**24
print("full", flush=True)
sys.stdin.read()
"""
"""Takes a GPU's memory but for some bytes, through the driver, which is where its GPU is."""


@pytest.fixture(scope="module")
def splits() -> Splits:
    return make_splits(load_data("digits"), folds=3, seed=0)


@pytest.fixture
def executor() -> Iterator[LocalExecutor]:
    executor = LocalExecutor(8, gpus=GPUS)
    yield executor
    executor.close()


def trained(executor: LocalExecutor, splits: Splits, *made: Candidate) -> list[tuple[Outcome, list[Report]]]:
    """What comes of each, all at once."""
    reports: dict[int, list[Report]] = {number: [] for number in range(len(made))}
    outcomes: dict[int, Outcome] = {}
    for number, each in enumerate(made):
        executor.submit(TrialJob(number, each, splits.train.path, splits.folds[:1], (0.5, 1.0), seed=0))
    while len(outcomes) < len(made):
        for event in executor.events(1.0):
            if isinstance(event, Outcome):
                outcomes[event.trial] = event
            else:
                reports[event.trial].append(event)
    return [(outcomes[number], reports[number]) for number in range(len(made))]


def of_kind(kind: str, **recipe: object) -> Candidate:
    norm = "layer" if kind == "convnext" else "batch"
    stages = [Stage(blocks=(block(kind, norm=norm, dropout=0.2),), downsample=each) for each in ("max", "average")]
    augment = Augment(rotate=10.0, shift=0.1, mixup=0.2, cutout=0.2, erase=0.2)
    return candidate(architecture(*stages), **{"augment": augment, **recipe})


def test_a_short_training_gives_the_same_to_the_last_digit(executor: LocalExecutor, splits: Splits) -> None:
    for kinds in (list(BLOCK_CLASSES)[:4], list(BLOCK_CLASSES)[4:]):
        found = trained(executor, splits, *(of_kind(kind) for kind in kinds for _ in range(2)))
        assert {(outcome.state, outcome.error) for outcome, _ in found} == {("finished", "")}
        scores = [[(report.loss, report.val_loss, report.val_accuracy) for report in reports] for _, reports in found]
        assert scores[::2] == scores[1::2]


def test_a_long_one_is_compiled_and_learns(executor: LocalExecutor, splits: Splits) -> None:
    epochs = COMPILED_STEPS * 16 // 900
    ((outcome, reports),) = trained(executor, splits, of_kind("residual", batch_size=16, epochs=epochs))
    assert (outcome.state, outcome.error) == ("finished", "")
    assert reports[-1].val_accuracy > 0.95


@pytest.mark.parametrize("left", [0, 2**28, 2**30])
def test_a_full_gpu_is_said_to_be_full(left: int, executor: LocalExecutor, splits: Splits) -> None:
    environment = os.environ | {VISIBLE: GPUS[0]}
    words = [sys.executable, "-c", FULL, str(left)]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment) as full:
        assert full.stdout is not None
        assert full.stdout.readline() == "full\n"
        ((outcome, _),) = trained(executor, splits, of_kind("conv"))
        full.kill()
    if left < 2**30 or outcome.state == "failed":
        assert (outcome.state, outcome.cause) == ("failed", "out of memory"), outcome.error


def test_what_does_not_fit_costs_one_trial(executor: LocalExecutor, splits: Splits) -> None:
    giant = Stage(blocks=(block(filters=4096, kernel=7),) * 12, downsample="none")  # 3 GB of weights between any two
    for made, ended in (
        (candidate(architecture(giant)), ("failed", "out of memory")),
        (of_kind("conv"), ("finished", None)),
    ):
        ((outcome, _),) = trained(executor, splits, made)
        assert (outcome.state, outcome.cause) == ended, outcome.error


def test_a_search_ships_what_other_runtimes_agree_with(tmp_path: Path) -> None:
    digits = load_data("digits").train
    np.savez(tmp_path / "few.npz", x=digits.images[:900], y=digits.labels[:900])
    environment = {name: value for name, value in os.environ.items() if name != VISIBLE}
    words = ["--data", tmp_path / "few.npz", "--out", tmp_path / "study", "--folds", "2", "--trials", "4"]

    def run(*words: object) -> str:
        done = subprocess.run([COMMAND, *map(str, words)], env=environment, capture_output=True, text=True, timeout=400)
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout

    run("search", *words, "--workers-per-gpu", "2")
    run("export", tmp_path / "study")
    run("stress", tmp_path / "study")
    exported = json.loads((tmp_path / "study" / "best" / "exports" / "export.json").read_text())["files"]
    assert len(exported) >= 4
    assert {file["agreement"] for file in exported} == {1.0}
    assert "came out the same" in run("replay", tmp_path / "study", "0")
    assert Study(tmp_path / "study").is_retrained

"""What the coordinator itself costs as a study grows: real candidates, sampler and journal, simulated workers.

Nothing is trained: every report comes at once. What should hold, from asking Optuna for a trial until the executor has
the job: 100 ms at the median at 2,000 trials and 500 ms at 10,000; then 15 s to open the study and 30 s to report it.

Usage: python -m benchmarks.coordinator [--trials 10000] [--sampler tpe] [--out FOLDER]
"""

import argparse
import math
import random
import resource
import tempfile
import time
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path
from statistics import median, quantiles
from typing import NamedTuple

import numpy as np
import optuna

from archsearch.files import write_whole
from archsearch.search.budget import Budget
from archsearch.search.candidates import SpaceCandidates
from archsearch.search.coordinator import Coordinator
from archsearch.search.folder import StudyFolder, StudyInfo
from archsearch.search.images import SearchImages
from archsearch.search.objectives import ACCURACY
from archsearch.search.plan import Given
from archsearch.search.samplers import PRUNERS, SAMPLERS
from archsearch.search.storage import STUDY_NAME, create_study, open_storage
from archsearch.space.architecture import Candidate, Task
from archsearch.space.hyper import HyperCandidate
from archsearch.space.load import load_space
from archsearch.study import Study
from archsearch.training.job import Outcome, Report, TrialJob

SPACE = Path(__file__).parents[1] / "search_spaces" / "mnist.yaml"
TASK = Task(height=28, width=28, channels=1, classes=10)
IMAGES = 60_000
FOLDS = tuple(np.array_split(np.arange(IMAGES, dtype=np.int32), 3))
WORKERS = 8
DAY = 24 * 3600.0
IMAGE_SECONDS = 3e-4
BLOCKS = 10


class Moment(NamedTuple):
    """Wall and processor time, in seconds."""

    wall: float
    processor: float

    @classmethod
    def now(cls) -> "Moment":
        return cls(time.perf_counter(), time.process_time())

    def since(self, start: "Moment") -> "Moment":
        return Moment(self.wall - start.wall, self.processor - start.processor)


class Simulation:
    """An executor whose jobs report in turn, as soon as they are asked, and a stopwatch on who asks.

    Attributes:
        submitting: Time from each ask to the submission of its job.
        handling: Time from handing out each event until the coordinator wants the next thing.
    """

    workers = WORKERS

    def __init__(self, on_submit: Callable[[int], None]) -> None:
        self.submitting: list[Moment] = []
        self.handling: list[Moment] = []
        self._on_submit = on_submit
        self._submitted = 0
        self._running: dict[int, Iterator[Report | Outcome]] = {}
        self._stopped: set[int] = set()
        self._asked: Moment | None = None
        self._handed: Moment | None = None

    def watch_asks(self, study: optuna.Study) -> None:
        """Starts the stopwatch whenever `study` is asked for a trial."""
        ask = study.ask

        def watched() -> optuna.Trial:
            self._note_handled()
            self._asked = Moment.now()
            return ask()

        study.ask = watched  # type: ignore[method-assign, assignment]

    def submit(self, job: TrialJob) -> None:
        """Starts `job`; see `Executor`."""
        if self._asked is not None:
            self.submitting.append(Moment.now().since(self._asked))
            self._asked = None
            self._submitted += 1
            self._on_submit(self._submitted)
        self._running[job.trial] = _play(job)

    def events(self, timeout: float) -> list[Report | Outcome]:
        """One event of the job that has waited longest."""
        self._note_handled()
        trial, play = next(iter(self._running.items()))
        del self._running[trial]
        event = Outcome(trial, "stopped", 1.0) if trial in self._stopped else next(play)
        if isinstance(event, Report):
            self._running[trial] = play
        self._handed = Moment.now()
        return [event]

    def stop(self, trial: int) -> None:
        """Has the job of `trial` end."""
        self._stopped.add(trial)

    def close(self) -> None:
        """Ends all jobs."""
        self._running.clear()

    def _note_handled(self) -> None:
        if self._handed is not None:
            self.handling.append(Moment.now().since(self._handed))
            self._handed = None


def _play(job: TrialJob) -> Iterator[Report | Outcome]:
    chance = random.Random(job.trial)
    error, epochs = _error(job.candidate), job.candidate.recipe.epochs
    for fold, held_out in enumerate(job.folds):
        luck, before = chance.gauss(0, 0.0004), 0.0
        for share in job.points:
            images = (IMAGES - len(held_out)) * epochs
            accuracy = 1 - error - 0.2 * math.exp(-6 * share) + luck
            seconds = images * (share - before) * IMAGE_SECONDS
            epoch = epochs if share == 1 else epochs * share
            yield Report(
                job.trial, fold, epoch, epochs, round(images * share), 0.1, accuracy - 0.01, 0.1, accuracy, seconds
            )
            before = share
    yield Outcome(job.trial, "finished", 1.0)


def _error(candidate: Candidate | HyperCandidate) -> float:
    """What a candidate gets wrong once it is trained: wide networks and a rate near 5e-3 do well, dropout does not."""
    assert isinstance(candidate, Candidate)
    network, recipe = candidate.architecture, candidate.recipe
    filters = sum(block.filters for stage in network.stages for block in stage.blocks)
    rate = abs(math.log10(recipe.optimizer.learning_rate / 5e-3))
    return 0.006 + 0.4 / filters + 0.01 * rate + 0.01 * network.head.dropout + 0.002 * recipe.augment.rotate / 10


def make_study(folder: StudyFolder, sampler: str, candidates: SpaceCandidates) -> optuna.Study:
    """An empty study in `folder`, such as `archsearch search` makes."""
    info = StudyInfo(
        version=version("archsearch"),
        space=candidates.name,
        space_file=candidates.file,
        space_hash=candidates.hash,
        data="simulated",
        size=None,
        fingerprint="0" * 16,
        task=TASK,
        classes=tuple("0123456789"),
        train_images=IMAGES,
        test_images=10_000,
        test_origin="given",
        folds=len(FOLDS),
        all_folds=False,
        folds_hash="0" * 16,
        seed=0,
        sampler=sampler,
        pruner="halving",
        out=str(folder.path),
        trials=None,
        seconds=DAY,
    )
    study = create_study(open_storage(folder), STUDY_NAME, [ACCURACY])
    study.sampler = SAMPLERS[sampler](0)
    study.pruner = PRUNERS["halving"]()
    study.enqueue_trial(dict(candidates.baseline))
    write_whole(folder.info, info.model_dump_json())
    return study


def search(folder: StudyFolder, sampler: str, trials: int) -> None:
    """Runs a study of so many trials, and prints what each block of them took."""
    candidates = SpaceCandidates(load_space(SPACE), TASK)
    study = make_study(folder, sampler, candidates)
    print(f"{'trials':>7}{'ask to submit, ms':>32}{'an event, ms':>32}{'journal':>9}{'memory':>8}")
    print(
        f"{'':7}{'wall median':>12}{'95 %':>7}{'cpu':>6}{'95 %':>7}{'wall median':>12}{'95 %':>7}{'cpu':>6}{'95 %':>7}"
    )

    def print_block(submitted: int) -> None:
        if submitted % max(1, trials // BLOCKS) == 0:
            journal = folder.journal.stat().st_size / 1e6
            memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
            times = f"{_milliseconds(simulation.submitting)}{_milliseconds(simulation.handling)}"
            print(f"{submitted:7}{times}{journal:6.0f} MB{memory:5.0f} MB", flush=True)
            simulation.submitting.clear()
            simulation.handling.clear()

    simulation = Simulation(print_block)
    simulation.watch_asks(study)
    Coordinator(
        study=study,
        candidates=candidates,
        images=SearchImages(folder.path, IMAGES, FOLDS, 10_000),
        seed=0,
        budget=Budget(trials=trials, seconds=DAY),
        executor=simulation,
        given=Given(epochs=4.0),
    ).run()


def _milliseconds(times: list[Moment]) -> str:
    text = ""
    for width, part in ((12, [t.wall for t in times]), (6, [t.processor for t in times])):
        text += f"{1000 * median(part):{width}.1f}{1000 * quantiles(part, n=20)[-1]:7.1f}"
    return text


def look(folder: StudyFolder) -> None:
    """Opens the study and reports it, and prints what that took."""
    study = Study(folder.path)
    start = Moment.now()
    trials = len(study.trials())
    opened = Moment.now()
    study.report()
    reported = Moment.now().since(opened)
    opened = opened.since(start)
    print(f"open {trials:,} trials: {opened.wall:.1f} s ({opened.processor:.1f} s of processor time)")
    print(f"report on them: {reported.wall:.1f} s ({reported.processor:.1f} s of processor time)")
    for file in (folder.report, folder.report_data, folder.leaderboard):
        print(f"{file.name}: {file.stat().st_size / 1e6:.1f} MB")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=10_000)
    parser.add_argument("--sampler", choices=SAMPLERS, default="tpe")
    parser.add_argument("--out", type=Path, help="keep the study there, to look at its pages")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as path:
        folder = StudyFolder(given.out or Path(path))
        folder.path.mkdir(parents=True, exist_ok=True)
        search(folder, given.sampler, given.trials)
        look(folder)


if __name__ == "__main__":
    main()

"""Studies to report on: records as a search leaves them, with curves that depend on the candidate."""

import math
import random
from pathlib import Path

import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

from archsearch.search import folder as studies
from archsearch.search import record as records
from archsearch.search.plan import Plan
from archsearch.search.record import State, TrialRecord
from archsearch.search.storage import STUDY_NAME
from archsearch.space.architecture import (
    SGD,
    Adam,
    Architecture,
    Augment,
    Block,
    Candidate,
    Conv,
    Head,
    Inverted,
    Recipe,
    Residual,
    Separable,
    Stage,
    Task,
)
from archsearch.space.network import digest, lower
from archsearch.training.job import Report

FOLDS, EPOCHS = 3, 8
IMAGES = 958
"""That train in a fold."""
PLAN = Plan(
    epochs=EPOCHS,
    winner_epochs=EPOCHS,
    most_epochs=EPOCHS,
    folds=FOLDS,
    rungs=(0.125, 0.375),
    points=(0.125, 0.375, 1.0),
    finalists=2,
    images=IMAGES,
)
KINDS: tuple[type[Conv | Residual | Separable | Inverted], ...] = (Conv, Residual, Separable, Inverted)


def info(**changes: object) -> studies.StudyInfo:
    fields: dict[str, object] = {
        "version": "0.1.0",
        "space": "digits",
        "space_file": "search_spaces/digits.yaml",
        "space_hash": "5d1c0e6f9a2b3c4d",
        "data": "digits",
        "size": None,
        "fingerprint": "a94f27c0d8e1b356",
        "task": Task(height=8, width=8, channels=1, classes=10),
        "classes": tuple("0123456789"),
        "train_images": 1437,
        "test_images": 360,
        "test_origin": "stratified",
        "folds": FOLDS,
        "folds_hash": "77aa11bb22cc33dd",
        "seed": 7,
        "sampler": "tpe",
        "pruner": "hyperband",
        "out": "reports/digits",
        "trials": None,
        "seconds": 600.0,
    }
    return studies.StudyInfo.model_validate(fields | changes)


def baseline() -> Candidate:
    block = Conv(filters=8, kernel=3, activation="relu", norm="batch", dropout=0.0)
    return Candidate(
        architecture=Architecture(
            task=info().task,
            stages=(Stage(blocks=(block,), downsample="max"), Stage(blocks=(block,), downsample="none")),
            head=Head(pool="flatten", hidden=0, activation="relu", dropout=0.0),
        ),
        recipe=Recipe(augment=Augment(), optimizer=Adam(), schedule="cosine", batch_size=128, epochs=EPOCHS),
    )


def drawn(chance: random.Random) -> Candidate:
    """A candidate such as the digits space holds."""
    width = chance.choice([8, 16, 32])

    def block(stage: int) -> Block:
        return chance.choice(KINDS)(
            filters=width * 2**stage,
            kernel=chance.choice([3, 5]),
            activation=chance.choice(["relu", "gelu"]),
            norm="batch",
            dropout=round(chance.uniform(0, 0.4), 2),
        )

    return Candidate(
        architecture=Architecture(
            task=info().task,
            stages=tuple(
                Stage(
                    blocks=(block(stage),) * chance.randint(1, 2),
                    downsample=chance.choice(["max", "stride"]),
                )
                for stage in range(chance.randint(1, 3))
            ),
            head=Head(
                pool=chance.choice(["flatten", "average"]),
                hidden=chance.choice([0, 64]),
                activation="relu",
                dropout=0.25,
            ),
        ),
        recipe=Recipe(
            augment=Augment(rotate=8.0, shift=0.05),
            optimizer=chance.choice(
                [
                    Adam(learning_rate=10 ** chance.uniform(-3.5, -1.5)),
                    SGD(learning_rate=10 ** chance.uniform(-2, 0), momentum=0.9),
                ]
            ),
            schedule="cosine",
            batch_size=128,
            epochs=EPOCHS,
        ),
    )


def trial(
    number: int,
    candidate: Candidate,
    scores: tuple[float, ...],
    *,
    state: State = "complete",
    reason: str = "",
    epochs: int = EPOCHS,
    started: float | None = None,
    confirms: int | None = None,
    latency: float | None = None,
) -> TrialRecord:
    """A trial whose folds end at `scores`; its last fold stops after `epochs` epochs of 1.5 s each."""
    chance = random.Random(number)
    reports: list[Report] = []
    for fold, score in enumerate(scores):
        for epoch in range(1, (epochs if fold == len(scores) - 1 else EPOCHS) + 1):
            reached = score if epoch == EPOCHS else score * (1 - 0.7 * math.exp(-epoch)) - 0.01 * chance.random()
            accuracy = reached - 0.02 * chance.random()
            losses = {"loss": 1 - accuracy, "accuracy": accuracy, "val_loss": 1 - reached, "val_accuracy": reached}
            reports.append(Report(number, fold, epoch, EPOCHS, IMAGES * epoch, **losses, seconds=1.5, latency=latency))
    begun = 1.77e9 + 20.0 * number if started is None else started
    seconds = 1.6 * len(reports)
    nodes = lower(candidate.architecture).nodes
    return TrialRecord(
        number=number,
        state=state,
        reason=reason,
        candidate=candidate,
        digest=digest(candidate),
        confirms=confirms,
        held_out=1437 // FOLDS,
        baseline=candidate == baseline(),
        parameters=sum(node.parameters for node in nodes),
        flops=sum(node.flops for node in nodes),
        reports=tuple(reports),
        seconds=seconds,
        started=begun,
        ended=None if state == "running" else begun + seconds,
    )


ENDS: tuple[tuple[State, str], ...] = (
    ("pruned", "Fold 0 reached 61.2 % after 2 epochs; the best half had 88.0 %."),
    ("infeasible", "812,330 parameters exceed the limit of 300,000."),
    ("duplicate", "The same as trial 3."),
    ("failed", "Out of memory <killed by the kernel>"),
    ("interrupted", "The search was stopped."),
    ("running", ""),
)


def search(complete: int, others: int = 0, seed: int = 0) -> list[TrialRecord]:
    """Records of a search with a baseline that completes, if anything does."""
    chance = random.Random(seed)
    found = []
    for number in range(complete):
        middle = 0.93 if number == 0 else 0.985 - 0.04 * chance.random() ** 2
        scores = tuple(round(1437 / 3 * (middle + chance.gauss(0, 0.004))) / (1437 / 3) for _ in range(FOLDS))
        found.append(trial(number, baseline() if number == 0 else drawn(chance), scores))
    for number in range(complete, complete + others):
        state, reason = ENDS[number % len(ENDS)]
        scores = () if state in {"infeasible", "duplicate"} else (0.6,)
        found.append(trial(number, drawn(chance), scores, state=state, reason=reason, epochs=2))
    return found


def winner_of(record: TrialRecord, accuracy: float = 352 / 360, **changes: object) -> studies.WinnerInfo:
    """What retraining `record` leaves."""
    fields: dict[str, object] = {
        "study": "digits",
        "trial": record.number,
        "candidate": record.candidate,
        "classes": tuple("0123456789"),
        "score": record.score,
        "standard_error": record.standard_error,
        "parameters": record.parameters,
        "flops": record.flops,
        "trained_on": 1437,
        "epochs": 7.9,
        "seed": 7,
        "seconds": 41.2,
        "test": opening(record.number, accuracy),
        "versions": {"python": "3.11.9", "tensorflow": "2.21.0", "keras": "3.15.1"},
    }
    return studies.WinnerInfo.model_validate(fields | changes)


def opening(number: int, accuracy: float, opened: str = "2026-03-01T14:05:00+00:00") -> studies.TestScore:
    return studies.TestScore(opened=opened, trial=number, accuracy=accuracy, loss=0.08, images=360)


def store(folder: studies.StudyFolder, kept: list[TrialRecord]) -> optuna.Study:
    """An Optuna study in the folder's journal, with one trial a record."""
    storage = JournalStorage(JournalFileBackend(str(folder.journal)))
    study = optuna.create_study(storage=storage, study_name=STUDY_NAME, direction="maximize")
    for record in kept:
        records.write(study.ask(), record)
    return study


def new_folder(path: Path) -> studies.StudyFolder:
    path.mkdir(parents=True)
    return studies.StudyFolder(path)

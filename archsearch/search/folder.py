"""A study's folder: which file lies where, and the plain JSON in it.

reports/<study>/
├── study.json       what the study is: `StudyInfo`
├── space.yaml       the space as it was; space.py for a HyperModel; code that it names
├── journal.log      the Optuna study, unless it is in a database
├── story.json       what `explain` has measured, once it was run
├── report.html, report.json, leaderboard.csv
├── figures/         the report's figures as files, once they were asked for
├── trials/          model.keras, model.json, test.json and exports/ of other trials that were exported, by number
└── best/            model.keras, model.json (`WinnerInfo`), README.md (its card), test.json (its answers on the test
                     set), stress.json and exports/, which go when another model takes their place
"""

from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from archsearch.errors import StudyError
from archsearch.space.architecture import Candidate, Task
from archsearch.space.hyper import HyperCandidate


class _Info(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


Plain = TypeVar("Plain", bound=BaseModel)


class StudyInfo(_Info):
    """What a study is; decided when it begins and never changed.

    Attributes:
        version: Of archsearch that began it.
        space: Name of the space.
        space_file: Path the space came from.
        trust_code: Whether Python code that the space names may be run.
        space_hash: Of the space's meaning; comments and layout do not count.
        data: The data source as given, absolute if it is a path.
        size: Side to which images were resized, in pixels; None if they were not.
        fingerprint: Of all images and labels.
        task: Shape of the images and number of classes.
        classes: Name of each class, by label.
        train_images: How many images are searched and cross-validated on.
        test_images: How many are set aside.
        test_origin: `given` by the source, or a `stratified` share of it.
        folds: Into how many folds the images are cut.
        all_folds: Whether every candidate runs all of them, as the user wants it; otherwise the plan says how many.
        folds_hash: Of which image is in which fold.
        seed: Of the split, the sampler and the training.
        sampler: Name of the Optuna sampler.
        pruner: Name of the pruner.
        out: The folder as given when the study began.
        trials: Budget in trials when it began; None is no limit.
        seconds: Budget of time when it began, in seconds; None is no limit.
        epochs: As the user wants them; None is as the space or the plan has them.
        batch_size, first_rung, finalists: Likewise.
        objectives: What is wanted: accuracy, and what is to be small.
        prefer: Which of the best wins: `accuracy`, or `small`.
        versions: Of Python and the libraries that the search began with.
        storage: Address of the database that holds the trials, without its password; None is the journal.
        name: Of the study in its storage.
        commit: Of the Git repository that it was begun in, with `+` if that had changes; empty outside of one.
    """

    version: str
    space: str
    space_file: str
    trust_code: bool = False
    space_hash: str
    data: str
    size: int | None
    fingerprint: str
    task: Task
    classes: tuple[str, ...]
    train_images: int
    test_images: int
    test_origin: str
    folds: int
    all_folds: bool = True
    folds_hash: str
    seed: int
    sampler: str
    pruner: str
    out: str
    trials: int | None
    seconds: float | None
    epochs: float | None = None
    batch_size: int | None = None
    first_rung: int | None = None
    finalists: int | None = None
    objectives: tuple[str, ...] = ("accuracy",)
    prefer: str = "accuracy"
    versions: dict[str, str] = {}
    storage: str | None = None
    name: str = "archsearch"
    commit: str = ""


class TestScore(_Info):
    """One opening of the test set.

    Attributes:
        opened: When, ISO 8601 with time zone.
        trial: The trial whose candidate was retrained.
        accuracy: Share of the test images it gets right.
        loss: Mean cross-entropy on them, in nats.
        images: How many there are.
    """

    opened: str
    trial: int
    accuracy: float
    loss: float
    images: int


class WinnerInfo(_Info):
    """The retrained model in best/model.keras, and how it was found.

    Attributes:
        study: Name of the study's folder.
        trial: Number of the winning trial.
        candidate: What was trained, and how; in the search for as many epochs as it says.
        classes: Name of each class, in the order of the model's outputs.
        score: Mean cross-validated accuracy.
        standard_error: Of the score; None for one fold.
        parameters: As Keras counts them.
        flops: For one image, forward; one multiply-add is 2.
        trained_on: Number of images it was retrained on.
        epochs: How often it went over them.
        seed: Of the retraining.
        seconds: Wall time of the retraining.
        test: The test set's verdict on this very model.
        versions: Of Python and the libraries that trained it.
    """

    study: str
    trial: int
    candidate: Candidate | HyperCandidate
    classes: tuple[str, ...]
    score: float
    standard_error: float | None
    parameters: int
    flops: int
    trained_on: int
    epochs: float
    seed: int
    seconds: float
    test: TestScore
    versions: dict[str, str]


@dataclass(frozen=True)
class StudyFolder:
    """Paths of one study, none of which needs to exist yet.

    Attributes:
        path: The study's folder.
        trial: Whose retrained model is meant; None is the winner's.
    """

    path: Path
    trial: int | None = None

    @property
    def best(self) -> Path:
        return self.path / "best" if self.trial is None else self.path / "trials" / str(self.trial)

    @property
    def info(self) -> Path:
        return self.path / "study.json"

    @property
    def space(self) -> Path:
        return self.path / "space.yaml"

    @property
    def journal(self) -> Path:
        return self.path / "journal.log"

    @property
    def lock(self) -> Path:
        return self.path / ".lock"

    @property
    def report(self) -> Path:
        return self.path / "report.html"

    @property
    def report_data(self) -> Path:
        return self.path / "report.json"

    @property
    def leaderboard(self) -> Path:
        return self.path / "leaderboard.csv"

    @property
    def figures(self) -> Path:
        return self.path / "figures"

    @property
    def story(self) -> Path:
        return self.path / "story.json"

    @property
    def model(self) -> Path:
        return self.best / "model.keras"

    @property
    def winner(self) -> Path:
        return self.best / "model.json"

    @property
    def verdict(self) -> Path:
        return self.best / "test.json"

    @property
    def stress(self) -> Path:
        return self.best / "stress.json"

    @property
    def card(self) -> Path:
        return self.best / "README.md"

    @property
    def exports(self) -> Path:
        return self.best / "exports"

    def read_info(self) -> StudyInfo:
        """Raises StudyError if this is not a study's folder."""
        if not self.info.is_file():
            raise StudyError(
                f"{self.path}: no study here (study.json is missing); expected a folder that "
                "'archsearch search … --out FOLDER' made"
            )
        return read_plain(StudyInfo, self.info, "put a copy in its place: it cannot be made again")

    def read_winner(self) -> WinnerInfo | None:
        """The retrained winner, or None before `retrain`."""
        return read_plain(WinnerInfo, self.winner) if self.winner.is_file() else None


def read_plain(
    kind: type[Plain],
    path: Path,
    remedy: str = "put a copy in its place, or delete it if what it holds can be made again",
) -> Plain:
    """The file's JSON as `kind`. Raises StudyError if it is something else, and says what to do."""
    try:
        return kind.model_validate_json(path.read_bytes())
    except ValidationError as error:
        first = error.errors()[0]
        place = ": ".join(filter(None, [str(path), ".".join(map(str, first["loc"]))]))
        raise StudyError(
            f"{place}: {first['msg']}; the file is damaged or from another version of archsearch; {remedy}"
        ) from error

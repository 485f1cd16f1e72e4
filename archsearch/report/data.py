"""`ReportData`: everything that a report shows of a study, as plain data."""

from pydantic import BaseModel, ConfigDict

from archsearch.report.story import Story
from archsearch.report.stress import StressReport
from archsearch.report.verdict import Verdict
from archsearch.search.certificate import Exports
from archsearch.search.folder import StudyInfo, TestScore, WinnerInfo
from archsearch.search.parameters import Parameter
from archsearch.search.plan import Plan
from archsearch.search.record import State
from archsearch.space.architecture import Candidate
from archsearch.space.hyper import HyperCandidate


class _Data(BaseModel):
    model_config = ConfigDict(frozen=True)


class Ranked(_Data):
    """A complete trial.

    Attributes:
        rank: From 1, the best.
        trial: Its number in the study.
        score: Mean validation accuracy over the folds, 0 to 1.
        standard_error: Of the score: over the folds, but no less than the binomial one; None if unknown.
        fold_scores: Validation accuracy of each fold, 0 to 1, in the run that counts.
        first_run: Mean of the folds before it ran again as a finalist, with a fresh seed and for as long as the winner
            trains, 0 to 1; None if it did not. The score is that of the second run then.
        level: Whether the score is within one standard error of the best, so that the order of the two is not
            established (the one-standard-error rule, Breiman et al. 1984). Also true of the best.
        front: Whether no other one is as good in all that is wanted and better in some (Pareto); False if only accuracy
            is wanted.
        parameters: As Keras counts them.
        flops: For one image, forward; one multiply-add is 2; 0 if unknown.
        latency: Seconds for one image on one thread; None if it was not measured.
        robustness: Share of changed images that is named right, 0 to 1; None if it was not measured.
        seconds: Wall time of the training.
        architecture: The network in one line; for a HyperModel its hyperparameters.
        optimizer: The optimizer in one line; empty for a HyperModel.
        candidate: Network and training, whole.
    """

    rank: int
    trial: int
    score: float
    standard_error: float | None
    fold_scores: tuple[float, ...]
    first_run: float | None = None
    level: bool
    front: bool = False
    parameters: int
    flops: int
    latency: float | None = None
    robustness: float | None = None
    seconds: float
    architecture: str
    optimizer: str
    candidate: Candidate | HyperCandidate


class Unranked(_Data):
    """A trial that has not run every fold; those that confirm another one are in neither table.

    Attributes:
        trial: Its number in the study.
        state: Any but `complete` and `confirmation`.
        reason: Why it ended; may be empty while it runs.
        epochs: Passes over the images of a fold, over all folds.
        accuracy: The last validation accuracy it reported, 0 to 1; None if it reported none.
        parameters: As Keras counts them.
        seconds: Wall time of the training.
        architecture: The network in one line.
    """

    trial: int
    state: State
    reason: str
    epochs: float
    accuracy: float | None
    parameters: int
    seconds: float
    architecture: str


class Curve(_Data):
    """One fold of one trial, point by point; the three tuples are equally long, accuracies are 0 to 1."""

    rank: int
    trial: int
    fold: int
    epochs: tuple[float, ...]
    accuracy: tuple[float, ...]
    val_accuracy: tuple[float, ...]


class Finish(_Data):
    """A trial completed.

    Attributes:
        trial: Its number.
        seconds: Time into the search, pauses between runs left out.
        score: Mean over the folds of its first run, 0 to 1.
        best: The best one up to then.
    """

    trial: int
    seconds: float
    score: float
    best: float


class Contender(_Data):
    """The winner or the baseline; `score` is None for a baseline that did not complete, `state` says how it stands.

    `first_run` is its score before it ran again as a finalist; None if it did not.
    """

    trial: int
    state: State
    score: float | None
    first_run: float | None = None
    standard_error: float | None
    parameters: int
    flops: int
    latency: float | None = None
    candidate: Candidate | HyperCandidate


class Gain(_Data):
    """Winner minus baseline, as both were trained in the search: fold by fold on the same images, in units of accuracy.

    The standard error is over the folds; for one fold it is that of two independent scores, and None if unknown.
    """

    mean: float
    standard_error: float | None


class Span(_Data):
    """When a trial ran.

    Attributes:
        trial: Its number.
        state: How it ended, or that it runs.
        worker: Who trained it, from 0: at any moment each trains one.
        began, ended: Seconds into the search, pauses between runs left out.
    """

    trial: int
    state: State
    worker: int
    began: float
    ended: float


class ReportData(_Data):
    """All that the page, the CSV and the JSON show.

    Attributes:
        info: What the study is.
        command: The command line that begins the same study again.
        counts: Trials by state; only states that occur.
        training_seconds: Wall time of all trials, added up.
        search_seconds: Time in which at least one trial ran.
        saved_seconds: Training that dropped trials did not cost, estimated from the pace of each.
        plan: What was done with the time; None for a study that has not begun.
        ranking: Complete trials, best first; once some are confirmed, those come first.
        leader: The trial that wins as things stand; None before one is complete.
        others: All other trials but confirmations, by number.
        curves: Learning curves of the best `CURVES` trials, by rank, then fold.
        progress: Complete trials in the order they completed.
        parameters: What was drawn for the complete trials that have a dot, the most important parameter first.
        timeline: When the newest `MOST_SPANS` trials ran, in the order they began.
        winner: The retrained trial, or the first of the ranking; None if there is neither.
        baseline: The newest trial of the space's baseline; None before the first.
        gain: None if either has no score, or both are the same trial.
        retrained: The retrained model; None before `retrain`.
        openings: Every opening of the test set, oldest first.
        verdict: What the retrained model gets right and wrong; None before `retrain`.
        stress: How it stands what happens to images; None if that was not tested.
        exports: What it was exported to, and what was proven of the files; None before.
        story: How the winner came about; None if that was not measured, or of another winner.
        remarks: What to keep in mind when reading the figures, one sentence or two each.
    """

    info: StudyInfo
    command: str
    counts: dict[State, int]
    training_seconds: float
    search_seconds: float
    saved_seconds: float = 0.0
    plan: Plan | None = None
    ranking: tuple[Ranked, ...]
    leader: int | None = None
    others: tuple[Unranked, ...]
    curves: tuple[Curve, ...]
    progress: tuple[Finish, ...]
    parameters: tuple[Parameter, ...] = ()
    timeline: tuple[Span, ...] = ()
    winner: Contender | None
    baseline: Contender | None
    gain: Gain | None
    retrained: WinnerInfo | None
    openings: tuple[TestScore, ...]
    verdict: Verdict | None = None
    stress: StressReport | None = None
    exports: Exports | None = None
    story: Story | None = None
    remarks: tuple[str, ...] = ()

"""What a search does with its time: how long and on how many folds candidates train, where hopeless ones are dropped,
and how many of the best run again. Pure functions.
"""

from math import sqrt

from pydantic import BaseModel, ConfigDict

from archsearch.search.budget import RETRAINING_SPEED

FULL_TRIALS = 12
"""A search should have time for so many candidates on all their folds; dropping the hopeless ones makes it more. A
longer search should have time for more: they grow with the square root of the trainings that it has time for."""
LEAST_TRIALS = 3
"""With fewer candidates than this to compare, candidates get fewer folds instead."""
MOST_EPOCHS = 50.0
MOST_SHARE = 0.6
"""Of one worker's time, that a training for the winner's epochs may take: retraining is quicker than that."""
SHORTER = 4.0
"""Candidates train for up to so many times fewer epochs than the winner: more of them fit, and on recorded curves they
keep their order (`benchmarks.replay`)."""
ENOUGH = 160
"""With time for so many trainings as long as the winner's there is no need for shorter ones."""
LEAST_STARTS = 1.0
"""They train for at least so many times as long as they take to start. On recorded curves of small images that is
long enough."""
LONGEST = 1.5
"""The winner trains for up to so many times the planned epochs, if there is time."""
UNTIMED_FOLDS = 3
CONFIRMING = 0.2
"""Share of the time in which the finalists run again."""
MOST_CONFIRMING = 0.3
"""Share of the time that their second runs may take; fewer run if it would be more."""
FINALISTS = 3
REDUCTION = 3
"""At a rung one in so many goes on (Li et al. 2018, https://arxiv.org/abs/1810.05934)."""
FIRST_RUNG = 1 / 9
"""Share of a fold's training after which the first candidates are dropped."""
RUNG_STARTS = 8.0
"""Before it has trained for so many times as long as it took to start there is little to save by dropping a candidate;
but the first are dropped at `LATE_RUNG` at the latest."""
LATE_RUNG = 1 / 3
LAST_RUNG = 1 / 2
"""Later than this there is too little left to save."""
SCORING = 0.01
"""Share of a fold's training that scoring on the way may cost."""
SCORING_COST = 1 / 4
"""Of scoring an image, in trainings of an image."""
MOST_POINTS = 10


class Plan(BaseModel):
    """How candidates are trained and judged.

    Attributes:
        epochs: Passes over the training images of a fold; None if the candidates say it themselves.
        winner_epochs: Those of the winner's retraining and of the finalists' second run; None as above.
        most_epochs: Those of the retraining if there is time for more; None as above.
        folds: How many folds a candidate runs.
        rungs: When candidates are dropped in their first fold, as shares of its training, ascending.
        points: When a fold is scored and reported, as shares of its training; the rungs among them, the end last.
        finalists: How many of the best run all their folds again with a fresh seed; 0 or 2 and more.
        images: That one fold trains on in one epoch.
        image_seconds: A typical candidate's time to train on one image, in seconds of one worker; None if unknown.
    """

    model_config = ConfigDict(frozen=True)

    epochs: float | None
    winner_epochs: float | None
    most_epochs: float | None
    folds: int
    rungs: tuple[float, ...]
    points: tuple[float, ...]
    finalists: int
    images: int
    image_seconds: float | None = None

    def line(self, parts: int) -> str:
        """The plan in one line.

        Args:
            parts: Into how many folds the images are cut.
        """
        epochs = "epochs as the space has them" if self.epochs is None else _epochs(self.epochs)
        if self.winner_epochs != self.epochs:
            epochs += f" ({self.winner_epochs:g} for the winner)"
        dropped = "nobody dropped in the first fold"
        if self.rungs:
            share = f"{self.rungs[0]:.0%} of a fold"
            images = "" if self.epochs is None else f" ({round(self.rungs[0] * self.epochs * self.images):,} images)"
            dropped = f"first ones dropped after {share}{images}"
        final = f"{self.finalists} finalists" if self.finalists else "no finalists"
        pace = f"; a typical candidate trains on {1 / self.image_seconds:,.0f} images/s" if self.image_seconds else ""
        return f"plan: {epochs}, {self.folds} of {parts} folds, {dropped}, {final}{pace}"


class Given(BaseModel):
    """What the user has decided; None is left to the planner.

    Attributes:
        epochs: Passes over a fold's training images.
        folds: That each candidate runs.
        first_rung: Images a fold trains on before the first candidates are dropped.
        finalists: That run again.
    """

    model_config = ConfigDict(frozen=True)

    epochs: float | None = None
    folds: int | None = None
    first_rung: int | None = None
    finalists: int | None = None


class Workload(BaseModel):
    """What there is to do, and how fast it goes.

    Attributes:
        images: That one fold trains on in one epoch.
        checked: Held-out images that are scored at a point.
        parts: Into how many folds the images are cut.
        workers: Candidates that train at once.
        own_epochs: The most that the candidates say themselves; None if they leave them to the plan.
        image_seconds: A typical candidate's time to train on one image, in seconds; None if it was not measured.
        start_seconds: A trial's time before its first step, in seconds.
        retraining_speed: How many times as fast as one worker retraining is.
    """

    model_config = ConfigDict(frozen=True)

    images: int
    checked: int
    parts: int
    workers: int
    own_epochs: float | None = None
    image_seconds: float | None = None
    start_seconds: float = 0.0
    retraining_speed: float = RETRAINING_SPEED


def make_plan(work: Workload, seconds: float | None, given: Given) -> Plan:
    """A plan for a search.

    Time is split between trying more candidates and training the winner for longer: both grow with its square root.
    Folds come last, once there are enough candidates to tell apart.

    Args:
        work: What there is to do.
        seconds: Wall time for searching, confirming and retraining; None is without limit.
        given: What is decided already.
    """
    fixed = given.epochs or work.own_epochs
    if seconds is None or work.image_seconds is None:
        epochs = winner = most = fixed or untimed_epochs(work.images)
        folds = given.folds or min(UNTIMED_FOLDS, work.parts)
        finalists = 0
    else:
        one_pass = work.images * work.image_seconds
        passes = max(seconds, 1.0) * (1 - CONFIRMING) * work.workers / one_pass
        winner = fixed or planned_epochs(passes / (given.folds or 1), work.workers)
        most = fixed or LONGEST * winner
        epochs = fixed or short_epochs(winner, passes / (given.folds or 1), work.start_seconds / one_pass)
        # What retraining takes is not there for the search.
        passes -= winner * work.workers / work.retraining_speed
        folds = given.folds or planned_folds(passes / epochs, work.workers, work.parts)
        full = folds * winner * one_pass + work.start_seconds
        # One runs on one worker, however many there are.
        affordable = int(seconds * CONFIRMING * work.workers / full) if full <= MOST_CONFIRMING * seconds else 0
        finalists = min(affordable, FINALISTS) if affordable > 1 else 0
    rungs = _rungs(epochs, work, given)
    planned = work.own_epochs is None
    return Plan(
        epochs=epochs if planned else None,
        winner_epochs=winner if planned else None,
        most_epochs=most if planned else None,
        folds=folds,
        rungs=rungs,
        points=_points(epochs, rungs, work),
        finalists=finalists if given.finalists is None else given.finalists,
        images=work.images,
        image_seconds=work.image_seconds,
    )


def planned_epochs(passes: float, workers: int) -> float:
    """How long to train the winner.

    Args:
        passes: Epochs of a typical candidate, on all its folds, that there is time for in all.
        workers: Who share them.

    Returns:
        A `round_figure`.
    """
    return round_figure(min(sqrt(passes), passes / 3, MOST_SHARE * passes / workers, MOST_EPOCHS))


def short_epochs(winner: float, passes: float, start: float) -> float:
    """How long to train a candidate.

    Args:
        winner: The winner's epochs.
        passes: Epochs of a typical candidate, on all its folds, that there is time for in all.
        start: What a trial takes to start, in epochs.

    Returns:
        The winner's epochs or less; if less, a `round_figure`.
    """
    return min(winner, round_figure(max(winner / SHORTER, passes / ENOUGH, LEAST_STARTS * start)))


def round_figure(epochs: float) -> float:
    """Whole epochs from 3, otherwise one of 2.5, 2, 1.5, 1, and below that any share with two digits."""
    if epochs >= 2.75:
        return float(round(epochs))
    if epochs >= 1.0:
        return round(2 * epochs) / 2
    return float(f"{epochs:.2g}")


def planned_folds(trainings: float, workers: int, parts: int) -> int:
    """How many folds a candidate runs.

    Args:
        trainings: On one fold, that there is time for in all.
        workers: Who share them.
        parts: Folds that there are.
    """
    full_trials = max(FULL_TRIALS, sqrt(FULL_TRIALS * max(trainings, 0.0)))
    return min(max(int(min(trainings / full_trials, MOST_SHARE * trainings / workers)), 1), parts)


def untimed_epochs(images: int) -> float:
    """How long to train where no time is set: more passes over few images, 4 to 30."""
    return float(min(max(round(150_000 / images), 4), 30))


def fewer_folds(plan: Plan, complete: int, affordable: float) -> Plan:
    """The plan, with a fold less if otherwise too few candidates would run all of them.

    Args:
        plan: As it is.
        complete: Candidates that have run all folds.
        affordable: How many more could, in the time that is left.
    """
    if plan.folds == 1 or complete + affordable >= LEAST_TRIALS:
        return plan
    return plan.model_copy(update={"folds": plan.folds - 1})


def _epochs(epochs: float) -> str:
    return f"{epochs:g} epoch{'' if epochs == 1 else 's'}"


def _rungs(epochs: float, work: Workload, given: Given) -> tuple[float, ...]:
    first = FIRST_RUNG
    if given.first_rung is not None:
        first = given.first_rung / (epochs * work.images)
    elif work.image_seconds is not None:
        full = epochs * work.images * work.image_seconds
        first = min(max(FIRST_RUNG, RUNG_STARTS * work.start_seconds / full), LATE_RUNG)
    rungs = []
    while first <= LAST_RUNG:
        rungs.append(first)
        first *= REDUCTION
    return tuple(rungs)


def _points(epochs: float, rungs: tuple[float, ...], work: Workload) -> tuple[float, ...]:
    """The rungs, and in between as many as scoring may cost."""
    affordable = SCORING * epochs * work.images / (SCORING_COST * work.checked)
    between = int(min(affordable, MOST_POINTS))
    even = [number / between for number in range(1, between)] if between else []
    apart = 0.5 / MOST_POINTS
    return tuple(sorted([*rungs, *(p for p in even if all(abs(p - rung) > apart for rung in rungs)), 1.0]))

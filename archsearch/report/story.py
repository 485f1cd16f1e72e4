"""How a winner came about, measured: can its family memorise at all, and what was each change worth. Plain data."""

from math import sqrt
from statistics import fmean, stdev

from pydantic import BaseModel, ConfigDict

MEMORISED = 0.995
"""Share of the training images that a network has to name right to be said to know them by heart."""


class _Data(BaseModel):
    model_config = ConfigDict(frozen=True)


class Memory(_Data):
    """The winner's network, trained without anything that keeps it from learning its images by heart.

    Attributes:
        epochs: For how long.
        accuracy: On the images that it trained on, in the last tenth of the training, 0 to 1.
        val_accuracy: On those held out, at the end.
        seconds: Wall time.
    """

    epochs: float
    accuracy: float
    val_accuracy: float
    seconds: float


class StoryStep(_Data):
    """One candidate on the way from the baseline to the winner.

    Attributes:
        names: What changed, for people; empty for the baseline.
        changes: From what to what: (parameter, before, after), in words; before is empty where there was nothing.
        digest: Of the candidate.
        architecture: In one line.
        parameters: As Keras counts them.
        fold_scores: Validation accuracy of each fold, 0 to 1; empty if it was not run.
    """

    names: tuple[str, ...]
    changes: tuple[tuple[str, str, str], ...] = ()
    digest: str
    architecture: str
    parameters: int
    fold_scores: tuple[float, ...] = ()

    @property
    def score(self) -> float | None:
        """Mean over the folds; None if it was not run."""
        return fmean(self.fold_scores) if self.fold_scores else None


class Story(_Data):
    """What is known of one winner.

    Attributes:
        winner: Its trial.
        epochs: That each step trained for; None is as its recipe says.
        has_memory: Whether it can be checked: what keeps a HyperModel from learning by heart is its own affair.
        memory: None if it was not run.
        steps: From the baseline to the winner.
    """

    winner: int
    epochs: float | None
    has_memory: bool = True
    memory: Memory | None = None
    steps: tuple[StoryStep, ...] = ()

    @property
    def missing(self) -> int:
        """How many of its trainings have not been run."""
        return (self.has_memory and self.memory is None) + sum(not step.fold_scores for step in self.steps)


class Worth(_Data):
    """What a change was worth, fold by fold on the same images, in units of accuracy.

    Attributes:
        mean: Of the differences.
        standard_error: Of the mean, over the folds; None for one fold.
    """

    mean: float
    standard_error: float | None


def worth(before: StoryStep, after: StoryStep) -> Worth | None:
    """What it was worth to go from one step to the next; None if one of them was not run."""
    if not before.fold_scores or not after.fold_scores:
        return None
    gains = [new - old for old, new in zip(before.fold_scores, after.fold_scores, strict=False)]
    return Worth(mean=fmean(gains), standard_error=stdev(gains) / sqrt(len(gains)) if len(gains) > 1 else None)


def told(story: Story) -> list[tuple[tuple[str, ...], StoryStep, Worth | None]]:
    """Each step with all that changed since the last one that was run, and what that was worth; None if it was not run.

    What was not run cannot be told apart from what comes after it, so the next one has its names, too.
    """
    found: list[tuple[tuple[str, ...], StoryStep, Worth | None]] = []
    before, changed = None, tuple[str, ...]()
    for step in story.steps:
        changed += step.names
        names = changed if step.fold_scores else step.names
        found.append((names, step, worth(before, step) if before else None))
        if step.fold_scores:
            before, changed = step, ()
    return found


def memory_sentence(memory: Memory) -> str:
    """What the overfit check says."""
    knows, others = f"{100 * memory.accuracy:.1f} %", f"{100 * memory.val_accuracy:.1f} %"
    trained = f"Without dropout and augmentation, after {memory.epochs:g} epochs, the winner's network names {knows}"
    if memory.accuracy >= MEMORISED:
        return (
            f"{trained} of the images that it trained on right, and {others} of others: it is large enough to know "
            "them by heart, so what keeps it from more is how well it generalises, not its size."
        )
    return (
        f"{trained} of the images that it trained on right, and {others} of others: it does not know them by heart, "
        "so a larger network, or a longer training, may do better."
    )

"""How a model does on images that are not as they should be: plain data, and what is said of it in words and rows."""

from statistics import fmean

from pydantic import BaseModel, ConfigDict

from archsearch.report.numbers import percent

NOTABLE = 0.05
"""Losing this much accuracy is worth an `only`."""
HARDEST = 5
"""So many classes are named of those that suffer most."""

Rows = tuple[tuple[str, ...], ...]
"""A table as text; the first row has the headings."""


class _Data(BaseModel):
    model_config = ConfigDict(frozen=True)


class Score(_Data):
    """How some images were named; all are 0 to 1.

    Attributes:
        accuracy: Share that is named right.
        confidence: Mean probability that the model gave its answers.
        calibration_error: Mean gap between the two, in groups of about equal confidence (ECE, as in `Verdict`).
    """

    accuracy: float
    confidence: float
    calibration_error: float


class Level(Score):
    """How they were named after something has happened to them, at one strength.

    Attributes:
        amount: The strength: `45°`.
        said: What has happened to them: `turned by 45°`.
        answer: The class, by number, that the example is taken for.
        png: The example as the model sees it, a PNG file in base64.
    """

    amount: str
    said: str
    answer: int
    png: str


class Endured(_Data):
    """One thing that happens to images.

    Attributes:
        name: What: `rotation`.
        levels: By strength, ascending; clean ones are not among them.
        right: How many images of each class are named right at the last level.
    """

    name: str
    levels: tuple[Level, ...]
    right: tuple[int, ...]

    @property
    def accuracy(self) -> float:
        """Mean over the strengths, 0 to 1."""
        return fmean(level.accuracy for level in self.levels)

    @property
    def strongest(self) -> Level:
        """Where it has happened most."""
        return self.levels[-1]


class Outsiders(_Data):
    """Images of one kind that are of no class.

    Attributes:
        name: The kind, in the plural: `triangles`.
        images: How many.
        confidence: Mean probability of the answers, 0 to 1.
        sure: Share whose answer is more probable than the report's `threshold`, 0 to 1.
        answer: The class, by number, that most are taken for.
        png: One of them, a PNG file in base64.
    """

    name: str
    images: int
    confidence: float
    sure: float
    answer: int
    png: str


class StressReport(_Data):
    """What a stress test has found.

    Attributes:
        classes: Names, by number.
        counts: How many images of each class were used.
        clean: How they are named as they are.
        clean_right: How many of each class are named right then.
        corruptions: What happened to them, one after the other.
        left_out: What did not, a sentence each.
        outsiders: Images of no class, by kind.
        threshold: From which probability on the model counts as sure of an outsider, 0 to 1.
        example: Class of the image that is shown.
        png: That image as it is, a PNG file in base64.
        seed: Of all that was random.
    """

    classes: tuple[str, ...]
    counts: tuple[int, ...]
    clean: Score
    clean_right: tuple[int, ...]
    corruptions: tuple[Endured, ...]
    left_out: tuple[str, ...]
    outsiders: tuple[Outsiders, ...]
    threshold: float
    example: int
    png: str
    seed: int

    @property
    def images(self) -> int:
        """How many were used."""
        return sum(self.counts)

    @property
    def strengths(self) -> int:
        """How many each corruption has."""
        return len(self.corruptions[0].levels)

    @property
    def robustness(self) -> float:
        """Mean accuracy over all corruptions and strengths, 0 to 1.

        One minus the mean corruption error of Hendrycks & Dietterich 2019, https://arxiv.org/abs/1903.12261, without
        their weights, which are another network's errors.
        """
        return fmean(endured.accuracy for endured in self.corruptions)

    @property
    def calibration_error(self) -> float:
        """Mean calibration error over all corruptions and strengths, 0 to 1."""
        return fmean(level.calibration_error for endured in self.corruptions for level in endured.levels)

    @property
    def sure_of_outsiders(self) -> float:
        """Share of the images of no class, of all kinds alike, of which the model is sure, 0 to 1."""
        return fmean(outsiders.sure for outsiders in self.outsiders)


def stress_sentences(report: StressReport) -> tuple[str, ...]:
    """The score, what it stands and where it fails, its confidence, and what was left out."""
    return (robustness_sentence(report), stress_sentence(report), calibration_sentence(report), *report.left_out)


def stress_sentence(report: StressReport) -> str:
    """What it stands, and where it fails, in one sentence."""
    best, *_, worst = sorted(
        (endured.strongest for endured in report.corruptions), key=lambda level: level.accuracy, reverse=True
    )
    only = "but only" if report.clean.accuracy - worst.accuracy > NOTABLE else "and"
    return (
        f"It names {_percent(best.accuracy)} right of images {best.said}, {only} {_percent(worst.accuracy)} of those "
        f"{worst.said}; of images that are of no class at all, it is more than {_sure(report)} sure "
        f"of {_percent(report.sure_of_outsiders)}."
    )


def robustness_sentence(report: StressReport) -> str:
    """The score, what it is the mean of, and what it is to be compared with."""
    return (
        f"Robustness {_percent(report.robustness)}: mean accuracy over {len(report.corruptions)} things that happen to "
        f"images, at {report.strengths} strengths each; {_percent(report.clean.accuracy)} of the same "
        f"{report.images:,} images are named right as they are."
    )


def calibration_sentence(report: StressReport) -> str:
    """How far confidence is from accuracy, clean and under stress."""
    stressed = fmean(level.confidence for endured in report.corruptions for level in endured.levels)
    way = "too sure" if stressed > report.robustness else "too modest"
    return (
        f"Its confidence is {100 * report.clean.calibration_error:.1f} points from its accuracy on clean images, and "
        f"{100 * report.calibration_error:.1f} under stress, where it is {way} on average."
    )


def stress_rows(report: StressReport) -> Rows:
    """A row a corruption: the accuracy at each strength, and their mean."""
    heads = ("", *(f"strength {number}" for number in range(1, report.strengths + 1)), "mean")
    rows = (
        (
            endured.name,
            *(f"{_percent(level.accuracy)} ({level.amount})" for level in endured.levels),
            _percent(endured.accuracy),
        )
        for endured in report.corruptions
    )
    return (heads, *rows)


def outsider_rows(report: StressReport) -> Rows:
    """A row a kind of images that are of no class: how sure the model is of them."""
    heads = ("of no class", "mean confidence", f"more than {_sure(report)} sure", "mostly taken for")
    rows = (
        (each.name, _percent(each.confidence), _percent(each.sure), report.classes[each.answer])
        for each in report.outsiders
    )
    return (heads, *rows)


def class_rows(report: StressReport) -> Rows:
    """The classes that suffer most, at most `HARDEST`, the one that is named right least often first."""
    heads = ("suffer most", "clean", "under stress", "worst for it")
    found = []
    for label, count in enumerate(report.counts):
        if count:
            left = {endured.name: endured.right[label] / count for endured in report.corruptions}
            worst = min(left, key=lambda name: left[name])
            clean = _percent(report.clean_right[label] / count)
            words = (report.classes[label], clean, _percent(fmean(left.values())), f"{worst}: {_percent(left[worst])}")
            found.append((fmean(left.values()), words))
    return (heads, *(words for _, words in sorted(found)[:HARDEST]))


def _sure(report: StressReport) -> str:
    """The threshold as it is written: `90 %`."""
    return f"{100 * report.threshold:.4g} %"


def _percent(share: float) -> str:
    return percent(share, decimals=1)

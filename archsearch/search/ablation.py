"""From the baseline to the winner, one thing at a time. Pure functions."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from archsearch.errors import InputError, TrialError
from archsearch.search.candidates import Candidates, Drawn
from archsearch.space.sample import FixedChooser, Scalar

REGULARISATION = frozenset({"dropout", "drop_path", "label_smoothing", "mixup", "class_weights", "weight_decay"})
DEPTH = frozenset({"repeat", "depth", "nodes"})
ORDER = ("depth", "blocks", "head", "training", "regularisation", "augmentation")
"""What a space draws once for a candidate comes before all of these, each under its own name."""


@dataclass(frozen=True)
class Change:
    """Parameters that go from the baseline's values to the winner's together.

    Attributes:
        names: What they are called, for people; several where one alone gives nothing that can be trained.
        parameters: Their names in the study.
    """

    names: tuple[str, ...]
    parameters: tuple[str, ...]


@dataclass(frozen=True)
class Step:
    """A change, and the candidate that it leads to."""

    change: Change
    drawn: Drawn


def changes(baseline: Mapping[str, Scalar], winner: Mapping[str, Scalar]) -> list[Change]:
    """What has to change, in the order in which it does.

    Args:
        baseline, winner: Values by parameter; one that only the winner has is a change, too.
    """
    groups: dict[str, list[str]] = {}
    for parameter, value in winner.items():
        if baseline.get(parameter) != value or parameter not in baseline:
            groups.setdefault(_group(parameter), []).append(parameter)
    places = {name: place for place, name in enumerate(ORDER)}
    ordered = sorted(groups, key=lambda name: places.get(name, -1))
    return [Change((name,), tuple(groups[name])) for name in ordered]


def steps(
    candidates: Candidates, baseline: Mapping[str, Scalar], winner: Mapping[str, Scalar], epochs: float | None
) -> list[Step]:
    """The path: each candidate differs from the one before by one change, the last one is the winner.

    A change that gives nothing to train, or what was there before, is made together with the next one.

    Args:
        candidates: Where they are drawn from.
        baseline, winner: Values by parameter.
        epochs: As candidates were trained in the search; None if they say it themselves.
    """
    return list(_steps(candidates, baseline, winner, epochs))


def _steps(
    candidates: Candidates, baseline: Mapping[str, Scalar], winner: Mapping[str, Scalar], epochs: float | None
) -> Iterator[Step]:
    seen = {candidates.draw(FixedChooser(baseline), epochs).digest}
    done: set[str] = set()
    waiting: list[Change] = []
    for change in changes(baseline, winner):
        done.update(change.parameters)
        waiting.append(change)
        # What neither names is asked for only on the way; the winner's value is as good as any.
        point = {**winner, **baseline, **{name: winner[name] for name in done}}
        try:
            drawn = candidates.draw(FixedChooser(point), epochs)
        except (TrialError, InputError):
            continue
        if drawn.digest in seen or any(getattr(drawn.size, name) > most for name, most in candidates.limits.items()):
            continue
        seen.add(drawn.digest)
        together = Change(
            tuple(name for each in waiting for name in each.names),
            tuple(name for each in waiting for name in each.parameters),
        )
        yield Step(together, drawn)
        waiting = []


def _group(parameter: str) -> str:
    first, _, rest = parameter.partition(".")
    last = parameter.rpartition(".")[2]
    if not rest:
        return parameter
    if first == "augment":
        return "augmentation"
    if last in REGULARISATION:
        return "regularisation"
    if first in ("training", "head"):
        return first
    return "depth" if last in DEPTH else "blocks"

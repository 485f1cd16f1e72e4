"""Everything that can be said about a space file before anything is trained, for the images that it is meant for."""

import random
import re
from collections.abc import Iterator, Mapping
from pathlib import Path as FilePath

from archsearch.errors import SpaceError, TrialError
from archsearch.space.architecture import Task
from archsearch.space.corners import corners
from archsearch.space.cost import cost
from archsearch.space.extends import read_source
from archsearch.space.load import Space, check_size, draft_space, usable
from archsearch.space.repair import Draft
from archsearch.space.sample import (
    Chooser,
    FixedChooser,
    RandomChooser,
    RecordingChooser,
    Scalar,
    baseline_candidate,
    sample,
)
from archsearch.space.source import written
from archsearch.space.values import Options

DRAWS = 200
"""Random candidates that are tried before a limit is said to be one that nothing can meet."""


def check_space(path: str | FilePath, task: Task | None = None, trust_code: bool = False) -> Space:
    """Reads a space file as `load_space` does, and checks its baseline and its limits on candidates.

    Args:
        path: Of the file.
        task: What the candidates are for; without it nothing is said about the size of the images and the limits.
        trust_code: Whether Python code that the file names may be run; it is looked for beside the file.

    Raises:
        SpaceError: The file cannot be read, or is not a usable space; every problem at once.
    """
    draft = draft_space(read_source(path), trust_code)
    space = Space(draft.schema, draft.source)
    _check_effect(draft, space, task or _ANY_TASK)
    if task:
        check_size(draft, task)
        _check_limits(draft, space, task)
    return usable(draft)


_COPY = re.compile(r"^(stages\.\d+)\.\d+(?=\.)")
_ANY_TASK = Task(height=1024, width=1024, channels=3, classes=2)


def _check_effect(draft: Draft, space: Space, task: Task) -> None:
    """Notes keys of the baseline that stand for nothing in it: what they belong to was not chosen, or not repeated."""
    point = _point(space, task)
    if point is None:
        return
    for key, names in space.keys_of_baseline.items():
        if key not in space.schema.baseline or any(name in point for name in names):
            continue
        remedy = next(_remedies(space, names[0], point), None)
        if remedy is None:
            continue
        gate, now, needed = remedy
        if draft.speaks_of_cut(gate, now):
            continue
        if key not in point:  # it speaks of all copies; so does the remedy
            gate = _COPY.sub(r"\1", gate)
        instead = f"{gate}: {written(needed)}"
        why = f"has no effect, because {gate} is {written(now)} in the baseline"
        draft.complain(("baseline", key), f"'{key}' {why}; expected '{instead}' beside it, or neither", at_key=True)


def _point(space: Space, task: Task) -> dict[str, Scalar] | None:
    """What the baseline draws, by name; None if an expression has no value for it."""
    recording = RecordingChooser(FixedChooser(space.baseline))
    try:
        sample(space, recording, task)
    except TrialError:
        return None
    return recording.point


def _remedies(space: Space, name: str, point: Mapping[str, Scalar]) -> Iterator[tuple[str, Scalar, Scalar]]:
    """What keeps the parameter `name` from being drawn: (name, its value, a value that does not)."""
    steps = name.split(".")
    for size in range(1, len(steps)):
        gate, step = ".".join(steps[:size]), steps[size]
        if f"{gate}.repeat" in point and step.isdigit() and size == 2 and int(step) >= int(point[f"{gate}.repeat"]):
            yield f"{gate}.repeat", point[f"{gate}.repeat"], int(step) + 1
        if point.get(f"{gate}.depth") == 0:
            yield f"{gate}.depth", 0, 1
        if isinstance(space.parameters.get(gate), Options) and gate in point and point[gate] != step:
            yield gate, point[gate], step
        if f"{gate}.nodes" in point and steps[-1].isdigit() and int(steps[-1]) > int(point[f"{gate}.nodes"]):
            yield f"{gate}.nodes", point[f"{gate}.nodes"], int(steps[-1])
    if steps[0] == "augment" and point.get("augment.strength") == 0:
        yield "augment.strength", 0, max(corners(space.parameters["augment.strength"]))
    if name == "head.activation" and point.get("head.hidden") == 0:
        yield "head.hidden", 0, max(corners(space.parameters["head.hidden"]))


# Limits ---------------------------------------------------------------------------------------------------------------


def _check_limits(draft: Draft, space: Space, task: Task) -> None:
    """Notes limits that the baseline breaks, and among them those that nothing meets that can be found."""
    if draft.touched("let", "stages", "head", "baseline", "limits"):
        return
    try:
        baseline_candidate(space, task)
        return
    except SpaceError as error:
        broken = error.problems
    for problem in broken:
        limit = problem.path.removeprefix("limits.")
        if limit not in space.limits:
            draft.problems.append(problem)
            continue
        smallest = _smallest(space, task, limit)
        if smallest <= space.limits[limit]:
            draft.problems.append(problem)
            continue
        message = (
            f"nothing in the space meets it: the smallest candidate found has {smallest:,} {limit}, "
            f"the limit is {space.limits[limit]:,}; raise the limit or allow smaller candidates"
        )
        draft.problems.append(draft.source.problem(("limits", limit), message, at_key=True))


def _smallest(space: Space, task: Task, what: str) -> int:
    """The least cost found: of random candidates, and from the baseline on, one parameter after the other."""

    def measured(chooser: Chooser) -> tuple[int, dict[str, Scalar]]:
        recording = RecordingChooser(chooser)
        return getattr(cost(sample(space, recording, task).architecture), what), recording.point

    def tried(chooser: Chooser) -> Iterator[tuple[int, dict[str, Scalar]]]:
        try:
            yield measured(chooser)
        except TrialError:
            return

    generator = RandomChooser(random.Random(0))
    drawn = [found for _ in range(DRAWS) for found in tried(generator)]
    least, point = min([*tried(FixedChooser(space.baseline)), *drawn], key=lambda found: found[0])
    before = None
    while before != least:
        before = least
        for name in [each for each in point if not each.startswith(("augment.", "training."))]:
            for value in corners(space.parameters[name]):
                for cheaper in tried(FixedChooser(point | {name: value})):
                    least, point = min((least, point), cheaper, key=lambda found: found[0])
    return least

"""What was measured, and what follows from it: pure functions."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from statistics import median

TARGETS = (0.97, 0.98, 0.99, 0.993)


@dataclass(frozen=True)
class Point:
    """The model that a tool has to show at a moment.

    Attributes:
        tool: Its name.
        seed: Of its run.
        seconds: Wall time since its process began.
        images: That it has trained on by then, those of the final retraining left out.
        searched: Wall seconds in which it did that: all but the retraining.
        validation: Accuracy by which the model was chosen, 0 to 1.
        test: Accuracy on the test set, 0 to 1.
    """

    tool: str
    seed: int
    seconds: float
    images: int
    searched: float
    validation: float
    test: float


def runs(points: Iterable[Point]) -> dict[str, list[list[Point]]]:
    """For each tool its runs, one a seed, each in the order of time."""
    by_run: dict[tuple[str, int], list[Point]] = {}
    for point in points:
        by_run.setdefault((point.tool, point.seed), []).append(point)
    by_tool: dict[str, list[list[Point]]] = {}
    for (tool, _), run in sorted(by_run.items(), key=lambda item: item[0][1]):
        by_tool.setdefault(tool, []).append(sorted(run, key=lambda point: point.seconds))
    return by_tool


def time_to(run: Sequence[Point], target: float) -> float | None:
    """Seconds until the first model of a run with a test accuracy of `target`; None if none has it."""
    return min((point.seconds for point in run if point.test >= target), default=None)


def images_per_core_second(run: Sequence[Point], cores: int) -> float:
    """Over the whole of a run, by its last point."""
    return run[-1].images / (run[-1].searched * cores)


def reached(times: Sequence[float | None], limit: float) -> str:
    """The median of `times` and each of them; None counts as `limit`, in seconds, and has a `≥`."""

    def shown(seconds: float) -> str:
        return f"≥ {limit:.0f}" if seconds >= limit else f"{seconds:.0f}"

    counted = [limit if seconds is None else seconds for seconds in times]
    each = f" ({', '.join(map(shown, counted))})" if len(counted) > 1 else ""
    return f"{shown(median(counted))}{each}"


def table(points: Iterable[Point], limit: float, cores: int) -> str:
    """Markdown: a line a tool.

    Args:
        points: All that were measured.
        limit: Seconds that a target counts which was not reached.
        cores: That each tool had.
    """
    heads = ("tool", *(f"s to {target:.3g}" for target in TARGETS), "test accuracy at the end", "images / core s")
    return "\n".join(_line(cells) for cells in (heads, ("---",) * len(heads), *_rows(points, limit, cores)))


def _rows(points: Iterable[Point], limit: float, cores: int) -> Iterator[Sequence[str]]:
    for tool, of_tool in runs(points).items():
        times = (reached([time_to(run, target) for run in of_tool], limit) for target in TARGETS)
        test = median(run[-1].test for run in of_tool)
        rate = median(images_per_core_second(run, cores) for run in of_tool)
        yield tool, *times, f"{test:.2%}", f"{rate:,.0f}"


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"

"""Small SVGs of curves, for where plotly is too much: a trial's learning curves, a study's best score so far."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from archsearch.report.data import ReportData
from archsearch.training.job import Report

WIDTH, HEIGHT = 560, 300
LEFT, RIGHT, TOP, BOTTOM = 56, 12, 30, 34

STYLE = """
.small{font:12px system-ui,-apple-system,"Segoe UI",Roboto,sans-serif;color:inherit}
svg.small:root{color-scheme:light dark;color:CanvasText}
.small text{fill:currentColor}
.small .frame{stroke:currentColor;stroke-opacity:.25;fill:none}
.small .line{fill:none;stroke:#3b82f6;stroke-width:2}
.small .training{stroke:#8a8f98;stroke-width:1.5;stroke-dasharray:4 3}
.small .later{stroke-opacity:.4}
"""


@dataclass(frozen=True)
class _Line:
    """A curve of (x, y) points, and how it is drawn."""

    points: Sequence[tuple[float, float]]
    kind: str = ""


def learning_curve_svg(reports: Sequence[Report]) -> str:
    """Accuracy against epochs: validation in blue, training dashed; folds after the first are faint.

    Args:
        reports: Of one trial, at least one.
    """
    lines = []
    for fold, group in groupby(reports, key=lambda report: report.fold):
        points = list(group)
        later = " later" if fold else ""
        lines.append(_Line([(p.epoch, p.accuracy) for p in points], f" training{later}"))
        lines.append(_Line([(p.epoch, p.val_accuracy) for p in points], later))
    most = max(report.epochs for report in reports)
    return _drawn("accuracy: validation (blue) and training (dashed)", f"{most:g} epochs", most, lines)


def best_so_far_svg(data: ReportData) -> str:
    """The best score against time into the search.

    Args:
        data: With a complete trial or more.
    """
    steps, before = list[tuple[float, float]](), None
    for finish in data.progress:
        if before is not None:
            steps.append((finish.seconds, before))
        steps.append((finish.seconds, finish.best))
        before = finish.best
    steps.append((data.search_seconds, steps[-1][1]))
    return _drawn("best score so far", f"{data.search_seconds:.0f} s of search", data.search_seconds, [_Line(steps)])


def _drawn(title: str, until: str, most: float, lines: Sequence[_Line]) -> str:
    heights = [y for line in lines for _, y in line.points]
    low, high = min(heights), max(heights)
    across, down = (WIDTH - LEFT - RIGHT) / most, (HEIGHT - TOP - BOTTOM) / ((high - low) or 0.01)

    def parts() -> Iterator[str]:
        right, bottom = WIDTH - RIGHT, HEIGHT - BOTTOM
        yield f'<svg xmlns="http://www.w3.org/2000/svg" class="small" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}">'
        yield f'<style>{STYLE}</style><text x="{LEFT}" y="18">{title}</text>'
        yield f'<path class="frame" d="M{LEFT},{TOP}V{bottom}H{right}"/>'
        for text, y in ((high, TOP + 5), (low, bottom)):
            yield f'<text x="{LEFT - 6}" y="{y}" text-anchor="end">{text:.1%}</text>'
        yield f'<text x="{LEFT}" y="{bottom + 18}">0</text>'
        yield f'<text x="{right}" y="{bottom + 18}" text-anchor="end">{until}</text>'
        for line in lines:
            places = [f"{LEFT + x * across:.1f},{TOP + (high - y) * down:.1f}" for x, y in line.points]
            # A line of one point would not be seen.
            dot = ' stroke-linecap="round" style="stroke-width:6"' if len(places) == 1 else ""
            yield f'<polyline class="line{line.kind}"{dot} points="{" ".join(places * (2 if dot else 1))}"/>'
        yield "</svg>"

    return "".join(parts())

"""How the costs of a space's architectures are spread: one page of histograms that needs no network."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from itertools import pairwise
from math import log10

import plotly.graph_objects as go
from plotly.subplots import make_subplots

BINS = 40
BAR, LIMIT, BASELINE = "#3b82f6", "#d9534f", "#2aa876"


@dataclass(frozen=True)
class Measure:
    """One histogram.

    Attributes:
        title: What is measured, with its unit.
        values: Of the samples, none negative.
        baseline: Of the baseline.
        limit: What breaks it is never trained; None is no limit.
    """

    title: str
    values: Sequence[float]
    baseline: float
    limit: float | None = None


def spread_page(title: str, measures: Sequence[Measure]) -> str:
    """HTML with everything in it: a histogram a measure, on a logarithmic axis."""
    page = _figure(measures).to_html(include_plotlyjs=True, full_html=False, config={"displayModeBar": False})
    return (
        f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n<title>{escape(title)}</title>\n'
        "<style>body { font: 16px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 70rem; padding: 0 1rem; } "
        f"h1 {{ font-size: 1.3rem; }}</style>\n</head>\n<body>\n<h1>{escape(title)}</h1>\n{page}\n</body>\n</html>\n"
    )


def bins(values: Sequence[float], count: int = BINS) -> tuple[list[float], list[int]]:
    """The edges of bins of equal width by order of magnitude, one more than bins, and how many values lie in each.

    Values of 0 have no order of magnitude and are left out; so may be all, and then there are no bins.
    """
    logs = [log10(value) for value in values if value > 0]
    if not logs:
        return [], []
    low, high = min(logs), max(logs)
    if high - low < 1e-9:
        low, high = low - 0.05, high + 0.05
    width = (high - low) / count
    counts = [0] * count
    for value in logs:
        counts[min(int((value - low) / width), count - 1)] += 1
    return [10 ** (low + width * edge) for edge in range(count + 1)], counts


def _figure(measures: Sequence[Measure]) -> go.Figure:
    rows = -(-len(measures) // 2)
    figure = make_subplots(
        rows=rows, cols=2, vertical_spacing=0.14, subplot_titles=[measure.title for measure in measures]
    )
    for index, measure in enumerate(measures):
        place = {"row": index // 2 + 1, "col": index % 2 + 1}
        edges, counts = bins(measure.values)
        shares = [count / len(measure.values) for count in counts]
        figure.add_scatter(
            x=edges,
            y=[*shares, *shares[-1:]],
            line={"shape": "hv", "color": BAR, "width": 1},
            fill="tozeroy",
            customdata=[*pairwise(edges), *[(edges[-1], edges[-1])]] if edges else [],
            hovertemplate="%{customdata[0]:.3s} to %{customdata[1]:.3s}: %{y:.1%}<extra></extra>",
            showlegend=False,
            **place,
        )
        _mark(figure, measure.baseline, "baseline", BASELINE, place)
        _mark(figure, measure.limit, "limit", LIMIT, place)
    figure.update_xaxes(type="log", tickformat="~s", dtick="D2", showline=True, linecolor="#8a8f98")
    figure.update_yaxes(tickformat=".0%", rangemode="tozero", gridcolor="#e5e7eb")
    return figure.update_layout(template="none", height=340 * rows, margin={"l": 56, "r": 16, "t": 48, "b": 32})


def _mark(figure: go.Figure, value: float | None, name: str, colour: str, place: dict[str, int]) -> None:
    if value:
        # Over a logarithmic axis plotly puts the label of a line at its exponent, so it is a label of its own.
        figure.add_vline(
            x=value, line={"color": colour, "width": 2, "dash": "dash" if name == "limit" else "solid"}, **place
        )
        figure.add_annotation(
            x=log10(value),
            y=1.0,
            yref="y domain",
            text=name,
            showarrow=False,
            font={"color": colour},
            xanchor="left",
            yanchor="top",
            xshift=4,
            yshift=0 if name == "limit" else -16,
            **place,
        )

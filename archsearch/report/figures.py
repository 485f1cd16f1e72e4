"""ReportData → plotly figures. Colours of text, grid and marks are left to the page, which knows light from dark."""

from collections.abc import Sequence
from itertools import groupby

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from archsearch.report.collect import Contender, ReportData

PALETTE = (
    "#3b82f6",
    "#e8743b",
    "#2aa876",
    "#c2559d",
    "#b8952c",
    "#7c6fe0",
    "#2ba7b8",
    "#d9534f",
    "#7f9a3c",
    "#8a8f98",
)
"""Ten colours that are told apart on white and on near-black, one a rank."""

ACCENT, QUIET = PALETTE[0], "#8a8f98"

FAINT = "4d"
"""Appended to a colour: 30 % opaque."""

MOST_POINTS = 1000
"""Of more complete trials only the best are drawn as dots."""

UNITS = ((2 * 3600.0, 3600.0, "hours"), (2 * 60.0, 60.0, "minutes"), (0.0, 1.0, "seconds"))
"""From how many seconds on, divided by what, called what."""


def learning_curves(data: ReportData) -> go.Figure:
    """Accuracy of the best trials as they trained: validation above, training below, one colour a trial.

    Fold 0 is drawn strong, later folds faint; a click on a trial in the legend hides all of it.
    """
    figure = make_subplots(
        rows=2,
        cols=1,
        shared_xaxes=True,
        vertical_spacing=0.1,
        subplot_titles=("Validation accuracy", "Training accuracy"),
    )
    for curve in data.curves:
        for row, accuracy in enumerate((curve.val_accuracy, curve.accuracy), start=1):
            figure.add_scatter(
                x=curve.epochs,
                y=accuracy,
                row=row,
                col=1,
                name=f"trial {curve.trial}",
                legendgroup=str(curve.trial),
                showlegend=row == 1 and curve.fold == 0,
                mode="lines+markers" if len(curve.epochs) == 1 else "lines",
                line={
                    "color": PALETTE[curve.rank - 1] + ("" if curve.fold == 0 else FAINT),
                    "width": 2.5 if curve.rank == 1 else 1.5,
                },
                hovertemplate=f"trial {curve.trial}, fold {curve.fold}, epoch %{{x:.3~g}}: %{{y:.2%}}<extra></extra>",
            )
    figure.update_yaxes(tickformat=".0%")
    if data.curves:
        figure.update_yaxes(range=_settled([curve.val_accuracy for curve in data.curves]), row=1, col=1)
        figure.update_yaxes(range=_settled([curve.accuracy for curve in data.curves]), row=2, col=1)
    most = max((curve.epochs[-1] for curve in data.curves), default=1)
    figure.update_xaxes(dtick=1 if 3 <= most <= 12 else None, rangemode="tozero")
    figure.update_xaxes(title="epochs", row=2, col=1)
    figure.update_annotations(x=0.0, xanchor="left", font={"size": 13})
    return _plain(figure, height=620)


def score_vs_size(data: ReportData) -> go.Figure:
    """Score against parameters (log scale) of complete trials, the best of many; bars are one standard error."""
    figure = go.Figure()
    marked = {contender.trial for contender in (data.winner, data.baseline) if contender}
    drawn = [row for row in data.ranking if row.rank <= MOST_POINTS or row.trial in marked]
    rows = [row for row in drawn if row.trial not in marked]
    figure.add_scatter(
        x=[row.parameters for row in rows],
        y=[row.score for row in rows],
        error_y=_bars([row.standard_error for row in rows], QUIET),
        mode="markers",
        name="complete trials",
        marker={"color": QUIET, "size": 7, "opacity": 0.75},
        text=[f"trial {row.trial}: {row.architecture}" for row in rows],
        hovertemplate="%{text}<br>%{y:.2%}, %{x:,} parameters<extra></extra>",
    )
    _mark(figure, data.baseline, "baseline", "diamond", PALETTE[1])
    if data.winner and (data.baseline is None or data.winner.trial != data.baseline.trial):
        _mark(figure, data.winner, "winner", "star", ACCENT)
    if data.info.objectives == ("accuracy", "parameters"):
        front = sorted((row.parameters, row.score) for row in drawn if row.front)
        figure.add_scatter(
            x=[parameters for parameters, _ in front],
            y=[score for _, score in front],
            mode="lines",
            name="front",
            line={"color": ACCENT, "width": 1.5, "shape": "hv"},
            hoverinfo="skip",
        )
    sizes = [row.parameters for row in drawn]
    # Left to itself, plotly labels every digit of a decade or two, which does not fit a phone.
    dtick = "D2" if sizes and max(sizes) < 100 * min(sizes) else None
    figure.update_xaxes(type="log", title="parameters", tickformat="~s", dtick=dtick)
    _score_axis(figure, [row.score + sign * (row.standard_error or 0.0) for row in drawn for sign in (-1, 1)])
    return _plain(figure, height=420)


def best_so_far(data: ReportData) -> go.Figure:
    """The best score against time into the search, pauses left out; the dots are complete trials, the best of many."""
    divisor, unit = next((by, name) for start, by, name in UNITS if data.search_seconds >= start)
    drawn = {row.trial for row in data.ranking[:MOST_POINTS]}
    dots = [finish for finish in data.progress if finish.trial in drawn]
    steps = [next(group) for _, group in groupby(data.progress, key=lambda finish: finish.best)]
    figure = go.Figure()
    figure.add_scatter(
        x=[finish.seconds / divisor for finish in dots],
        y=[finish.score for finish in dots],
        mode="markers",
        name="complete trials",
        marker={"color": QUIET, "size": 6, "opacity": 0.6},
        text=[f"trial {finish.trial}" for finish in dots],
        hovertemplate=f"%{{text}}: %{{y:.2%}} after %{{x:.1f}} {unit}<extra></extra>",
    )
    # The line is carried on to the end of the search: no trial after the last dot was better.
    figure.add_scatter(
        x=[*(step.seconds / divisor for step in steps), data.search_seconds / divisor] if steps else [],
        y=[step.best for step in [*steps, *steps[-1:]]],
        mode="lines",
        name="best so far",
        line={"color": ACCENT, "width": 2.5, "shape": "hv"},
        hovertemplate=f"best after %{{x:.1f}} {unit}: %{{y:.2%}}<extra></extra>",
    )
    figure.update_xaxes(title=f"{unit} of search", rangemode="tozero")
    _score_axis(figure, [finish.score for finish in (*dots, *steps)])
    return _plain(figure, height=360)


def _settled(curves: Sequence[Sequence[float]]) -> tuple[float, float]:
    """The range but for the first third, which would press what matters into a thin band at the top."""
    return _around([accuracy for curve in curves for accuracy in curve[len(curve) // 3 :]])


def _around(values: Sequence[float]) -> tuple[float, float]:
    """From below the lowest to above the highest: plotly would show a lone accuracy from -100 % to 200 %."""
    low, high = min(values), max(values)
    margin = max(0.1 * (high - low), 0.005)
    return low - margin, high + margin


def _score_axis(figure: go.Figure, scores: Sequence[float]) -> None:
    figure.update_yaxes(title={"text": "score", "standoff": 12}, tickformat=".1%")
    if scores:
        figure.update_yaxes(range=_around(scores))


def _mark(figure: go.Figure, contender: Contender | None, name: str, symbol: str, colour: str) -> None:
    if contender is None or contender.score is None:
        return
    figure.add_scatter(
        x=[contender.parameters],
        y=[contender.score],
        error_y=_bars([contender.standard_error], colour),
        mode="markers",
        name=name,
        marker={"color": colour, "size": 13, "symbol": symbol},
        hovertemplate=f"{name}, trial {contender.trial}<br>%{{y:.2%}}, %{{x:,}} parameters<extra></extra>",
    )


def _bars(errors: Sequence[float | None], colour: str) -> dict[str, object]:
    return {
        "type": "data",
        "array": list(errors),
        "visible": any(error is not None for error in errors),
        "color": colour,
        "thickness": 1,
        "width": 0,
    }


def _plain(figure: go.Figure, height: int) -> go.Figure:
    return figure.update_layout(
        template="none",
        height=height,
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        margin={"l": 56, "r": 8, "t": 28, "b": 84},
        legend={"orientation": "h", "x": 0, "y": 0, "yref": "container", "yanchor": "bottom"},
        hovermode="closest",
        dragmode=False,
    )

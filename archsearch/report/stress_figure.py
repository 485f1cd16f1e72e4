"""StressReport → a plotly figure."""

import plotly.graph_objects as go

from archsearch.report.figures import PALETTE, QUIET, plain
from archsearch.report.stress import StressReport


def stress_curves(report: StressReport) -> go.Figure:
    """Accuracy against strength, a line a corruption; all begin at the accuracy on clean images. Dotted: guessing."""
    figure = go.Figure()
    for number, endured in enumerate(report.corruptions):
        figure.add_scatter(
            x=list(range(len(endured.levels) + 1)),
            y=[report.clean.accuracy, *(level.accuracy for level in endured.levels)],
            mode="lines+markers",
            name=endured.name,
            line={"color": PALETTE[number % len(PALETTE)], "width": 2},
            marker={"size": 6},
            text=["clean", *(level.said for level in endured.levels)],
            hovertemplate="%{text}: %{y:.1%}<extra></extra>",
        )
    strengths = report.strengths
    figure.add_scatter(
        x=[0, strengths],
        y=[1 / len(report.classes)] * 2,
        mode="lines",
        name="guessing",
        line={"color": QUIET, "width": 1, "dash": "dot"},
        hoverinfo="skip",
    )
    figure.update_xaxes(title="strength", dtick=1, range=[-0.1, strengths + 0.1])
    figure.update_yaxes(title={"text": "right", "standoff": 12}, tickformat=".0%", range=[-0.02, 1.04])
    return plain(figure, height=440).update_layout(margin={"t": 12, "b": 100})

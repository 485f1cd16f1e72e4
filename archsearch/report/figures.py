"""ReportData → plotly figures. Colours of text, grid and marks are left to the page, which knows light from dark."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from itertools import groupby, pairwise
from math import log10

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from archsearch.report.collect import MOST_POINTS
from archsearch.report.data import Contender, Ranked, ReportData
from archsearch.report.numbers import signed
from archsearch.report.story import Story, told
from archsearch.report.verdict import Verdict
from archsearch.search.parameters import Parameter

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

STATE_COLOURS = {"complete": PALETTE[2], "confirmation": PALETTE[0], "pruned": PALETTE[4], "failed": PALETTE[7]}

MOST_AXES, MOST_LINES = 7, 200
"""Of parallel axes, and of trials that cross them or are set against one parameter."""

COSTS = {
    "parameters": ("parameters", ",} parameters"),
    "flops": ("FLOPs an image", ".3s}FLOPs"),
    "latency": ("latency in seconds", ".3s}s"),
}
"""What an axis of it is titled, and how the rest of a number's format reads."""

ALL_RIGHT = 1.002
"""Where an axis of accuracies ends: a dot at 100 % is seen whole."""

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
    figure.update_yaxes(tickformat=".1%")
    if data.curves:
        figure.update_yaxes(range=_settled([curve.val_accuracy for curve in data.curves]), row=1, col=1)
        figure.update_yaxes(range=_settled([curve.accuracy for curve in data.curves]), row=2, col=1)
    most = max((curve.epochs[-1] for curve in data.curves), default=1)
    figure.update_xaxes(dtick=1 if 3 <= most <= 12 else None, rangemode="tozero")
    figure.update_xaxes(title="epochs", row=2, col=1)
    figure.update_annotations(x=0.0, xanchor="left", font={"size": 13})
    return plain(figure, height=620)


def known_costs(data: ReportData) -> tuple[str, ...]:
    """What is known of what the complete trials cost, of `COSTS`."""
    return tuple(name for name in COSTS if any(_cost(row, name) for row in data.ranking))


def score_against(data: ReportData, cost: str) -> go.Figure:
    """Score against a cost (log scale) of complete trials, the best of many; bars are one standard error.

    The front is drawn through those that no other one beats at the same cost or less (Pareto).

    Args:
        data: With a trial or none.
        cost: A name of `COSTS`.
    """
    figure = go.Figure()
    marked = {contender.trial for contender in (data.winner, data.baseline) if contender}
    drawn = [row for row in data.ranking if _cost(row, cost) and (row.rank <= MOST_POINTS or row.trial in marked)]
    rows = [row for row in drawn if row.trial not in marked]
    title, unit = COSTS[cost]
    figure.add_scatter(
        x=[_cost(row, cost) for row in rows],
        y=[row.score for row in rows],
        error_y=_bars([row.standard_error for row in rows], QUIET),
        mode="markers",
        name="complete trials",
        marker={"color": QUIET, "size": 7, "opacity": 0.75},
        text=[f"trial {row.trial}: {row.architecture}" for row in rows],
        hovertemplate=f"%{{text}}<br>%{{y:.2%}}, %{{x:{unit}<extra></extra>",
    )
    _mark(figure, data.baseline, cost, "baseline", "diamond", PALETTE[1])
    if data.winner and (data.baseline is None or data.winner.trial != data.baseline.trial):
        _mark(figure, data.winner, cost, "winner", "star", ACCENT)
    front = _front([(_cost(row, cost) or 0.0, row.score) for row in drawn])
    figure.add_scatter(
        x=[place for place, _ in front],
        y=[score for _, score in front],
        mode="lines",
        name="front",
        line={"color": ACCENT, "width": 1.5, "shape": "hv"},
        hoverinfo="skip",
    )
    places = [_cost(row, cost) or 0.0 for row in drawn]
    # Left to itself, plotly labels every digit of a decade or two, which does not fit a phone.
    dtick = "D2" if places and max(places) < 100 * min(places) else None
    figure.update_xaxes(type="log", title=title, tickformat="~s", dtick=dtick)
    _score_axis(figure, [row.score + sign * (row.standard_error or 0.0) for row in drawn for sign in (-1, 1)])
    return plain(figure, height=420)


def best_so_far(data: ReportData) -> go.Figure:
    """The best score against time into the search, pauses left out; the dots are complete trials, the best of many."""
    divisor, unit = _unit(data.search_seconds)
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
    return plain(figure, height=360)


def races(studies: Mapping[str, ReportData]) -> go.Figure:
    """The best score of each study against time into its search."""
    divisor, unit = _unit(max(data.search_seconds for data in studies.values()))
    figure = go.Figure()
    for number, (name, data) in enumerate(studies.items()):
        steps = [next(group) for _, group in groupby(data.progress, key=lambda finish: finish.best)]
        figure.add_scatter(
            x=[*(step.seconds / divisor for step in steps), data.search_seconds / divisor],
            y=[step.best for step in [*steps, *steps[-1:]]],
            mode="lines",
            name=_label(name),
            line={"color": PALETTE[number % len(PALETTE)], "width": 2, "shape": "hv"},
            hovertemplate=f"{_label(name)} after %{{x:.1f}} {unit}: %{{y:.2%}}<extra></extra>",
        )
    figure.update_xaxes(title=f"{unit} of search", rangemode="tozero")
    _score_axis(figure, [finish.best for data in studies.values() for finish in data.progress])
    return plain(figure, height=420)


def story(tale: Story) -> go.Figure:
    """From the baseline's score to the winner's: what each step was worth, as far as it was run."""
    known = [(names, step.score) for names, step, _ in told(tale) if step.score is not None]
    scores = [score for _, score in known]
    figure = go.Figure()
    figure.add_waterfall(
        x=[_label(" + ".join(names)) or "baseline" for names, _ in known] + ["winner"],
        y=[scores[0], *(after - before for before, after in pairwise(scores)), scores[-1]],
        measure=["absolute", *["relative"] * (len(known) - 1), "total"],
        text=[
            f"{scores[0]:.2%}",
            *(signed(after - before) for before, after in pairwise(scores)),
            f"{scores[-1]:.2%}",
        ],
        textposition="outside",
        increasing={"marker": {"color": PALETTE[2]}},
        decreasing={"marker": {"color": PALETTE[7]}},
        totals={"marker": {"color": QUIET}},
        connector={"line": {"color": QUIET, "width": 1}},
        hovertemplate="%{x}: %{text}<extra></extra>",
    )
    low, high = min(scores), max(scores)
    margin = max(0.25 * (high - low), 0.002)
    figure.update_yaxes(tickformat=".1%", range=[low - margin, high + margin])
    figure.update_xaxes(type="category")
    return plain(figure, height=380)


def importances(data: ReportData) -> go.Figure:
    """How much each parameter sets the best trials apart."""
    known = [parameter for parameter in data.parameters if parameter.importance is not None]
    figure = go.Figure()
    figure.add_bar(
        x=[parameter.importance for parameter in known],
        y=[_label(parameter.name) for parameter in known],
        orientation="h",
        marker={"color": ACCENT},
        hovertemplate="%{y}: %{x:.1%}<extra></extra>",
    )
    figure.update_xaxes(tickformat=".0%", rangemode="tozero")
    figure.update_yaxes(autorange="reversed", type="category")
    return plain(figure, height=60 + 26 * len(known)).update_layout(margin={"t": 8, "b": 36}, bargap=0.35)


def slice_of(data: ReportData, parameter: Parameter) -> go.Figure:
    """Score against what was drawn for one parameter, of the best `MOST_LINES` complete trials."""
    scores = {row.trial: row.score for row in data.ranking[:MOST_LINES]}
    drawn = {trial: value for trial, value in parameter.values.items() if trial in scores}
    figure = go.Figure()
    options = [_label(option) for option in parameter.options]
    figure.add_scatter(
        x=[_label(value) if options else value for value in drawn.values()],
        y=[scores[trial] for trial in drawn],
        mode="markers",
        marker={"color": ACCENT, "size": 7, "opacity": 0.5},
        text=[f"trial {trial}" for trial in drawn],
        hovertemplate="%{text}: %{y:.2%} with %{x}<extra></extra>",
    )
    figure.update_xaxes(
        title=_label(parameter.name),
        type="category" if options else "log" if parameter.log else "linear",
        categoryorder="array" if options else None,
        categoryarray=options or None,
        # Left to itself, plotly labels every digit of a decade or two.
        dtick="D2" if parameter.log and not options else None,
        tickformat="~g" if parameter.log and not options else None,
    )
    _score_axis(figure, [scores[trial] for trial in drawn])
    return plain(figure, height=260).update_layout(margin={"b": 60, "t": 12}, showlegend=False)


def parallel(data: ReportData) -> go.Figure:
    """The most important parameters and the score as parallel axes: a line a complete trial, the best third in blue."""
    rows = data.ranking[:MOST_LINES]
    trials, scores = [row.trial for row in rows], [row.score for row in rows]
    ends = {min(scores), max(scores)}
    axes = [
        *(_axis(parameter, trials) for parameter in data.parameters[:MOST_AXES]),
        _Axis("score", {row.trial: row.score for row in rows}, {score: f"{score:.1%}" for score in ends}),
    ]
    figure = go.Figure()
    for row in reversed(rows):  # the best on top
        good = row.rank <= max(1, len(rows) // 3)
        figure.add_scatter(
            x=[_label(axis.name) for axis in axes],
            y=[axis.height(row.trial) for axis in axes],
            mode="lines",
            line={"color": ACCENT if good else QUIET, "width": 2 if good else 1},
            opacity=0.8 if good else 0.35,
            hoverinfo="text",
            text=f"trial {row.trial}: {row.score:.2%}",
            showlegend=False,
        )
    for axis in axes:
        for place, text in axis.labels.items():
            at = axis.share(place)
            figure.add_annotation(
                x=_label(axis.name),
                y=at,
                text=_label(text),
                showarrow=False,
                yshift=9 if at > 0.5 else -9,
                font={"size": 11},
            )
    figure.update_yaxes(visible=False, range=[-0.12, 1.12])
    figure.update_xaxes(type="category", tickangle=-25)
    return plain(figure, height=420).update_layout(margin={"l": 40, "r": 40, "t": 12, "b": 110})


def timeline(data: ReportData) -> go.Figure:
    """What each worker trained when, a bar a trial."""
    divisor, unit = _unit(data.search_seconds)
    figure = go.Figure()
    for state in dict.fromkeys(span.state for span in data.timeline):
        spans = [span for span in data.timeline if span.state == state]
        figure.add_bar(
            base=[round(span.began / divisor, 3) for span in spans],
            x=[round((span.ended - span.began) / divisor, 3) for span in spans],
            y=[f"worker {span.worker}" for span in spans],
            orientation="h",
            name=state,
            marker={"color": STATE_COLOURS.get(state, QUIET), "line": {"width": 0.5, "color": "rgba(255,255,255,0.6)"}},
            customdata=[(span.trial, round(span.ended - span.began, 1)) for span in spans],
            hovertemplate=f"trial %{{customdata[0]}}, {state}: %{{customdata[1]}} s<extra></extra>",
        )
    workers = 1 + max((span.worker for span in data.timeline), default=0)
    figure.update_xaxes(title=f"{unit} of search", rangemode="tozero")
    figure.update_yaxes(autorange="reversed", type="category")
    return plain(figure, height=140 + 34 * workers).update_layout(barmode="overlay", bargap=0.25)


def confusion(data: ReportData) -> go.Figure:
    """How many images of each class were taken for each other one; what is right is left out, it would outshine all."""
    verdict, names = _verdict(data), [_label(name) for name in data.info.classes]
    wrong = [
        [None if column == row else count for column, count in enumerate(counts)]
        for row, counts in enumerate(verdict.confusion)
    ]
    figure = go.Figure()
    figure.add_heatmap(
        z=wrong,
        x=names,
        y=names,
        colorscale=[[0.0, "rgba(217,83,79,0)"], [1.0, "rgba(217,83,79,1)"]],
        zmin=0,
        showscale=False,
        xgap=1,
        ygap=1,
        text=[["" if not count else str(count) for count in row] for row in wrong],
        texttemplate="%{text}",
        hovertemplate="%{z} of class %{y} taken for %{x}<extra></extra>",
        hoverongaps=False,
    )
    figure.update_xaxes(title="taken for", type="category", side="top")
    figure.update_yaxes(title={"text": "class", "standoff": 12}, type="category", autorange="reversed")
    figure = plain(figure, height=min(160 + 34 * len(names), 720))
    return figure.update_layout(margin={"t": 84, "b": 16})


def calibration(data: ReportData) -> go.Figure:
    """Share of right answers against the confidence they were given with; on the diagonal one may believe it."""
    bins = _verdict(data).bins
    figure = go.Figure()
    figure.add_scatter(
        x=[0, 1],
        y=[0, 1],
        mode="lines",
        line={"color": QUIET, "width": 1, "dash": "dot"},
        hoverinfo="skip",
        showlegend=False,
    )
    figure.add_scatter(
        x=[each.confidence for each in bins],
        y=[each.accuracy for each in bins],
        mode="lines+markers",
        marker={
            "color": ACCENT,
            "size": [6 + 14 * (each.images / max(b.images for b in bins)) ** 0.5 for each in bins],
        },
        line={"color": ACCENT, "width": 1.5},
        text=[f"{each.images:,} images" for each in bins],
        hovertemplate="%{text}: %{y:.1%} right at a confidence of %{x:.1%}<extra></extra>",
        showlegend=False,
    )
    figure.update_xaxes(title="confidence", tickformat=".0%", range=[-0.02, 1.04])
    figure.update_yaxes(title={"text": "right", "standoff": 12}, tickformat=".0%", range=[-0.02, 1.04])
    return plain(figure, height=360)


def plain(figure: go.Figure, height: int) -> go.Figure:
    """What all figures of the page have in common: only data is drawn, the page has the paper and the ink."""
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


def _verdict(data: ReportData) -> Verdict:
    if data.verdict is None:
        raise ValueError("nothing was tested")
    return data.verdict


@dataclass(frozen=True)
class _Axis:
    """One of parallel axes: where each trial crosses it, and what some places on it are called."""

    name: str
    places: Mapping[int, float]
    labels: Mapping[float, str]

    def share(self, place: float) -> float:
        """From 0, the lower end of all places, to 1."""
        every = [*self.places.values(), *self.labels]
        low, high = min(every), max(every)
        return (place - low) / (high - low) if high > low else 0.5

    def height(self, trial: int) -> float | None:
        """Where the trial crosses it; None if it does not: its line has a gap."""
        return self.share(self.places[trial]) if trial in self.places else None


def _axis(parameter: Parameter, trials: Sequence[int]) -> _Axis:
    drawn = {trial: parameter.values[trial] for trial in trials if trial in parameter.values}
    if parameter.options:
        names = [str(option) for option in parameter.options]
        places = {trial: float(names.index(str(value))) for trial, value in drawn.items()}
        return _Axis(parameter.name, places, {float(place): name for place, name in enumerate(names)})
    numbers = {trial: float(value) for trial, value in drawn.items()}
    places = {trial: log10(number) if parameter.log else number for trial, number in numbers.items()}
    ends = {end(places.values()) for end in (min, max)} if places else set[float]()
    return _Axis(parameter.name, places, {end: f"{10**end if parameter.log else end:.3g}" for end in ends})


def _unit(seconds: float) -> tuple[float, str]:
    return next((by, name) for start, by, name in UNITS if seconds >= start)


def _settled(curves: Sequence[Sequence[float]]) -> tuple[float, float]:
    """The range but for the first third, which would press what matters into a thin band at the top."""
    return _around([accuracy for curve in curves for accuracy in curve[len(curve) // 3 :]])


def _around(values: Sequence[float]) -> tuple[float, float]:
    """From below the lowest to above the highest: plotly would show a lone accuracy from -100 % to 200 %."""
    low, high = min(values), max(values)
    margin = max(0.1 * (high - low), 0.005)
    return low - margin, min(high + margin, max(high, ALL_RIGHT))


def _score_axis(figure: go.Figure, scores: Sequence[float]) -> None:
    figure.update_yaxes(title={"text": "score", "standoff": 12}, tickformat=".1%")
    if scores:
        figure.update_yaxes(range=_around(scores))


def _cost(of: Ranked | Contender, name: str) -> float | None:
    """None if it is not known."""
    return float(getattr(of, name) or 0) or None


def _front(places: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Of (cost, score), those that score more than all that cost as much or less, cheapest first."""
    kept: list[tuple[float, float]] = []
    for cost, score in sorted(places, key=lambda place: (place[0], -place[1])):
        if not kept or score > kept[-1][1]:
            kept.append((cost, score))
    return kept


def _label(text: object) -> str:
    """Somebody's words as plotly shows them: it would take tags in them for formatting, and for links."""
    return escape(str(text), quote=False)


def _mark(figure: go.Figure, contender: Contender | None, cost: str, name: str, symbol: str, colour: str) -> None:
    if contender is None or contender.score is None or _cost(contender, cost) is None:
        return
    figure.add_scatter(
        x=[_cost(contender, cost)],
        y=[contender.score],
        error_y=_bars([contender.standard_error], colour),
        mode="markers",
        name=name,
        marker={"color": colour, "size": 13, "symbol": symbol},
        hovertemplate=f"{name}, trial {contender.trial}<br>%{{y:.2%}}, %{{x:{COSTS[cost][1]}<extra></extra>",
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

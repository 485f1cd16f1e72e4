import json
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from report_studies import EPOCHS, info, search, winner_of

from archsearch.report.collect import collect
from archsearch.report.figures import (
    best_so_far,
    confusion,
    importances,
    known_costs,
    learning_curves,
    parallel,
    races,
    score_against,
    slice_of,
    story,
    timeline,
)
from archsearch.report.story import Story, StoryStep
from archsearch.report.verdict import judge
from archsearch.search.parameters import Parameter
from archsearch.search.record import ranking


def test_learning_curves_show_ten_trials_with_one_legend_entry_each() -> None:
    data = collect(info(), search(14), None)
    figure = learning_curves(data)
    assert len(figure.data) == 10 * 3 * 2
    assert [trace.name for trace in figure.data if trace.showlegend] == [
        f"trial {row.trial}" for row in data.ranking[:10]
    ]
    assert len({trace.line.color[:7] for trace in figure.data}) == 10
    validation = next(trace for trace in figure.data if trace.showlegend)
    assert tuple(validation.y) == data.curves[0].val_accuracy


def test_fractions_of_an_epoch_are_where_they_belong() -> None:
    short = [
        record.model_copy(update={"reports": tuple(replace(r, epoch=r.epoch / 16, epochs=0.5) for r in record.reports)})
        for record in search(3)
    ]
    figure = learning_curves(collect(info(), short, None))
    assert figure.data[0].x == tuple(epoch / 16 for epoch in range(1, EPOCHS + 1))
    assert figure.layout.xaxis2.dtick is None


@pytest.mark.parametrize("cost", ["parameters", "flops", "latency"])
def test_the_front_is_what_no_other_trial_beats(cost: str) -> None:
    timed = [
        record.model_copy(
            update={"reports": tuple(replace(each, latency=1e-3 * (1 + record.number % 5)) for each in record.reports)}
        )
        for record in search(25)
    ]
    data = collect(info(), timed, None)
    assert known_costs(data) == ("parameters", "flops", "latency")
    front = next(trace for trace in score_against(data, cost).data if trace.name == "front")
    places = {(getattr(row, cost), row.score) for row in data.ranking}
    beaten = {
        (at, score) for at, score in places if any(x <= at and y >= score and (x, y) != (at, score) for x, y in places)
    }
    assert list(zip(front.x, front.y, strict=True)) == sorted(places - beaten)
    assert 1 < len(front.x) < len(places)


def test_costs_that_are_not_known_have_no_figure() -> None:
    without = [record.model_copy(update={"flops": 0}) for record in search(3)]
    assert known_costs(collect(info(), without, None)) == ("parameters",)
    assert known_costs(collect(info(), [], None)) == ()


def test_the_view_of_the_curves_holds_every_final_score() -> None:
    data = collect(info(), search(14), None)
    low, high = learning_curves(data).layout.yaxis.range
    assert all(low < curve.val_accuracy[-1] < high for curve in data.curves)


def test_score_against_parameters_shows_each_complete_trial_once() -> None:
    kept = search(9, 5)
    best = ranking(kept)[0]
    data = collect(info(), kept, winner_of(best))
    traces = {trace.name: trace for trace in score_against(data, "parameters").data}
    dots = (trace for name, trace in traces.items() if name != "front")
    points = sorted((x, y) for trace in dots for x, y in zip(trace.x, trace.y, strict=True))
    assert points == sorted((row.parameters, row.score) for row in data.ranking)
    assert tuple(traces["winner"].x) == (best.parameters,)
    assert tuple(traces["winner"].error_y.array) == (best.standard_error,)


def test_best_so_far_runs_to_the_end_of_the_search() -> None:
    data = collect(info(), search(20), None)
    line = next(trace for trace in best_so_far(data).data if trace.name == "best so far")
    assert line.x[-1] == pytest.approx(data.search_seconds / 60)
    assert line.y[-1] == data.ranking[0].score


@pytest.mark.parametrize("count", [0, 1])
def test_figures_of_hardly_anything(count: int) -> None:
    data = collect(info(), search(count), None)
    for drawn in (learning_curves(data), score_against(data, "parameters"), best_so_far(data)):
        assert drawn.to_json()


def test_the_timeline_has_a_bar_a_trial_on_the_worker_that_ran_it() -> None:
    data = collect(info(), search(6, 4), None)
    figure = timeline(data)
    bars = {
        trial: (base, length, worker)
        for trace in figure.data
        for (trial, _), base, length, worker in zip(trace.customdata, trace.base, trace.x, trace.y, strict=True)
    }
    assert set(bars) == {span.trial for span in data.timeline}
    for worker in {worker for _, _, worker in bars.values()}:
        own = sorted((base, base + length) for base, length, of in bars.values() if of == worker)
        assert all(end <= start + 0.002 for (_, end), (start, _) in pairwise(own)), "one at a time"


def test_parallel_axes_have_a_gap_where_a_trial_has_no_such_parameter() -> None:
    kept = search(3)
    first, second, third = (row.trial for row in collect(info(), kept, None).ranking)
    drawn = [
        Parameter(name="kind", importance=None, log=False, options=("a", "b"), values={first: "b", second: "a"}),
        Parameter(name="rate", importance=None, log=True, options=(), values={first: 0.1, second: 1e-3, third: 1e-2}),
    ]
    figure = parallel(collect(info(), kept, None, parameters=drawn))
    lines = {trace.text.split(":")[0]: list(trace.y) for trace in figure.data}
    assert lines[f"trial {first}"] == [1.0, 1.0, 1.0]
    assert lines[f"trial {second}"][:2] == [0.0, 0.0]
    assert lines[f"trial {third}"][:2] == [None, pytest.approx(0.5)]


def test_the_waterfall_ends_at_the_winner_and_leaves_out_what_was_not_run() -> None:
    steps = [
        StoryStep(names=names, digest=str(scores), architecture="a", parameters=1, fold_scores=scores)
        for names, scores in (((), (0.9,)), (("width",), ()), (("depth",), (0.93,)), (("augmentation",), (0.92,)))
    ]
    (bars,) = story(Story(winner=1, epochs=2, steps=tuple(steps))).data
    assert list(bars.x) == ["baseline", "width + depth", "augmentation", "winner"]
    assert list(bars.y) == pytest.approx([0.9, 0.03, -0.01, 0.92])


def texts(node: Any) -> Iterator[str]:
    """Every text in a figure."""
    if isinstance(node, str):
        yield node
    elif isinstance(node, dict):
        for item in node.values():
            yield from texts(item)
    elif isinstance(node, list | tuple):
        for item in node:
            yield from texts(item)


def test_a_name_has_no_effect_in_a_figure() -> None:
    """Plotly makes links of `<a href=…>` in any label."""
    name = '<a href="https://evil.example">cat</a>'
    parameter = Parameter(name=name, importance=0.1, log=False, options=(name, "b"), values={0: name, 1: "b"})
    probabilities = np.eye(10, dtype=np.float32)[[1, 1, 2, 3]]
    verdict = judge(np.zeros((4, 8, 8, 1), np.uint8), np.array([0, 1, 2, 3], np.int32), probabilities)
    kept = search(3)
    data = collect(info(classes=(name, *"123456789")), kept, winner_of(ranking(kept)[0]), None, verdict)
    data = data.model_copy(update={"parameters": (parameter,)})
    figures = (races({name: data}), importances(data), slice_of(data, parameter), parallel(data), confusion(data))
    for figure in figures:
        found = list(texts(json.loads(figure.to_json())))
        assert any("&lt;a href" in text for text in found)
        assert not any("<a" in text for text in found)

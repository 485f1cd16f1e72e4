from dataclasses import replace

import pytest
from report_studies import EPOCHS, info, search, winner_of

from archsearch.report.collect import collect
from archsearch.report.figures import best_so_far, learning_curves, score_vs_size
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


def test_the_front_is_drawn_through_its_trials() -> None:
    kept = search(9)
    data = collect(info(objectives=("accuracy", "parameters")), kept, None)
    front = next(trace for trace in score_vs_size(data).data if trace.name == "front")
    assert sorted(zip(front.x, front.y, strict=True)) == sorted(
        (row.parameters, row.score) for row in data.ranking if row.front
    )
    assert list(front.y) == sorted(front.y)
    assert not any(trace.name == "front" for trace in score_vs_size(collect(info(), kept, None)).data)


def test_the_view_of_the_curves_holds_every_final_score() -> None:
    data = collect(info(), search(14), None)
    low, high = learning_curves(data).layout.yaxis.range
    assert all(low < curve.val_accuracy[-1] < high for curve in data.curves)


def test_score_vs_size_shows_each_complete_trial_once() -> None:
    kept = search(9, 5)
    best = ranking(kept)[0]
    data = collect(info(), kept, winner_of(best))
    traces = {trace.name: trace for trace in score_vs_size(data).data}
    points = sorted((x, y) for trace in traces.values() for x, y in zip(trace.x, trace.y, strict=True))
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
    for draw in (learning_curves, score_vs_size, best_so_far):
        assert draw(data).to_json()

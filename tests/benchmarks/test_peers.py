import math

import pytest

from benchmarks.peers.curves import Point, images_per_core_second, reached, runs, table, time_to


def point(tool: str, seed: int, seconds: float, test: float) -> Point:
    return Point(tool, seed, seconds, int(1000 * seconds), seconds, test, test)


def test_a_target_is_reached_by_the_first_model_that_has_it() -> None:
    run = [point("a", 0, 10, 0.95), point("a", 0, 20, 0.98), point("a", 0, 30, 0.975), point("a", 0, 40, 0.99)]
    assert time_to(run, 0.97) == 20
    assert time_to(run, 0.98) == 20
    assert time_to(run, 0.99) == 40
    assert time_to(run, 0.991) is None


def test_runs_are_by_tool_then_seed_then_time() -> None:
    points = [point("b", 1, 5, 0.9), point("a", 0, 9, 0.9), point("b", 0, 7, 0.9), point("b", 1, 3, 0.8)]
    by_tool = runs(points)
    assert set(by_tool) == {"a", "b"}
    assert [[(p.seed, p.seconds) for p in run] for run in by_tool["b"]] == [[(0, 7)], [(1, 3), (1, 5)]]


@pytest.mark.parametrize(
    ("times", "expected"),
    [
        ([62.4], "62"),
        ([None], "≥ 1200"),
        ([80.0, 62.0, 70.0], "70 (80, 62, 70)"),
        ([80.0, None, 70.0], "80 (80, ≥ 1200, 70)"),
        ([None, None, 70.0], "≥ 1200 (≥ 1200, ≥ 1200, 70)"),
    ],
)
def test_a_target_that_was_not_reached_counts_as_the_limit(times: list[float | None], expected: str) -> None:
    assert reached(times, 1200) == expected


def test_the_images_of_a_run_count_over_all_but_the_retraining() -> None:
    run = [Point("a", 0, 30, 9_000, 20, 0.9, 0.9), Point("a", 0, 70, 40_000, 50, 0.99, 0.99)]
    assert math.isclose(images_per_core_second(run, 2), 400)


def test_the_table_has_a_line_for_each_tool() -> None:
    points = [point("a", 0, 50, 0.992), point("a", 1, 60, 0.994), point("b", 0, 100, 0.981)]
    lines = table(points, limit=1200, cores=2).splitlines()
    assert lines[0] == (
        "| tool | s to 0.97 | s to 0.98 | s to 0.99 | s to 0.993 | test accuracy at the end | images / core s |"
    )
    assert lines[2:] == [
        "| a | 55 (50, 60) | 55 (50, 60) | 55 (50, 60) | 630 (≥ 1200, 60) | 99.30% | 500 |",
        "| b | 100 | 100 | ≥ 1200 | ≥ 1200 | 98.10% | 500 |",
    ]

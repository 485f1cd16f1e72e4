"""Small pictures of curves."""

import re
from xml.etree import ElementTree

from report_studies import info, search

from archsearch.report.collect import collect
from archsearch.report.curve import BOTTOM, HEIGHT, LEFT, RIGHT, TOP, WIDTH, best_so_far_svg, learning_curve_svg
from archsearch.training.job import Report


def report(fold: int, epoch: float, accuracy: float) -> Report:
    return Report(7, fold, epoch, 4, 1_000, 0.5, 0.5, 0.25, accuracy, 1.5)


def lines(svg: str) -> list[list[tuple[float, float]]]:
    found = [line.attrib["points"] for line in ElementTree.fromstring(svg).iter("{http://www.w3.org/2000/svg}polyline")]
    return [[(float(x), float(y)) for x, y in re.findall(r"([\d.]+),([\d.]+)", points)] for points in found]


def test_each_fold_has_a_line_for_training_and_one_for_validation() -> None:
    svg = learning_curve_svg([report(0, 1, 0.6), report(0, 4, 1.0), report(1, 1, 0.5), report(1, 4, 0.9)])
    assert len(lines(svg)) == 4
    _, validation, _, _ = lines(svg)
    across = WIDTH - LEFT - RIGHT
    assert validation == [(LEFT + across / 4, HEIGHT - BOTTOM - 0.2 * (HEIGHT - TOP - BOTTOM)), (WIDTH - RIGHT, TOP)]
    assert ">100.0%</text>" in svg
    assert ">50.0%</text>" in svg


def test_one_report_is_a_dot() -> None:
    (training, validation) = lines(learning_curve_svg([report(0, 1, 0.6)]))
    assert len(training) == len(validation) == 2
    assert validation[0] == validation[1]


def test_the_best_score_climbs_in_steps_to_the_end() -> None:
    data = collect(info(), search(6), None)
    (line,) = lines(best_so_far_svg(data))
    assert [x for x, _ in line] == sorted(x for x, _ in line)
    assert [y for _, y in line] == sorted((y for _, y in line), reverse=True)
    assert line[-1] == (WIDTH - RIGHT, TOP)

"""What is said of a stress test, in words, rows, a figure and a section of the page."""

import re

import pytest

from archsearch.report.page import environment
from archsearch.report.stress import (
    Endured,
    Level,
    Outsiders,
    Score,
    StressReport,
    class_rows,
    outsider_rows,
    stress_rows,
    stress_sentences,
)
from archsearch.report.stress_figure import stress_curves


def endured(name: str, said: str, accuracies: tuple[float, ...], right: tuple[int, ...]) -> Endured:
    levels = tuple(
        Level(
            accuracy=accuracy,
            confidence=0.8,
            calibration_error=0.1,
            amount=f"{10 * number}°",
            said=f"{said} {10 * number}°",
            answer=number % 2,
            png="AAAA",
        )
        for number, accuracy in enumerate(accuracies, start=1)
    )
    return Endured(name=name, levels=levels, right=right)


def report(worst: float = 0.41, left_out: tuple[str, ...] = ()) -> StressReport:
    return StressReport(
        classes=("cat", "<dog>", "eel"),
        counts=(60, 40, 0),
        clean=Score(accuracy=0.99, confidence=0.98, calibration_error=0.012),
        clean_right=(60, 39, 0),
        corruptions=(
            endured("rotation", "turned by", (0.9, worst), (30, 11, 0)),
            endured("shift", "moved by", (0.98, 0.971), (60, 37, 0)),
        ),
        left_out=left_out,
        outsiders=(
            Outsiders(name="noise", images=20, confidence=0.7, sure=0.3, answer=1, png="BBBB"),
            Outsiders(name="crosses", images=20, confidence=0.9, sure=0.38, answer=0, png="CCCC"),
        ),
        threshold=0.9,
        example=1,
        png="DDDD",
        seed=0,
    )


def test_sentences_say_what_it_stands_and_where_it_fails() -> None:
    score, where, calibration, left_out = stress_sentences(report(left_out=("Stroke width is left out.",)))
    assert score == (
        "Robustness 81.5 %: mean accuracy over 2 things that happen to images, at 2 strengths each; "
        "99.0 % of the same 100 images are named right as they are."
    )
    assert where == (
        "It names 97.1 % right of images moved by 20°, but only 41.0 % of those turned by 20°; of images that are of "
        "no class at all, it is more than 90 % sure of 34.0 %."
    )
    assert calibration == (
        "Its confidence is 1.2 points from its accuracy on clean images, and 10.0 under stress, where it is too modest "
        "on average."
    )
    assert left_out == "Stroke width is left out."


def test_who_loses_little_is_not_scolded() -> None:
    assert ", and 96.0 % of those turned by 20°;" in stress_sentences(report(worst=0.96))[1]
    assert "too modest" in stress_sentences(report(worst=0.96))[2]
    assert "too sure" in stress_sentences(report(worst=0.2))[2]


def test_the_score_is_the_mean_over_all_corruptions_and_strengths() -> None:
    assert report().robustness == pytest.approx((0.9 + 0.41 + 0.98 + 0.971) / 4)


def test_rows_of_the_corruptions() -> None:
    assert stress_rows(report()) == (
        ("", "strength 1", "strength 2", "mean"),
        ("rotation", "90.0 % (10°)", "41.0 % (20°)", "65.5 %"),
        ("shift", "98.0 % (10°)", "97.1 % (20°)", "97.5 %"),
    )


def test_rows_of_what_is_no_class() -> None:
    assert outsider_rows(report()) == (
        ("of no class", "mean confidence", "more than 90 % sure", "mostly taken for"),
        ("noise", "70.0 %", "30.0 %", "<dog>"),
        ("crosses", "90.0 %", "38.0 %", "cat"),
    )


def test_the_class_that_suffers_most_comes_first_and_one_without_images_not_at_all() -> None:
    assert class_rows(report())[1:] == (
        ("<dog>", "97.5 %", "60.0 %", "rotation: 27.5 %"),
        ("cat", "100.0 %", "75.0 %", "rotation: 50.0 %"),
    )


def test_curves_begin_at_the_clean_accuracy() -> None:
    rotation, shift, guessing = stress_curves(report()).data
    assert (rotation.name, list(rotation.y)) == ("rotation", [0.99, 0.9, 0.41])
    assert list(shift.text) == ["clean", "moved by 10°", "moved by 20°"]
    assert list(guessing.y) == [pytest.approx(1 / 3)] * 2


def section(of: StressReport) -> str:
    template = environment().from_string(
        '{% from "stress.html.j2" import stress_section %}{{ stress_section(report, sentences, outsiders, classes) }}'
    )
    return template.render(
        report=of, sentences=stress_sentences(of), outsiders=outsider_rows(of), classes=class_rows(of)
    )


def test_the_section_shows_each_picture_with_its_accuracy() -> None:
    html = section(report())
    assert html.count('<div class="plot" id="stress"></div>') == 1
    assert re.findall(r"base64,(\w+)", html) == ["DDDD", "AAAA", "AAAA"] * 2 + ["BBBB", "CCCC"]
    assert "<dog>" not in html
    # The example is a dog, and at 20° it is taken for a cat.
    cells = re.findall(r'alt="the example ([^"]+)"><b>([\d.]+)\N{NO-BREAK SPACE}%</b>(?: <s[^>]*>(\w+)</s>)?', html)
    assert cells[:3] == [("as it is", "99.0", ""), ("turned by 10°", "90.0", ""), ("turned by 20°", "41.0", "cat")]

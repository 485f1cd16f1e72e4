import json
import random
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from candidates import drawn_from_a_space
from plotly.offline import get_plotlyjs
from report_studies import PLAN, baseline, drawn, info, new_folder, opening, search, trial, winner_of

from archsearch.files import write_whole
from archsearch.report import figures, page
from archsearch.report.collect import collect
from archsearch.report.data import ReportData
from archsearch.report.verdict import Verdict, judge
from archsearch.search.parameters import Parameter
from archsearch.search.record import joined, ranking


class Reader(HTMLParser):
    """The page's tags with their attributes, and the text that a reader sees."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.hidden = ""
        self.seen: list[str] = []
        self.css: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self.hidden = tag if tag in {"script", "style"} else self.hidden

    def handle_endtag(self, tag: str) -> None:
        self.hidden = "" if tag == self.hidden else self.hidden

    def handle_data(self, data: str) -> None:
        {"script": [], "style": self.css}.get(self.hidden, self.seen).append(data)

    @property
    def text(self) -> str:
        return re.sub(r"\s+", " ", "".join(self.seen))


def retrained(complete: int, others: int = 0) -> ReportData:
    kept = search(complete, others)
    return collect(info(), kept, winner_of(ranking(kept)[0]))


def test_the_answer_comes_first_with_its_uncertainty() -> None:
    kept = search(37, 14)
    best = ranking(kept)[0]
    text = Reader(page.render("digits", collect(info(), kept, winner_of(best)))).text
    assert best.score is not None
    assert best.standard_error is not None
    assert f"Trial {best.number} wins." in text
    assert f"{100 * best.score:.2f} % ± {100 * best.standard_error:.2f}" in text
    assert "97.8 % ± 0.8" in text
    assert "352 of 360 images, after 7.9 epochs on 1,437 others; opened once, 2026-03-01 14:05 UTC" in text
    assert f"{best.parameters:,} parameters" in text
    assert "± is one standard error" in text


def finals(**changes: object) -> ReportData:
    """Three trials, of which the best two have run again, by plan."""
    kept = search(3, 4)
    first, second, _ = ranking(kept)
    again = [
        trial(
            20, drawn_from_a_space(first.candidate), (0.981, 0.982, 0.983), state="confirmation", confirms=first.number
        ),
        trial(21, drawn_from_a_space(second.candidate), (0.5, 0.5, 0.5), state="confirmation", confirms=second.number),
    ]
    return collect(info(all_folds=False, folds=5, **changes), joined([*kept, *again]), None, PLAN)


def test_finalists_say_how_they_did_again() -> None:
    html = page.render("digits", finals())
    text = Reader(html).text
    second = r"with a fresh seed, after a first run at \d\d\.\d\d %; mean of 3 folds, best of 3 complete"
    assert re.search(second, text)
    assert ">first run</button>" in html
    assert "confirmation" not in text
    assert "first run" not in Reader(page.render("digits", retrained(3))).text


def test_the_plan_and_what_it_saved_are_on_the_page() -> None:
    data = finals()
    html = page.render("digits", data)
    text = Reader(html).text
    assert f"<dt>Plan</dt><dd>{PLAN.line(5).removeprefix('plan: ')}</dd>" in html
    assert "cut into 5 stratified folds" in text
    assert "trains once for each of 3 of them" in text
    (saved,) = [remark for remark in data.remarks if remark.startswith("Dropping 1 candidate early saved about ")]
    assert saved in text


def test_one_fold_has_binomial_errors() -> None:
    kept = [trial(0, baseline(), (0.93,)), trial(1, drawn(random.Random(1)), (0.97,))]
    plan = PLAN.model_copy(update={"folds": 1})
    text = Reader(page.render("digits", collect(info(all_folds=False), kept, None, plan))).text
    assert "97.00 % ± 0.78" in text
    assert "± is one standard error: binomial" in text
    assert "one fold, best of 2 complete trials" in text
    assert "trains on all but one of them" in text


def test_several_objectives_show_their_front() -> None:
    html = page.render("digits", finals(objectives=("accuracy", "latency")))
    assert "<h2>Front</h2>" in html
    assert "accuracy, latency as one of these" in Reader(html).text
    assert "<h2>Front</h2>" not in page.render("digits", finals())


def test_the_sections_stand_in_their_order() -> None:
    headings = re.findall(r"<h2>(.*?)</h2>", page.render("digits", retrained(5, 5)))
    assert headings == [
        "Architecture",
        "Why it is better",
        "Ranking",
        "Best so far",
        "Learning curves",
        "Score against cost",
        "Workers",
        "Other trials",
        "How it was judged, and how to do it again",
    ]


def test_every_trial_and_every_reason_is_on_the_page() -> None:
    data = retrained(37, 14)
    text = Reader(page.render("digits", data)).text
    for row in data.ranking:
        assert f"{100 * row.score:.2f} %" in text
        assert f"{row.parameters:,}" in text
        assert row.architecture in text
        assert row.optimizer in text
        assert all(f"{100 * fold:.2f}" in text for fold in row.fold_scores)
    for other in data.others:
        assert other.reason in text
        assert other.state in text
    for remark in data.remarks:
        assert remark in text


def test_how_to_reproduce_is_on_the_page() -> None:
    data = retrained(3)
    text = Reader(page.render("digits", data)).text
    named = info()
    for fact in (named.space_hash, named.fingerprint, named.folds_hash, named.sampler, named.pruner, data.command):
        assert fact in text
    assert "archsearch 0.1.0, python 3.11.9, tensorflow 2.21.0, keras 3.15.1" in text


def verdict(mistakes: int = 3) -> Verdict:
    """Of 360 test images of ten classes, all named right but the first few."""
    labels = np.arange(360, dtype=np.int32) % 10
    answers = labels.copy()
    answers[:mistakes] = 9
    probabilities = np.full((360, 10), 0.01, np.float32)
    probabilities[np.arange(360), answers] = 0.91
    return judge(np.zeros((360, 8, 8, 1), np.uint8), labels, probabilities)


def test_where_the_winner_is_still_wrong() -> None:
    kept = search(5)
    winner = winner_of(ranking(kept)[0], accuracy=357 / 360)
    html = page.render("digits", collect(info(), kept, winner, None, verdict()))
    text = Reader(html).text
    assert "Of 360 test images, 3 are named wrong. These are the ones of which it was surest." in text
    assert "0, taken for 9" in text
    assert "91.0 % sure" in text
    assert html.split("<script>")[0].count('src="data:image/png;base64,') == 3
    assert re.search(r"0 36 97\.2 % 85\.8 % – 99\.5 % 9 \(1\)", text)  # Wilson's interval, by hand: 35 of 36
    assert "On average it is 91.0 % sure and 99.2 % right." in text
    assert 'id="confusion"' in html


def test_a_winner_that_is_never_wrong() -> None:
    kept = search(5)
    winner = winner_of(ranking(kept)[0], accuracy=1.0)
    html = page.render("digits", collect(info(), kept, winner, None, verdict(mistakes=0)))
    assert "All 360 test images are named right." in Reader(html).text
    assert 'id="confusion"' not in html


def test_what_mattered() -> None:
    kept = search(30)
    scores = {row.number: row.score or 0.0 for row in kept}
    drawn_values = [
        Parameter(name="depth", importance=0.7, log=False, options=(), values={n: n % 4 for n in scores}),
        Parameter(name="rate", importance=0.2, log=True, options=(), values={n: 10 ** -(1 + n % 3) for n in scores}),
        Parameter(name="kind", importance=0.1, log=False, options=("a", "<b>"), values={0: "a", 1: "<b>"}),
    ]
    html = page.render("digits", collect(info(), kept, None, None, None, drawn_values))
    for place in ("importances", "slice-0", "slice-1", "slice-2", "parallel", "timeline"):
        assert f'id="{place}"' in html
    assert "<h2>What mattered</h2>" in html
    assert "<b>" not in re.sub(r'<script type="application/json".*?</script>', "", html, flags=re.DOTALL)


def test_a_test_set_opened_twice_is_said_to_be() -> None:
    kept = search(5)
    data = collect(info(), kept, winner_of(ranking(kept)[0]), openings=[opening(1, 0.9)])
    assert "opened 2 times, last 2026-03-01" in Reader(page.render("digits", data)).text


def test_a_perfect_test_score_gets_no_error() -> None:
    kept = search(5)
    text = Reader(page.render("digits", collect(info(), kept, winner_of(ranking(kept)[0], accuracy=1.0)))).text
    assert "100.0 % 360 of 360 images" in text


def test_names_are_escaped() -> None:
    hostile = "<script>alert(1)</script>"
    kept = search(3, 6)
    data = collect(info(classes=(hostile, "b"), data=hostile, space=hostile), kept, None)
    html = page.render(hostile, data)
    assert hostile not in html
    assert Reader(html).text.count(hostile) >= 4
    assert "Out of memory <killed by the kernel>" in Reader(html).text


@pytest.mark.parametrize("complete", [0, 5])
def test_the_page_loads_nothing(complete: int) -> None:
    reader = Reader(page.render("digits", collect(info(), search(complete, 3), None)))
    for tag, attributes in reader.tags:
        assert tag not in {"link", "iframe", "object", "embed", "base"}
        assert (attributes.get("href") or "#").startswith("#"), (tag, attributes)
        assert not {"srcset", "data", "action"} & attributes.keys(), (tag, attributes)
        assert (attributes.get("src") or "data:").startswith("data:"), (tag, attributes)
    css = "".join(reader.css)
    assert "url(" not in css
    assert "@import" not in css
    policy = next(a["content"] for _, a in reader.tags if a.get("http-equiv") == "Content-Security-Policy")
    assert policy is not None
    assert policy.startswith("default-src 'none';")
    assert "http" not in policy


def test_plotly_is_inlined_once() -> None:
    html = page.render("digits", retrained(12))
    assert html.count(get_plotlyjs()) == 1


def test_the_figures_are_in_the_page() -> None:
    html = page.render("digits", retrained(12))
    found = re.search(r'<script type="application/json" id="figures">(.*?)</script>', html, re.DOTALL)
    assert found is not None
    drawn = json.loads(found[1])
    assert set(drawn) == {"curves", "score-parameters", "score-flops", "progress", "timeline"}
    places = {attributes.get("id") for tag, attributes in Reader(html).tags if tag == "div"}
    assert set(drawn) <= places


def test_a_study_without_a_complete_trial_says_so() -> None:
    text = Reader(page.render("digits", collect(info(), search(0, 4), None))).text
    assert "There is no winner yet." in text
    assert "No trial has finished every fold, so nothing can be ranked." in text
    assert "Fold 0 reached 61.2 % after 2 epochs" in text


def test_one_complete_trial_is_the_baseline_and_the_test_set_stays_sealed() -> None:
    text = Reader(page.render("digits", collect(info(), search(1), None))).text
    assert "The test set is still sealed." in text
    assert "360 images, never opened" in text
    assert "the winner is the baseline" in text


def test_files(tmp_path: Path) -> None:
    folder = new_folder(tmp_path / "digits")
    data = retrained(500, 60)
    assert data.retrained is not None
    write_whole(folder.winner, data.retrained.model_copy(update={"trial": 999}).model_dump_json())
    page.write_report(folder, data)
    assert not folder.card.exists(), "another model has taken its place"
    write_whole(folder.winner, data.retrained.model_dump_json())
    page.write_report(folder, data)

    assert folder.report.stat().st_size < 6_000_000
    assert "<title>digits: search report</title>" in folder.report.read_text()

    def refuse(constant: str) -> None:
        raise ValueError(constant)

    assert ReportData.model_validate(json.loads(folder.report_data.read_text(), parse_constant=refuse)) == data

    table = pd.read_csv(folder.leaderboard)
    assert list(table["trial"]) == [row.trial for row in data.ranking]
    assert list(table["score"]) == pytest.approx([row.score for row in data.ranking])
    assert list(table["fold_2"]) == pytest.approx([row.fold_scores[2] for row in data.ranking])
    assert folder.card.read_text().startswith("# digits\n")
    assert sorted(path.name for path in tmp_path.joinpath("digits").iterdir()) == [
        "best",
        "leaderboard.csv",
        "report.html",
        "report.json",
    ]


def test_long_tables_end_and_say_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page, "MOST_ROWS", 50)
    data = retrained(70, 90)
    reader = Reader(page.render("digits", data))
    assert reader.text.count("Show all 50") == 2
    assert "All 70 are in leaderboard.csv" in reader.text
    assert data.ranking[49].architecture in reader.text
    newest = [other for other in data.others if other.state != "failed"][-35:]
    failed = [other for other in data.others if other.state == "failed"]
    assert all(other.reason in reader.text for other in (*failed, *newest))
    assert "Those that failed and the newest, 50 in all" in reader.text
    assert sum(tag == "tr" for tag, _ in reader.tags) == 1 + 50 + 1 + 50  # with the heads


def test_what_fits_on_the_page_is_not_said_to_go_on() -> None:
    text = Reader(page.render("digits", retrained(25, 5))).text
    assert "Show all 25" in text
    assert "are in leaderboard.csv" not in text
    assert "Those that failed and the newest" not in text


def test_figures_of_many_trials_show_the_best_and_say_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(figures, "MOST_POINTS", 10)
    monkeypatch.setattr(page, "MOST_POINTS", 10)
    data = retrained(30)
    assert data.baseline is not None
    size = {trace.name: trace for trace in figures.score_against(data, "parameters").data}
    drawn_dots = set(zip(size["complete trials"].x, size["complete trials"].y, strict=True))
    assert drawn_dots == {(row.parameters, row.score) for row in data.ranking[1:10]}
    assert list(size["baseline"].y) == [data.baseline.score]
    low, high = figures.score_against(data, "parameters").layout.yaxis.range
    assert low < data.baseline.score < high
    dots, line = figures.best_so_far(data).data
    assert sorted(dots.y) == sorted(row.score for row in data.ranking[:10])
    assert list(line.y) == [*sorted({finish.best for finish in data.progress}), data.ranking[0].score]
    text = Reader(page.render("digits", data)).text
    assert "the dots are the best 10 of 30 complete trials; all are in leaderboard.csv" in text


def test_diverged_losses_leave_valid_json(tmp_path: Path) -> None:
    folder = new_folder(tmp_path / "digits")
    kept = search(3)
    winner = winner_of(ranking(kept)[0])
    lost = winner.model_copy(update={"test": winner.test.model_copy(update={"loss": float("nan")})})
    page.write_report(folder, collect(info(), kept, lost))
    assert json.loads(folder.report_data.read_text())["retrained"]["test"]["loss"] is None


def test_an_empty_leaderboard_still_names_its_columns() -> None:
    table = page.leaderboard(collect(info(), [], None))
    first = ["rank", "trial", "score", "standard_error", "first_run", "fold_0", "fold_1", "fold_2"]
    assert list(table.columns)[:8] == first
    assert table.empty


@pytest.mark.parametrize(
    ("seconds", "text"), [(8.44, "8.44 s"), (59.9, "59.9 s"), (725.0, "12 min 5 s"), (12000.0, "3 h 20 min")]
)
def test_duration(seconds: float, text: str) -> None:
    assert page.duration(seconds).replace("\u00a0", " ") == text


@pytest.mark.parametrize(
    ("number", "text"), [(950, "950"), (29402, "29.4 k"), (999_900, "1 M"), (2_100_000, "2.1 M"), (4e9, "4 G")]
)
def test_amount(number: float, text: str) -> None:
    assert page.amount(number).replace("\u00a0", " ") == text


def test_points() -> None:
    assert page.points(0.0123, 1) == "+1.2"
    assert page.points(-0.0123, 2) == "\N{MINUS SIGN}1.23"

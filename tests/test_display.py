"""What the terminal shows, as text."""

import re
from dataclasses import replace
from io import StringIO
from pathlib import Path

import pytest
from candidates import architecture, block, candidate
from report_studies import info, search, winner_of
from rich.console import Console

from archsearch import display
from archsearch.display import (
    PlainLines,
    clock,
    ended_line,
    follow,
    progress_view,
    ranking_table,
    study_lines,
)
from archsearch.report.collect import collect
from archsearch.report.data import ReportData
from archsearch.search.budget import Budget
from archsearch.search.coordinator import Progress
from archsearch.search.folder import StudyFolder
from archsearch.search.plan import Plan
from archsearch.search.record import State, TrialRecord, ranking
from archsearch.space.architecture import Stage
from archsearch.training.job import Report


def record(number: int, state: State, scores: tuple[float, ...] = (), **changes: object) -> TrialRecord:
    """A trial that has finished a fold of one epoch for each score."""
    fields: dict[str, object] = {
        "number": number,
        "state": state,
        "candidate": candidate(architecture(Stage(blocks=(block(filters=8 + number),), downsample="max"))),
        "digest": str(number),
        "parameters": 1_000 * (number + 1),
        "flops": 20_000,
        "reports": tuple(
            Report(number, fold, 1, 1, 1_000, 0.5, 0.9, 0.5, score, 1.0) for fold, score in enumerate(scores)
        ),
    }
    return TrialRecord.model_validate(fields | changes)


def progress(*records: TrialRecord, trials: int | None = 8, limit: float | None = 600, seconds: float = 75) -> Progress:
    return Progress(seconds, Budget(trials, limit), records, next(iter(ranking(records)), None))


def shown(what: object, width: int = 80) -> str:
    console = Console(record=True, width=width, force_terminal=True, file=StringIO())
    console.print(what)
    return console.export_text()


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0:00"), (7.9, "0:07"), (59.99, "0:59"), (60, "1:00"), (750, "12:30"), (3599, "59:59"), (3723, "1:02:03")],
)
def test_clock(seconds: float, text: str) -> None:
    assert clock(seconds) == text


def test_before_the_first_result() -> None:
    text = shown(progress_view(progress(record(0, "running"))))
    first, best, running, counts = text.splitlines()
    assert first.rstrip().endswith("1:15 of 10:00 · 0 of 8 trials")
    assert best.rstrip() == "best: no trial has run every fold yet"
    assert re.match(r"  trial 0  +fold 0  +starting +conv3-8 ↓ → flatten", running)
    assert counts.rstrip() == "1 running"


def test_in_mid_search() -> None:
    text = shown(
        progress_view(
            progress(
                record(0, "complete", (0.95, 0.96, 0.97)),
                record(1, "complete", (0.94, 0.94, 0.94)),
                record(2, "running", (0.9, 0.5)),
                record(3, "infeasible", reason="too large"),
                record(4, "pruned", (0.2,)),
            )
        )
    )
    assert "1:15 of 10:00 · 3 of 8 trials" in text
    assert "best: 96.00 ± 0.58 %  trial 0, 1,000 parameters" in text
    assert re.search(r"trial 2 +fold 1 +epoch 1/1 +50\.00 % +conv3-10", text)
    assert "trial 1 " not in text
    # Nine folds of 1,000 images in 75 seconds.
    assert "1 running  2 complete  1 pruned  1 infeasible  120 images/s" in text


@pytest.mark.parametrize(
    ("trials", "limit", "text"),
    [(8, None, "1:15 · 0 of 8 trials"), (None, 600, "1:15 of 10:00"), (None, 60, "of 1:00")],
)
def test_only_what_is_limited_is_counted(trials: int | None, limit: float | None, text: str) -> None:
    first = shown(progress_view(progress(record(0, "running"), trials=trials, limit=limit))).splitlines()[0]
    assert first.rstrip().endswith(text)
    assert "None" not in first


def bar(trials: int) -> int:
    done = [record(number, "complete", (0.9,) * 3) for number in range(trials)]
    return shown(progress_view(progress(*done, limit=None))).splitlines()[0].count("━")


def test_the_bar_is_full_when_the_budget_is_spent() -> None:
    assert bar(8) == bar(9) == 30


def test_a_wide_network_is_cut_and_not_wrapped() -> None:
    stage = Stage(blocks=(block(filters=8), block(filters=16), block(filters=24)), downsample="max")
    wide = record(0, "running", candidate=candidate(architecture(*[stage] * 3)))
    lines = shown(progress_view(progress(wide))).splitlines()
    assert len(lines) == 4
    assert lines[2].rstrip().endswith("…")


@pytest.mark.parametrize(
    ("ended", "line"),
    [
        (
            record(0, "complete", (0.95, 0.96, 0.97), baseline=True),
            "trial 0 complete 96.00 ± 0.58 %: baseline",
        ),
        (record(3, "complete", (0.95, 0.96, 0.97)), "trial 3 complete 96.00 ± 0.58 %: conv3-11 ↓ → flatten"),
        (
            record(1, "pruned", (0.2,), reason="others did better"),
            "trial 1 pruned: conv3-9 ↓ → flatten (others did better)",
        ),
        (record(2, "failed", reason="[Errno 28] no disk"), "trial 2 failed: conv3-10 ↓ → flatten ([Errno 28] no disk)"),
    ],
)
def test_a_line_for_a_trial_that_has_ended(ended: TrialRecord, line: str) -> None:
    assert ended_line(ended) == line


def told(lines: PlainLines, console: Console, now: Progress) -> list[str]:
    lines(now)
    return console.export_text().splitlines()


PLAN = Plan(
    epochs=3, winner_epochs=3, most_epochs=3, folds=2, rungs=(1 / 9,), points=(1 / 9, 1.0), finalists=2, images=54_000
)
LINE = "plan: 3 epochs, 2 of 10 folds, first ones dropped after 11% of a fold (18,000 images), 2 finalists"


def test_a_finalist_is_shown_with_what_it_did_again() -> None:
    best = record(0, "complete", (0.95, 0.96, 0.97)).model_copy(update={"confirmed": (0.94, 0.95, 0.96)})
    assert "best: 95.00 ± 0.58 % with a fresh seed, 96.00 % before  trial 0" in shown(progress_view(progress(best)))
    again = record(7, "confirmation", (0.94, 0.95, 0.96), confirms=0, reason="whatever")
    assert ended_line(again) == "trial 0 confirmed at 95.00 %: trial 7, with a fresh seed"


def test_the_plan_is_told_when_it_is_made_and_when_it_changes() -> None:
    console = Console(record=True, file=StringIO(), width=40)
    lines = PlainLines(console)
    now = replace(progress(record(0, "running")), plan=PLAN, parts=10)
    assert told(lines, console, now) == [f"1:15  {LINE}"]
    assert told(lines, console, now) == []
    fewer = replace(now, plan=PLAN.model_copy(update={"folds": 1}))
    assert told(lines, console, fewer) == [f"1:15  {LINE.replace('2 of 10', '1 of 10')}"]
    assert LINE in shown(progress_view(now), width=120)


def test_fractions_of_an_epoch() -> None:
    part = Report(0, 0, 0.16666, 0.5, 1_000, 0.5, 0.9, 0.5, 0.8, 1.0)
    assert "epoch 0.167/0.5" in shown(progress_view(progress(record(0, "running", reports=(part,)))))


def report_data(*records: TrialRecord, plan: Plan | None = PLAN, **changes: object) -> ReportData:
    return collect(info(folds=10, all_folds=False, **changes), records, None, plan)


def test_the_ranking_has_a_column_for_confirmations_when_there_are_any() -> None:
    best = record(0, "complete", (0.95, 0.96, 0.97))
    other = record(1, "complete", (0.9, 0.9, 0.9))
    header, first, second = shown(ranking_table(report_data(other, best), 120), 120).splitlines()
    assert header.split()[:4] == ["rank", "trial", "accuracy", "parameters"]
    confirmed = best.model_copy(update={"confirmed": (0.94, 0.95, 0.96)})
    header, first, second, note = shown(ranking_table(report_data(other, confirmed), 120), 120).splitlines()
    assert note.strip() == "finalists first, by their second run"
    assert header.split()[:6] == ["rank", "trial", "accuracy", "first", "run", "parameters"]
    assert re.match(r" +1 +0 +95\.00 ± 0\.58 % +96\.00 % +1,000 ", first)
    assert re.match(r" +2 +1 +90\.00 ± 0\.00 % +– +2,000 ", second)


def test_a_narrow_ranking_leaves_the_room_to_the_architecture() -> None:
    ranked = report_data(record(0, "complete", (0.95, 0.96, 0.97)))
    wide, narrow = (shown(ranking_table(ranked, width), width).splitlines()[0].split() for width in (120, 80))
    assert set(wide) - set(narrow) == {"FLOPs", "seconds"}


def test_with_several_objectives_the_ranking_is_of_the_front() -> None:
    beaten = record(1, "complete", (0.9, 0.9, 0.9))
    data = report_data(beaten, record(0, "complete", (0.95, 0.96, 0.97)), objectives=("accuracy", "parameters"))
    _, *rows, caption = shown(ranking_table(data, 120), 120).splitlines()
    assert [row.split()[1] for row in rows] == ["0"]
    assert caption.strip() == "1 more in the report"


def test_the_state_of_a_study_has_its_plan_and_what_dropping_saved() -> None:
    whole = record(0, "complete", (0.95, 0.96), seconds=900.0)
    lines = study_lines(report_data(whole, record(1, "pruned", (0.5,), seconds=60.0))).splitlines()
    assert lines[2] == "trials  1 complete, 1 pruned"
    assert lines[4:] == [
        LINE.replace("plan: ", "plan    "),
        # 107,000 images were left, at a second for 1,000.
        "saved   about 2 of 18 worker minutes, by dropping 1 early",
    ]
    assert len(study_lines(report_data(whole, plan=None)).splitlines()) == 4


def test_plain_lines_tell_each_end_once() -> None:
    console = Console(record=True, width=40, file=StringIO(), markup=False)
    lines = PlainLines(console)
    earlier = record(0, "complete", (0.95, 0.96, 0.97), baseline=True)
    assert told(lines, console, progress(earlier, record(1, "running"))) == []
    failed = record(1, "failed", reason="[bold] " + "long " * 20 + "end")
    (line,) = told(lines, console, progress(earlier, failed))
    assert line == f"1:15  {ended_line(failed)}"
    assert told(lines, console, progress(earlier, failed)) == []


def test_plain_lines_give_a_sign_of_life(monkeypatch: pytest.MonkeyPatch) -> None:
    console = Console(record=True, file=StringIO())
    lines = PlainLines(console)
    now = progress(record(0, "running"))
    assert told(lines, console, now) == []
    monkeypatch.setattr(display, "LINE_SECONDS", -1.0)
    assert told(lines, console, now) == ["1:15  best: no trial has run every fold yet; 1 running"]
    (line,) = told(lines, console, replace(now, left=61.5))
    assert line == "1:15  best: no trial has run every fold yet; 1:01 of search left; 1 running"


def test_the_time_left_stands_beside_the_budget() -> None:
    text = shown(progress_view(replace(progress(record(0, "running"), limit=None), left=130.0)))
    assert "1:15 · 0 of 8 trials · 2:10 of search left" in text


def test_the_answer_in_five_lines(tmp_path: Path) -> None:
    kept = search(6)
    best, folder = ranking(kept)[0], StudyFolder(tmp_path / "my study")
    data = collect(info(), kept, winner_of(best, 0.95))
    assert data.gain is not None
    assert data.gain.standard_error is not None
    assert data.baseline is not None
    lines = display.answer_lines(data, folder).splitlines()
    assert [line.split(":")[0] for line in lines] == ["winner", "better", "model", "report", "next"]
    assert f"trial {best.number}" in lines[0]
    assert "95.00 % on the test set (342 of 360 images)" in lines[0]
    assert f"by +{100 * data.gain.mean:.2f} ± {100 * data.gain.standard_error:.2f} points" in lines[1]
    assert f"{data.baseline.parameters:,} parameters" in lines[1]
    assert lines[4].startswith(f"next:   archsearch demo, explain, stress, export or dashboard '{folder.path}'; ")


def test_the_answer_does_not_make_up_a_gain(tmp_path: Path) -> None:
    alone = search(1)
    lines = display.answer_lines(collect(info(), alone, winner_of(alone[0])), StudyFolder(tmp_path))
    assert "better: no, it is the baseline itself\n" in lines
    lost = [each.model_copy(update={"baseline": False}) for each in alone]
    lines = display.answer_lines(collect(info(), lost, winner_of(lost[0])), StudyFolder(tmp_path))
    assert "better: unknown, the baseline has not been tried\n" in lines


def test_only_a_terminal_is_drawn_on() -> None:
    for terminal in (True, False):
        file = StringIO()
        with follow(Console(file=file, force_terminal=terminal, width=80)) as watch:
            watch(progress(record(0, "running")))
            watch(progress(record(0, "complete", (0.95, 0.96, 0.97))))
        assert ("\x1b[" in file.getvalue()) == terminal

"""What the terminal shows of one trial, as text."""

import re
from io import StringIO

import pytest
from candidates import candidate
from rich.console import Console

from archsearch.display_trial import replay_line, report_line, sparkline, trial_view
from archsearch.replay import Replayed
from archsearch.search.record import TrialRecord
from archsearch.space.architecture import Task
from archsearch.space.hyper import HyperCandidate, HyperRecipe
from archsearch.training.job import Report


def report(fold: int, epoch: float, accuracy: float) -> Report:
    return Report(7, fold, epoch, 4, 1_000, 0.5, 0.9, 0.25, accuracy, 1.5)


def record(*reports: Report, **changes: object) -> TrialRecord:
    fields = {
        "number": 7,
        "state": "pruned",
        "reason": "52.00% after 25% of the second fold: others did better",
        "candidate": candidate(),
        "digest": "7",
        "parameters": 1_000,
        "flops": 20_000,
        "reports": reports,
        "seconds": 63.0,
    }
    return TrialRecord.model_validate(fields | changes)


def shown(record: TrialRecord) -> str:
    console = Console(width=120, file=StringIO())
    with console.capture() as capture:
        console.print(trial_view(record))
    return capture.get()


def test_a_trial_says_why_it_ended_and_how_each_fold_went() -> None:
    text = shown(record(report(0, 1, 0.5), report(0, 4, 0.97), report(1, 1, 0.52)))
    assert text.startswith("trial 7: pruned, 97.00 %")
    assert "why      52.00% after 25% of the second fold: others did better" in text
    assert "trained for 1:03, seed 0" in text
    first, second = text.splitlines()[-2:]
    assert re.match(r" +0 +4 +97\.00 % +0\.2500 +90\.00 % +0\.5000 +3\.0 +▁█", first)
    assert re.match(r" +1 +1 of 4 +52\.00 % ", second)
    assert "recipe: " in text


def test_a_trial_that_has_reported_nothing_says_so() -> None:
    text = shown(record(state="infeasible", reason="too large"))
    assert "trial 7: infeasible\n" in text
    assert "it has reported nothing" in text


def test_a_confirmed_trial_and_its_confirmation_name_each_other() -> None:
    assert "that run counts: 96.00 %" in shown(record(report(0, 4, 0.97), state="complete", confirmed=(0.96,)))
    assert "what trial 3 tried" in shown(record(report(0, 4, 0.97), state="confirmation", confirms=3))


def test_a_hypermodel_has_its_values() -> None:
    tried = HyperCandidate(
        code="m.py:M",
        task=Task(height=8, width=8, channels=1, classes=10),
        values={"units": 32, "[rate]": 0.1},
        recipe=HyperRecipe(batch_size=8, epochs=2),
    )
    text = shown(record(candidate=tried))
    assert re.search(r"units +32", text)
    assert re.search(r"\[rate\] +0\.1", text)


@pytest.mark.parametrize(("values", "bars"), [((0.1, 0.5, 0.9), "▁▅█"), ((0.5, 0.5), "▁▁"), ((0.3,), "▁")])
def test_sparkline(values: tuple[float, ...], bars: str) -> None:
    assert sparkline(values) == bars


def test_report_line() -> None:
    assert report_line(report(1, 2.5, 0.9712)) == "  fold 1  epoch 2.5/4  validation 97.12 %  training 90.00 %"


def test_a_repetition_says_how_far_it_is_from_what_is_recorded() -> None:
    then = (report(0, 1, 0.5), report(0, 4, 0.97))
    assert replay_line(7, Replayed(then, then)) == (
        "trial 7 came out the same: 2 reports, no validation accuracy differs"
    )
    now = (report(0, 1, 0.48), report(0, 4, 0.975))
    assert replay_line(7, Replayed(then, now)) == (
        "trial 7 came out differently: 97.50 % at the end, recorded 97.00 %; "
        "the largest difference in 2 reports is -2.00 points"
    )

"""What the dashboard says of a study and its trials."""

from candidates import candidate
from report_studies import PLAN, info, search

from archsearch.dashboard.notes import facts, study_note, trial_note
from archsearch.report.collect import collect
from archsearch.search.record import TrialRecord
from archsearch.space.architecture import Task
from archsearch.space.hyper import HyperCandidate, HyperRecipe
from archsearch.training.job import Report


def record(**changes: object) -> TrialRecord:
    fields = {
        "number": 7,
        "state": "complete",
        "candidate": candidate(),
        "digest": "7",
        "parameters": 1_234,
        "flops": 20_000,
        "reports": (
            Report(7, 0, 1, 4, 500, 0.5, 0.8, 0.3, 0.9, 1.5),
            Report(7, 0, 4, 4, 2_000, 0.5, 0.9, 0.3, 0.97, 1.5),
        ),
        "seconds": 3.0,
    }
    return TrialRecord.model_validate(fields | changes)


def test_a_trial_s_note_has_its_network_its_folds_and_why_it_ended() -> None:
    text = trial_note(record(state="pruned", reason="90.00% after 25% of the first fold: others did better"))
    assert text.startswith("## Trial 7: pruned\n\n90.00% after 25% of the first fold: others did better.\n")
    assert "| stage 1 |" in text
    assert "| head |" in text
    assert "| 0 | 4 of 4 | 97.00 % | 90.00 % | 3.0 |" in text
    assert "1,234 parameters, 20,000 FLOPs an image, seed 0." in text


def test_a_confirmed_trial_says_that_its_second_run_counts() -> None:
    text = trial_note(record(confirmed=(0.96,), baseline=True))
    assert text.startswith("## Trial 7, the baseline: complete")
    assert "**96.00 %** over 1 fold, with a fresh seed as a finalist" in text


def test_a_hypermodel_s_values_cannot_break_their_table() -> None:
    tried = HyperCandidate(
        code="m.py:M",
        task=Task(height=8, width=8, channels=1, classes=10),
        values={"units|": 32},
        recipe=HyperRecipe(batch_size=8, epochs=2),
    )
    assert "| units\\| | 32 |" in trial_note(record(candidate=tried))


def test_facts_are_plain_and_only_complete_trials_have_a_score() -> None:
    assert facts(record())["score"] == 0.97
    assert "score" not in facts(record(state="pruned", reason="too bad"))
    assert facts(record(state="pruned", reason="too bad"))["reason"] == "too bad"
    assert all(isinstance(value, float | int | str) for value in facts(record()).values())


def test_a_study_s_note_has_the_answer_and_the_space() -> None:
    text = study_note("digits", collect(info(), search(3), None, PLAN), "name: digits\n")
    assert text.startswith("## digits\n")
    assert text.endswith("### The space\n\n```yaml\nname: digits\n```\n")


def test_nothing_from_elsewhere_has_an_effect_in_a_note() -> None:
    hostile = "<img src=x onerror=alert(1)> ![a](http://evil) `b`"
    said = r"&lt;img src=x onerror=alert(1)&gt; !\[a\](http://evil) \`b\`."
    assert said in trial_note(record(state="failed", reason=hostile))
    text = study_note(hostile, collect(info(data=hostile), search(3), None, PLAN), "name: a\n```\n# <script>\n")
    assert "<img" not in text.split("```")[0]
    assert text.endswith("````yaml\nname: a\n```\n# <script>\n````\n")

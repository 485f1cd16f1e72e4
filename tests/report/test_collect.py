import random
from dataclasses import replace

import pytest
from report_studies import EPOCHS, PLAN, baseline, drawn, info, new_folder, opening, search, store, trial, winner_of

from archsearch.report.collect import SearchClock, collect
from archsearch.report.lines import architecture_line, optimizer_line
from archsearch.report.remarks import savings
from archsearch.search import record as records
from archsearch.search.record import TrialRecord, joined, ranking
from archsearch.space.architecture import SGD, Candidate, Custom, Lion, Stage


def candidate(seed: int) -> Candidate:
    return drawn(random.Random(seed))


def close_race() -> list[TrialRecord]:
    """Trial 2 leads with 0.97 ± 0.0058, trial 1 is level with it, trial 3 is not."""
    return [
        trial(0, baseline(), (0.90, 0.91, 0.92)),
        trial(1, candidate(1), (0.966, 0.966, 0.966)),
        trial(2, candidate(2), (0.96, 0.97, 0.98)),
        trial(3, candidate(3), (0.96, 0.96, 0.96)),
    ]


def test_rows_are_ranked_and_say_who_is_level_with_the_best() -> None:
    data = collect(info(), close_race(), None)
    assert [(row.rank, row.trial, row.level) for row in data.ranking] == [
        (1, 2, True),
        (2, 1, True),
        (3, 3, False),
        (4, 0, False),
    ]
    assert data.ranking[0].score == pytest.approx(0.97)
    assert data.ranking[0].standard_error == pytest.approx(0.01 / 3**0.5)
    assert data.ranking[0].fold_scores == (0.96, 0.97, 0.98)


def confirmed_race() -> list[TrialRecord]:
    """As before; trials 2 and 1 have run again, and 1 did better."""
    again = [
        trial(4, candidate(2), (0.94, 0.95, 0.96), state="confirmation", confirms=2),
        trial(5, candidate(1), (0.97, 0.97, 0.97), state="confirmation", confirms=1),
    ]
    return joined([*close_race(), *again])


def test_finalists_say_how_they_did_again() -> None:
    data = collect(info(), confirmed_race(), None)
    assert [(row.trial, row.first_run) for row in data.ranking] == [
        (1, pytest.approx(0.966)),
        (2, pytest.approx(0.97)),
        (3, None),
        (0, None),
    ]
    assert data.ranking[0].score == pytest.approx(0.97)
    assert data.winner is not None
    assert (data.winner.trial, data.leader) == (1, 1)
    remark = (
        "The 2 best ran again before one of them won, with a fresh seed and for as long as the winner trains. "
        "Only that run counts for them."
    )
    assert remark in data.remarks


def test_scores_of_shorter_trainings_are_said_to_be_such() -> None:
    shorter = PLAN.model_copy(update={"winner_epochs": 4 * (PLAN.epochs or 0.0)})
    remarks = [
        collect(info(), kept, None, plan).remarks for kept, plan in ((close_race(), PLAN), (close_race(), shorter))
    ]
    assert not [remark for remark in remarks[0] if "epochs" in remark]
    (said,) = (remark for remark in remarks[1] if "epochs" in remark)
    assert said.startswith(f"Candidates trained for {PLAN.epochs:g} epochs, and the winner is retrained for about ")
    assert any("but the finalists" in remark for remark in collect(info(), confirmed_race(), None, shorter).remarks)


def test_a_confirmation_is_neither_ranked_nor_among_the_others() -> None:
    data = collect(info(), confirmed_race(), None)
    assert data.others == ()
    assert data.counts == {"complete": 4, "confirmation": 2}
    assert {curve.trial for curve in data.curves} == {0, 1, 2, 3}


def test_the_gain_is_over_runs_of_the_same_length() -> None:
    gain = collect(info(), confirmed_race(), None).gain
    assert gain is not None
    # Fold by fold 0.956, 0.966, 0.976 minus 0.90, 0.91, 0.92: the second run of 1 does not count.
    assert gain.mean == pytest.approx(0.056)
    assert gain.standard_error == pytest.approx(0.01 / 3**0.5)


def test_of_level_trials_the_smallest_may_be_wanted() -> None:
    kept = close_race()
    sizes = {record.number: record.parameters for record in kept}
    smaller = [
        record.model_copy(update={"parameters": sizes[2] - 1}) if record.number == 1 else record for record in kept
    ]
    data = collect(info(prefer="small"), smaller, None)
    assert data.ranking[0].trial == 2
    assert data.winner is not None
    assert data.winner.trial == data.leader == 1
    remark = "The winner is the smallest of those that are within one standard error of the best, as was asked for."
    assert remark in data.remarks
    assert remark not in collect(info(), smaller, None).remarks


def test_one_fold_has_the_binomial_error_of_its_images() -> None:
    ours, theirs = 0.97, 0.95
    error = (ours * (1 - ours) / 479) ** 0.5
    level = ours - 0.9 * error
    data = collect(
        info(),
        [trial(0, baseline(), (theirs,)), trial(1, candidate(1), (ours,)), trial(2, candidate(2), (level,))],
        None,
    )
    assert data.ranking[0].standard_error == pytest.approx(error)
    assert [(row.trial, row.level) for row in data.ranking] == [(1, True), (2, True), (0, False)]
    assert data.gain is not None
    assert data.gain.standard_error == pytest.approx((error**2 + theirs * (1 - theirs) / 479) ** 0.5)
    assert any(remark.startswith("Trial 2 is within one standard error") for remark in data.remarks)
    assert any("it may be chance" in remark for remark in data.remarks)


def test_the_front_is_what_no_other_trial_beats() -> None:
    kept = [
        record.model_copy(update={"parameters": parameters})
        for record, parameters in zip(close_race(), (500, 2_000, 3_000, 2_500), strict=True)
    ]
    wanted = info(objectives=("accuracy", "parameters"))
    assert {row.trial for row in collect(wanted, kept, None).ranking if row.front} == {2, 1, 0}
    assert not any(row.front for row in collect(info(), kept, None).ranking)


def test_latency_is_the_mean_of_what_was_measured() -> None:
    kept = [trial(0, baseline(), (0.9,) * 3, latency=2e-4), trial(1, candidate(1), (0.95,) * 3)]
    assert [row.latency for row in collect(info(), kept, None).ranking] == [None, pytest.approx(2e-4)]


def test_what_dropping_saves_is_worked_out_from_each_trials_own_pace() -> None:
    dropped = trial(1, candidate(1), (0.6,), state="pruned", epochs=2)
    kept = [trial(0, baseline(), (0.9,) * 3), dropped]
    data = collect(info(), kept, None, PLAN)
    # 2 of 24 epochs are done, the others would have taken 1.5 s each.
    assert data.saved_seconds == pytest.approx(22 * 1.5)
    assert data.training_seconds == pytest.approx(1.6 * 26)
    assert savings(data) == "33 of 75 worker seconds"
    assert "Dropping 1 candidate early saved about 33 of 75 worker seconds." in data.remarks
    assert collect(info(), kept, None).saved_seconds == 0.0


def test_a_trials_start_is_not_taken_for_its_pace() -> None:
    def slow_start(record: TrialRecord) -> TrialRecord:
        first, *others = record.reports
        return record.model_copy(update={"reports": (replace(first, seconds=first.seconds + 10.0), *others)})

    whole = slow_start(trial(0, baseline(), (0.9,) * 3))
    dropped = slow_start(trial(1, candidate(1), (0.6,), state="pruned", epochs=1))
    data = collect(info(), [whole, dropped], None, PLAN)
    assert data.saved_seconds == pytest.approx(23 * 1.5)


def test_nothing_dropped_saves_nothing() -> None:
    data = collect(info(), close_race(), None, PLAN)
    assert (data.saved_seconds, savings(data)) == (0.0, "")
    assert not any("Dropping" in remark for remark in data.remarks)
    never_told = trial(4, candidate(4), (), state="pruned")
    assert collect(info(), [*close_race(), never_told], None, PLAN).saved_seconds == 0.0


def test_long_savings_are_told_in_minutes_and_hours() -> None:
    data = collect(info(), close_race(), None, PLAN)
    minutes = data.model_copy(update={"saved_seconds": 1_320.0, "training_seconds": 1_140.0})
    assert savings(minutes) == "22 of 41 worker minutes"
    hours = data.model_copy(update={"saved_seconds": 79_200.0, "training_seconds": 68_400.0})
    assert savings(hours) == "22 of 41 worker hours"


def test_the_order_of_the_records_does_not_matter() -> None:
    kept = search(12, 6)
    assert collect(info(), kept[::-1], None) == collect(info(), kept, None)


def test_a_study_read_back_from_its_journal_gives_the_same_data(tmp_path_factory: pytest.TempPathFactory) -> None:
    kept = search(4, 6)
    study = store(new_folder(tmp_path_factory.mktemp("reports") / "digits"), kept)
    assert collect(info(), records.read(study), None) == collect(info(), kept, None)


def test_the_gain_is_paired_by_fold() -> None:
    data = collect(info(), close_race(), None)
    assert data.gain is not None
    assert data.gain.mean == pytest.approx(0.06)
    # Both rise from fold to fold alike, so the difference is certain although each score is not.
    assert data.gain.standard_error == pytest.approx(0.0, abs=1e-12)


def test_there_is_no_gain_over_a_baseline_that_did_not_complete() -> None:
    kept = [trial(0, baseline(), (0.9,), state="failed", reason="Out of memory."), *close_race()[1:]]
    data = collect(info(), kept, None)
    assert data.gain is None
    assert data.baseline is not None
    assert data.baseline.score is None
    assert "The baseline did not complete (it is failed), so the winner's gain is unknown." in data.remarks


def test_the_newest_try_of_the_baseline_counts() -> None:
    interrupted = trial(0, baseline(), (0.5,), state="interrupted", epochs=1)
    data = collect(info(), [interrupted, *close_race()[1:], trial(4, baseline(), (0.9, 0.9, 0.9))], None)
    assert data.baseline is not None
    assert data.baseline.trial == 4
    assert data.baseline.score == pytest.approx(0.9)


def test_others_keep_state_reason_and_how_far_they_came() -> None:
    kept = search(2, 6)
    data = collect(info(), kept, None)
    assert [(row.trial, row.state, row.reason) for row in data.others] == [
        (r.number, r.state, r.reason) for r in kept[2:]
    ]
    by_state = {row.state: row for row in data.others}
    assert (by_state["pruned"].epochs, by_state["duplicate"].epochs) == (2, 0)
    assert by_state["pruned"].accuracy == next(r for r in kept if r.state == "pruned").reports[-1].val_accuracy
    assert by_state["infeasible"].accuracy is None
    assert data.counts == {
        "running": 1, "complete": 2, "pruned": 1, "infeasible": 1, "duplicate": 1, "interrupted": 1, "failed": 1
    }  # fmt: skip


def test_curves_are_of_the_best_ten_fold_by_fold() -> None:
    kept = search(14)
    data = collect(info(), kept, None)
    assert [(c.rank, c.fold) for c in data.curves] == [(rank, fold) for rank in range(1, 11) for fold in range(3)]
    first = data.curves[0]
    assert first.epochs == tuple(range(1, EPOCHS + 1))
    assert first.val_accuracy[-1] == ranking(kept)[0].fold_scores[0]


def test_a_retraining_that_was_cut_short_is_said_to_be_and_so_are_finalists_that_never_ran() -> None:
    kept = search(3)
    best = ranking(kept)[0]
    short = collect(info(), kept, winner_of(best, epochs=EPOCHS / 2), PLAN).remarks
    only = f"There was time to retrain the winner for {EPOCHS / 2:g} epochs only"
    assert any(remark.startswith(only) for remark in short)
    assert any(remark.startswith("There was no time to run finalists again") for remark in short)
    whole = collect(info(), kept, winner_of(best), PLAN.model_copy(update={"finalists": 0})).remarks
    assert not any(remark.startswith("There was") for remark in whole)


def test_time_into_a_search_leaves_pauses_out() -> None:
    assert SearchClock([]).seconds == 0.0
    clock = SearchClock([(10.0, 20.0), (0.0, 5.0), (12.0, 15.0), (18.0, 25.0)])
    assert clock.seconds == 20.0
    assert [clock.at(moment) for moment in (-1.0, 3.0, 7.0, 10.0, 14.0, 30.0)] == [0.0, 3.0, 5.0, 5.0, 9.0, 20.0]


def test_pauses_do_not_count_and_an_interrupted_trial_counts_what_it_trained() -> None:
    early = trial(0, baseline(), (0.9, 0.9, 0.9), started=0.0)
    cut = trial(1, candidate(1), (0.8,), state="interrupted", epochs=2, started=early.seconds)
    cut = cut.model_copy(update={"ended": 90_000.0})
    late = trial(2, candidate(2), (0.95, 0.95, 0.95), started=100_000.0)
    data = collect(info(), [early, cut, late], None)
    assert data.search_seconds == pytest.approx(early.seconds + cut.seconds + late.seconds)
    assert [finish.trial for finish in data.progress] == [0, 2]
    assert [finish.best for finish in data.progress] == pytest.approx([0.9, 0.95])
    assert data.progress[-1].seconds == pytest.approx(data.search_seconds)


def test_a_trial_that_ended_before_it_began_took_no_time() -> None:
    early = trial(0, baseline(), (0.9, 0.9, 0.9), started=0.0)
    back = trial(1, candidate(1), (0.8, 0.8, 0.8), started=5000.0).model_copy(update={"ended": 100.0})
    data = collect(info(), [early, back], None)
    assert data.search_seconds == pytest.approx(early.seconds)


def test_best_so_far_never_falls() -> None:
    best = [finish.best for finish in collect(info(), search(30), None).progress]
    assert best == sorted(best)
    assert best[-1] == max(finish.score for finish in collect(info(), search(30), None).progress)


def test_remarks_on_a_close_race() -> None:
    kept = close_race()
    sealed = collect(info(), kept, None).remarks
    assert "Trial 1 is within one standard error of the best: the ranking among them is not established." in sealed
    picked = "The winner was picked as the best of 4, so its cross-validated score is likely a little optimistic."
    assert picked in sealed
    opened = collect(info(), kept, winner_of(kept[2])).remarks
    assert f"{picked} The test score is not." in opened


def test_several_trials_may_be_level() -> None:
    kept = [*close_race(), trial(7, candidate(7), (0.969, 0.969, 0.969))]
    remarks = collect(info(), kept, None).remarks
    assert (
        "Trials 7 and 1 are within one standard error of the best: the ranking among them is not established."
        in remarks
    )


def test_remarks_count_the_openings_of_the_test_set() -> None:
    kept = close_race()
    winner = winner_of(kept[2])
    data = collect(info(), kept, winner, openings=[winner.test, opening(1, 0.95)])
    assert data.openings == (opening(1, 0.95), winner.test)
    assert any(remark.startswith("The test set has been opened 2 times.") for remark in data.remarks)
    assert not any("The test score is not." in remark for remark in data.remarks)


def test_remark_when_another_trial_has_overtaken_the_retrained_one() -> None:
    kept = close_race()
    data = collect(info(), kept, winner_of(kept[1]))
    assert data.winner is not None
    assert data.winner.trial == 1
    assert "The retrained model is trial 1; trial 2 would win now." in data.remarks


def test_remark_when_the_gain_may_be_chance() -> None:
    kept = [trial(0, baseline(), (0.96, 0.98, 0.94)), trial(1, candidate(1), (0.97, 0.96, 0.98))]
    assert any("it may be chance" in remark for remark in collect(info(), kept, None).remarks)
    assert not any("it may be chance" in remark for remark in collect(info(), close_race(), None).remarks)


def test_remarks_on_nothing_and_on_one() -> None:
    assert collect(info(), [], None).remarks == ("No trial has finished every fold, so nothing can be ranked.",)
    assert collect(info(), close_race()[:1], None).remarks == (
        "Only one trial has finished every fold: there is nothing to rank it against.",
        "The winner is the baseline itself: the search found nothing better.",
    )


def test_lines() -> None:
    assert architecture_line(baseline().architecture) == "conv3-8 ↓ → conv3-8 → flatten"
    assert optimizer_line(SGD(learning_rate=0.123, momentum=0.9)) == "sgd, rate 0.12, momentum 0.9"
    assert optimizer_line(Lion(learning_rate=0.001, weight_decay=0.1)) == "lion, rate 0.001, decay 0.1"
    fields = {"filters": 8, "kernel": 3, "activation": "relu", "norm": "batch", "dropout": 0.0}
    ghosts = Stage(blocks=(Custom(code="blocks.py:ghost", **fields),) * 2, downsample="conv", attention=2, skip="add")
    whole = baseline().architecture.model_copy(update={"stages": (ghosts,)})
    assert architecture_line(whole) == "ghost3-8 ×2 ↓ + attention + skip → flatten"


def test_the_command_can_be_pasted_into_a_shell() -> None:
    data = collect(info(data="/my data/cats", size=64), [], None)
    assert data.command == (
        "archsearch search search_spaces/digits.yaml --data '/my data/cats' --size 64 "
        "--folds 3 --seed 7 --sampler tpe --pruner hyperband --time 600s --out reports/digits"
    )


def test_the_command_names_what_was_decided_and_leaves_the_rest_to_the_plan() -> None:
    planned = collect(info(all_folds=False), [], None).command.split()
    assert not {"--folds", "--epochs", "--first-rung", "--finalists", "--objective", "--prefer"} & set(planned)
    decided = info(epochs=2.5, first_rung=500, finalists=3, prefer="small", objectives=("accuracy", "flops"))
    assert (
        "--epochs 2.5 --first-rung 500 --finalists 3 --objective accuracy,flops --prefer small"
        in collect(decided, [], None).command
    )

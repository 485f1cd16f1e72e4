"""What the coordinator decides, on scores that are given instead of trained."""

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest
from candidates import drawn_from_a_space
from optuna.trial import TrialState
from scripted import Script, ScriptedExecutor
from spaces import SMALL, TWO_CANDIDATES

from archsearch.errors import SearchError
from archsearch.search import record
from archsearch.search.budget import Budget
from archsearch.search.candidates import SpaceCandidates
from archsearch.search.coordinator import Coordinator, Progress
from archsearch.search.folder import StudyFolder
from archsearch.search.record import TrialRecord, ranking
from archsearch.search.recovery import recover
from archsearch.search.storage import PRUNERS, SAMPLERS, create_study, open_storage
from archsearch.space.architecture import Task
from archsearch.space.load import parse_space
from archsearch.space.sample import baseline_point
from archsearch.training.job import TrialJob

TASK = Task(height=8, width=8, channels=1, classes=10)
FOLDS = tuple(np.array_split(np.arange(1500, dtype=np.int32), 3))


def width(job: TrialJob) -> int:
    return drawn_from_a_space(job.candidate).architecture.stages[0].blocks[0].filters


def by_width(job: TrialJob, fold: int, epoch: int) -> float:
    """Wider is better, later epochs are better, folds differ a little."""
    return 0.90 + 0.01 * width(job) + 0.005 * epoch + 0.001 * fold


def coordinator(tmp_path: Path, executor: ScriptedExecutor, text: str = SMALL, **changes: Any) -> Coordinator:
    space = parse_space(text)
    folder = StudyFolder(tmp_path)
    study = changes.pop("study", None)
    if study is None:
        study = create_study(folder)
        study.sampler = SAMPLERS["tpe"](0)
        study.pruner = PRUNERS[changes.pop("pruner", "none")](space.most_epochs)
        study.enqueue_trial(baseline_point(space, TASK))
    fields: dict[str, Any] = {
        "study": study,
        "candidates": SpaceCandidates(space, TASK),
        "images": tmp_path,
        "folds": FOLDS,
        "seed": 0,
        "budget": Budget(trials=6, seconds=None),
        "executor": executor,
    }
    return Coordinator(**(fields | changes))


def run(
    tmp_path: Path, script: Script, text: str = SMALL, workers: int = 1, **changes: Any
) -> tuple[str, list[TrialRecord]]:
    made = coordinator(tmp_path, ScriptedExecutor(script, workers), text, **changes)
    return made.run(), record.read(made.study)


def test_trials_run_until_the_budget_is_spent(tmp_path: Path) -> None:
    ended, records = run(tmp_path, by_width, budget=Budget(trials=12, seconds=None))
    assert ended == "all trials are done"
    states = Counter(r.state for r in records)
    assert states["complete"] + states["pruned"] == 12
    assert not states["running"]
    best = ranking(records)[0]
    assert best.score == pytest.approx(0.90 + 0.01 * 8 + 0.005 * 2 + 0.001)
    assert best.fold_scores == pytest.approx((0.99, 0.991, 0.992))
    assert best.standard_error == pytest.approx(0.001 / 3**0.5)


def test_the_baseline_is_trial_0_and_is_never_pruned(tmp_path: Path) -> None:
    _, records = run(tmp_path, lambda job, fold, epoch: 0.5 if job.trial == 0 else 0.99, pruner="median", workers=2)
    assert records[0].baseline
    assert records[0].state == "complete"
    assert drawn_from_a_space(records[0].candidate).architecture.stages[0].blocks[0].filters == 4
    assert sum(r.baseline for r in records) == 1


def test_no_more_run_at_once_than_there_are_workers(tmp_path: Path) -> None:
    executor = ScriptedExecutor(by_width, workers=3)
    coordinator(tmp_path, executor).run()
    assert executor.most_at_once == 3
    assert executor.closed


def test_all_trials_share_folds_and_seed(tmp_path: Path) -> None:
    executor = ScriptedExecutor(by_width)
    coordinator(tmp_path, executor, seed=5).run()
    assert {job.seed for job in executor.submitted} == {5}
    assert all(job.folds is executor.submitted[0].folds for job in executor.submitted)


def test_optuna_is_told_the_score_and_the_steps(tmp_path: Path) -> None:
    executor = ScriptedExecutor(by_width)
    made = coordinator(tmp_path, executor)
    made.run()
    baseline = made.study.trials[0]
    assert baseline.state == TrialState.COMPLETE
    assert baseline.value == pytest.approx(0.951)
    expected = {1: 0.945, 2: 0.95, 3: np.mean([0.95, 0.951]), 4: 0.951}
    assert baseline.intermediate_values == pytest.approx(expected)


def test_optunas_pruner_decides_in_fold_0(tmp_path: Path) -> None:
    _, records = run(tmp_path, lambda job, fold, epoch: 0.99 - 0.001 * job.trial, pruner="halving")
    pruned = [r for r in records if r.state == "pruned"]
    assert pruned
    assert all(len(r.reports) == 1 and "after epoch 1 of 2 in fold 0: others did better" in r.reason for r in pruned)


def test_after_a_fold_what_is_out_of_reach_is_pruned(tmp_path: Path) -> None:
    def script(job: TrialJob, fold: int, epoch: int) -> float:
        return 0.97 if job.trial == 0 else 0.96 if fold == 0 else 0.60

    _, records = run(tmp_path, script)
    for r in records[1:]:
        if r.state not in ("duplicate", "infeasible"):
            assert r.state == "pruned"
            assert r.reason.endswith("standard errors behind trial 0 on 2 of 3 folds")
            assert len(r.fold_scores) == 2


def test_a_rival_need_not_have_finished(tmp_path: Path) -> None:
    _, records = run(tmp_path, lambda job, fold, epoch: 0.95 if job.trial == 0 else 0.3, workers=2)
    assert records[1].state == "pruned"
    assert records[1].reason.endswith("standard errors behind trial 0 on 1 of 3 folds")


def test_a_candidate_over_a_limit_is_never_trained(tmp_path: Path) -> None:
    text = SMALL + "limits:\n  parameters: 250\n"
    executor = ScriptedExecutor(by_width)
    made = coordinator(tmp_path, executor, text, budget=Budget(trials=12, seconds=None))
    made.run()
    records = record.read(made.study)
    over = [r for r in records if r.parameters > 250]
    assert over
    assert all(r.state == "infeasible" and r.reason.endswith("parameters, the limit is 250") for r in over)
    assert {job.trial for job in executor.submitted}.isdisjoint(r.number for r in over)
    trial = made.study.trials[over[0].number]
    assert trial.state == TrialState.PRUNED
    assert trial.constraints["parameters"] == pytest.approx(over[0].parameters / 250 - 1)


def test_a_small_space_is_tried_out_and_nothing_twice(tmp_path: Path) -> None:
    executor = ScriptedExecutor(by_width)
    made = coordinator(tmp_path, executor, TWO_CANDIDATES, budget=Budget(trials=50, seconds=None))
    assert made.run() == "nothing new is left to try"
    assert sorted(map(width, executor.submitted)) == [2, 4]
    assert Counter(r.state for r in record.read(made.study))["duplicate"] > 0


def test_nothing_feasible_ends_with_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(SearchError, match=r"none could be trained; the last one: .* parameters, the limit is 3"):
        run(tmp_path, by_width, SMALL + "limits:\n  parameters: 3\n")


def test_one_failure_costs_one_trial(tmp_path: Path) -> None:
    ended, records = run(
        tmp_path, lambda job, fold, epoch: "it broke" if job.trial == 1 else by_width(job, fold, epoch)
    )
    assert ended == "all trials are done"
    assert [(r.number, r.reason) for r in records if r.state == "failed"] == [(1, "it broke")]


def test_failure_after_failure_ends_the_search_with_the_reason(tmp_path: Path) -> None:
    executor = ScriptedExecutor(lambda job, fold, epoch: "no disk")
    made = coordinator(tmp_path, executor, budget=Budget(trials=50, seconds=None))
    with pytest.raises(SearchError, match="10 trials on end have failed; the last one: no disk"):
        made.run()
    assert executor.closed
    assert [r.state for r in record.read(made.study)] == ["failed"] * 10


def test_an_interrupted_trial_is_queued_and_finished_later(tmp_path: Path) -> None:
    asked: list[int] = []

    def soon() -> bool:
        asked.append(1)
        return len(asked) > 4

    first = coordinator(tmp_path, ScriptedExecutor(by_width), interrupted=soon)
    assert first.run() == "interrupted"
    assert [(r.state, r.baseline) for r in record.read(first.study)] == [("interrupted", True)]
    assert recover(first.study) == recover(first.study) == 1
    second = coordinator(tmp_path, ScriptedExecutor(by_width), study=first.study)
    assert second.run() == "all trials are done"
    records = record.read(second.study)
    again = record.find_baseline(records)
    assert again is not None
    assert (again.number, again.state) == (1, "complete")
    assert sum(r.state in ("complete", "pruned") for r in records) == 6


def test_a_finished_study_starts_nothing(tmp_path: Path) -> None:
    first = coordinator(tmp_path, ScriptedExecutor(by_width))
    first.run()
    executor = ScriptedExecutor(by_width)
    assert coordinator(tmp_path, executor, study=first.study).run() == "all trials are done"
    assert not executor.submitted


def test_more_trials_go_on_from_there(tmp_path: Path) -> None:
    first = coordinator(tmp_path, ScriptedExecutor(by_width))
    first.run()
    executor = ScriptedExecutor(by_width)
    coordinator(tmp_path, executor, study=first.study, budget=Budget(trials=8, seconds=None)).run()
    assert len(executor.submitted) == 2


def test_what_a_killed_coordinator_left_is_queued_again(tmp_path: Path) -> None:
    class Killed(BaseException):
        pass

    def die(progress: Progress) -> None:
        if len(progress.records) == 3:
            made._trials.clear()  # kill -9 tells nobody
            raise Killed

    made = coordinator(tmp_path, ScriptedExecutor(by_width), watch=die)
    with pytest.raises(Killed):
        made.run()
    assert made.study.trials[-1].state == TrialState.RUNNING
    study = optuna.load_study(study_name=None, storage=open_storage(StudyFolder(tmp_path)))
    assert recover(study) == 1
    lost = record.read(study)[-1]
    assert (lost.state, lost.reason) == ("interrupted", "the search was killed")
    executor = ScriptedExecutor(by_width)
    coordinator(tmp_path, executor, study=study).run()
    assert executor.submitted[0].candidate == lost.candidate


def test_time_ends_a_search(tmp_path: Path) -> None:
    made = coordinator(tmp_path, ScriptedExecutor(by_width), budget=Budget(trials=None, seconds=1))
    made._started -= 10
    assert made.run() == "the time is spent"


def test_what_cannot_be_finished_in_time_makes_room(tmp_path: Path) -> None:
    executor = ScriptedExecutor(by_width, seconds=lambda job: 1000.0 if width(job) == 8 else 0.001)
    made = coordinator(tmp_path, executor, budget=Budget(trials=12, seconds=100))
    made.run()
    records = record.read(made.study)
    slow = [r for r in records if drawn_from_a_space(r.candidate).architecture.stages[0].blocks[0].filters == 8]
    assert slow
    for r in slow:
        assert (r.state, len(r.reports)) == ("interrupted", 2)
        assert r.reason == "too slow to be finished and retrained in the time that is left"
    # It is tried again when the study goes on, but not before.
    assert recover(made.study) == len(slow)


def test_progress_is_what_the_study_holds(tmp_path: Path) -> None:
    seen: list[Progress] = []
    made = coordinator(tmp_path, ScriptedExecutor(by_width, workers=2), watch=seen.append)
    made.run()
    assert list(seen[-1].records) == record.read(made.study)
    assert seen[-1].leader == ranking(record.read(made.study))[0]
    assert any(sum(r.state == "running" for r in progress.records) == 2 for progress in seen)

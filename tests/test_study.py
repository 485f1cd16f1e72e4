"""Whole searches on real digits: begun, continued, refused, interrupted and killed."""

import signal
from collections import Counter
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pandas as pd
import pytest
from candidates import drawn_from_a_space
from searches import ENDING, TRIALS, Cli, Searched, alive_in, background, contents, wait_for_the_end_of
from sklearn.datasets import load_digits
from spaces import SMALL

from archsearch.data.splits import Splits
from archsearch.errors import SearchError, StudyError
from archsearch.files import write_whole
from archsearch.launch import run_search
from archsearch.report.data import ReportData
from archsearch.search.coordinator import TRIED
from archsearch.search.folder import StudyFolder
from archsearch.search.record import TrialRecord, ranking
from archsearch.study import Study
from archsearch.training.job import Point

pytestmark = pytest.mark.slow
shared = pytest.mark.xdist_group("study")


def pixels(images: np.ndarray) -> set[bytes]:
    return {image.tobytes() for image in images}


# What a search leaves -------------------------------------------------------------------------------------------------


@shared
def test_a_search_trains_what_it_was_told_to(searched: Searched) -> None:
    assert searched.ended == "all trials are done"
    trials = searched.study.trials()
    assert sum(trial.state in ("complete", "pruned") for trial in trials) == TRIALS
    assert all(trial.state != "running" and trial.ended for trial in trials)
    assert [trial.number for trial in trials] == list(range(len(trials)))
    assert len({trial.digest for trial in trials if trial.state in TRIED}) == TRIALS


@shared
def test_the_baseline_is_trial_0_as_the_space_says(searched: Searched) -> None:
    baseline = searched.study.trials()[0]
    assert (baseline.baseline, baseline.state) == (True, "complete")
    candidate = drawn_from_a_space(baseline.candidate)
    (stage,) = candidate.architecture.stages
    assert [block.filters for block in stage.blocks] == [4]
    assert candidate.recipe.optimizer.learning_rate == 1e-2


@shared
def test_complete_trials_have_every_fold_and_are_ranked_by_their_mean(searched: Searched) -> None:
    complete = [trial for trial in searched.study.trials() if trial.state == "complete"]
    plan = searched.study.collect().plan
    assert plan is not None
    assert plan.folds == 3
    assert all(len(trial.fold_scores) == 3 for trial in complete)
    assert {report.share for trial in complete for report in trial.reports} >= {1.0}
    assert {len(trial.reports) for trial in complete} == {3 * len(plan.points)}
    best = max(complete, key=lambda trial: np.mean(trial.fold_scores))
    data = searched.study.report()
    assert data.ranking[0].trial == best.number
    assert data.ranking[0].score == pytest.approx(np.mean(best.fold_scores))
    scores = [row.score for row in data.ranking]
    assert scores == sorted(scores, reverse=True)


@shared
def test_what_is_watched_is_what_is_kept(searched: Searched) -> None:
    assert list(searched.seen[-1].records) == searched.study.trials()
    running = [sum(record.state == "running" for record in progress.records) for progress in searched.seen]
    assert max(running) == 2


@shared
def test_the_files_of_a_study(searched: Searched) -> None:
    folder = searched.study.folder
    visible = {path.relative_to(folder.path).as_posix() for path in folder.path.rglob("*") if path.is_file()}
    assert {name for name in visible if not name.endswith("lock")} == {
        "study.json",
        "space.yaml",
        "journal.log",
        "report.html",
        "report.json",
        "leaderboard.csv",
        "best/model.keras",
        "best/model.json",
        "best/README.md",
        "best/test.json",
    }
    assert folder.space.read_text() == SMALL
    board = pd.read_csv(folder.leaderboard)
    assert list(board["trial"]) == [trial.number for trial in ranking(searched.study.trials())]
    kept = ReportData.model_validate_json(folder.report_data.read_bytes())
    assert kept == searched.study.report()
    assert f"trial {kept.ranking[0].trial}" in folder.report.read_text().lower()


# The test set ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def splits(searched: Searched) -> Splits:
    return searched.study.splits()


@shared
def test_the_sealed_images_are_in_no_fold_and_not_where_the_workers_look(searched: Searched, splits: Splits) -> None:
    train, test = pixels(splits.train.images), pixels(splits.test.images)
    assert not train & test
    digits = np.rint(load_digits().images * (255 / 16)).astype(np.uint8)
    assert train | test == pixels(digits[..., None])
    assert np.array_equal(np.sort(np.concatenate(splits.folds)), np.arange(len(splits.train)))
    assert {job.images for job in searched.jobs} == {splits.train.path}
    used = np.concatenate(splits.folds[:3])
    assert all(np.array_equal(np.concatenate(job.folds), used) for job in searched.jobs)
    assert {path.name for path in splits.train.path.iterdir()} == {"images.npy", "labels.npy"}
    assert splits.test.path not in splits.train.path.parents


@shared
def test_the_saved_model_scores_what_is_written_down(searched: Searched, splits: Splits) -> None:
    winner = searched.study.winner()
    assert winner is not None
    assert winner.trial == ranking(searched.study.trials())[0].number
    assert (winner.test.images, winner.trained_on) == (len(splits.test), len(splits.train)) == (270, 1527)
    assert searched.study.collect().openings == (winner.test,)
    probabilities = keras.saving.load_model(searched.study.folder.model).predict(splits.test.images, verbose=0)
    assert probabilities.shape == (270, 10)
    assert probabilities.min() >= 0
    assert probabilities.sum(axis=1) == pytest.approx(1, abs=1e-5)
    assert np.mean(probabilities.argmax(axis=1) == splits.test.labels) == pytest.approx(winner.test.accuracy)
    loss = -np.log(probabilities[np.arange(270), splits.test.labels])
    assert loss.mean() == pytest.approx(winner.test.loss, rel=1e-3)


@shared
def test_retraining_again_does_not_open_the_test_set_again(a_copy: Study) -> None:
    before = contents(a_copy.path)
    assert a_copy.retrain() == a_copy.winner()
    assert contents(a_copy.path) == before


@shared
def test_another_best_trial_is_retrained_and_both_openings_are_told(a_copy: Study) -> None:
    first = a_copy.winner()
    assert first is not None
    other = ranking(a_copy.trials())[1].number
    write_whole(a_copy.folder.winner, first.model_copy(update={"trial": other}).model_dump_json())
    told: list[Point] = []
    again = a_copy.retrain(told.append)
    assert again is not None
    assert again.trial == first.trial
    assert a_copy.collect().openings == (first.test, again.test)
    # The same candidate, images and seed: the same model.
    assert again.test.accuracy == first.test.accuracy
    assert [point.epoch for point in told] == pytest.approx([tenth / 5 for tenth in range(1, 11)], abs=0.05)
    assert told[-1].epoch == told[-1].epochs == 2
    assert {point.scored for point in told} == {None}
    assert a_copy.winner() == again
    assert any("opened 2 times" in remark for remark in a_copy.report().remarks)


@shared
def test_an_interrupted_retraining_leaves_the_old_model(a_copy: Study) -> None:
    first = a_copy.winner()
    assert first is not None
    write_whole(a_copy.folder.winner, first.model_copy(update={"trial": 10_000}).model_dump_json())
    before = contents(a_copy.path)
    assert a_copy.retrain(interrupted=lambda: True) is None
    assert contents(a_copy.path) == before


# Going on, or not -----------------------------------------------------------------------------------------------------


@shared
def test_a_copied_folder_is_the_study_and_goes_on_by_itself(searched: Searched, a_copy: Study) -> None:
    before = searched.study.trials()
    assert a_copy.trials() == before
    study, ended = run_search(replace(searched.config, out=a_copy.path, trials=TRIALS + 2))
    assert ended == "all trials are done"
    trials = study.trials()
    assert trials[: len(before)] == before
    assert sum(trial.state in ("complete", "pruned") for trial in trials) == TRIALS + 2
    assert sum(trial.baseline for trial in trials if trial.state in TRIED) == 1
    assert searched.study.trials() == before


@shared
def test_comments_and_layout_do_not_make_another_space(searched: Searched, a_copy: Study, tmp_path: Path) -> None:
    space = tmp_path / "commented.yaml"
    space.write_text("# Tried in spring.\ndescription: small nets\n" + SMALL.replace("{int: [1, 2]}", "{ int: [1,2] }"))
    _, ended = run_search(replace(searched.config, space=space, out=a_copy.path))
    assert ended == "all trials are done"
    assert a_copy.trials() == searched.study.trials()


@shared
def test_the_same_seed_gives_the_same_trials_and_scores(searched: Searched, tmp_path: Path) -> None:
    study, _ = run_search(replace(searched.config, out=tmp_path / "again", trials=2))
    again, before = study.trials(), searched.study.trials()
    assert [trial.candidate for trial in again] == [trial.candidate for trial in before[: len(again)]]
    assert again[0].fold_scores == before[0].fold_scores
    for one, other in zip(again, before, strict=False):
        # How far the second one gets depends on how soon the first one's scores are there.
        both = zip(one.reports, other.reports, strict=False)
        assert all((a.loss, a.val_accuracy) == (b.loss, b.val_accuracy) for a, b in both)


@shared
@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"folds": 4}, "--folds has changed"),
        ({"seed": 1}, "--seed has changed"),
        ({"size": 12}, "--size has changed"),
        ({"sampler": "random"}, "--sampler has changed"),
        ({"pruner": "median"}, "--pruner has changed"),
        ({"first_rung": 500}, "--first-rung has changed"),
        ({"finalists": 2}, "--finalists has changed"),
        ({"objectives": ("accuracy", "flops")}, "--objective has changed"),
    ],
)
def test_a_changed_option_is_refused(searched: Searched, changes: dict[str, object], said: str) -> None:
    before = contents(searched.study.path)
    with pytest.raises(StudyError, match=f"{said} .*choose another --out"):
        run_search(replace(searched.config, **changes))  # type: ignore[arg-type]
    assert contents(searched.study.path) == before


@shared
def test_a_changed_space_is_refused(searched: Searched, tmp_path: Path) -> None:
    space = tmp_path / "small.yaml"
    space.write_text(SMALL.replace("epochs: 2", "epochs: 3"))
    before = contents(searched.study.path)
    with pytest.raises(StudyError, match="the search space has changed"):
        run_search(replace(searched.config, space=space))
    assert contents(searched.study.path) == before


@shared
def test_changed_data_is_refused(searched: Searched, tmp_path: Path) -> None:
    digits = load_digits()
    images = np.rint(digits.images * (255 / 16)).astype(np.uint8)
    images[0, 0, 0] += 1
    np.savez(tmp_path / "digits.npz", x=images, y=digits.target)
    before = contents(searched.study.path)
    with pytest.raises(StudyError, match="the data has changed"):
        run_search(replace(searched.config, data=str(tmp_path / "digits.npz")))
    assert contents(searched.study.path) == before


@shared
def test_data_that_changed_since_is_not_retrained_on(a_copy: Study) -> None:
    write_whole(a_copy.folder.info, a_copy.info.model_copy(update={"fingerprint": "0" * 16}).model_dump_json())
    with pytest.raises(StudyError, match=r"digits: the data has changed since .* began; put the old data back"):
        Study(a_copy.path).splits()


@shared
def test_a_folder_with_other_files_is_left_alone(searched: Searched, tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("the only copy")
    with pytest.raises(StudyError, match="is not empty and holds no study"):
        run_search(replace(searched.config, out=tmp_path))
    assert contents(tmp_path) == {Path("thesis.txt"): b"the only copy"}


@shared
def test_a_file_is_no_folder(searched: Searched, tmp_path: Path) -> None:
    (tmp_path / "study").write_text("a file")
    with pytest.raises(StudyError, match="is a file; --out needs a folder"):
        run_search(replace(searched.config, out=tmp_path / "study"))
    assert contents(tmp_path) == {Path("study"): b"a file"}


@shared
@pytest.mark.parametrize(
    "left",
    [
        [],
        [".lock"],
        [".lock", "journal.log", "journal.log.lock"],
        [".lock", "journal.log", "journal.log.lock", ".space.yaml.4242.tmp"],
        [".lock", "journal.log", "journal.log.lock", "space.yaml", ".study.json.4242.tmp"],
    ],
    ids=lambda left: left[-1] if left else "nothing",
)
def test_what_a_search_killed_at_its_beginning_left_is_no_hindrance(
    searched: Searched, tmp_path: Path, left: list[str]
) -> None:
    folder = tmp_path / "study"
    folder.mkdir()
    whole = searched.study.folder.journal.read_bytes()
    begun = b"".join(whole.splitlines(keepends=True)[:3])
    for name in left:
        (folder / name).write_bytes(begun if name == "journal.log" else b"")
    study, ended = run_search(replace(searched.config, out=folder), interrupted=lambda: True)
    assert ended == "interrupted"
    assert study.info.model_copy(update={"out": searched.study.info.out}) == searched.study.info
    assert study.trials() == []


@shared
def test_trials_without_their_study_are_not_overwritten(searched: Searched, tmp_path: Path) -> None:
    folder = tmp_path / "study"
    folder.mkdir()
    (folder / "journal.log").write_bytes(searched.study.folder.journal.read_bytes())
    before = contents(folder)
    with pytest.raises(StudyError, match=r"journal.log holds \d trials, and study.json, .* is missing; put it back"):
        run_search(replace(searched.config, out=folder))
    assert before.items() <= contents(folder).items()


@shared
def test_a_study_without_a_complete_trial_has_no_winner(searched: Searched, tmp_path: Path) -> None:
    study, _ = run_search(replace(searched.config, out=tmp_path / "study"), interrupted=lambda: True)
    with pytest.raises(SearchError, match=r"no trial has run all its folds.* continue the search"):
        study.retrain()
    assert study.report().ranking == ()
    assert study.folder.report.is_file()
    assert not study.folder.model.parent.exists()


def test_a_folder_without_a_study_is_none(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match=r"no study here \(study.json is missing\)"):
        Study(tmp_path).trials()
    assert contents(tmp_path) == {}


# Interrupted and killed -----------------------------------------------------------------------------------------------

SLOW = SMALL.replace("epochs: 2", "epochs: 10")
KILLED_TRIALS = 3


@pytest.fixture
def command(tmp_path: Path) -> list[object]:
    """A search of a few seconds a trial, into `tmp_path / "study"`."""
    space = tmp_path / "slow.yaml"
    space.write_text(SLOW)
    options = {"--trials": KILLED_TRIALS, "--workers": 2, "--pruner": "none", "--out": tmp_path / "study"}
    return ["search", space, *(word for option in options.items() for word in option)]


def assert_whole(before: list[TrialRecord], after: list[TrialRecord]) -> None:
    """Nothing is lost, doubled or left running in a study that went on after `before`."""
    states = Counter(trial.state for trial in after)
    assert states["complete"] + states["pruned"] == KILLED_TRIALS
    assert not states["running"]
    assert not states["failed"]
    kept = [trial for trial in before if trial.state in ("complete", "pruned")]
    assert [after[trial.number] for trial in kept] == kept
    cut_off = {trial.digest for trial in after if trial.state == "interrupted"}
    tried = Counter(trial.digest for trial in after if trial.state in TRIED)
    assert set(tried.values()) == {1}
    assert cut_off <= set(tried)


def test_ctrl_c_in_mid_search_and_the_same_command_again(tmp_path: Path, command: list[object]) -> None:
    study = Study(tmp_path / "study")
    with background(*command) as search:
        search.until("complete")
        search.ctrl_c()
        done = search.finish()
        assert (done.code, done.err) == (130, ENDING)
        assert done.out.endswith("The same command goes on from here.\n")
        wait_for_the_end_of(search.process.pid)
    assert study.folder.report.is_file()
    assert study.winner() is None
    before = study.trials()
    states = Counter(trial.state for trial in before)
    # Two trials that end together leave nothing to interrupt, but never all of the work done.
    assert 0 < states["complete"] + states["pruned"] < KILLED_TRIALS
    assert set(states) <= {"complete", "pruned", "interrupted"}
    with background(*command) as again:
        done = again.finish()
    assert (done.code, done.err) == (0, "")
    assert "search over: all trials are done" in done.out
    assert_whole(before, study.trials())
    winner = study.winner()
    assert winner is not None
    assert winner.trial == ranking(study.trials())[0].number


def test_a_killed_search_goes_on(tmp_path: Path, command: list[object]) -> None:
    study = Study(tmp_path / "study")
    with background(*command) as search:
        search.until("complete")
        search.process.send_signal(signal.SIGKILL)
        assert search.process.wait() == -signal.SIGKILL
        wait_for_the_end_of(search.process.pid)
    before = study.trials()
    running = [trial for trial in before if trial.state == "running"]
    assert running or len(before) < KILLED_TRIALS
    with background(*command) as again:
        done = again.finish()
    assert (done.code, done.err) == (0, "")
    after = study.trials()
    assert [after[trial.number].reason for trial in running] == ["the search was killed"] * len(running)
    assert_whole(before, after)
    assert study.winner() is not None


def test_ctrl_c_while_tensorflow_is_still_loading(tmp_path: Path, command: list[object]) -> None:
    with background(*command) as search:
        search.wait_for(lambda: alive_in(search.process.pid, "forkserver"))
        search.ctrl_c()
        done = search.finish()
        assert (done.code, done.err) == (130, ENDING)
        wait_for_the_end_of(search.process.pid)
    study = Study(tmp_path / "study")
    assert study.folder.report.is_file()
    assert {trial.state for trial in study.trials()} <= {"interrupted"}


def test_two_searches_do_not_share_a_folder(tmp_path: Path, command: list[object], cli: Cli) -> None:
    with background(*command) as search:
        folder = StudyFolder(tmp_path / "study")
        search.wait_for(folder.info.is_file)
        before = folder.info.read_bytes()
        second = cli(*command)
        assert second.code == 2
        assert second.err == (
            f"{folder.path}: another archsearch is at work on this study; wait for it, or search into another --out\n"
        )
        assert search.process.poll() is None
        assert folder.info.read_bytes() == before

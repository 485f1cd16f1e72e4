"""What lies between the baseline and the winner is trained, and kept."""

import time
from pathlib import Path

import pytest
from candidates import candidate, drawn_from_a_space
from searches import Cli, Searched

from archsearch.errors import StudyError
from archsearch.explain import unregularised
from archsearch.report.story import Story
from archsearch.search.record import find_baseline
from archsearch.space.architecture import Augment
from archsearch.study import Study

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("study")]


def test_a_story_is_measured_once_and_stands_in_the_report(a_copy: Study, cli: Cli) -> None:
    grown: list[Story] = []
    story = a_copy.explain(keep=grown.append)
    best, records = a_copy.best(), a_copy.trials()
    baseline = find_baseline(records)
    assert best is not None
    assert baseline is not None
    assert best.number != baseline.number
    assert story.winner == best.number
    assert story.missing == 0
    assert story.memory is not None
    assert 0.0 < story.memory.accuracy <= 1.0
    assert story.steps[0].fold_scores == baseline.fold_scores
    assert (story.steps[-1].digest, story.steps[-1].fold_scores) == (best.digest, best.fold_scores)
    assert {len(step.fold_scores) for step in story.steps} == {len(best.fold_scores)}
    assert [told.missing for told in grown] == sorted((told.missing for told in grown), reverse=True)
    assert a_copy.story() == story

    again: list[Story] = []
    assert a_copy.explain(keep=again.append) == story
    assert again == [story], "nothing was trained again"

    done = cli("explain", a_copy.path)
    assert (done.code, done.err) == (0, "")
    assert "baseline: " in done.out
    page = a_copy.folder.report.read_text()
    assert "one change after the other" in page
    assert "by heart" in page


def test_what_time_does_not_allow_is_not_run_and_said_to_be(a_copy: Study, cli: Cli) -> None:
    began = time.monotonic()
    story = a_copy.explain(seconds=0.0)
    assert time.monotonic() - began < 60
    assert story.memory is None
    assert story.missing == 1 + sum(not step.fold_scores for step in story.steps)
    a_copy.report()
    assert "trainings have not been run" in a_copy.folder.report.read_text() or story.missing == 1


def test_another_winner_has_another_story(a_copy: Study) -> None:
    story = a_copy.explain(seconds=0.0)
    other = story.model_copy(update={"winner": story.winner + 1})
    a_copy.folder.story.write_text(other.model_dump_json())
    assert a_copy.collect().story is None
    assert a_copy.explain(seconds=0.0).winner == story.winner


def test_without_a_winner_there_is_nothing_to_explain(searched: Searched, a_copy: Study) -> None:
    lines = a_copy.folder.journal.read_text().splitlines(keepends=True)
    a_copy.folder.journal.write_text("".join(lines[:3]))
    with pytest.raises(StudyError, match="nothing to explain"):
        a_copy.explain()


def test_what_is_no_study_is_left_alone(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match="no study here"):
        Study(tmp_path).explain()
    assert list(tmp_path.iterdir()) == []


def test_nothing_keeps_an_unregularised_candidate_from_learning_by_heart() -> None:
    found = drawn_from_a_space(candidate())
    regular = found.model_copy(
        update={"recipe": found.recipe.model_copy(update={"augment": Augment(rotate=10), "label_smoothing": 0.1})}
    )
    bare = unregularised(regular, 12.0)
    assert bare.recipe.augment == Augment()
    assert (bare.recipe.label_smoothing, bare.recipe.epochs) == (0.0, 12.0)
    assert bare.architecture.head.dropout == 0.0
    assert all(block.dropout == 0.0 for stage in bare.architecture.stages for block in stage.blocks)
    assert unregularised(regular, None).recipe.epochs == regular.recipe.epochs

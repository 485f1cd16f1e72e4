"""What the dashboard is shown of a journal."""

import json
from pathlib import Path

import pytest
from optuna.artifacts.exceptions import ArtifactNotFound
from optuna.storages import JournalStorage
from report_studies import info, new_folder, search, store

from archsearch.dashboard import view as views
from archsearch.dashboard.view import Pictures, StudyView, view_of
from archsearch.search.journal import journal
from archsearch.search.record import ATTRIBUTE


@pytest.fixture
def shown(tmp_path: Path) -> StudyView:
    folder = new_folder(tmp_path / "digits")
    folder.info.write_text(info().model_dump_json())
    store(folder, search(6, 4))
    return view_of(folder)


def test_trials_have_facts_instead_of_their_record(shown: StudyView) -> None:
    trials = shown.get_all_trials(0)
    assert len(trials) == 10
    assert all(ATTRIBUTE not in trial.user_attrs for trial in trials)
    assert {trial.user_attrs["state"] for trial in trials} >= {"complete", "pruned"}


def test_what_is_shown_is_not_written(shown: StudyView) -> None:
    before = shown._folder.journal.read_bytes()
    shown.get_all_trials(0)
    shown.get_all_studies()
    assert shown._folder.journal.read_bytes() == before


def test_notes_of_users_stand_above_ours(shown: StudyView) -> None:
    key = "dashboard:0:note_str:0"
    assert shown.get_study_system_attrs(0)[key].startswith("## Trial 0")
    JournalStorage(journal(shown._folder)).set_study_system_attr(0, key, "mine")
    assert shown.get_study_system_attrs(0)[key] == "mine"


def test_only_some_trials_of_a_long_study_have_notes(shown: StudyView, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(views, "NOTED_BEST", 2)
    monkeypatch.setattr(views, "NOTED_NEWEST", 3)
    noted = [key for key in shown.get_study_system_attrs(0) if key.endswith("note_ver")]
    assert 1 + 3 <= len(noted) <= 1 + 1 + 5
    assert "dashboard:0:note_ver" in noted, "the baseline"


def test_pictures_are_drawn_when_they_are_asked_for(shown: StudyView) -> None:
    pictures = Pictures(shown)
    (trial, *_) = shown.get_all_trials(0)
    described = [json.loads(v) for k, v in shown.get_trial_system_attrs(trial._trial_id).items() if "artifacts" in k]
    assert [picture["filename"] for picture in described] == ["architecture.svg", "learning-curve.svg"]
    for picture in described:
        assert pictures.open_reader(picture["artifact_id"]).read().startswith(b"<svg")


@pytest.mark.parametrize("identity", ["99-a", "0-b", "abc", "-"])
def test_there_is_no_other_picture(shown: StudyView, identity: str) -> None:
    shown.get_all_trials(0)
    with pytest.raises(ArtifactNotFound):
        Pictures(shown).open_reader(identity)

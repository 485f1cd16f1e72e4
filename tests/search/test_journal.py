"""Who reads the journal, and when it waits for the disk."""

import json
import os
from pathlib import Path

import optuna
import pytest
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

from archsearch.search.folder import StudyFolder
from archsearch.search.storage import STUDY_NAME, create_study, open_storage


def test_the_journal_is_one_that_optuna_reads(tmp_path: Path) -> None:
    folder = StudyFolder(tmp_path)
    study = create_study(open_storage(folder), STUDY_NAME, ["accuracy"])
    for value in (0.5, 0.7):
        trial = study.ask()
        trial.suggest_float("rate", 1e-4, 1e-1)
        trial.set_user_attr("note", {"of": "it"})
        trial.report(value, 11)
        study.tell(trial, value)
    theirs = JournalStorage(JournalFileBackend(str(folder.journal)))
    assert optuna.load_study(study_name=STUDY_NAME, storage=theirs).trials == study.trials


def test_the_journal_waits_for_the_disk_when_a_record_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = create_study(open_storage(StudyFolder(tmp_path)), STUDY_NAME, ["accuracy"])
    synced: list[int] = []
    fsync = os.fsync

    def counted(file: int) -> None:
        fsync(file)
        synced.append(os.fstat(file).st_size)

    monkeypatch.setattr(os, "fsync", counted)
    trial = study.ask()
    trial.suggest_float("rate", 1e-4, 1e-1)
    assert not synced
    trial.set_user_attr("note", "kept")
    assert synced == [StudyFolder(tmp_path).journal.stat().st_size]
    study.tell(trial, 0.5)
    assert synced[-1] == StudyFolder(tmp_path).journal.stat().st_size


def test_what_is_not_waited_for_is_seen_by_others_at_once(tmp_path: Path) -> None:
    folder = StudyFolder(tmp_path)
    trial = create_study(open_storage(folder), STUDY_NAME, ["accuracy"]).ask()
    trial.suggest_float("rate", 1e-4, 1e-1)
    assert json.loads(folder.journal.read_text().splitlines()[-1])["param_name"] == "rate"
    assert optuna.load_study(study_name=STUDY_NAME, storage=open_storage(folder)).trials[0].params == trial.params

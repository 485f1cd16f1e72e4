"""Who reads the journal, when it waits for the disk, and what is done about damage."""

import fcntl
import json
import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import optuna
import pytest
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from report_studies import info, new_folder

from archsearch.errors import StudyError
from archsearch.search.folder import StudyFolder
from archsearch.search.journal import journal
from archsearch.search.storage import STUDY_NAME, create_study, open_storage, open_study


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


# Damage ---------------------------------------------------------------------------------------------------------------

LF = b"\n"
LINE = b'{"op_code":3,"worker_id":"w","study_id":0,"system_attr":{"note":"of a user"}}\n'
ENDS = {
    "half a line": LINE[:30],
    "all but the end of a line": LINE[:-1],
    "half a character": '{"op_code":4,"worker_id":"w\N{LATIN SMALL LETTER E WITH ACUTE}'.encode()[:-1],
    "NUL bytes": bytes(5000),
    "NUL bytes before a line": bytes(40) + LINE,
    "garbage": bytes(range(255, 0, -1)) * 20,
    "no JSON": b"}{\n",
    "no operation": b"[1, 2]\n",
    "brackets": b"[" * 100_000 + b"\n",
}


@pytest.fixture(params=ENDS)
def end(request: pytest.FixtureRequest) -> bytes:
    return ENDS[request.param]


def damaged(path: Path, end: bytes) -> tuple[StudyFolder, bytes]:
    """A study of two trials with `end` at the end of its journal, and what was there before."""
    folder = StudyFolder(path)
    study = create_study(open_storage(folder), STUDY_NAME, ["accuracy"])
    for value in (0.5, 0.7):
        run(study, value)
    before = folder.journal.read_bytes()
    folder.journal.write_bytes(before + end)
    return folder, before


def run(study: optuna.Study, value: float) -> None:
    trial = study.ask()
    trial.suggest_float("rate", 1e-4, 1e-1)
    trial.set_user_attr("note", "of it")
    study.tell(trial, value)


def opened(folder: StudyFolder) -> optuna.Study:
    return optuna.load_study(storage=open_storage(folder), study_name=STUDY_NAME)


def values(study: optuna.Study) -> list[float | None]:
    return [trial.value for trial in study.trials]


def test_a_reader_is_given_what_is_before_the_damage_and_changes_nothing(
    tmp_path: Path, end: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    folder, before = damaged(tmp_path, end)
    study = opened(folder)
    assert values(study) == values(study) == [0.5, 0.7]
    assert folder.journal.read_bytes() == before + end
    (said,) = caplog.messages
    line = before.count(LF) + 1
    assert f"{folder.journal}: line {line} is cut off or damaged: the last {len(end)} bytes" in said


def test_a_mended_journal_goes_on_and_what_was_damaged_lies_beside(
    tmp_path: Path, end: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    folder, before = damaged(tmp_path, end)
    journal(folder).mend()
    assert folder.journal.read_bytes() == before
    assert folder.journal.with_name("journal.log.damaged").read_bytes() == end
    assert f"{folder.journal}: line {before.count(LF) + 1} was cut off or damaged" in caplog.text
    assert f"the last {len(end)} bytes are in journal.log.damaged" in caplog.text
    run(opened(folder), 0.9)
    theirs = JournalStorage(JournalFileBackend(str(folder.journal)))
    assert values(optuna.load_study(study_name=STUDY_NAME, storage=theirs)) == [0.5, 0.7, 0.9]


def test_a_whole_journal_is_not_touched(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder, before = damaged(tmp_path, b"")
    journal(folder).mend()
    assert folder.journal.read_bytes() == before
    assert not caplog.messages
    assert not folder.journal.with_name("journal.log.damaged").exists()


def test_nothing_is_glued_to_half_a_line(tmp_path: Path) -> None:
    folder, _ = damaged(tmp_path, b"")
    study = opened(folder)
    with folder.journal.open("ab") as file:  # by somebody who was killed, while the study is open
        file.write(LINE[:30])
    run(study, 0.9)
    assert values(study) == values(opened(folder)) == [0.5, 0.7, 0.9]
    assert folder.journal.with_name("journal.log.damaged").read_bytes() == LINE[:30]


def test_work_that_follows_the_damage_is_not_thrown_away(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder, before = damaged(tmp_path, b"")
    lines = before.splitlines(keepends=True)
    place = len(lines) - 4
    bad = b"".join([*lines[:place], b"x" + lines[place], *lines[place + 1 :]])
    folder.journal.write_bytes(bad)
    with pytest.raises(StudyError, match=rf"journal\.log: line {place + 1} is damaged, and finished work follows it"):
        journal(folder).mend()
    assert folder.journal.read_bytes() == bad
    assert values(opened(folder))[0] == 0.5
    assert f"line {place + 1} is cut off or damaged" in caplog.text


def test_a_line_that_somebody_is_writing_is_no_damage(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder, before = damaged(tmp_path, LINE[:30])
    with Path(f"{folder.journal}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        reading = opened(folder)
        assert values(reading) == [0.5, 0.7]
    assert not caplog.messages
    folder.journal.write_bytes(before + LINE)
    assert reading._storage.get_study_system_attrs(reading._study_id)["note"] == "of a user"
    assert not caplog.messages


def test_a_journal_that_is_missing_or_empty_is_named(tmp_path: Path) -> None:
    folder = new_folder(tmp_path / "study")
    folder.info.write_text(info().model_dump_json())
    for _ in range(2):
        with pytest.raises(StudyError, match=r"journal\.log: the study's trials are missing"):
            open_study(folder)
        folder.journal.touch()


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """No file of this process may grow beyond `size` bytes: what does ends as it does on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_an_append_that_fails_half_way_leaves_the_journal_as_it_was(tmp_path: Path) -> None:
    folder, before = damaged(tmp_path, b"")
    study = opened(folder)
    with largest_file(len(before) + 20), pytest.raises(OSError, match="File too large") as failed:
        study.set_user_attr("long", "x" * 1000)
    assert failed.value.filename == str(folder.journal)
    assert folder.journal.read_bytes() == before
    run(study, 0.9)
    assert values(opened(folder)) == [0.5, 0.7, 0.9]


def test_an_append_that_is_interrupted_leaves_the_journal_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, before = damaged(tmp_path, b"")
    study = opened(folder)

    def ctrl_c(file: int) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", ctrl_c)
        with pytest.raises(KeyboardInterrupt):
            study.set_user_attr("note", "of it")
    assert folder.journal.read_bytes() == before
    assert study.user_attrs == {}

"""A study as the dashboard shows it: its journal, and on top what is worked out of it when somebody looks.

Nothing of this is written: the search is not slowed by notes that nobody reads, and a study copied from elsewhere has
them, too.
"""

import json
import time
from collections.abc import Callable, Container, Iterator
from copy import copy
from functools import partial
from io import BytesIO
from typing import TYPE_CHECKING, Any, BinaryIO

import plotly.graph_objects as go
from optuna.artifacts.exceptions import ArtifactNotFound
from optuna.storages import BaseStorage, JournalStorage
from optuna.storages._cached_storage import _CachedStorage
from optuna.study._frozen import FrozenStudy
from optuna.trial import FrozenTrial, TrialState

from archsearch.dashboard.notes import facts, study_note, trial_note
from archsearch.report import figures
from archsearch.report.curve import learning_curve_svg
from archsearch.report.data import ReportData
from archsearch.report.diagram import architecture_svg
from archsearch.search.folder import StudyFolder
from archsearch.search.journal import journal
from archsearch.search.record import ATTRIBUTE, TrialRecord, find_baseline, joined, ranking
from archsearch.search.storage import database_of
from archsearch.space.architecture import Candidate
from archsearch.study import Study

NOTED_BEST, NOTED_NEWEST = 100, 200
"""So many trials have a note, and the baseline; the dashboard's time to look for one grows with how many there are."""
REST = 20.0
"""What is shown of a whole study is worked out anew after so many times as long as that took."""
ARTIFACTS = {"a": "architecture.svg", "c": "learning-curve.svg"}
"""By the last letter of its identity, which has to be a hexadecimal number."""

PLOTS: dict[str, Callable[[ReportData], go.Figure]] = {
    "best-so-far": figures.best_so_far,
    "score-against-parameters": partial(figures.score_against, cost="parameters"),
    "importances": figures.importances,
    "workers": figures.timeline,
}


if TYPE_CHECKING:
    _Storage = JournalStorage
else:
    _Storage = BaseStorage  # either kind may come behind


class StudyView(_Storage):
    """The storage that the dashboard is given; what it is on top of comes behind it (`view_of`)."""

    def __init__(self, folder: StudyFolder, *storage: Any) -> None:
        super().__init__(*storage)
        self._folder = folder
        self._name = folder.read_info().name
        self._shown: dict[int, FrozenTrial] = {}
        self._records: dict[int, TrialRecord] = {}
        self._made: dict[str, Any] = {}
        self._next = 0.0

    def get_all_trials(
        self, study_id: int, deepcopy: bool = True, states: Container[TrialState] | None = None
    ) -> list[FrozenTrial]:
        """All trials, each with its facts instead of its whole record."""
        return [self._show(trial) for trial in super().get_all_trials(study_id, deepcopy=False, states=states)]

    def get_trial(self, trial_id: int) -> FrozenTrial:
        """One of them."""
        return self._show(super().get_trial(trial_id))

    def get_study_system_attrs(self, study_id: int) -> dict[str, Any]:
        """Notes and figures, and on top whatever a user has written in the dashboard."""
        return self._notes(study_id) | super().get_study_system_attrs(study_id)

    def get_all_studies(self) -> list[FrozenStudy]:
        """The study, with the same."""
        studies = [study for study in super().get_all_studies() if study.study_name == self._name]
        for study in studies:
            study.system_attrs = self._notes(study._study_id) | study.system_attrs
        return studies

    def record(self, number: int) -> TrialRecord | None:
        """What is known of a trial; None if it died before it was sampled."""
        return self._records.get(number)

    def _show(self, trial: FrozenTrial) -> FrozenTrial:
        if trial.number in self._shown:
            return self._shown[trial.number]
        if ATTRIBUTE not in trial.user_attrs:
            return trial
        record = TrialRecord.model_validate(trial.user_attrs[ATTRIBUTE])
        shown = copy(trial)
        shown.user_attrs = facts(record)
        shown._system_attrs = trial._system_attrs | dict(_artifacts(record))
        self._records[trial.number] = record
        if trial.state.is_finished():
            self._shown[trial.number] = shown
        return shown

    def _notes(self, study_id: int) -> dict[str, Any]:
        if time.monotonic() >= self._next:
            began = time.monotonic()
            self._made = dict(self._make_notes(study_id))
            self._next = time.monotonic() + REST * (time.monotonic() - began)
        return self._made

    def _make_notes(self, study_id: int) -> Iterator[tuple[str, Any]]:
        trials = self.get_all_trials(study_id, deepcopy=False)
        records = joined([self._records[t.number] for t in trials if t.number in self._records])
        read = super().get_all_trials(study_id, deepcopy=False)
        data = Study(self._folder.path).collected(read, records, super().get_study_user_attrs(study_id))
        space = self._folder.space.read_text() if self._folder.space.is_file() else ""
        yield from _note("dashboard:", study_note(self._folder.path.resolve().name, data, space))
        ids = {trial.number: trial._trial_id for trial in trials}
        chosen = (find_baseline(records), *ranking(records)[:NOTED_BEST], *records[-NOTED_NEWEST:])
        noted = {each.number: each for each in chosen if each}
        for record in noted.values():
            yield from _note(f"dashboard:{ids[record.number]}:", trial_note(record))
        if data.ranking:
            for name, draw in PLOTS.items():
                yield f"dashboard:plot_data:{name}:0", draw(data).to_json()


class _JournalView(StudyView, JournalStorage):
    """A view of a journal."""


class _DatabaseView(StudyView, _CachedStorage):  # type: ignore[misc]  # mypy takes what is behind for a journal
    """A view of a database."""


def view_of(folder: StudyFolder) -> StudyView:
    """What the dashboard is to show of a study. Raises StudyError if `folder` holds none."""
    info = folder.read_info()
    if info.storage is None:
        return _JournalView(folder, journal(folder))
    return _DatabaseView(folder, database_of(info.storage, info.name).storage)


class Pictures:
    """Each trial's diagram and learning curve, drawn when they are asked for (Optuna's `ArtifactStore`)."""

    def __init__(self, view: StudyView) -> None:
        self._view = view

    def open_reader(self, artifact_id: str) -> BinaryIO:
        """The picture as a file. Raises ArtifactNotFound if there is none."""
        number, _, kind = artifact_id.partition("-")
        record = self._view.record(int(number)) if number.isdigit() else None
        if record is not None and kind == "a" and isinstance(record.candidate, Candidate):
            return BytesIO(architecture_svg(record.candidate.architecture).encode())
        if record is not None and kind == "c" and record.reports:
            return BytesIO(learning_curve_svg(record.reports).encode())
        raise ArtifactNotFound(f"there is no picture {artifact_id}")

    def write(self, artifact_id: str, content_body: BinaryIO) -> None:
        """Nothing is kept: pictures are drawn."""
        raise NotImplementedError("this dashboard keeps no files")

    def remove(self, artifact_id: str) -> None:
        """There is nothing to remove."""


def _artifacts(record: TrialRecord) -> Iterator[tuple[str, str]]:
    there = {"a": isinstance(record.candidate, Candidate), "c": bool(record.reports)}
    for kind, name in ARTIFACTS.items():
        if there[kind]:
            identity = f"{record.number}-{kind}"
            described = {"artifact_id": identity, "filename": name, "mimetype": "image/svg+xml", "encoding": None}
            yield f"artifacts:{identity}", json.dumps(described)


def _note(prefix: str, text: str) -> Iterator[tuple[str, Any]]:
    """A note under the keys by which the dashboard finds it."""
    yield f"{prefix}note_ver", 1
    yield f"{prefix}note_str:0", text

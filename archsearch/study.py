"""`Study`: what is there once a search was launched, and what can be done with it."""

import contextlib
import errno
import logging
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from socket import gethostname
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from filelock import FileLock, Timeout
from optuna.trial import FrozenTrial

from archsearch.data.sources import load_data
from archsearch.data.splits import Splits, make_splits
from archsearch.errors import InputError, SearchError, StudyError
from archsearch.explain import Tried, explain, outline_story
from archsearch.files import is_whole_zip, write_whole
from archsearch.interop.candidates import HyperCandidates, hyper_recipe
from archsearch.replay import Replayed, replay
from archsearch.report.collect import collect
from archsearch.report.data import ReportData
from archsearch.report.story import Story
from archsearch.report.stress import StressReport
from archsearch.report.verdict import Verdict
from archsearch.retrain import finish_replacing, retrain
from archsearch.search import record
from archsearch.search.budget import Budget, closing_seconds, image_seconds
from archsearch.search.candidates import Candidates, SpaceCandidates
from archsearch.search.certificate import read_exports
from archsearch.search.claim import Claim, SharedClaim, Undisputed
from archsearch.search.config import TRIAL_TIMEOUT
from archsearch.search.executors.choose import local_executor
from archsearch.search.folder import StudyFolder, StudyInfo, TestScore, WinnerInfo, read_plain
from archsearch.search.ledger import PLAN, end_the_dead
from archsearch.search.openings import keep_opening, openings_of
from archsearch.search.parameters import parameters
from archsearch.search.plan import Plan
from archsearch.search.record import TrialRecord
from archsearch.search.sessions import sessions_of, spent
from archsearch.search.storage import database_of, open_study
from archsearch.space.code import trust, trusted_folder, untrusted
from archsearch.space.hyper import locate, names_hypermodel
from archsearch.space.load import load_space
from archsearch.training.environment import TENSORFLOW, environment, stderr_to
from archsearch.training.job import Point, Report

if TYPE_CHECKING:
    from archsearch.report.compare import Cell
    from archsearch.search.certificate import Certificate

logger = logging.getLogger(__name__)

READ_ONLY = (errno.EROFS, errno.EACCES, errno.EPERM)
"""What the system says of a folder that this user cannot write."""


@dataclass(frozen=True)
class Study:
    """A study on disk.

    Attributes:
        path: Its folder.
    """

    path: Path

    def __post_init__(self) -> None:
        object.__setattr__(self, "path", Path(self.path))

    @property
    def folder(self) -> StudyFolder:
        """Where each of its files lies."""
        return StudyFolder(self.path)

    @cached_property
    def info(self) -> StudyInfo:
        """What the study is. Raises StudyError if there is none."""
        return self.folder.read_info()

    def trials(self) -> list[TrialRecord]:
        """All trials, by number."""
        return record.read(open_study(self.folder))

    def trial(self, number: int) -> TrialRecord:
        """One of them.

        Raises:
            StudyError: There is none with this number.
        """
        found = {trial.number: trial for trial in self.trials()}
        if number not in found:
            there = f"trials {min(found)} to {max(found)}" if found else "no trials"
            raise StudyError(f"{self.path}: trial {number} is not there; found {there}")
        return found[number]

    def plan(self) -> Plan | None:
        """What is done with the time, or None before the search has planned it."""
        return _plan_of(open_study(self.folder).user_attrs)

    def winner(self) -> WinnerInfo | None:
        """The retrained winner, or None before `retrain`."""
        return self.folder.read_winner()

    def verdict(self) -> Verdict | None:
        """What the retrained winner answered on the test set, or None before `retrain`."""
        return read_plain(Verdict, self.folder.verdict) if self.folder.verdict.is_file() else None

    def stressed(self) -> StressReport | None:
        """What the stress test of the retrained winner has found, or None before `stress`."""
        return read_plain(StressReport, self.folder.stress) if self.folder.stress.is_file() else None

    def best(self) -> TrialRecord | None:
        """The best trial that has run every fold, or None before the first."""
        return record.pick_winner(self.trials(), self.info.prefer)

    @property
    def is_retrained(self) -> bool:
        """Whether the model in best/ is the best trial's."""
        best, winner = self.best(), self.winner()
        return bool(best and winner and best.number == winner.trial and is_whole_zip(self.folder.model))

    def collect(self) -> ReportData:
        """How the study stands, as plain data."""
        study = open_study(self.folder)
        return self.collected(study.get_trials(deepcopy=False), record.read(study), study.user_attrs)

    def collected(
        self, trials: Sequence[FrozenTrial], records: Sequence[TrialRecord], attributes: Mapping[str, Any]
    ) -> ReportData:
        """The same, of a study that has been read already.

        Args:
            trials: As Optuna has them.
            records: Of the same trials.
            attributes: The user attributes of the Optuna study.
        """
        drawn, plan = parameters(trials, records), _plan_of(attributes)
        return collect(
            self.info,
            records,
            _optional(self.winner),
            plan,
            _optional(self.verdict),
            drawn,
            _optional(self.story),
            _optional(self.stressed),
            _optional(lambda: read_exports(self.folder.exports)),
            openings_of(attributes),
        )

    def report(self) -> ReportData:
        """Writes report.html, leaderboard.csv and report.json anew; returns what is in them."""
        from archsearch.report.page import write_report

        data = self.collect()
        write_report(self.folder, data)
        return data

    def table(self, format: Literal["md", "csv", "json"]) -> str:
        """The ranking as CSV, all of `ReportData` as JSON, or the answer in Markdown; nothing is written."""
        from archsearch.report.markdown import markdown
        from archsearch.report.page import leaderboard

        data = self.collect()
        match format:
            case "md":
                return markdown(self.path.resolve().name, data)
            case "csv":
                return leaderboard(data).to_csv(index=False)
        return data.model_dump_json(indent=2)

    def images(self, kind: Literal["png", "svg"]) -> list[Path]:
        """Writes the report's figures into `figures/`, a file each, and returns their paths.

        Raises:
            InputError: Kaleido or a Chrome is missing.
        """
        from archsearch.report.images import write_images

        return write_images(self.folder.figures, self.collect(), kind)

    def _repr_html_(self) -> str:
        """What a notebook shows."""
        from archsearch.report.notebook import notebook_html

        return notebook_html(self.path.resolve().name, self.collect())

    def splits(self) -> Splits:
        """The study's data, split as it was when the study began.

        Raises:
            DataError: The source is not there any more.
            StudyError: It holds other images or labels than it did.
        """
        data = load_data(self.info.data, self.info.size)
        splits = make_splits(data, self.info.folds, self.info.seed)
        if (data.fingerprint, splits.folds_hash) != (self.info.fingerprint, self.info.folds_hash):
            raise StudyError(f"{self.info.data}: the data has changed since {self.path} began; put the old data back")
        return splits

    def trust_code(self) -> None:
        """Allows this process to run the code that the study's space names, which `retrain` and `export` may need.

        Raises:
            InputError: The code is not there any more.
        """
        file = self.info.space_file
        trust(locate(file)[0] if names_hypermodel(file) else Path(file).resolve().parent)

    def retrain(
        self,
        on_point: Callable[[Point], None] = lambda point: None,
        interrupted: Callable[[], bool] = lambda: False,
        until: float | None = None,
        timeout: float = TRIAL_TIMEOUT,
    ) -> WinnerInfo | None:
        """Trains the best candidate on all but the test set, scores it once and saves it in best/.

        What is already there is kept if it is the same trial's: the test set is not opened again.

        Args:
            on_point: Told a few times how far the training has come.
            interrupted: Asked a few times a second; True ends the training and leaves everything as it was.
            until: When the training has to be over, by `time.monotonic`. It is somewhat longer than planned if there
                is time, and if there is not it goes through its recipe faster.
            timeout: Seconds without a training step after which it is killed.

        Returns:
            What is known of the model in best/; None if interrupted.

        Raises:
            DataError: The data's source is not there any more.
            SearchError: No trial has run every fold; or the training was killed, or its model cannot be saved.
            StudyError: The data has changed, or another process is at work on the study.
            TrialError: The training broke down.
        """
        if self.is_retrained:
            return self.winner()
        best = self.best()
        if best is None:
            raise SearchError(self._no_winner)
        plan, epochs = self.plan(), None
        if plan is not None:
            epochs = plan.winner_epochs if until is None else plan.most_epochs
        with locked(self.folder):
            finish_replacing(self.folder)
            if self.is_retrained:  # by another process, or by one that was killed while it put the model in its place
                return self.winner()
            return retrain(
                self.folder,
                self.info,
                best,
                self.splits(),
                self._tested,
                epochs,
                on_point,
                interrupted,
                until,
                timeout,
            )

    def _tested(self, test: TestScore) -> None:
        keep_opening(open_study(self.folder), test)

    def claim(self) -> Claim:
        """Claims the winner of a study that several machines have searched: one of them retrains and tests it."""
        info, best = self.info, self.best()
        if info.storage is None or best is None:
            return Undisputed()
        here = f"{gethostname()}:{self.path.resolve()}"
        return SharedClaim(database_of(info.storage, info.name), open_study(self.folder), best.number, here)

    def end_the_dead(self, interrupted: Callable[[], bool] = lambda: False) -> int:
        """Ends the trials of machines that died when all others stopped searching; see `ledger.end_the_dead`."""
        info = self.info
        if info.storage is None:
            return 0
        return end_the_dead(open_study(self.folder), database_of(info.storage, info.name), interrupted)

    def replay(
        self,
        number: int,
        on_report: Callable[[Report], None] = lambda report: None,
        interrupted: Callable[[], bool] = lambda: False,
    ) -> Replayed | None:
        """Trains a trial again from its seed, up to where it came, and changes nothing; see `archsearch.replay`."""
        return replay(self.trial(number), self.splits(), on_report, interrupted)

    def explain(
        self,
        seconds: float | None = None,
        workers: int | None = None,
        keep: Callable[[Story], None] = lambda story: None,
        interrupted: Callable[[], bool] = lambda: False,
    ) -> Story:
        """Measures what lies between the baseline and the winner, one change at a time, and keeps it in the folder.

        What has been measured already is not measured again. The test set stays shut.

        Args:
            seconds: How long it may take; None is as long as it needs.
            workers: Trainings at once; None is one a core.
            keep: Told the story whenever it has grown.
            interrupted: Asked a few times a second; True ends it.

        Raises:
            StudyError: The baseline or a winner is missing.
            InputError: The space names Python code that is not trusted (`trust_code`).
        """
        study = open_study(self.folder)  # before the lock, which would leave a file in what is no study's folder
        with locked(self.folder):
            records, plan = record.read(study), _plan_of(study.user_attrs)
            winner, baseline = record.pick_winner(records, self.info.prefer), record.find_baseline(records)
            if winner is None or plan is None or baseline is None or baseline.state != "complete":
                raise StudyError(
                    f"{self.path}: the baseline or a winner has not run its folds yet, so there is nothing to explain; "
                    "continue the search with more --time or more --trials"
                )
            drawn = {trial.number: trial.params for trial in study.get_trials(deepcopy=False)}
            story, path = outline_story(
                self._candidates(),
                Tried(baseline, drawn[baseline.number]),
                Tried(winner, drawn[winner.number]),
                plan,
                self.story(),
            )

            def kept(grown: Story) -> None:
                write_whole(self.folder.story, grown.model_dump_json(indent=2))
                keep(grown)

            kept(story)
            executor = local_executor(workers, timeout=TRIAL_TIMEOUT)
            return explain(story, path, winner, plan, self.splits(), executor, seconds, kept, interrupted)

    def story(self) -> Story | None:
        """What `explain` has measured, or None before it was run."""
        return read_plain(Story, self.folder.story) if self.folder.story.is_file() else None

    def _candidates(self) -> Candidates:
        info, trusted = self.info, trusted_folder() is not None
        if names_hypermodel(info.space_file):
            if not trusted:
                raise InputError(untrusted(Path(info.space_file)))
            return HyperCandidates(Path(info.space_file), info.task, hyper_recipe(info.batch_size, info.epochs))
        return SpaceCandidates(load_space(self.folder.space, trusted), info.task)

    def retrained_by(self, budget: Budget) -> float | None:
        """When retraining has to be over for `budget` to be kept, now that a search has ended; None without a limit.

        By `time.monotonic`.
        """
        best = self.best()
        if budget.seconds is None or best is None:
            return None
        image = image_seconds(best) or 0.0
        sessions = sessions_of(open_study(self.folder).user_attrs)
        closing = closing_seconds(budget.seconds, image, self.info.test_images)
        left = budget.seconds - spent(sessions, at_once=self.info.storage is not None) - closing
        return time.monotonic() + left

    def export(
        self,
        formats: Sequence[str] = (),
        numbers: str = "float32",
        trial: int | None = None,
        on_point: Callable[[Point], None] = lambda point: None,
    ) -> "list[Certificate]":
        """Writes a model in the named formats, each proven on test images; see `archsearch.export.exporter`.

        Args:
            formats: None is all that can be written.
            numbers: How weights are kept: `float32`, `float16`, `int8` or `dynamic`.
            trial: A complete one, which is retrained and tested first, in trials/ beside best/; None is the winner.
            on_point: Told how far that training has come.

        Raises:
            InputError: There is no winner yet, or the trial has not run all its folds.
        """
        with environment(TENSORFLOW), stderr_to(os.devnull):
            from archsearch.export.exporter import chosen, export
            from archsearch.export.source import of_study

        chosen(formats, numbers)  # before a trial is trained for nothing
        folder = self.shipped(trial)
        with locked(self.folder):
            splits = self.splits()
            if trial is not None and not folder.model.is_file():
                plan = self.plan()
                epochs = plan.winner_epochs if plan else None
                retrain(folder, self.info, self.trial(trial), splits, self._tested, epochs, on_point)
            return export(of_study(folder, self.info, splits), formats, folder.exports, numbers)

    def stress(self) -> StressReport:
        """Tests how the winner stands what happens to images, on the test images, and keeps that in best/.

        They were opened when it was retrained. See `archsearch.stress.measure`.

        Raises:
            InputError: The study is not retrained, or its model has layers of a user's own that are not trusted.
            StudyError: Another process is at work on the study.
        """
        from archsearch.export.own_code import known, of_space
        from archsearch.export.runtimes import load
        from archsearch.stress.measure import stress

        info, folder = self.info, self.shipped()
        with locked(folder):
            test = self.splits().test
            with known(of_space(info.space_file)):
                model = load(folder.model)
                found = stress(model.predict, test.images, test.labels, info.classes, info.seed)
            write_whole(folder.stress, found.model_dump_json())
        return found

    def demo(self, out: Path) -> None:
        """Writes a page that runs the winner in the browser; see `archsearch.demo.site`.

        Raises:
            InputError: There is no winner yet, ONNX is not installed, or `out` holds something else.
            StudyError: Another process is at work on the study.
        """
        from archsearch.demo.site import require_ours, write_site
        from archsearch.export.runtimes import load

        require_ours(out)
        model = self.shipped().exports / "model.onnx"
        if not model.is_file():
            self.export(["onnx"])
        splits = self.splits()
        answers = load(model).predict(splits.test.images)
        write_site(model, splits.train.images, splits.train.labels, answers, splits.test.labels, out)

    def shipped(self, trial: int | None = None) -> StudyFolder:
        """Where the retrained winner lies, or another trial's model, which need not be trained yet.

        Raises:
            SearchError: No trial has run all its folds.
            InputError: The winner is not retrained yet, or the trial has not run all its folds.
        """
        self.folder.read_info()  # what is no study says so
        winner = self.winner()
        if winner is None and self.best() is None:
            raise SearchError(self._no_winner)
        if winner is None or not self.folder.model.is_file():
            raise InputError(
                f"{self.folder.model}: there is no model here yet; make it with: archsearch retrain {self.path}"
            )
        if trial is None or trial == winner.trial:
            return self.folder
        found = self.trial(trial)
        if found.confirms is not None:
            raise InputError(f"{self.path}: trial {trial} is the second run of trial {found.confirms}; export that one")
        if found.state != "complete":
            raise InputError(f"{self.path}: trial {trial} is {found.state}; expected one that has run all its folds")
        return StudyFolder(self.path, trial)

    @property
    def _no_winner(self) -> str:
        return (
            f"{self.path}: no trial has run all its folds, so there is no winner; continue the search with more --time "
            "or more --trials"
        )


Kept = TypeVar("Kept")


def _optional(read: Callable[[], Kept | None]) -> Kept | None:
    """What is read, or None with a warning if it is damaged: a study can be reported without it."""
    try:
        return read()
    except StudyError as error:
        logger.warning("%s; it is left out", error)
        return None


def _plan_of(attributes: Mapping[str, Any]) -> Plan | None:
    kept = attributes.get(PLAN)
    return Plan.model_validate(kept) if kept else None


def compare(folders: Sequence[Path], page: Path) -> "tuple[str, list[list[Cell]]]":
    """Writes a page that sets studies side by side.

    Args:
        folders: Of two studies or more.
        page: The HTML file to write.

    Returns:
        Which one is best, in a sentence, and the table of them (`report.compare.COLUMNS`).

    Raises:
        StudyError: A folder holds no study.
        InputError: The page cannot be written.
    """
    from archsearch.report.compare import answer, names_of, render, table

    if len({folder.resolve() for folder in folders}) < len(folders):
        raise InputError(f"compare: found a study twice among {', '.join(map(str, folders))}; expected different ones")
    studies = {
        name: Study(folder).collect() for name, folder in zip(names_of([*map(str, folders)]), folders, strict=True)
    }
    try:
        write_whole(page, render(studies))
    except OSError as error:
        raise InputError(f"{page}: cannot be written: {error.strerror}; choose another --out") from error
    return answer(studies), table(studies)


@contextlib.contextmanager
def locked(folder: StudyFolder) -> Iterator[None]:
    """Holds a study, whose folder need not be there yet, for its only writer; the kernel lets go when that dies.

    Raises:
        StudyError: Another process is at work on it, or its folder cannot be written.
    """
    lock = FileLock(folder.lock, timeout=0)
    try:
        folder.path.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except Timeout:
        raise StudyError(
            f"{folder.path}: another archsearch is at work on this study; wait for it, or search into another --out"
        ) from None
    except OSError as error:
        if error.errno not in READ_ONLY:
            raise
        raise StudyError(
            f"{folder.path}: this folder cannot be written: {error.strerror}; make it writable, work on a copy of it, "
            "or choose another --out"
        ) from error
    try:
        yield
    finally:
        lock.release()

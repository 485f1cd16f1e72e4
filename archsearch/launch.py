"""Launches a search: begins a study, or goes on with one."""

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from importlib.metadata import version
from math import inf
from pathlib import Path

import optuna

from archsearch.data.dataset import Dataset
from archsearch.data.sources import load_data
from archsearch.data.splits import Splits, make_splits, parts_for
from archsearch.data.suggest import name_of, suggest_space
from archsearch.errors import InputError, StudyError
from archsearch.files import sync, write_whole
from archsearch.interop.candidates import HyperCandidates, hyper_recipe
from archsearch.search.address import parse_address
from archsearch.search.candidates import Candidates, SpaceCandidates
from archsearch.search.company import Alone, Company
from archsearch.search.config import SearchConfig
from archsearch.search.coordinator import Coordinator, Progress
from archsearch.search.database import Database, open_database
from archsearch.search.executors.choose import executor_for
from archsearch.search.folder import StudyFolder, StudyInfo
from archsearch.search.images import SearchImages
from archsearch.search.journal import journal
from archsearch.search.ledger import take_over
from archsearch.search.provenance import commit, versions
from archsearch.search.record import read
from archsearch.search.recovery import recover, requeue
from archsearch.search.samplers import PRUNERS, SAMPLERS
from archsearch.search.storage import STUDY_NAME, begun_in, create_study, enqueue, know, open_storage, open_study
from archsearch.space.check import check_space
from archsearch.space.code import untrusted
from archsearch.space.hyper import names_hypermodel
from archsearch.space.load import load_space
from archsearch.space.suggest import Suggestion
from archsearch.study import Study, locked

logger = logging.getLogger(__name__)


def run_search(
    config: SearchConfig,
    watch: Callable[[Progress], None] = lambda progress: None,
    interrupted: Callable[[], bool] = lambda: False,
) -> tuple[Study, str]:
    """Begins the study that `config` describes, or continues it if its folder holds it already.

    Trains nothing but candidates; `Study.report` and `Study.retrain` do the rest. Workers are processes that import the
    main module: a script that calls this needs the usual `if __name__ == "__main__":`.

    Args:
        config: What to do.
        watch: Called with the progress a few times a second.
        interrupted: Asked a few times a second; True ends the search cleanly.

    Returns:
        The study, and why the search ended.

    Raises:
        InputError: The space, the data, an option or the folder cannot be used. Nothing was started or written.
        SearchError: Trial after trial failed, or nothing could be drawn. What is finished is kept.
    """
    candidates, data = _load(config)
    splits = make_splits(data, config.folds or parts_for(data), config.seed)
    info = _describe(config, candidates, data, splits)
    folder = StudyFolder(config.out)
    _check_folder(folder, info)
    executor = executor_for(config)
    with closing(executor), _joined(config, folder, info, candidates, interrupted) as (study, company):
        # Coordinators that begin at the same time are not to draw the same.
        study.sampler = SAMPLERS[config.sampler](config.seed + len(study.trials) + study.user_attrs.get(JOINED, 0))
        study.pruner = PRUNERS[config.pruner]()
        ended = Coordinator(
            study=study,
            candidates=candidates,
            images=SearchImages(splits.train.path, len(splits.train.labels), splits.folds, len(splits.test.labels)),
            seed=config.seed,
            budget=config.budget,
            executor=executor,
            began=config.began,
            given=config.given,
            pruner=config.pruner,
            objectives=config.objectives,
            watch=watch,
            interrupted=interrupted,
            company=company,
        ).run()
    return Study(config.out), ended


def default_folder(space: Path | None, data: str) -> Path:
    """`reports/<name>`: of the space file, the HyperModel, or the data where no space is given."""
    if space is None:
        name = name_of(data)
    elif names_hypermodel(space):
        name = str(space).rpartition(":")[2]
    else:
        name = space.stem
    return Path("reports") / name


def suggestion(config: SearchConfig) -> str:
    """Which space a search without a space file uses, in a sentence."""
    own = StudyFolder(config.out)
    if own.info.is_file():
        return f"space: {own.space}, with which the study began"
    return f"space: {own.space}, {_suggested(config)[0].why}"


def _suggested(config: SearchConfig) -> tuple[Suggestion, Dataset]:
    data = load_data(config.data, config.size)
    return suggest_space(data, config.folds or parts_for(data), str(StudyFolder(config.out).space)), data


def _load(config: SearchConfig) -> tuple[Candidates, Dataset]:
    """What may be tried, and on what; a space file is looked at before the data, which may take a while."""
    own = StudyFolder(config.out).space
    file = config.space or (own if StudyFolder(config.out).info.is_file() else None)
    if file is None:
        suggested, data = _suggested(config)
        return SpaceCandidates(suggested.space, data.task), data
    if names_hypermodel(file):
        if not config.trust_code:
            raise InputError(untrusted(file))
        data = load_data(config.data, config.size)
        return HyperCandidates(file, data.task, hyper_recipe(config.batch_size, config.epochs)), data
    if str(file).endswith(".py"):
        raise InputError(f"{file}: found a Python file, expected a space file, or a HyperModel in it: '{file}:NAME'")
    if config.batch_size is not None:
        raise InputError(f"--batch-size: only for a HyperModel; expected 'training: {{batch_size: …}}' in {file}")
    if config.epochs is not None and load_space(file, config.trust_code).most_epochs is not None:
        raise InputError(
            f"--epochs: {file} has 'epochs' in 'training' already; take them out there, or give no --epochs"
        )
    load_space(file, config.trust_code)
    data = load_data(config.data, config.size)
    return SpaceCandidates(check_space(file, data.task, config.trust_code), data.task), data


def _describe(config: SearchConfig, candidates: Candidates, data: Dataset, splits: Splits) -> StudyInfo:
    return StudyInfo(
        version=version("archsearch"),
        space=candidates.name,
        space_file=candidates.file,
        trust_code=config.trust_code,
        space_hash=candidates.hash,
        data=data.source,
        size=config.size,
        fingerprint=data.fingerprint,
        task=data.task,
        classes=data.classes,
        train_images=len(splits.train.labels),
        test_images=len(splits.test.labels),
        test_origin=splits.test_origin,
        folds=len(splits.folds),
        all_folds=config.folds is not None,
        folds_hash=splits.folds_hash,
        seed=config.seed,
        sampler=config.sampler,
        pruner=config.pruner,
        out=str(config.out),
        trials=config.budget.trials,
        seconds=config.budget.seconds,
        epochs=config.epochs,
        batch_size=config.batch_size,
        first_rung=config.first_rung,
        finalists=config.finalists,
        objectives=config.objectives,
        prefer=config.prefer,
        versions=versions(),
        storage=None if config.storage is None else parse_address(config.storage).shown,
        name=STUDY_NAME if config.storage is None else config.out.resolve().name,
        commit=commit(Path.cwd()),
    )


LAST_WAIT_SECONDS = 600.0
INFO = "study"
"""Study attribute in a database: its `StudyInfo` as JSON."""
JOINED, SEEDS_APART = "joined", 100_003
"""Study attribute in a database: what the next coordinator adds to the sampler's seed; more than a study has trials."""
SAME = {
    "space_hash": "the search space has changed",
    "size": "--size has changed",
    "fingerprint": "the data has changed",
    "folds": "--folds has changed",
    "seed": "--seed has changed",
    "sampler": "--sampler has changed",
    "pruner": "--pruner has changed",
    "epochs": "--epochs has changed",
    "first_rung": "--first-rung has changed",
    "finalists": "--finalists has changed",
    "objectives": "--objective has changed",
    "folds_hash": "the split into folds has changed",
    "storage": "--storage has changed",
}
"""What must be as it was when a study began for it to go on, and what to say when it is not."""


def _is_beginning(name: str) -> bool:
    """Whether a search that was killed while it made its folder can have left this file in it."""
    return name.startswith(".") or name.endswith(".py") or name in ("journal.log", "journal.log.lock", "space.yaml")


def _check_folder(folder: StudyFolder, info: StudyInfo) -> None:
    if folder.info.is_file():
        _check_same(str(folder.path), folder.read_info(), info)
    elif folder.path.is_dir() and any(not _is_beginning(file.name) for file in folder.path.iterdir()):
        raise StudyError(
            f"{folder.path}: is not empty and holds no study ({folder.info.name} is missing); choose another --out"
        )
    elif folder.path.exists() and not folder.path.is_dir():
        raise StudyError(f"{folder.path}: is a file; --out needs a folder, which may be new")
    elif begun := begun_in(open_storage(folder)):
        raise StudyError(
            f"{folder.path}: {folder.journal.name} holds {begun} trials, and {folder.info.name}, which says of what, "
            "is missing; put it back, or choose another --out"
        )


def _check_same(where: str, before: StudyInfo, info: StudyInfo) -> None:
    for name, why in SAME.items():
        if getattr(before, name) != getattr(info, name):
            raise StudyError(
                f"{where}: holds a study of '{before.space}' on {before.data}, and {why} since it began "
                f"(found {getattr(info, name)}, expected {getattr(before, name)}); "
                "choose another --out, or give what it began with"
            )


@contextmanager
def _joined(
    config: SearchConfig,
    folder: StudyFolder,
    info: StudyInfo,
    candidates: Candidates,
    interrupted: Callable[[], bool],
) -> Iterator[tuple[optuna.Study, Company]]:
    """The study, begun if nobody has, and who else searches it."""
    if config.storage is None:
        with locked(folder):
            yield _open_or_create(folder, info, candidates), Alone()
        return
    address = parse_address(config.storage)
    with locked(folder), closing(open_database(address, info.name, _patience(config, interrupted))) as database:
        know(database)
        with database.turn():
            study = _join(database, info, candidates)
        if not folder.info.is_file():
            _keep(folder, info, candidates)
        yield study, database


def _patience(config: SearchConfig, interrupted: Callable[[], bool]) -> Callable[[], bool]:
    """Whether to go on waiting for a database: past the end of the budget only for what is finished by then."""
    seconds = config.budget.seconds
    until = inf if seconds is None else time.monotonic() + seconds + LAST_WAIT_SECONDS
    return lambda: not interrupted() and time.monotonic() < until


def _open_or_create(folder: StudyFolder, info: StudyInfo, candidates: Candidates) -> optuna.Study:
    if folder.info.is_file():
        journal(folder).mend()
        study = open_study(folder)
        if lost := recover(study):
            logger.info("%s: %d trials were begun and not finished; they start again", folder.path, lost)
        return study
    # study.json comes last: without it there is no study, and the next start begins afresh.
    folder.journal.unlink(missing_ok=True)
    study = create_study(open_storage(folder), info.name, info.objectives)
    enqueue(study, candidates.baseline)
    sync(folder.path)
    _keep(folder, info, candidates)
    return study


def _join(database: Database, info: StudyInfo, candidates: Candidates) -> optuna.Study:
    """The study in a database; within a turn."""
    if info.name in optuna.get_all_study_names(database.storage):
        study = optuna.load_study(study_name=info.name, storage=database.storage)
        kept = study.user_attrs.get(INFO)
        if kept is not None:
            begun = StudyInfo.model_validate(kept).model_copy(update={"storage": info.storage})
            _check_same(str(database.address), begun, info)
            take_over(study, database)
            requeue(study, read(study))
        elif study.get_trials(deepcopy=False) or len(study.directions) != len(info.objectives):
            raise StudyError(f"{database.address}: holds another study named '{info.name}'; choose another --out")
    else:
        study = create_study(database.storage, info.name, info.objectives)
        kept = None
    if kept is None:  # a new study, or one whose first coordinator was killed before it said what it is
        study.set_metric_names(list(info.objectives))
        study.set_user_attr(INFO, info.model_dump(mode="json"))
    if not study.get_trials(deepcopy=False):
        enqueue(study, candidates.baseline)
    study.set_user_attr(JOINED, study.user_attrs.get(JOINED, 0) + SEEDS_APART)
    return study


def _keep(folder: StudyFolder, info: StudyInfo, candidates: Candidates) -> None:
    for name, text in candidates.copies.items():
        write_whole(folder.path / name, text)
    write_whole(folder.info, info.model_dump_json(indent=2))

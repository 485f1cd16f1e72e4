"""What must be true of a study after all of it: each check is a pure function that says what is wrong, or nothing."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from statistics import median
from typing import NamedTuple

from optuna.trial import FrozenTrial, TrialState

from archsearch.search.failures import is_tried_again
from archsearch.search.record import TrialRecord
from archsearch.training.job import Report
from soak.command import Sample

OPTUNA_STATES = {
    "complete": {TrialState.COMPLETE},
    "confirmation": {TrialState.COMPLETE},
    "pruned": {TrialState.PRUNED},
    "infeasible": {TrialState.PRUNED},
    "duplicate": {TrialState.FAIL},
    "interrupted": {TrialState.FAIL, TrialState.PRUNED},
    "failed": {TrialState.FAIL},
}


class Note(NamedTuple):
    """What a worker has written down: `begun` at a fold, `trained` it, or `told` the coordinator so."""

    what: str
    trial: int
    fold: int
    score: float


CONCLUDED = ("complete", "pruned", "failed")

MANY_KILLS = 8
"""After so many it is no chance that nothing was carried on."""
WARM_SECONDS = 20.0
"""A coordinator still loads what it needs."""
MEMORY_GROWTH = 16e6
"""Bytes that may come and go: what one look at the study allocates at most."""
MEMORY_A_TRIAL = 100e3
"""Bytes that a trial may cost for ever: its record and Optuna's copies of it."""
FILES_GROWTH = 2
"""Files that may happen to be open at one time and not at another: the journal, and its lock."""


def states(records: Sequence[TrialRecord]) -> Iterator[str]:
    """Every trial is in a final state, with a reason where it was not a full success."""
    for each in records:
        if each.state == "running":
            yield f"trial {each.number} runs for ever"
        elif each.state != "complete" and not each.reason:
            yield f"trial {each.number} is {each.state} without a reason"
        elif (each.state == "failed") != (each.cause is not None):
            yield f"trial {each.number} is {each.state} with the cause {each.cause}"


def numbers(trials: Sequence[FrozenTrial], records: Sequence[TrialRecord], deaths: int) -> Iterator[str]:
    """Numbers have no gaps, Optuna and the records agree, and a trial without a record was drawn by one who died."""
    found = [trial.number for trial in trials]
    if found != [*range(len(found))]:
        yield f"the numbers have gaps: {found}"
    by_number = {each.number: each for each in records}
    if missing := by_number.keys() - {*found}:
        yield f"Optuna does not know trials {sorted(missing)}"
    without = [trial for trial in trials if trial.number not in by_number]
    for trial in trials:
        if not trial.state.is_finished():
            yield f"trial {trial.number} is {trial.state.name} in Optuna"
        elif trial.number in by_number and trial.state not in OPTUNA_STATES.get(by_number[trial.number].state, ()):
            yield f"trial {trial.number} is {trial.state.name} in Optuna and {by_number[trial.number].state} here"
    if len(without) > deaths:
        yield f"{len(without)} trials have no record, but a coordinator died only {deaths} times"


def budget(records: Sequence[TrialRecord], trials: int) -> Iterator[str]:
    """As many candidates were tried as were wanted, each once; what was cut off or lost was tried again."""
    explored = [each for each in records if each.confirms is None]
    concluded = [each for each in explored if each.state in CONCLUDED and not is_tried_again(each)]
    if len(concluded) != trials:
        yield f"{len(concluded)} trials are over, {trials} were wanted"
    for digest, times in Counter(each.digest for each in concluded).items():
        if times > 1:
            yield f"{times} trials of one candidate: {[each.number for each in concluded if each.digest == digest]}"
    known = {each.digest for each in concluded}
    for each in explored:
        if (each.state == "interrupted" or is_tried_again(each)) and each.digest not in known:
            yield f"trial {each.number} was cut off and never tried again"


def folds(records: Sequence[TrialRecord]) -> Iterator[str]:
    """No finished fold was trained again, and what was carried on is what was found."""
    earlier: dict[tuple[str, int, float], list[TrialRecord]] = defaultdict(list)
    for each in records:
        if each.state in ("infeasible", "duplicate"):
            continue
        tries = earlier[each.digest, each.seed, each.candidate.recipe.epochs]
        furthest = max((len(before.fold_scores) for before in tries), default=0)
        if each.carried != furthest:
            yield f"trial {each.number} carries {each.carried} folds on, {furthest} were finished"
        for before in tries:
            if before.fold_scores != each.fold_scores[: len(before.fold_scores)] and each.fold_scores:
                yield f"trial {each.number} has {each.fold_scores}, trial {before.number} {before.fold_scores}"
        tries.append(each)


def trained(records: Sequence[TrialRecord], notes: Sequence[Note], cut_off: int) -> Iterator[str]:
    """What the study says was trained is what its workers say themselves, each fold once.

    Args:
        records: All trials.
        notes: Of all workers, in their order.
        cut_off: How many jobs may have been told to a coordinator that was killed before it had written it down.
    """
    by_trial: dict[int, dict[str, list[Note]]] = defaultdict(lambda: defaultdict(list))
    for note in notes:
        by_trial[note.trial][note.what].append(note)
    unwritten = 0
    for each in records:
        noted, own = by_trial.pop(each.number, {}), each.fold_scores[each.carried :]
        begun, done = noted.get("begun", []), noted.get("trained", [])
        if len(begun) > 1:
            yield f"trial {each.number} was begun {len(begun)} times"
        if begun and begun[0].fold != each.carried:
            yield f"trial {each.number} carries {each.carried} folds on, and was trained from fold {begun[0].fold} on"
        if own != tuple(note.score for note in done[: len(own)]):
            yield f"trial {each.number} has scored {own}, its worker {[note.score for note in done]}"
        missing = max(0, len(noted.get("told", [])) - len(own))
        if each.state == "interrupted":
            unwritten += missing
        elif missing and each.state != "pruned":  # which a worker learns of between two steps, perhaps a fold later
            yield f"trial {each.number} is {each.state}, and {missing} folds that it was told of are not in it"
    if by_trial:
        yield f"trials {sorted(by_trial)} were trained, and nobody knows of them"
    if unwritten > cut_off:
        yield f"{unwritten} finished folds were never written down, at most {cut_off} can have been cut off"


def carried_on(records: Sequence[TrialRecord], kills: int) -> Iterator[str]:
    """What was finished before a kill is of use after it."""
    if kills >= MANY_KILLS and not any(each.carried for each in records):
        yield f"no trial carries a fold on, after {kills} kills"


def repeated(record: TrialRecord, again: Sequence[Report]) -> Iterator[str]:
    """A training without faults gives the same scores to the last digit."""
    found = tuple(report.val_accuracy for report in again if report.is_last)
    if found != record.fold_scores:
        yield f"trial {record.number} has scored {record.fold_scores}, without faults {found}"


def growth(samples: Sequence[Sample], trials: int) -> tuple[float, int]:
    """Of the first third of a run, once it is warm, to the last: bytes beyond what `trials` may cost, and files.

    Medians, since both swing: while it retrains, a coordinator has more files open, too.
    """
    warm = [each for each in samples if each.seconds > WARM_SECONDS]
    third = len(warm) // 3
    if third == 0:
        return 0.0, 0
    first, last = warm[:third], warm[-third:]
    memory = median(each.memory for each in last) - median(each.memory for each in first)
    files = median(each.files for each in last) - median(each.files for each in first)
    return memory - MEMORY_A_TRIAL * trials, round(files)


def flat(samples: Sequence[Sample], trials: int) -> Iterator[str]:
    """Memory and file handles do not grow."""
    memory, files = growth(samples, trials)
    if len([each for each in samples if each.seconds > WARM_SECONDS]) < 6:
        yield "no coordinator lived long enough to tell"
    if memory > MEMORY_GROWTH:
        yield f"memory grew by {memory / 1e6:.1f} MB beyond what the trials may cost"
    if files > FILES_GROWTH:
        yield f"{files} more files are open"

"""Searches a study for some minutes while faults are injected; says what happened, and ends with 1 if a check failed.

make soak MINUTES=60
make soak MINUTES=5 STORAGE=database SEED=3
"""

import argparse
import json
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import optuna
from databases import BINARIES, Server, serving_databases
from optuna.storages import BaseStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend

from archsearch.replay import replay
from archsearch.search import record
from archsearch.search.address import parse_address
from archsearch.search.database import open_database
from archsearch.search.sessions import sessions_of, spent
from archsearch.search.storage import know
from archsearch.study import Study
from soak import checks
from soak.command import GONE_SECONDS, Run
from soak.faults import OF_ALL, TRIAL_TIMEOUT, Faults, explained

SPACE = """\
name: soak
stages:
  - repeat: {int: [1, 2]}
    block: {choice: [conv, separable]}
    filters: {choice: [4, 8]}
    downsample: max
training:
  optimizer: {choice: {adam: {learning_rate: {float: [3.0e-3, 3.0e-2], log: true}}}}
  batch_size: 64
baseline:
  stages.0.repeat: 1
  stages.0.filters: 4
  training.optimizer.adam.learning_rate: 1.0e-2
"""
EPOCHS, FOLDS, WORKERS = 20, 2, 2
DISK_BYTES = 4 * 2**20
"""For each minute: the journal takes about 13 kB a trial, the report 3 kB and as much again while it is written."""
LEAST_DISK_BYTES = 32 * 2**20
PAUSE = (2.0, 7.0)
"""Seconds from one fault to the next."""
HANGING = 240.0
"""Seconds without a word, after which a command will not come to its end."""
ROUND = 6
"""Trials that the command is told to add, again and again."""
CALM = 0.45
"""Share of the time after which a coordinator is no longer killed, so that one lives long enough to be measured."""
SPEED = 1.5
"""Times as fast as before trials are trained once the coordinator is no longer killed."""
CLOSING = 65.0
"""Seconds that are kept for the last round's end and the checks."""
REPLAYED = 12
"""Trials that are trained again; one more for each minute."""


class Soak:
    """One study under faults.

    Args:
        minutes: How long all of it may take.
        seed: Of the faults.
        folder: Of everything, away from the study's disk.
        disk: Where the study lies.
        faults: What happens to it.
        storage: Address of its database, or None.
    """

    def __init__(self, minutes: float, seed: int, folder: Path, disk: Path, faults: Faults, storage: str | None):
        self.began = time.monotonic()
        self.until = self.began + 60 * minutes - CLOSING
        self.calm_from = self.began + CALM * (self.until - self.began)
        self.chance, self.folder, self.faults, self.storage = random.Random(seed), folder, faults, storage
        self.study, self.second_study = Study(disk / "study"), Study(disk / "second" / "study")
        self.trials, self.rounds = 0, 0
        self.runs: list[Run] = []
        self.second: Run | None = None
        self.long: tuple[Run, int] | None = None
        (folder / "space.yaml").write_text(SPACE)

    def search(self) -> None:
        """Runs the command, again and again, while faults happen."""
        while (more := self._more()) > 0:
            self.trials += more
            before = time.monotonic()
            while (run := self._attempt()).code:
                if not explained(run) or time.monotonic() > self.until + CLOSING:
                    raise SystemExit(f"the command does not come to its end any more:\n{run.err[-3000:]}")
            self._end_second()
            self.rounds += 1
            self._say(f"round {self.rounds}: {self.trials} trials after {time.monotonic() - before:.0f} s")
            if self.long is None or len(run.samples) > len(self.long[0].samples):
                self.long = run, more
        self.faults.undo_all()

    def _more(self) -> int:
        """Trials of the next round; 0 if there is no time for one."""
        now = time.monotonic()
        if not self.rounds:
            return ROUND
        if now < self.calm_from:
            return ROUND
        pace = SPEED * self.trials / (now - self.began)
        left = self.until - now
        return max(ROUND, int(pace * left)) * (left > 20)

    def _begin(self, out: Path, workers: int) -> Run:
        options: dict[str, object] = {
            "--data": "digits",
            "--trials": self.trials,
            "--epochs": EPOCHS,
            "--folds": FOLDS,
            "--workers": workers,
            "--finalists": 2,
            "--pruner": "none",
            "--trial-timeout": f"{TRIAL_TIMEOUT}s",
            "--out": out,
        }
        if self.storage is not None:
            options["--storage"] = self.storage
        words = ["search", str(self.folder / "space.yaml"), *(str(word) for pair in options.items() for word in pair)]
        run = Run(
            words,
            {
                "SOAK_CLOCK": str(self.folder / "clock"),
                "SOAK_TRAINED": str(self.folder / "trained"),
                "PYTHONPATH": f"{Path(__file__).with_name('inside')}:{Path.cwd()}",
            },
        )
        self.runs.append(run)
        return run

    def _attempt(self) -> Run:
        """Runs the command until it ends; in a database, another one beside it, again and again."""
        run = self._begin(self.study.path, WORKERS)
        due, said, heard = time.monotonic() + self.chance.uniform(*PAUSE), 0, time.monotonic()
        try:
            while not run.has_ended():
                run.sample()
                if run.said != said:
                    said, heard = run.said, time.monotonic()
                if time.monotonic() - heard > HANGING:
                    raise SystemExit(f"the command has said nothing for {HANGING:.0f} s, after {run.faults}")
                self._keep_second()
                self.faults.tick()
                now = time.monotonic()
                if now > due and now < self.until and self._hurt(run, calm=now > self.calm_from):
                    due = now + self.chance.uniform(*PAUSE)
                time.sleep(0.1)
        finally:
            run.end()
        self._say_end(run)
        # What was full or away for it is no concern of the next one.
        self.faults.undo_all()
        return run

    def _hurt(self, run: Run, calm: bool) -> bool:
        """Has a fault happen to one of those that run, or to all; whether there was one that could."""
        there = [each for each in (run, self.second) if each is not None and each.code is None]
        hurt = self.chance.choice(there)
        kind = self.faults.inject(hurt, calm)
        if not kind:
            return False
        for each in there if kind in OF_ALL else [hurt]:
            each.faults.append(kind)
        self._say(kind if hurt is run else f"{kind}, the second")
        return True

    def _keep_second(self) -> None:
        """In a database, another coordinator is there, and comes back when it was killed."""
        if self.second is None and self.storage is not None:
            self.second = self._begin(self.second_study.path, 1)
        elif self.second is not None and self.second.has_ended() and self.second.code:
            self._say_end(self.second)
            if not explained(self.second):
                raise SystemExit(f"the second has ended:\n{self.second.err[-3000:]}")
            self.second = None

    def _end_second(self) -> None:
        """Waits for the other coordinator's end, which is the study's."""
        if self.second is None:
            return
        until = time.monotonic() + HANGING
        while not self.second.has_ended():
            self.faults.tick()
            if time.monotonic() > until:
                self.second.end()
                raise SystemExit(f"the second has not ended for {HANGING:.0f} s, after {self.second.faults}")
            time.sleep(0.1)
        self._say_end(self.second)
        self.second = None

    def _say_end(self, run: Run) -> None:
        if run.code:
            lines = run.err.strip().splitlines()
            self._say(f"ended with {run.code}, {explained(run) or 'UNEXPLAINED'}: {lines[-1][:160] if lines else ''}")

    def _say(self, what: str) -> None:
        print(f"{time.monotonic() - self.began:6.1f} s  {what}", flush=True)

    def check(self) -> dict[str, list[str]]:
        """What is wrong, by what was looked at."""
        kept = optuna.load_study(storage=self._plain(), study_name=None)
        trials, records = kept.get_trials(deepcopy=False), record.read(kept)
        wall, searched = time.monotonic() - self.began, spent(sessions_of(kept.user_attrs), self.storage is not None)
        deaths = sum(run.code != 0 for run in self.runs)
        kills = sum(run.code not in (0, 130) for run in self.runs)
        injected = Counter(kind for run in self.runs for kind in run.faults)
        assert self.long is not None
        notes = [checks.Note(**json.loads(line)) for line in (self.folder / "trained").read_text().splitlines()]
        studies = [self.study] if self.storage is None else [self.study, self.second_study]
        return {
            "every trial is in a final state, with a reason": [*checks.states(records)],
            "Optuna alone reads the study, and agrees": [*checks.numbers(trials, records, deaths)],
            "the budget is kept, nothing is lost or doubled": [*checks.budget(records, self.trials)],
            "no finished fold was trained again": [*checks.folds(records)],
            "what was trained is what its workers say": [*checks.trained(records, notes, kills * WORKERS)],
            "folds are carried on": [*checks.carried_on(records, kills)],
            "scores are those of a run without faults": [*self._replayed(records)],
            "nothing of a run is left after its end": [f"{run.left}" for run in self.runs if run.left],
            "each early end has its fault": [
                f"{run.code} after {run.faults}: {run.err[-1000:]}" for run in self.runs if not explained(run)
            ],
            "memory and files of the coordinator are flat": [*checks.flat(self.long[0].samples, self.long[1])],
            "clocks that are set do not count": [f"searched for {searched:.0f} s of {wall:.0f} s"] * (searched > wall),
            "the report is written, and a winner retrained": [
                f"{study.folder.report} is missing" for study in studies if not study.folder.report.is_file()
            ]
            + ["no model is there of the winner"] * (not any(study.is_retrained for study in studies)),
            "every kind of fault was injected": [kind for kind in self.faults.kinds if not injected[kind]],
        }

    def _plain(self) -> BaseStorage:
        if self.storage is None:
            return JournalStorage(JournalFileBackend(str(self.study.folder.journal)))
        return RDBStorage(self.storage.replace("postgresql://", "postgresql+psycopg://"))

    def _replayed(self, records: Sequence[record.TrialRecord]) -> Iterator[str]:
        """Those that faults have touched first, then any others."""
        scored = [each for each in records if each.fold_scores and each.state != "interrupted"]
        self.chance.shuffle(scored)
        scored.sort(key=lambda each: not each.carried and each.retries is None)
        splits = self.study.splits()
        self.replayed = scored[: REPLAYED + int((self.until - self.began) / 60)]
        for each in self.replayed:
            folds = len(each.fold_scores)
            whole = each.model_copy(update={"reports": tuple(r for r in each.reports if r.fold < folds)})
            again = replay(whole, splits)
            assert again is not None
            yield from checks.repeated(each, again.again)

    def summary(self) -> str:
        """What happened, as a table."""
        kept = optuna.load_study(storage=self._plain(), study_name=None)
        records = record.read(kept)
        injected = Counter(kind for run in self.runs for kind in run.faults)
        ends = Counter(explained(run) or "unexplained" for run in self.runs)
        trials = Counter(f"{each.state} {each.cause or ''}".strip() for each in records)
        assert self.long is not None
        samples = self.long[0].samples
        memory, files = checks.growth(samples, self.long[1])
        measured = {
            "trials asked for": self.trials,
            "trials without a record": len(kept.trials) - len(records),
            "folds carried on": sum(each.carried for each in records),
            "trials trained again": len(self.replayed),
            "longest until all had ended": f"{max(run.gone for run in self.runs):.1f} s (limit {GONE_SECONDS:.0f} s)",
            "longest coordinator": f"{samples[-1].seconds:.0f} s, {self.long[1]} trials",
            "its memory": f"{samples[-1].memory / 1e6:.0f} MB; {memory / 1e6:+.1f} MB against what trials may cost",
            "its files": f"{samples[-1].files}; {files:+d}",
        }
        tables: dict[str, Mapping[str, object]] = {
            "faults": injected,
            "ends of the command": ends,
            "trials": trials,
            "": measured,
        }
        lines = []
        for title, rows in tables.items():
            lines += ["", title] if title else [""]
            lines += [f"  {name:<32} {value}" for name, value in rows.items()]
        return "\n".join(lines)


@contextmanager
def small_disk(folder: Path, size: int) -> Iterator[bool]:
    """Whether `folder` is a disk of its own, of `size` bytes."""
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder], capture_output=True)
    try:
        yield mounted.returncode == 0
    finally:
        if mounted.returncode == 0:
            subprocess.run(["umount", "--lazy", folder], check=True)


def main() -> int:
    """Runs it; returns the exit code."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    parser = argparse.ArgumentParser(prog="soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--storage", choices=["file", "database"], default="file")
    told = parser.parse_args()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="archsearch-soak-")))
        disk = folder / "disk"
        disk.mkdir()
        is_small = stack.enter_context(small_disk(disk, max(LEAST_DISK_BYTES, int(DISK_BYTES * told.minutes))))
        server: Server | None = None
        if told.storage == "database":
            if BINARIES is None:
                parser.error("--storage database needs PostgreSQL, as in 'apt-get install postgresql'")
            server = stack.enter_context(serving_databases())
        (folder / "clock").write_text("0")
        print(f"seed {told.seed}, {told.minutes:g} minutes, study in a {told.storage}", flush=True)
        if not is_small:
            print("no small disk can be mounted here, so 'full disk' is left out")
        faults = Faults(random.Random(told.seed), disk if is_small else None, folder / "clock", server)
        storage = None if server is None else server.new_database()
        if storage is not None:
            know(open_database(parse_address(storage), "study"))  # its password, which the study's folder does not hold
        soak = Soak(told.minutes, told.seed, folder, disk, faults, storage)
        soak.search()
        found = soak.check()
        print(soak.summary(), end="\n\n")
        for what, wrong in found.items():
            print(f"{'FAILED' if wrong else 'ok':<8}{what}", *wrong, sep="\n          ")
        print(f"\n{time.monotonic() - soak.began:.0f} s; again with: --seed {told.seed}")
        return int(any(found.values()))


if __name__ == "__main__":
    sys.exit(main())

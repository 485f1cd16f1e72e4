"""Several coordinators on one database, some of them processes of their own."""

import subprocess
import sys
from collections.abc import Callable
from threading import Timer

import optuna
from databases import HANGING

from archsearch.search.database import Database

NAME = "digits"
Opened = Callable[..., Database]


def new_study(database: Database) -> optuna.Study:
    return optuna.create_study(storage=database.storage, study_name=NAME, direction="maximize")


def load_study(database: Database) -> optuna.Study:
    return optuna.load_study(storage=database.storage, study_name=NAME)


class Process:
    """Another coordinator's process, which runs a script with `database` and `study` open."""

    OPEN = """
import json, sys, time, optuna
from archsearch.search.address import parse_address
from archsearch.search.database import open_database
database = open_database(parse_address(sys.argv[1]), sys.argv[2])
study = optuna.load_study(storage=database.storage, study_name=sys.argv[2])
"""

    def __init__(self, url: str, script: str) -> None:
        words = [sys.executable, "-u", "-c", self.OPEN + script, url, NAME]
        self._process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
        self._deadline = Timer(HANGING, self._process.kill)
        self._deadline.start()

    def line(self) -> str:
        """What it says next."""
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()

    def __enter__(self) -> "Process":
        return self

    def __exit__(self, *_: object) -> None:
        self._deadline.cancel()
        self.kill()
        assert self._process.stdout is not None
        self._process.stdout.close()

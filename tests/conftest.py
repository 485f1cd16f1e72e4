"""What tests of several parts share: a cache of their own, real digits, and small candidates."""

import os
import shutil
import signal
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from coordinators import NAME, Opened
from databases import Server, serving_databases
from searches import Cli, Done, Searched, search_small

from archsearch.cli import main
from archsearch.search.address import parse_address
from archsearch.search.database import Database, open_database
from archsearch.space import code
from archsearch.study import Study
from archsearch.training.environment import NO_GPU, ONE_THREAD, TENSORFLOW

# As a worker has them, and before anything imports TensorFlow. What a GPU is for is tested in `test_on_a_gpu.py`.
for name, value in (TENSORFLOW | ONE_THREAD | NO_GPU).items():
    os.environ.setdefault(name, value)

MNIST = Path(__file__).parents[2] / "shared" / "data" / "mnist.npz"


@pytest.fixture(scope="session", autouse=True)
def shared_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Converted data goes to a folder that one run's tests share, not to the user's cache."""
    folder = tmp_path_factory.getbasetemp() / "cache"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ARCHSEARCH_CACHE", str(folder))
        yield folder


@pytest.fixture(autouse=True)
def trust_ends_with_a_test() -> Iterator[None]:
    """No test begins with Python code that another one has trusted."""
    code._trusted.clear()
    code._loaded.clear()
    path = [*sys.path]
    yield
    trusted = {str(folder) for folder in code._trusted} - {*path}
    code._trusted.clear()
    code._loaded.clear()
    sys.path[:] = [folder for folder in sys.path if folder not in trusted]


@pytest.fixture(scope="session")
def mnist() -> Path:
    """The real MNIST, where it lies beside the project."""
    if not MNIST.is_file():
        pytest.skip(f"{MNIST} is not there")
    return MNIST


@pytest.fixture(scope="session")
def searched(shared_cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Searched:
    """One real search, reported and retrained. Only to be read: a test that changes a study takes `a_copy`."""
    folder = tmp_path_factory.mktemp("searched")
    return search_small(folder / "small.yaml", folder / "study")


@pytest.fixture
def a_copy(searched: Searched, tmp_path: Path) -> Study:
    """The study of `searched`, in a folder that may be changed."""
    return Study(Path(shutil.copytree(searched.study.path, tmp_path / "copy")))


@pytest.fixture(scope="session")
def one_server() -> Iterator[Server]:
    """A PostgreSQL that the tests of one process share."""
    with serving_databases() as server:
        yield server


@pytest.fixture
def postgresql(one_server: Server) -> Server:
    """The same, up again if a test before has left it down."""
    one_server.start()
    return one_server


@pytest.fixture
def cli(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Cli:
    """The command line, in this process: words in; exit code, standard output and standard error out."""
    monkeypatch.delenv("COLUMNS", raising=False)

    def run(*words: object) -> Done:
        monkeypatch.setattr(sys, "argv", ["archsearch", *map(str, words)])
        capfd.readouterr()
        ended_with: int | str | None = 0
        ours, hook = signal.getsignal(signal.SIGINT), sys.unraisablehook
        try:
            main()
        except SystemExit as ended:
            ended_with = ended.code
        finally:
            signal.signal(signal.SIGINT, ours)
            sys.unraisablehook = hook
        said = capfd.readouterr()
        return Done(ended_with, said.out, said.err)

    return run


@pytest.fixture
def url(postgresql: Server) -> str:
    return postgresql.new_database()


@pytest.fixture
def opened(url: str) -> Iterator[Opened]:
    """Opens the database once more; all of them are closed in the end."""
    with ExitStack() as stack:

        def another(**given: Any) -> Database:
            database = open_database(parse_address(url), NAME, **given)
            stack.callback(database.close)
            return database

        yield another

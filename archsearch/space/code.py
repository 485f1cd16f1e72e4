"""Python code that a space file, a study or the command line names: run only when it is trusted.

A block of a user's own is a function like those in `blocks.py`: it adds layers of `layers.py` behind a node and returns
the last one. So it is counted, hashed, drawn and built like any other, and needs nothing to be loaded again.

    def ghost(network, x, block, downsample):
        x = network.add(layers.Conv(block.filters // 2, block.kernel, stride=1, bias=False), x)
        ...
"""

import importlib
import importlib.util
import inspect
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import current_thread, main_thread
from types import ModuleType
from typing import Any, NoReturn

from archsearch.errors import InputError, TrialError

CODE_SECONDS = 10.0
"""That a block of a user's own may take to add its layers, which takes milliseconds."""

_trusted: list[Path] = []
_loaded: dict[str, Any] = {}
_modules: dict[str, ModuleType] = {}


def trust(folder: Path) -> None:
    """Allows this process to run code that is named: files from `folder`, and modules, looked for in `folder` first."""
    folder = folder.resolve()
    if folder not in _trusted:
        _trusted.insert(0, folder)
        sys.path.insert(0, str(folder))
        _loaded.clear()


def trusted_folder() -> Path | None:
    """The folder that was trusted last, or None; a worker trusts the same."""
    return _trusted[0] if _trusted else None


def untrusted(reference: object) -> str:
    """What to say of Python code that is named and may not be run."""
    return f"'{reference}' names Python code, which can do anything; expected --trust-code to run it"


def load_code(reference: str) -> Any:
    """What `module:name` or `folder/file.py:name` names.

    Raises:
        InputError: No code is trusted, the file or module cannot be loaded, or holds no such name.
    """
    if not _trusted:
        raise InputError(untrusted(reference))
    if reference not in _loaded:
        where, _, name = reference.rpartition(":")
        try:
            module = _load_file(where) if where.endswith(".py") else importlib.import_module(where)
        except Exception as error:  # whatever a stranger's module raises while it loads
            raise InputError(f"'{reference}' cannot be loaded: {type(error).__name__}: {error}") from error
        if not hasattr(module, name):
            raise InputError(f"'{reference}': {where} has no '{name}'")
        _loaded[reference] = getattr(module, name)
        _modules[reference] = module
    return _loaded[reference]


@contextmanager
def bounded(reference: str) -> Iterator[None]:
    """A block in which the code that `reference` names is run, for `CODE_SECONDS` at most.

    Nothing bounds it in another thread than the main one, nor where there are no such timers, as under Windows.

    Raises:
        TrialError: It has not ended by then.
    """

    def late(number: int, frame: object) -> NoReturn:
        raise TrialError(f"'{reference}' has not ended for {CODE_SECONDS:g} s")

    if current_thread() is not main_thread() or not hasattr(signal, "setitimer"):
        yield
        return
    before = signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, CODE_SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def code_text(reference: str) -> str:
    """The whole text of the module or file that holds what `reference` names. Raises InputError as `load_code`."""
    load_code(reference)
    return inspect.getsource(_modules[reference])


def _load_file(file: str) -> Any:
    path = next((folder / file for folder in _trusted if (folder / file).is_file()), _trusted[0] / file)
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules.setdefault(path.stem, module)
    spec.loader.exec_module(module)
    return module

"""archsearch finds a neural network's architecture for your images and leaves you the winner ready to ship.

The names below are the public ones. They are loaded when they are first used, so that importing the package starts
neither TensorFlow nor Optuna.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from archsearch.data.sources import load_data
    from archsearch.errors import ArchsearchError, InputError, SearchError
    from archsearch.launch import run_search
    from archsearch.model.build import build
    from archsearch.search.config import SearchConfig
    from archsearch.space.architecture import Architecture
    from archsearch.space.cost import cost
    from archsearch.space.load import load_space
    from archsearch.space.sample import sample
    from archsearch.study import Study

__all__ = [
    "Architecture",
    "ArchsearchError",
    "InputError",
    "SearchConfig",
    "SearchError",
    "Study",
    "build",
    "cost",
    "load_data",
    "load_space",
    "run_search",
    "sample",
]

_HOMES = {
    "Architecture": "space.architecture",
    "ArchsearchError": "errors",
    "InputError": "errors",
    "SearchConfig": "search.config",
    "SearchError": "errors",
    "Study": "study",
    "build": "model.build",
    "cost": "space.cost",
    "load_data": "data.sources",
    "load_space": "space.load",
    "run_search": "launch",
    "sample": "space.sample",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'archsearch' has no attribute '{name}'")
    return getattr(import_module(f"archsearch.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return __all__

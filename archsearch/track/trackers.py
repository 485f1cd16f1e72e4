"""Trackers by name."""

from importlib import import_module

from archsearch.errors import InputError
from archsearch.track.base import Tracker

TRACKERS = {"tensorboard": "TensorBoard", "mlflow": "MLflow", "wandb": "WandB"}
"""Names, which are those of the modules here and of the extras that bring what they need, to classes."""


def load_tracker(name: str) -> Tracker:
    """The tracker of that name.

    Raises:
        InputError: There is none, or what it needs is not installed.
    """
    if name not in TRACKERS:
        raise InputError(f"--track: found '{name}', expected {', '.join(TRACKERS)}")
    try:
        module = import_module(f"archsearch.track.{name}")
    except ImportError as error:
        raise InputError(f"--track {name}: needs {error.name}; run: pip install 'archsearch[{name}]'") from error
    tracker: Tracker = getattr(module, TRACKERS[name])()
    return tracker

"""Layers of a user's own, which a HyperModel's `.keras` file cannot be read without."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from archsearch.space.code import load_code, trust, trusted_folder
from archsearch.space.hyper import locate, names_hypermodel


@dataclass(frozen=True)
class OwnCode:
    """Where they are defined.

    Attributes:
        folder: It is trusted.
        reference: What is loaded from there, as `my_models.py:MyHyperModel`.
    """

    folder: Path
    reference: str


def of_space(space: str) -> OwnCode | None:
    """That of a HyperModel, if it is trusted; None of a space file, whose models need none."""
    trusted = names_hypermodel(space) and trusted_folder() is not None
    return OwnCode(*locate(space)) if trusted else None


@contextmanager
def known(code: OwnCode | None) -> Iterator[None]:
    """For a while Keras knows the classes beside what is named; None makes no difference."""
    if code is None:
        yield
        return
    import keras

    trust(code.folder)
    module = sys.modules[load_code(code.reference).__module__]
    own = {name: found for name, found in vars(module).items() if isinstance(found, type)}
    with keras.saving.custom_object_scope(own):
        yield

"""The other kind of candidate: a model that a user's KerasTuner `HyperModel` builds, as frozen plain data.

Nothing here needs TensorFlow or KerasTuner.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field

from archsearch.errors import InputError
from archsearch.space.architecture import Part, Task, code_reference
from archsearch.space.sample import Chooser, Scalar

Value = bool | int | float | str


class HyperRecipe(Part):
    """How a HyperModel's model is trained: images a step, and passes over the training images of one fold.

    A `fit` of the HyperModel's own may do otherwise.
    """

    batch_size: Annotated[int, Field(ge=1, le=65536)]
    epochs: Annotated[int, Field(ge=1, le=10000)]


class HyperCandidate(Part):
    """What one trial of a HyperModel tries.

    Attributes:
        code: The HyperModel: `module:name`, or `file.py:name` (`space.code.load_code`).
        task: Shape of the images and number of classes.
        values: Of the active hyperparameters, by name, in the order in which they were asked for.
        recipe: How it is trained.
    """

    code: Annotated[str, AfterValidator(code_reference)]
    task: Task
    values: dict[str, Value]
    recipe: HyperRecipe

    @property
    def digest(self) -> str:
        """Sixteen hexadecimal digits, equal for candidates that are the same."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()[:16]


@dataclass(frozen=True)
class OneOf:
    """Asks for one of two or more options."""

    name: str
    options: tuple[Value, ...]
    default: Value

    def put(self, chooser: Chooser) -> Scalar:
        """The chooser's answer."""
        return chooser.choice(self.name, self.options)


@dataclass(frozen=True)
class Whole:
    """Asks for a whole number from `low` to `high`, both included and `step` apart."""

    name: str
    low: int
    high: int
    step: int
    log: bool
    default: Value

    def put(self, chooser: Chooser) -> Scalar:
        """The chooser's answer."""
        return chooser.integer(self.name, self.low, self.high, self.step, self.log)


@dataclass(frozen=True)
class Real:
    """Asks for a number from `low` to `high`."""

    name: str
    low: float
    high: float
    log: bool
    default: Value

    def put(self, chooser: Chooser) -> Scalar:
        """The chooser's answer."""
        return chooser.real(self.name, self.low, self.high, self.log)


Question = OneOf | Whole | Real
"""What `build(hp)` asks for; `name` is the parameter's in the study, `default` an answer that is always possible."""


@dataclass(frozen=True)
class Built:
    """What one call of `build(hp)` gave.

    Attributes:
        values: Of the hyperparameters that it asked for, by name.
        parameters: As Keras counts them.
        source: Text of the Python module.
    """

    values: dict[str, Value]
    parameters: int
    source: str


@dataclass(frozen=True)
class Refused:
    """Why there is no model; `usable` says whether other values may give one."""

    reason: str
    usable: bool


def names_hypermodel(space: str | Path) -> bool:
    """Whether what was given as a space looks like `folder/file.py:Name` or `package.module:Name`."""
    where, _, name = str(space).rpartition(":")
    return name.isidentifier() and (where.endswith(".py") or all(map(str.isidentifier, where.split("."))))


def locate(space: str | Path) -> tuple[Path, str]:
    """The folder to be trusted, and the reference of a HyperModel seen from there.

    Args:
        space: `folder/file.py:Name`, or `package.module:Name`, which is looked for in the current folder first.

    Raises:
        InputError: The file is not there.
    """
    where, _, name = str(space).rpartition(":")
    if not where.endswith(".py"):
        return Path.cwd(), f"{where}:{name}"
    file = Path(where).resolve()
    if not file.is_file():
        raise InputError(f"{where}: there is no such file; expected a Python file that holds '{name}'")
    return file.parent, f"{file.name}:{name}"

"""Everything archsearch raises on purpose.

ArchsearchError
├── InputError            what was given is wrong; nothing was started, nothing was written (exit code 2)
│   ├── SpaceError        a search space: every problem at once, each with file:line:column
│   ├── DataError         images, labels or the source they come from
│   └── StudyError        a study folder or an option that does not fit it
├── TrialError            one trial failed; the study goes on
├── SearchError           nothing more can be done; what is finished is kept (exit code 1)
└── ExportError           an exported file does not give the model's answers; it was not kept (exit code 1)

A message names the thing, what was found, what was expected, and what to do.
"""

from collections.abc import Sequence
from dataclasses import dataclass


class ArchsearchError(Exception):
    """Base of all errors below."""


class InputError(ArchsearchError):
    """What the user gave is wrong."""


@dataclass(frozen=True)
class Problem:
    """One thing wrong with a space file.

    Attributes:
        file: Path of the file as the user wrote it.
        line: Line of the offending text, from 1.
        column: Column of the offending text, from 1.
        path: Where in the space, such as `stages.0.filters`; empty for the whole file.
        message: What was found and what was expected.
    """

    file: str
    line: int
    column: int
    path: str
    message: str

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}:{self.column}: "
        return where + (f"{self.path}: " if self.path else "") + self.message


class SpaceError(InputError):
    """A search space that cannot be used; `problems` has every reason, in the order of the file."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(map(str, self.problems)))


class DataError(InputError):
    """Images, labels or their source cannot be used."""


class StudyError(InputError):
    """A study folder, or an option given with it, cannot be used."""


class TrialError(ArchsearchError):
    """One trial failed; the study goes on."""


class SearchError(ArchsearchError):
    """The search cannot go on; what is finished is kept."""


class ExportError(ArchsearchError):
    """An exported file does not give the model's answers; it was not kept."""

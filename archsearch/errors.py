"""Everything archsearch raises on purpose.

ArchsearchError
├── InputError            what was given is wrong; nothing was started, nothing was written (exit code 2)
│   ├── SpaceError        a search space: every problem at once, each with file:line:column
│   ├── DataError         images, labels or the source they come from
│   └── StudyError        a study folder or an option that does not fit it
├── TrialError            one trial failed; the study goes on
│   └── Diverged          its loss is no number any more
├── SearchError           nothing more can be done; what is finished is kept (exit code 1)
└── ExportError           an exported file does not give the model's answers; it was not kept (exit code 1)

A message names the thing, what was found, what was expected, and what to do.
"""

import re
import sysconfig
import traceback
import unicodedata
from collections.abc import Callable, Sequence
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
        source: The offending line as it stands in the file; empty if it cannot be shown.
    """

    file: str
    line: int
    column: int
    path: str
    message: str
    source: str = ""

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}:{self.column}: "
        return where + (f"{self.path}: " if self.path else "") + self.message

    def pictured(self) -> str:
        """The message, and below it the offending line with a caret under the offending column."""
        if not self.source.strip():
            return str(self)
        begin = max(0, self.column - 1 - _SHOWN_BEFORE)
        before = ("…" if begin else "") + self.source[begin : self.column - 1].replace("\t", " ")
        after = self.source[self.column - 1 :].replace("\t", " ").rstrip()
        if len(after) > _SHOWN_AFTER:
            after = after[:_SHOWN_AFTER] + "…"
        return f"{self}\n    {before}{after}\n    {' ' * _cells(before)}^"


_SHOWN_BEFORE = 60
_SHOWN_AFTER = 50
"""Characters of a long line that a picture keeps on either side of its caret."""


def _cells(text: str) -> int:
    """The columns that `text` takes in a terminal: two for a wide character, none for a combining one."""
    wide = sum(unicodedata.east_asian_width(character) in "WF" for character in text)
    return len(text) + wide - sum(unicodedata.combining(character) != 0 for character in text)


MOST_SAID = 100
"""A message has so many of a file's problems: whoever repairs a file begins at its top."""


class SpaceError(InputError):
    """A search space that cannot be used; `problems` has every reason, in the order of the file."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__(self._said(str))

    def pictured(self) -> str:
        """The problems, each with the offending line and a caret: what a terminal shows."""
        return self._said(Problem.pictured)

    def _said(self, say: Callable[[Problem], str]) -> str:
        more = len(self.problems) - MOST_SAID
        rest = [f"and {more:,} more problems"] if more > 0 else []
        return "\n".join([*map(say, self.problems[:MOST_SAID]), *rest])


class DataError(InputError):
    """Images, labels or their source cannot be used."""


class StudyError(InputError):
    """A study folder, or an option given with it, cannot be used."""


def first_line(error: BaseException) -> str:
    """What an exception says first, as much as a sentence can hold; its name if it says nothing."""
    said = (str(error).strip() or type(error).__name__).splitlines()[0]
    return said if len(said) <= _LONGEST else said[:_LONGEST] + "…"


_LONGEST = 300


def message_of(error: BaseException) -> str:
    """`str(error)`, which is somebody else's code and may fail; then nothing."""
    try:
        return str(error)
    except Exception:
        return ""


def what_broke(error: BaseException) -> str:
    """What an exception of somebody else's code says, in a sentence, and where in that code it was raised.

    TensorFlow's say between the lines where in a graph they come from: that is left out.
    """
    name, text = type(error).__name__, message_of(error)
    lines = [_NODE.sub("", line).strip() for line in text.splitlines()]
    said = " ".join(line for line in lines if line and not _OF_A_GRAPH.match(line)) or " ".join(text.split())
    if len(said) > _LONGEST_SAID:
        half = _LONGEST_SAID // 2
        said = f"{said[:half]} … {said[-half:]}"
    said = f"{name}: {said}" if said else name
    frames = traceback.extract_tb(error.__traceback__)
    if not frames:
        return said
    own = [frame for frame in frames if not ("site-packages" in frame.filename or frame.filename.startswith(_PYTHON))]
    where = (own or frames)[-1]
    return f"{said} ({where.filename}:{where.lineno})"


_PYTHON = sysconfig.get_path("stdlib")
_LONGEST_SAID = 600
_NODE = re.compile(r"(?:\[\[|^)\{\{\w*node [^}]*\}\}(?:\]\])? ?")
_OF_A_GRAPH = re.compile(
    r'Graph execution error:|Detected at node |File "[^"]*", line \d+|<stack traces unavailable>|\[Op:|Hint: If you '
)


class TrialError(ArchsearchError):
    """One trial failed; the study goes on."""


class Diverged(TrialError):
    """A trial's loss is no number any more."""


class SearchError(ArchsearchError):
    """The search cannot go on; what is finished is kept."""


class ExportError(ArchsearchError):
    """An exported file does not give the model's answers; it was not kept."""

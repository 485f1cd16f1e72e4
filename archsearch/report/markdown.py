"""ReportData → Markdown: what one pastes into a pull request or a paper."""

import re
from collections.abc import Iterator, Sequence
from html import escape

from archsearch.printable import printable
from archsearch.report.data import ReportData
from archsearch.report.numbers import digits, percent, signed

ROWS = 10
"""Of the ranking."""


def markdown(study: str, data: ReportData) -> str:
    """The answer, the best of the ranking, the remarks, and the command that does it again."""
    return "\n".join(
        [
            f"## {plain(study)}",
            "",
            *_answer(data),
            "",
            *_ranking(data),
            *(f"- {plain(remark)}" for remark in data.remarks),
            "",
            f"± is one standard error. {plain(data.info.data)}, {data.info.train_images:,} images to search on and "
            f"{data.info.test_images:,} to test, archsearch {plain(data.info.version)}, seed {data.info.seed}:",
            "",
            fenced(data.command),
        ]
    )


def _answer(data: ReportData) -> Iterator[str]:
    winner = data.winner
    if winner is None:
        yield "There is no winner yet."
        return
    decimals = digits(data.info.train_images)
    yield (
        f"**Trial {winner.trial}**: {percent(winner.score, winner.standard_error, decimals)} cross-validated, "
        f"{winner.parameters:,} parameters."
    )
    if data.retrained:
        test = data.retrained.test
        yield (
            f"Retrained on {data.retrained.trained_on:,} images, it gets "
            f"{percent(test.accuracy, decimals=digits(test.images))} of {test.images:,} test images right."
        )
    if data.gain and data.baseline:
        again = next((row.first_run is not None for row in data.ranking if row.trial == winner.trial), False)
        first = ", both in their first run," if again else ""
        error = f" ± {100 * data.gain.standard_error:.{decimals}f}" if data.gain.standard_error is not None else ""
        yield (
            f"That is {signed(data.gain.mean, decimals)}{error} percentage points{first} against the baseline "
            f"({percent(data.baseline.score, None, decimals)}, {data.baseline.parameters:,} parameters)."
        )


def _ranking(data: ReportData) -> Iterator[str]:
    if not data.ranking:
        return
    decimals = digits(data.info.train_images)
    yield line(["#", "trial", "score", "parameters", "FLOPs", "architecture"])
    yield line(["--:", "--:", "---", "--:", "--:", "---"])
    for row in data.ranking[:ROWS]:
        level = ", level with the best" if row.level and row.rank > 1 else ""
        yield line(
            [
                str(row.rank),
                str(row.trial),
                percent(row.score, row.standard_error, decimals) + level,
                f"{row.parameters:,}",
                f"{row.flops:,}" if row.flops else "–",
                code(row.architecture),
            ]
        )
    if len(data.ranking) > ROWS:
        yield f"\n{len(data.ranking) - ROWS} more in leaderboard.csv."
    yield ""


def line(cells: Sequence[str]) -> str:
    """A line of a table."""
    return f"| {' | '.join(cells)} |"


def plain(text: object) -> str:
    """Somebody's words as they can stand in Markdown and its tables, where HTML and formatting would have effect."""
    words = escape(printable(" ".join(str(text).split())), quote=False)
    return re.sub(r"([\\`*_\[\]|#~])", r"\\\1", words)


def code(text: str) -> str:
    """Somebody's words as code within a line or a table, whatever they hold."""
    words = printable(" ".join(text.split())).replace("|", "\\|")
    marks = "`" * (_longest_run(words) + 1)
    return f"{marks}{words}{marks}" if "`" not in words else f"{marks} {words} {marks}"


def fenced(text: str, language: str = "") -> str:
    """Somebody's text as a block of code, whatever it holds."""
    marks = "`" * max(3, _longest_run(text) + 1)
    inside = printable(text, kept="\n\t").rstrip()
    return f"{marks}{language}\n{inside}\n{marks}"


def _longest_run(text: str) -> int:
    return max(map(len, re.findall("`+", text)), default=0)

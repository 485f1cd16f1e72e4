"""ReportData → Markdown: what one pastes into a pull request or a paper."""

from collections.abc import Iterator, Sequence

from archsearch.report.data import ReportData
from archsearch.report.numbers import digits, percent, signed

ROWS = 10
"""Of the ranking."""


def markdown(study: str, data: ReportData) -> str:
    """The answer, the best of the ranking, the remarks, and the command that does it again."""
    return "\n".join(
        [
            f"## {study}",
            "",
            *_answer(data),
            "",
            *_ranking(data),
            *(f"- {remark}" for remark in data.remarks),
            "",
            f"± is one standard error. {data.info.data}, {data.info.train_images:,} images to search on and "
            f"{data.info.test_images:,} to test, archsearch {data.info.version}, seed {data.info.seed}:",
            "",
            "```",
            data.command,
            "```",
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
                f"`{cell(row.architecture)}`",
            ]
        )
    if len(data.ranking) > ROWS:
        yield f"\n{len(data.ranking) - ROWS} more in leaderboard.csv."
    yield ""


def line(cells: Sequence[str]) -> str:
    """A line of a table."""
    return f"| {' | '.join(cells)} |"


def cell(text: str) -> str:
    """Text as it can stand in a table."""
    return text.replace("|", "\\|")

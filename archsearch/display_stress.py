"""What the terminal shows of a stress test."""

from collections.abc import Iterator

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from archsearch.report.stress import Endured, Rows, StressReport, class_rows, outsider_rows, stress_sentences


def stress_view(report: StressReport) -> RenderableType:
    """Accuracy by corruption and strength, what is said of images of no class, and the classes that suffer most."""
    tables = (_corruptions(report), _plain(outsider_rows(report)), _plain(class_rows(report)))
    spaced = [part for table in tables for part in (table, "")]
    return Group(*spaced, *map(Text, stress_sentences(report)))


def _corruptions(report: StressReport) -> Table:
    table = _table("right, %, at strength")
    for level in range(1, report.strengths + 1):
        table.add_column(str(level), justify="right", no_wrap=True)
    table.add_column("mean", justify="right")
    table.add_column("sure at 5", justify="right")
    for endured in report.corruptions:
        table.add_row(Text(endured.name), *_cells(endured))
    return table


def _cells(endured: Endured) -> Iterator[Text]:
    """Each accuracy above its strength; the confidence is that at the greatest."""
    for level in endured.levels:
        yield Text(f"{100 * level.accuracy:.1f}").append(f"\n{level.amount}", "dim")
    yield Text(f"{100 * endured.accuracy:.1f}", "bold")
    yield Text(f"{100 * endured.strongest.confidence:.1f}")


def _plain(rows: Rows) -> Table:
    heads, *others = rows
    table = _table(heads[0])
    for head in heads[1:-1]:
        table.add_column(head, justify="right")
    table.add_column(heads[-1])
    for row in others:
        table.add_row(*map(Text, row))
    return table


def _table(first: str) -> Table:
    table = Table(box=None, header_style="dim", pad_edge=False)
    table.add_column(first, no_wrap=True)
    return table

"""What the terminal shows: plain data to Rich renderables, and the two ways to follow a search."""

import shlex
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from statistics import fmean
from typing import TYPE_CHECKING, TypeVar

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress import track
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from archsearch.data.check import DataCheck
from archsearch.printable import printable
from archsearch.report.data import ReportData
from archsearch.report.lines import candidate_line
from archsearch.report.numbers import percent, signed
from archsearch.report.remarks import savings
from archsearch.search.certificate import Certificate
from archsearch.search.coordinator import Progress
from archsearch.search.folder import StudyFolder
from archsearch.search.plan import Plan
from archsearch.search.record import State, TrialRecord

if TYPE_CHECKING:
    from archsearch.report.compare import Cell

LINE_SECONDS = 10.0
"""Without a terminal, a search that has nothing new to say says how it stands this often."""

WIDE = 100
"""From this width on, a ranking has room for what candidates cost beside their architecture."""

Watch = Callable[[Progress], None]
Item = TypeVar("Item")


def clock(seconds: float) -> str:
    """`0:07`, `12:30` or `1:02:03`."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def progress_view(progress: Progress) -> RenderableType:
    """A search under way: the budget, the best so far, the running trials, the counts."""
    trained = sum(record.state in ("complete", "pruned", "failed") for record in progress.records)
    share = progress.budget.share(trained, progress.seconds)
    head = Table.grid(padding=(0, 1))
    head.add_row(ProgressBar(100, share * 100, width=30), _budget_line(progress, trained))
    plan = [Text(progress.plan.line(progress.parts), "dim")] if progress.plan else []
    return Group(
        head,
        *plan,
        Text(_best_line(progress)),
        _running(progress.records),
        Text(_counts_line(progress), "dim"),
    )


def _budget_line(progress: Progress, trained: int) -> str:
    budget = progress.budget
    spent = [f"{clock(progress.seconds)}" + (f" of {clock(budget.seconds)}" if budget.seconds else "")]
    if budget.trials:
        spent.append(f"{trained} of {budget.trials} trials")
    if progress.left is not None:
        spent.append(_left(progress.left))
    return " · ".join(spent)


def _left(seconds: float) -> str:
    return f"{clock(seconds)} of search left"


def _best_line(progress: Progress) -> str:
    best = progress.leader
    if best is None:
        return "best: no trial has run every fold yet"
    score = percent(best.score, best.standard_error)
    if best.confirmed:
        score += f" with a fresh seed, {percent(fmean(best.fold_scores))} before"
    return f"best: {score}  trial {best.number}, {best.parameters:,} parameters"


def _counts_line(progress: Progress) -> str:
    counts = Counter(record.state for record in progress.records)
    words = [f"{counts[state]} {state}" for state in STATE_COLOURS if counts[state]]
    images = sum(record.images for record in progress.records)
    if images and progress.seconds:
        words.append(f"{images / progress.seconds:,.0f} images/s")
    return "  ".join(words)


STATE_COLOURS: dict[State, str] = {
    "running": "cyan",
    "complete": "green",
    "confirmation": "green",
    "pruned": "yellow",
    "infeasible": "dim",
    "duplicate": "dim",
    "interrupted": "dim",
    "failed": "red",
}


def _running(records: Sequence[TrialRecord]) -> Table:
    table = Table.grid(padding=(0, 2))
    for record in records:
        if record.state == "running":
            last = record.reports[-1] if record.reports else None
            table.add_row(
                f"  trial {record.number}",
                f"fold {last.fold if last else 0}",
                f"epoch {last.epoch:.3g}/{last.epochs:g}" if last else "starting",
                percent(last.val_accuracy) if last else "",
                Text(candidate_line(record.candidate), "dim", no_wrap=True, overflow="ellipsis"),
            )
    return table


class PlainLines:
    """Follows a search in plain lines: one for each trial that ends, and a sign of life in between."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._told: set[int] = set()
        self._last = time.monotonic()
        self._first = True
        self._plan: Plan | None = None

    def __call__(self, progress: Progress) -> None:
        """Prints what is new in `progress`."""
        ended = [r for r in progress.records if r.state != "running" and r.number not in self._told]
        self._told.update(record.number for record in ended)
        if self._first:
            # What earlier sessions did has been told by them.
            self._first, ended = False, []
        if progress.plan is not None and progress.plan != self._plan:
            self._plan = progress.plan
            self._print(progress, progress.plan.line(progress.parts))
        for record in ended:
            # A small space draws little but duplicates in the end, a short time little that it is enough for.
            if record.state != "duplicate" and (record.state != "interrupted" or record.reports):
                self._print(progress, ended_line(record))
        if time.monotonic() - self._last > LINE_SECONDS:
            left = [] if progress.left is None else [_left(progress.left)]
            self._print(progress, "; ".join([_best_line(progress), *left, _counts_line(progress)]))

    def _print(self, progress: Progress, line: str) -> None:
        self._last = time.monotonic()
        self._console.print(f"{clock(progress.seconds)}  {line}", soft_wrap=True)


def ended_line(record: TrialRecord) -> str:
    """One line on a trial that has ended."""
    if record.state == "confirmation":
        return f"trial {record.confirms} confirmed at {percent(record.score)}: trial {record.number}, with a fresh seed"
    score = f" {percent(record.score, record.standard_error)}" if record.state == "complete" else ""
    name = "baseline" if record.baseline else candidate_line(record.candidate)
    reason = f" ({record.reason})" if record.reason else ""
    return f"trial {record.number} {record.state}{score}: {name}{reason}"


@contextmanager
def follow(console: Console) -> Iterator[Watch]:
    """A function that shows each `Progress` it is given: live in a terminal, in plain lines elsewhere."""
    if not console.is_terminal:
        yield PlainLines(console)
        return
    with Live(console=console, refresh_per_second=4) as live:
        yield lambda progress: live.update(progress_view(progress))


def ranking_table(data: ReportData, width: int, rows: int = 5) -> Table:
    """The best `rows` trials in `width` columns; where more than accuracy is wanted, of the front."""
    ranked = [row for row in data.ranking if row.front] or data.ranking
    table = Table(box=None, header_style="dim", pad_edge=False)
    confirmed = any(row.first_run is not None for row in ranked)
    robust = any(row.robustness is not None for row in ranked)
    wide = width >= WIDE
    for name in (
        "rank",
        "trial",
        "accuracy",
        *["first run"] * confirmed,
        *["robustness"] * robust,
        "parameters",
        *["FLOPs", "seconds"] * wide,
    ):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("architecture", overflow="fold")
    shown = ranked[:rows]
    for row in shown:
        table.add_row(
            str(row.rank),
            str(row.trial),
            percent(row.score, row.standard_error),
            *[percent(row.first_run)] * confirmed,
            *[percent(row.robustness)] * robust,
            f"{row.parameters:,}",
            *[f"{row.flops:,}" if row.flops else "–", f"{row.seconds:.0f}"] * wide,
            "; ".join(filter(None, (row.architecture, row.optimizer))),
        )
    notes = ["finalists first, by their second run"] if confirmed else []
    if more := len(data.ranking) - len(shown):
        notes.append(f"{more} more in the report")
    if notes:
        table.caption = "; ".join(notes)
        table.caption_justify = "left"
    return table


def comparison_table(rows: "Sequence[Sequence[Cell]]") -> Table:
    """Studies side by side (`report.compare.table`)."""
    from archsearch.report.compare import COLUMNS

    table = Table(box=None, header_style="dim", pad_edge=False)
    for name, number in COLUMNS:
        table.add_column(name, justify="right" if number else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text(cell.text) for cell in row))
    return table


def study_lines(data: ReportData) -> str:
    """What a study is and how it stands, in a few lines."""
    info = data.info
    counts = ", ".join(f"{data.counts[state]} {state}" for state in STATE_COLOURS if data.counts.get(state))
    lines = [
        f"space   {info.space} ({info.space_file})",
        f"data    {info.data}: {info.train_images:,} images to search on, {info.test_images:,} set aside",
        f"trials  {counts or 'none yet'}",
        f"time    {clock(data.search_seconds)}",
    ]
    if data.plan:
        lines.append(data.plan.line(info.folds).replace("plan: ", "plan    "))
    if saved := savings(data):
        lines.append(f"saved   about {saved}, by dropping {data.counts['pruned']} early")
    return "\n".join(map(printable, lines))


def answer_lines(data: ReportData, folder: StudyFolder) -> str:
    """The retrained winner, how much better it is, where everything lies, and what one may do next; five lines.

    Args:
        data: With a retrained winner.
        folder: The study's.
    """
    winner = data.retrained
    if winner is None:
        raise ValueError("nothing was retrained")
    test = winner.test
    right = round(test.accuracy * test.images)
    return "\n".join(
        [
            f"winner: trial {winner.trial}, {percent(winner.score, winner.standard_error)} cross-validated, "
            f"{percent(test.accuracy)} on the test set ({right:,} of {test.images:,} images), "
            f"{winner.parameters:,} parameters",
            f"better: {_against_baseline(data)}",
            f"model:  {folder.model}",
            f"report: {folder.report}",
            f"next:   archsearch demo, explain, stress, export or dashboard {shlex.quote(str(folder.path))}; "
            "or search on with more --time or --trials",
        ]
    )


def _against_baseline(data: ReportData) -> str:
    gain, baseline = data.gain, data.baseline
    if baseline is None:
        return "unknown, the baseline has not been tried"
    if data.winner and baseline.trial == data.winner.trial:
        return "no, it is the baseline itself"
    if gain is None:
        return f"unknown, the baseline is {baseline.state}"
    error = f" ± {100 * gain.standard_error:.2f}" if gain.standard_error is not None else ""
    again = any(each is not None and each.first_run is not None for each in (data.winner, baseline))
    first = ", both in their first run" if again else ""
    score = baseline.score if baseline.first_run is None else baseline.first_run
    return (
        f"by {signed(gain.mean)}{error} points than the baseline{first} ({percent(score)}, "
        f"{baseline.parameters:,} parameters)"
    )


def counted(items: Iterable[Item], total: int) -> Iterable[Item]:
    """The same items; a terminal shows how many of them have come, on standard error."""
    errors = Console(stderr=True)
    return track(items, "predicting", total, console=errors, transient=True, disable=not errors.is_terminal)


def certificates_table(certificates: Sequence[Certificate]) -> Table:
    """What exported files did in their own runtimes, a row each."""
    table = Table(box=None, header_style="dim", pad_edge=False)
    names = ("file", "size", "agrees", "differs by", "accuracy", "Keras's", "one image", "95 %", "loads in", "memory")
    for name in names:
        table.add_column(name, justify="left" if name == "file" else "right", no_wrap=True)
    for made in certificates:
        table.add_row(
            made.file,
            f"{made.bytes / 1e3:,.0f} kB",
            percent(made.agreement),
            f"{made.largest_difference:.1e}",
            percent(made.accuracy),
            percent(made.keras_accuracy),
            f"{1e3 * made.latency:.2f} ms",
            f"{1e3 * made.latency_95:.2f} ms",
            f"{1e3 * made.load_seconds:.0f} ms",
            f"{made.peak_memory / 1e6:,.0f} MB" if made.peak_memory else "–",
        )
    return table


def data_view(check: DataCheck) -> RenderableType:
    """What a data source holds."""
    height, width, channels = check.shape
    test = f"{check.test_images:,} for testing" if check.test_images else "no test set (15 % will be set aside)"
    table = Table(box=None, header_style="dim", pad_edge=False)
    table.add_column("class")
    for name in ("training", "test") if check.test_images else ("training",):
        table.add_column(name, justify="right")
    for entry in check.classes:
        test_count = (f"{entry.test:,}",) if check.test_images else ()
        table.add_row(Text(entry.name), f"{entry.train:,}", *test_count)
    lines: list[RenderableType] = [
        Text(f"source      {check.source}"),
        Text(f"images      {check.train_images:,} for training, {test}"),
        Text(f"shape       {height} x {width}, {'grey' if channels == 1 else 'colour'}"),
        Text(f"classes     {len(check.classes)}, the largest {check.imbalance:.1f} times the smallest"),
        Text(
            f"duplicates  {check.duplicates.count} within training, {check.leaks.count} of the test images in training"
        ),
        Text(f"unreadable  {len(check.unreadable)}"),
        *(Text(f"  {bad.name}: {bad.reason}", "red") for bad in check.unreadable),
        table,
        *(Text(f"warning: {sentence}", "yellow") for sentence in check.warnings),
        *(Text(f"problem: {sentence}", "red") for sentence in check.problems),
    ]
    return Group(*lines)

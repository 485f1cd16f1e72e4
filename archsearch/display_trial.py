"""What the terminal shows of one trial."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from itertools import groupby

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from archsearch.display import clock
from archsearch.display_space import candidate_view
from archsearch.printable import printable
from archsearch.replay import Replayed
from archsearch.report.lines import candidate_line
from archsearch.report.numbers import percent, signed
from archsearch.report.story import Story, memory_sentence, told
from archsearch.search.record import TrialRecord
from archsearch.space.hyper import HyperCandidate
from archsearch.training.job import Report

BARS = "▁▂▃▄▅▆▇█"


def trial_view(record: TrialRecord) -> RenderableType:
    """All that a study knows of one trial: what it tried, how it went fold by fold, and why it ended."""
    return Group(*map(Text, _facts(record)), "", _candidate(record), "", _folds(record.reports))


def report_line(report: Report) -> str:
    """One report: `fold 0  epoch 2.5/8  validation 97.12 %  training 94.80 %`."""
    return (
        f"  fold {report.fold}  epoch {report.epoch:.3g}/{report.epochs:g}  "
        f"validation {percent(report.val_accuracy)}  training {percent(report.accuracy)}"
    )


def replay_line(number: int, replayed: Replayed) -> str:
    """How far a trial that was trained again is from what is recorded."""
    furthest = max(replayed.differences, key=abs)
    reports = f"{len(replayed.again)} report{'s' * (len(replayed.again) != 1)}"
    if furthest == 0:
        return f"trial {number} came out the same: {reports}, no validation accuracy differs"
    last = replayed.recorded[-1], replayed.again[-1]
    return (
        f"trial {number} came out differently: {percent(last[1].val_accuracy)} at the end, recorded "
        f"{percent(last[0].val_accuracy)}; the largest difference in {reports} is {100 * furthest:+.2f} points"
    )


def story_lines(story: Story) -> str:
    """What each change from the baseline to the winner was worth, a line each."""
    lines = [memory_sentence(story.memory)] if story.memory else []
    for names, step, gain in told(story):
        name = " + ".join(names) or "baseline"
        shown = "not run" if step.score is None else percent(step.score)
        if gain:
            error = f" ± {100 * gain.standard_error:.2f}" if gain.standard_error is not None else ""
            shown += f"  ({signed(gain.mean)}{error} points)"
        lines.append(f"{name}: {shown}")
    if story.missing:
        lines.append(f"{story.missing} not run; the same command with more --time goes on")
    return "\n".join(map(printable, lines))


def sparkline(values: Sequence[float]) -> str:
    """`▁▅▇█`: a bar a value, from the lowest to the highest of them."""
    low, high = min(values), max(values)
    steps = (high - low) / (len(BARS) - 1) or 1.0
    return "".join(BARS[round((value - low) / steps)] for value in values)


def _facts(record: TrialRecord) -> Iterator[str]:
    score = f", {percent(record.score, record.standard_error)}" if record.score is not None else ""
    role = " (the baseline)" if record.baseline else ""
    yield f"trial {record.number}{role}: {record.state}{score}"
    if record.reason:
        yield f"why      {record.reason}"
    if record.confirmed:
        yield f"ran again with a fresh seed, and that run counts: {', '.join(percent(s) for s in record.confirmed)}"
    if record.confirms is not None:
        yield f"again    what trial {record.confirms} tried, with a fresh seed"
    yield f"network  {candidate_line(record.candidate)}"
    began = datetime.fromtimestamp(record.started).astimezone()
    yield f"time     began {began:%Y-%m-%d %H:%M:%S}, trained for {clock(record.seconds)}, seed {record.seed}"


def _candidate(record: TrialRecord) -> RenderableType:
    if isinstance(record.candidate, HyperCandidate):
        table = Table(box=None, header_style="dim", pad_edge=False)
        table.add_column("hyperparameter")
        table.add_column("value", justify="right")
        for name, value in record.candidate.values.items():
            table.add_row(Text(name), Text(str(value)))
        return table
    return candidate_view("", record.candidate)


def _folds(reports: Sequence[Report]) -> RenderableType:
    if not reports:
        return Text("it has reported nothing", "dim")
    table = Table(box=None, header_style="dim", pad_edge=False)
    for name in ("fold", "epochs", "validation", "loss", "training", "loss", "seconds"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("validation on the way", overflow="fold")
    for fold, group in groupby(reports, key=lambda report: report.fold):
        points = list(group)
        last = points[-1]
        table.add_row(
            str(fold),
            f"{last.epoch:.3g}" + ("" if last.is_last else f" of {last.epochs:g}"),
            percent(last.val_accuracy),
            f"{last.val_loss:.4f}",
            percent(last.accuracy),
            f"{last.loss:.4f}",
            f"{sum(point.seconds for point in points):.1f}",
            sparkline([point.val_accuracy for point in points]),
        )
    return table

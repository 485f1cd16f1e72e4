"""What `archsearch space …` shows: plain data to Rich renderables."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text
from rich.tree import Tree

from archsearch.space.analyse import MEASURES, Analysis, quantile
from archsearch.space.architecture import Candidate, Task
from archsearch.space.cost import Cost, cost
from archsearch.space.count import Count, Size
from archsearch.space.describe import Branch
from archsearch.space.diff import Difference
from archsearch.space.outline import outline, recipe_line, rows

LABELS = {"parameters": "parameters", "flops": "FLOPs", "activation_bytes": "activation bytes"}
"""By measure, as the tables call it."""

SHARES = (0.0, 0.05, 0.5, 0.95, 1.0)


@dataclass(frozen=True)
class Costs:
    """What the architectures of a space cost for the images of one source.

    Attributes:
        source: Where the images come from.
        task: Their shape, and the number of classes.
        images: How many there are, a test set that comes with them left out.
        images_in_a_fold: How many of them train in a fold.
        analysis: Of random draws.
        seconds: That one thread trains for an epoch, of the analysis' examples.
        baseline: What the baseline costs.
        baseline_seconds: An epoch of it.
        limits: Of the space, by measure.
    """

    source: str
    task: Task
    images: int
    images_in_a_fold: int
    analysis: Analysis
    seconds: Sequence[float]
    baseline: Cost
    baseline_seconds: float
    limits: Mapping[str, int]


def short(number: float) -> str:
    """Three digits and a unit: `523`, `39.7k`, `4.59M`, `1.2G`."""
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if number >= size * 0.9995:
            return f"{float(f'{number / size:.3g}'):g}{unit}"
    return f"{number:.3g}"


def two_digits(number: float) -> str:
    """A rough number: `0.012`, `8.7`, `110`."""
    return f"{float(f'{number:.2g}'):g}"


def share(part: int, whole: int) -> str:
    """`12.3 %`; never 0 or 100 where it is not."""
    exact = 100 * part / whole if whole else 0.0
    shown = f"{min(max(exact, 0.1), 99.9):.1f}" if 0 < part < whole else f"{exact:.0f}"
    return f"{shown} %"


def check_view(file: str, count: Count, networks: int | None, costs: Costs | None) -> RenderableType:
    """A space that has passed every check: what it holds, and with `costs` what that costs, for one image."""
    lines: list[RenderableType] = [
        Text(f"{file}: a sound space: {_amount(count.architectures, 'architectures')}", "green"),
        Text(f"with training  {_amount(count.candidates, 'candidates')}"),
    ]
    if networks is not None:
        lines.append(Text(f"different      {networks:,} network{'s' * (networks != 1)} among its architectures"))
    if costs is None:
        lines.append(Text("costs          depend on the images; --data says which, such as --data digits", "dim"))
        return Group(*lines)
    task, analysis = costs.task, costs.analysis
    colour = "grey" if task.channels == 1 else "colour"
    counted = f"{costs.images:,} images, {costs.images_in_a_fold:,} to train on in a fold"
    images = f"{task.height}x{task.width} {colour}, {task.classes} classes, {counted}"
    lines += [
        Text(f"data           {costs.source}: {images}"),
        Text(f"sample         {analysis.samples:,} random draws; all below is about them"),
    ]
    if analysis.costs:
        lines += ["", _cost_table(costs), "", *_shares(analysis)]
    return Group(*lines, *(Text(f"note: {remark}", "yellow") for remark in remarks(analysis)))


def remarks(analysis: Analysis) -> Iterator[str]:
    """What a user may want to change in a space, a sentence each."""
    found = len(analysis.costs)
    if analysis.failed:
        failed = share(analysis.failed, analysis.samples)
        yield f"{failed} of the draws give no architecture; the first: {analysis.failure}"
    if found and analysis.affordable < found / 2:
        yield "most of what is drawn breaks a limit and is never trained; raise the limit, or narrow what is drawn"
    if found and analysis.repeated > found / 2:
        yield "most of what is drawn is a network that was drawn before; a search would soon have seen them all"


def _amount(size: Size, what: str) -> str:
    if size.discrete is None:
        return f"how many {what} is not known: {size.unknown}"
    if not size.reals:
        return f"{size.discrete:,} {what if size.discrete != 1 else what[:-1]}"
    reals = f"{len(size.reals)} real number" + ("" if len(size.reals) == 1 else "s")
    return f"continuous, {size.discrete:,} skeletons of {what} with up to {reals} each"


def _cost_table(costs: Costs) -> Table:
    table = Table(box=None, header_style="dim", pad_edge=False)
    table.add_column("", no_wrap=True)
    for name in ("smallest", "5 %", "median", "95 %", "largest", "limit", "baseline"):
        table.add_column(name, justify="right", no_wrap=True)
    analysis = costs.analysis
    for name in MEASURES:
        values = [getattr(cost, name) for cost in analysis.costs]
        limit = costs.limits.get(name)
        table.add_row(
            LABELS[name],
            *(short(quantile(values, part)) for part in SHARES),
            short(limit) if limit else "–",
            short(getattr(costs.baseline, name)),
        )
    if costs.seconds:
        seconds = (two_digits(quantile(costs.seconds, part)) for part in SHARES)
        table.add_row("~ seconds an epoch", *seconds, "–", two_digits(costs.baseline_seconds))
    return table


def _shares(analysis: Analysis) -> Iterator[Text]:
    found = len(analysis.costs)
    spread = analysis.spreads["parameters"]
    over = (f"; {share(count, found)} have too many {LABELS[name]}" for name, count in analysis.over.items() if count)
    kept = f"{share(analysis.affordable, found)} keep them{''.join(over)}"
    yield Text(f"limits         {kept if analysis.over else 'none'}")
    yield Text(f"duplicates     {share(analysis.repeated, found)} are networks that were drawn before")
    yield Text(f"smallest       {outline(spread.at_smallest)}")
    yield Text(f"largest        {outline(spread.at_largest)}")


def tree_view(branch: Branch) -> Tree:
    """What a space says, as a tree; what is drawn stands out."""
    tree = Tree(_line(branch), guide_style="dim")
    _grow(tree, branch.below)
    return tree


def _grow(tree: Tree, branches: Sequence[Branch]) -> None:
    for branch in branches:
        _grow(tree.add(_line(branch)), branch.below)


def _line(branch: Branch) -> Text:
    return Text(branch.text, "cyan" if branch.varies else "")


def candidate_view(title: str, candidate: Candidate) -> RenderableType:
    """One candidate: its stages and its recipe; without a title if that is empty."""
    found = rows(candidate.architecture)
    table = Table(box=None, header_style="dim", pad_edge=False, title=title or None, title_justify="left")
    for name in ("stage", "blocks", "filters", "kernel", "downsample", "shape", "parameters", "FLOPs"):
        table.add_column(
            name,
            justify="right" if name in ("filters", "kernel", "shape", "parameters", "FLOPs") else "left",
            no_wrap=name != "blocks",
        )
    for row in found:
        counts = (f"{row.parameters:,}", short(row.flops))
        table.add_row(
            row.part.removeprefix("stage "), row.blocks, row.filters, row.kernel, row.downsample, row.shape, *counts
        )
    total = cost(candidate.architecture)  # with the scaling of the pixels, which is in no row
    table.add_row("all", "", "", "", "", "", f"{total.parameters:,}", short(total.flops), style="bold")
    return Group(table, Text(f"recipe: {recipe_line(candidate.recipe)}"))


def diff_view(old: str, new: str, differences: Sequence[Difference]) -> Text:
    """What two spaces or candidates differ in, a line each."""
    lines = [Text(f"{old} → {new}", "dim")]
    for each in differences:
        lines.append(Text.assemble(f"{each.path}: ", (each.old, "red"), " → ", (each.new, "green")))
    return Text("\n").join(lines)

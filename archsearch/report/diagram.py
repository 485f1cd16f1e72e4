"""Architecture (or two, side by side) → SVG: a box a block, a funnel where height and width are halved.

The drawing takes its colour from the text around it (`currentColor`) and its mark from `--accent`, so it follows
the page from light to dark; opened on its own it follows the system.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from itertools import groupby
from math import prod

from archsearch.space.architecture import Architecture, Block, Cell, Custom, Head, Stage
from archsearch.space.layers import Shape
from archsearch.space.network import plan

WIDTH = 252  # of a box; all lengths are in SVG user units
GAP = 44  # between two columns
LINE = 18  # from one line of text to the next
PAD = 11  # between a box's edge and its text
ARROW = 30  # from a box to the next
FUNNEL = 22  # height of a funnel
TITLE = 34  # height of the titles above the columns
CHARACTERS = 34  # of detail text that fit a line of a box

KINDS = {
    "conv": "Convolution",
    "residual": "Residual",
    "separable": "Separable convolution",
    "inverted": "Inverted residual",
    "convnext": "ConvNeXt",
    "dense_block": "Dense block",
    "cell": "Cell",
    "custom": "Custom",
}
POOLS = {"flatten": "Flatten", "average": "Global average pool", "max": "Global max pool"}
FUNNELS = {"max": "max pool", "average": "average pool", "stride": "stride 2", "conv": "2×2 convolution"}
JOINS = {"add": "Add", "concatenate": "Concatenate"}
NORMS = {"batch": "batch norm", "layer": "layer norm", "group": "group norm", "none": "no norm"}
DETAILS = {
    "kernel": "{0}×{0}",
    "layers": "{} layers",
    "growth": "growth {}",
    "expansion": "expansion {}",
    "squeeze_excite": "squeeze-excite {:g}",
    "activation": "{}",
    "norm": "{}",
    "join": "joined by {}",
    "drop_path": "drop path {:.2g}",
    "dropout": "dropout {:.2g}",
}
"""How each field of a block is worded, in the order they are shown; a field that is 0 is left out."""

STYLE = """
.arch{font:13px/1.4 system-ui,-apple-system,"Segoe UI",Roboto,sans-serif;color:inherit}
svg.arch:root{color-scheme:light dark;color:CanvasText}
@media (prefers-color-scheme:dark){svg.arch:root{--accent:#7aa7ff}}
.arch text{fill:currentColor}
.arch .name{font-weight:600}
.arch .soft{fill-opacity:.62;font-size:12px}
.arch .box{fill:currentColor;fill-opacity:.035;stroke:currentColor;stroke-opacity:.28}
.arch .funnel{fill:currentColor;fill-opacity:.1}
.arch .line{stroke:currentColor;stroke-opacity:.4;fill:none}
.arch .tip{fill:currentColor;fill-opacity:.4}
.arch .new .box{stroke:var(--accent,#2563eb);stroke-opacity:1;stroke-width:1.5}
.arch .changed{fill:var(--accent,#2563eb);fill-opacity:1;font-weight:600}
"""

Place = tuple[int, ...]
"""Where a step stands, so that two architectures can be laid out row by row: places sort from input to scores."""

INPUT, POOL, HIDDEN, SCORES = (0,), (2, 0), (2, 1), (2, 2)
BLOCK, ATTENTION, SKIP = 0, 1, 2  # the order within a stage


@dataclass(frozen=True)
class _Step:
    """One box.

    `name` and `details` are the words in it, by the field each speaks of; `funnel` is the text of the funnel below it
    or empty; `shape` is what leaves it.
    """

    name: Mapping[str, str]
    shape: str
    details: Mapping[str, str] = field(default_factory=dict)
    funnel: str = ""

    @property
    def words(self) -> dict[str, str]:
        return {**self.name, **self.details, "funnel": self.funnel}

    @property
    def lines(self) -> list[list[str]]:
        """The fields of the details, as many to a line as fit."""
        lines: list[list[str]] = []
        room = 0
        for key, word in self.details.items():
            room -= len(word) + 3
            if room < 0:
                lines.append([])
                room = CHARACTERS - len(word)
            lines[-1].append(key)
        return lines

    @property
    def box_height(self) -> int:
        return PAD + LINE * (1 + len(self.lines)) + PAD - 4

    @property
    def height(self) -> int:
        return self.box_height + (FUNNEL if self.funnel else 0)


def architecture_svg(architecture: Architecture) -> str:
    """One architecture from its input down to the class scores, as a standalone SVG document."""
    return _svg([dict(_steps(architecture))], titles=())


def side_by_side_svg(baseline: Architecture, winner: Architecture, titles: tuple[str, str]) -> str:
    """Two architectures, equal places on equal heights, as a standalone SVG document.

    In the right one, boxes and words that the left one does not have are marked.

    Args:
        baseline: On the left.
        winner: On the right.
        titles: Above the left and the right one; plain text.
    """
    return _svg([dict(_steps(baseline)), dict(_steps(winner))], titles)


def _steps(architecture: Architecture) -> Iterator[tuple[Place, _Step]]:
    shapes = {step.scope: step.shape for step in plan(architecture)}
    task = architecture.task
    yield INPUT, _Step({"input": "Image"}, _shape((task.height, task.width, task.channels)))
    last = ""  # the scope of what was drawn last; empty is the image
    for number, stage in enumerate(architecture.stages):
        scope, done = f"stage{number + 1}", 0
        runs = [(block, len(list(run))) for block, run in groupby(stage.blocks)]
        for index, (block, count) in enumerate(runs):
            done += count
            ends = stage if index == len(runs) - 1 else None
            last = f"{scope}_block{done}"
            yield (1, number, BLOCK, index), _block(block, count, ends, _shape(shapes[last]))
        if stage.attention:
            last = f"{scope}_attention"
            heads = f"{stage.attention} head" + ("s" if stage.attention > 1 else "")
            name, details = {"kind": "Self-attention"}, {"heads": heads, "join": "added to its input"}
            yield (1, number, ATTENTION), _Step(name, _shape(shapes[last]), details)
        if stage.skip != "none":
            last = f"{scope}_skip"
            name, details = {"skip": JOINS[stage.skip]}, {"what": f"the input of stage {number + 1}"}
            yield (1, number, SKIP), _Step(name, _shape(shapes[last]), details)
    yield from _head(architecture.head, shapes[last], task.classes)


def _block(block: Block, count: int, ends: Stage | None, shape: str) -> _Step:
    fields = block.model_dump() | {"norm": NORMS[block.norm]}
    times = {"count": f"{count} ×"} if count > 1 else {}
    return _Step(
        name=times | {"kind": KINDS[block.kind], "filters": str(block.filters)},
        details={key: text.format(fields[key]) for key, text in DETAILS.items() if fields.get(key)} | _own(block),
        funnel=FUNNELS.get(ends.downsample, "") if ends else "",
        shape=shape,
    )


def _own(block: Block) -> dict[str, str]:
    """What only one kind of block has, and more than a word of it."""
    match block:
        case Cell(nodes=nodes):
            return {
                f"node {number}": f"{number}: {node.operation} ← {', '.join(map(str, node.inputs))}"
                for number, node in enumerate(nodes, start=1)
            }
        case Custom(code=code, options=options):
            return {"code": code} | {f"option {name}": f"{name} {value}" for name, value in options.items()}
    return {}


def _head(head: Head, shape: Shape, classes: int) -> Iterator[tuple[Place, _Step]]:
    features = prod(shape) if head.pool == "flatten" else shape[-1]
    yield POOL, _Step({"pool": POOLS[head.pool]}, str(features))
    if head.hidden:
        yield HIDDEN, _Step({"kind": "Dense", "hidden": str(head.hidden)}, str(head.hidden), {"act": head.activation})
    dropout = {"dropout": f"dropout {head.dropout:.2g}"} if head.dropout else {}
    yield SCORES, _Step({"scores": "Class scores", "classes": str(classes)}, "", dropout)


def _shape(shape: Shape) -> str:
    return " × ".join(map(str, shape))


def _svg(columns: Sequence[Mapping[Place, _Step]], titles: Sequence[str]) -> str:
    top = TITLE if titles else 2
    tops: dict[Place, int] = {}
    for place in sorted(set().union(*columns)):
        tops[place] = top
        top += max(column[place].height for column in columns if place in column) + ARROW
    width, height = len(columns) * (WIDTH + GAP) - GAP + 2, top - ARROW + 2
    drawn = [
        f'<g transform="translate({1 + index * (WIDTH + GAP)} 0)">{"".join(_column(column, tops, columns[0]))}</g>'
        for index, column in enumerate(columns)
    ]
    heads = [
        f'<text x="{1 + index * (WIDTH + GAP)}" y="16" class="name">{escape(title)}</text>'
        for index, title in enumerate(titles)
    ]
    label = escape(" beside ".join(titles) or "Architecture")
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="arch" role="img" aria-label="{label}" '
        f'viewBox="0 0 {width} {height}" width="{width}" height="{height}">'
        f"<style>{STYLE}</style>{''.join(heads)}{''.join(drawn)}</svg>"
    )


def _column(steps: Mapping[Place, _Step], tops: Mapping[Place, int], reference: Mapping[Place, _Step]) -> Iterator[str]:
    places = sorted(steps)
    for place, following in zip(places, [*places[1:], None], strict=True):
        step = steps[place]
        yield _box(step, tops[place], reference.get(place))
        if following is not None:
            yield _arrow(step.shape, tops[place] + step.height, tops[following])


def _box(step: _Step, top: int, reference: _Step | None) -> str:
    known = reference.words if reference else {}
    new = " new" if step.words != known else ""
    rows = [("name", list(step.name)), *(("soft", line) for line in step.lines)]
    text = "".join(
        f'<text x="{PAD + 2}" y="{top + PAD + 9 + LINE * index}" class="{style}">{_words(step, keys, known)}</text>'
        for index, (style, keys) in enumerate(rows)
    )
    box = f'<rect class="box" y="{top}" width="{WIDTH}" height="{step.box_height}" rx="6"/>'
    funnel = _funnel(step, top + step.box_height, known) if step.funnel else ""
    return f'<g class="step{new}">{box}{text}{funnel}</g>'


def _words(step: _Step, keys: Sequence[str], known: Mapping[str, str]) -> str:
    words = step.words
    joined = " " if keys[0] in step.name else " · "
    return joined.join(_word(words[key], changed=words[key] != known.get(key)) for key in keys)


def _word(word: str, changed: bool) -> str:
    return f'<tspan class="changed">{escape(word)}</tspan>' if changed else escape(word)


def _funnel(step: _Step, top: int, known: Mapping[str, str]) -> str:
    left, right, inset = 14, WIDTH - 14, 58
    points = f"{left},{top} {right},{top} {right - inset},{top + FUNNEL} {left + inset},{top + FUNNEL}"
    word = _word(f"↓ {step.funnel}", changed=step.funnel != known.get("funnel"))
    return (
        f'<polygon class="funnel" points="{points}"/>'
        f'<text x="{WIDTH // 2}" y="{top + 15}" class="soft" text-anchor="middle">{word}</text>'
    )


def _arrow(shape: str, start: int, end: int) -> str:
    x = WIDTH // 2
    return (
        f'<path class="line" d="M{x} {start + 2}V{end - 5}"/><path class="tip" d="M{x - 4} {end - 7}h8l-4 6z"/>'
        f'<text x="{x + 12}" y="{start + ARROW // 2 + 4}" class="soft">{shape}</text>'
    )

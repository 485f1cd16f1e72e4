"""ReportData → its figures as PNG or SVG files, for papers and slides. Needs the images extra and a Chrome."""

import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

import plotly.graph_objects as go

from archsearch.errors import InputError
from archsearch.report.data import ReportData
from archsearch.report.page import diagram, page_figures

WIDTH = 900
"""Pixels; each figure has its height from the page."""
SHARP = 2
"""A PNG has so many pixels for each of them, both ways."""
INK, RULE, PAPER = "#1c1e21", "#e3e3df", "#ffffff"

Kind = Literal["png", "svg"]


def write_images(folder: Path, data: ReportData, kind: Kind) -> list[Path]:
    """Writes each figure of the page to a file of its own, on white; nothing is fetched from a network.

    The diagram of the architectures is an SVG in any case.

    Args:
        folder: Where to; made if it is missing.
        data: What the page shows.
        kind: Of file.

    Returns:
        The files, in the order of the page; none for a study that has nothing to draw.

    Raises:
        InputError: Kaleido is not installed, or finds no Chrome.
    """
    if find_spec("kaleido") is None:
        raise InputError("figures as files need Kaleido; install it with: pip install 'archsearch[images]'")
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as beside:
        made = []
        if picture := diagram(data):
            made.append(Path(beside, "architecture.svg"))
            made[0].write_text(picture)
        figures = {Path(beside, f"{name}.{kind}"): _on_paper(figure) for name, figure in page_figures(data)}
        if figures:
            _draw(figures, kind)
        finished = [folder / file.name for file in (*made, *figures)]
        for file, final in zip((*made, *figures), finished, strict=True):
            file.replace(final)
    return finished


def _draw(figures: dict[Path, go.Figure], kind: Kind) -> None:
    import kaleido
    from choreographer.errors import BrowserFailedError
    from kaleido.errors import ChromeNotFoundError

    scale = SHARP if kind == "png" else 1
    specs = [
        {
            "fig": figure.to_dict(),
            "path": path,
            "opts": {"format": kind, "width": WIDTH, "height": figure.layout.height, "scale": scale},
        }
        for path, figure in figures.items()
    ]
    try:
        kaleido.write_fig_from_object_sync(specs, kopts={"mathjax": False})
    except (ChromeNotFoundError, BrowserFailedError) as error:
        raise InputError(
            "figures as files need Chrome or Chromium, and none was found that starts; install one, or name its "
            "program in the environment variable BROWSER_PATH"
        ) from error


def _on_paper(figure: go.Figure) -> go.Figure:
    return (
        go.Figure(figure)
        .update_layout(paper_bgcolor=PAPER, plot_bgcolor=PAPER, font={"color": INK, "size": 13})
        .update_xaxes(gridcolor=RULE, linecolor=RULE, zeroline=False, automargin=True)
        .update_yaxes(gridcolor=RULE, linecolor=RULE, zeroline=False, automargin=True)
    )

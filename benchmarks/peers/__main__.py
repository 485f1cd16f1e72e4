"""Time to a good network for MNIST: archsearch and its peers, one after the other, each alone on the machine.

Usage: python -m benchmarks.peers [--seeds 0 1 2] [--limit 1200] [--budgets 30 45 60 90 120 180 300 600] [--tools ...]

A point of archsearch's curve is a whole command with a `--time` of one of the budgets: its wall time, and the test
accuracy of the model that it has retrained, tested and saved by then. A point of a peer's curve is the end of an epoch:
the test accuracy of the model with the best validation accuracy so far, worked out afterwards.
"""

import argparse
import csv
import os
import shutil
from collections.abc import Sequence
from dataclasses import asdict, fields
from pathlib import Path

from archsearch.training.environment import TENSORFLOW

os.environ.update(TENSORFLOW | os.environ)  # for the peers' processes too: they get oneDNN as archsearch has it

import plotly.graph_objects as go

from benchmarks.peers.curves import Point, runs, table
from benchmarks.peers.family import SCHEDULES
from benchmarks.peers.tools import MNIST, PEERS, ROOT, npz, run_archsearch, run_peer

TOOLS = ("archsearch", *PEERS)
COLOURS = dict(zip(TOOLS, ("#0b7a75", "#d1495b", "#edae49", "#66727f"), strict=True))
DASHES = dict(zip(SCHEDULES, ("dot", "solid"), strict=True))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=npz, default=MNIST)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--tools", nargs="+", default=TOOLS, choices=TOOLS)
    parser.add_argument("--schedules", nargs="+", default=SCHEDULES, choices=SCHEDULES, help="of the peers' rates")
    parser.add_argument("--limit", type=float, default=1200.0, help="seconds that a peer has")
    parser.add_argument("--budgets", type=float, nargs="+", default=[30, 45, 60, 90, 120, 180, 300, 600])
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results")
    options = parser.parse_args()
    points: list[Point] = []
    for seed in options.seeds:
        for tool in options.tools:
            folder = options.out.resolve() / "runs" / f"{tool}-{seed}"
            shutil.rmtree(folder, ignore_errors=True)
            if tool == "archsearch":
                for budget in sorted(options.budgets):
                    points += run_archsearch(options.data, seed, budget, folder / f"{budget:g}s")
            else:
                for schedule in options.schedules:
                    points += run_peer(tool, schedule, options.data, seed, options.limit, folder / schedule)
            _write(points, options.limit, options.out)


def _write(points: Sequence[Point], limit: float, out: Path) -> None:
    with (out / "peers.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, [field.name for field in fields(Point)])
        writer.writeheader()
        writer.writerows(asdict(point) for point in points)
    shown = table(points, limit, len(os.sched_getaffinity(0)))
    (out / "peers.md").write_text(f"{shown}\n")
    _plot(points, out / "peers.html")
    print(shown, end="\n\n", flush=True)


def _plot(points: Sequence[Point], path: Path) -> None:
    """Test accuracy against time, a line a run."""
    figure = go.Figure()
    for tool, of_tool in runs(points).items():
        for number, run in enumerate(of_tool):
            figure.add_scatter(
                x=[point.seconds for point in run],
                y=[point.test for point in run],
                name=tool,
                legendgroup=tool,
                showlegend=number == 0,
                mode="lines+markers" if tool == "archsearch" else "lines",
                line={
                    "shape": "linear" if tool == "archsearch" else "hv",
                    "color": COLOURS[tool.partition(",")[0]],
                    "dash": next((dash for schedule, dash in DASHES.items() if schedule in tool), "solid"),
                },
            )
    figure.update_xaxes(title="seconds", type="log")
    figure.update_yaxes(title="test accuracy", range=[0.96, 1.0], tickformat=".1%")
    figure.write_html(path)


if __name__ == "__main__":
    main()

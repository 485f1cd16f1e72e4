"""Time to a good MNIST network: archsearch, KerasTuner, plain Optuna and random search, one after the other.

Usage: python -m benchmarks.peers [--seeds 0 1 2] [--limit 1200] [--budgets 30 45 60 90 120 180 300 600] [--tools …]

A point of archsearch's curve is a whole command, `archsearch search … --time T`: its wall time, and the test accuracy of
the model that it has retrained, tested and saved by then. A point of another tool's curve is the moment when its best
validation accuracy was beaten, with the test accuracy of that model, which is worked out afterwards and costs it
nothing. Everything is written to --out: results.csv, table.md and curves.html.
"""

import argparse
import csv
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

ROOT = Path(__file__).parents[2]
TARGETS = (0.97, 0.98, 0.99, 0.993)
OTHERS = ("kerastuner_hyperband", "plain_optuna", "random_search")


@dataclass(frozen=True)
class Result:
    """The best model of a tool at a moment.

    Attributes:
        tool: Which.
        seed: Of the run.
        seconds: Wall time since its process began.
        accuracy: On the test set.
        images: Trained on by then.
    """

    tool: str
    seed: int
    seconds: float
    accuracy: float
    images: int


def time_to(results: Sequence[Result], target: float, limit: float) -> float:
    """Seconds until the first model of one run that reaches `target`; `limit` if none does."""
    return min((result.seconds for result in results if result.accuracy >= target), default=limit)


def table(results: Sequence[Result], limit: float, cores: int) -> str:
    """Markdown: medians over the seeds; a target that was not reached counts as the limit and has a `≥`."""
    heads = ["tool", *(f"s to {target:.1%}" for target in TARGETS), "last test accuracy", "images / core s"]
    lines = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    for tool in dict.fromkeys(result.tool for result in results):
        runs = [[r for r in results if (r.tool, r.seed) == (tool, seed)] for seed in sorted({r.seed for r in results})]
        runs = [run for run in runs if run]
        cells = [tool]
        for target in TARGETS:
            middle = median(time_to(run, target, limit) for run in runs)
            cells.append(f"≥ {limit:.0f}" if middle >= limit else f"{middle:.0f}")
        cells.append(f"{median(run[-1].accuracy for run in runs):.2%}")
        cells.append(f"{median(run[-1].images / run[-1].seconds / cores for run in runs):,.0f}")
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def run_archsearch(data: Path, seed: int, budget: float, folder: Path) -> Result:
    """One whole command."""
    command = [str(Path(sys.executable).with_name("archsearch")), "search", str(ROOT / "search_spaces" / "mnist.yaml")]
    command += ["--data", str(data), "--time", f"{budget:g}s", "--seed", str(seed), "--out", str(folder)]
    started = time.time()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    seconds = time.time() - started
    test = json.loads((folder / "best" / "model.json").read_text())["test"]
    return Result("archsearch", seed, seconds, test["accuracy"], _images(folder))


def _images(folder: Path) -> int:
    """How many images a study's trials have trained on."""
    from archsearch.study import Study

    total = 0
    for trial in Study(folder).trials():
        folds = {report.fold: report.images for report in trial.reports}
        total += sum(folds.values())
    return total


def run_other(tool: str, data: Path, seed: int, limit: float, folder: Path) -> list[Result]:
    """One run of another tool, killed at the limit; then the tests of what it has saved."""
    folder.mkdir(parents=True)
    command = [sys.executable, "-m", "benchmarks.peers.tools", tool, str(data), str(seed), str(folder)]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=(folder / "errors.txt").open("w"))
    try:
        process.wait(limit)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    log = folder / "log.csv"
    rows = [line.split(",") for line in log.read_text().splitlines()] if log.is_file() else []
    code = "import sys; from benchmarks.peers.__main__ import print_accuracies; print_accuracies(sys.argv[1], sys.argv[2:])"
    saved = [row[3] for row in rows if row[3]]
    if not saved:
        return []
    told = subprocess.run(
        [sys.executable, "-c", code, str(data), *(str(folder / name) for name in saved)],
        cwd=ROOT, check=True, capture_output=True, text=True,
    )  # fmt: skip
    accuracies = dict(zip(saved, map(float, told.stdout.split()), strict=True))
    results, accuracy = [], 0.0
    for seconds, images, _, path in rows:
        accuracy = accuracies.get(path, accuracy)
        results.append(Result(tool, seed, float(seconds), accuracy, int(images)))
    return results


def print_accuracies(data: str, models: Sequence[str]) -> None:
    """The test accuracy of each saved model, a line each."""
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    import keras

    from benchmarks.peers.family import test_images

    x, y = test_images(Path(data))
    for model in models:
        print(float((keras.models.load_model(model).predict(x, batch_size=1000, verbose=0).argmax(axis=1) == y).mean()))


def plot(results: Sequence[Result], path: Path) -> None:
    """Best test accuracy so far against time, one line a run."""
    import plotly.graph_objects as go

    colours = dict(zip(("archsearch", *OTHERS), ("#0b7a75", "#d1495b", "#edae49", "#66727f"), strict=True))
    figure = go.Figure()
    for tool, seed in dict.fromkeys((r.tool, r.seed) for r in results):
        run = sorted((r for r in results if (r.tool, r.seed) == (tool, seed)), key=lambda r: r.seconds)
        first = seed == min(r.seed for r in results if r.tool == tool)
        figure.add_scatter(
            x=[r.seconds for r in run], y=[r.accuracy for r in run], name=tool, legendgroup=tool, showlegend=first,
            mode="lines+markers" if tool == "archsearch" else "lines", line={"shape": "hv", "color": colours[tool]},
        )  # fmt: skip
    figure.update_xaxes(title="seconds", type="log")
    figure.update_yaxes(title="test accuracy", range=[0.965, 0.996], tickformat=".1%")
    figure.write_html(path, include_plotlyjs=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data" / "mnist.npz")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--limit", type=float, default=1200.0, help="seconds for each of the other tools")
    parser.add_argument("--budgets", type=float, nargs="+", default=[30, 45, 60, 90, 120, 180, 300, 600])
    parser.add_argument("--tools", nargs="+", default=["archsearch", *OTHERS], choices=["archsearch", *OTHERS])
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results" / "peers")
    told = parser.parse_args()
    if not told.data.is_file():
        parser.error(f"--data: {told.data} is not there; expected MNIST as a .npz in Keras's layout")
    told.out.mkdir(parents=True, exist_ok=True)
    results: list[Result] = []
    for seed in told.seeds:
        for tool in told.tools:
            place = told.out / f"{tool}-{seed}"
            shutil.rmtree(place, ignore_errors=True)
            if tool == "archsearch":
                results += [run_archsearch(told.data, seed, budget, place / f"{budget:g}") for budget in told.budgets]
            else:
                results += run_other(tool, told.data, seed, told.limit, place)
            _write(results, told.out, told.limit)


def _write(results: Sequence[Result], folder: Path, limit: float) -> None:
    with (folder / "results.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(Result.__dataclass_fields__))
        writer.writeheader()
        writer.writerows(asdict(result) for result in results)
    found = table(results, limit, os.cpu_count() or 1)
    (folder / "table.md").write_text(f"{found}\n")
    plot(results, folder / "curves.html")
    print(found, flush=True)


if __name__ == "__main__":
    main()

"""Two workers against one: images that a search trains on in a second, with `--workers 1` and with `--workers 2`.

Usage: python -m benchmarks.peers.workers [--data ../shared/data/mnist.npz] [--time 120] [--repeats 3]
"""

import argparse
import tempfile
from pathlib import Path
from statistics import median

from archsearch.study import Study
from benchmarks.peers.tools import MNIST, images_trained, npz, search

SPACE = Path(__file__).with_name("one_network.yaml")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=npz, default=MNIST)
    parser.add_argument("--time", type=float, default=120.0, help="seconds of each search")
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    ratios = []
    for seed in range(options.repeats):
        one, two = (_images_per_second(options.data, options.time, seed, workers) for workers in (1, 2))
        ratios.append(two / one)
        print(
            f"seed {seed}: {one:,.0f} images/s with one worker, {two:,.0f} with two: {two / one:.2f} times", flush=True
        )
    print(f"median: {median(ratios):.2f} times")


def _images_per_second(data: Path, seconds: float, seed: int, workers: int) -> float:
    """From the first trial's start to the last one's end."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "study"
        search(SPACE, data, seconds, seed, folder, "--workers", str(workers), "--pruner", "none")
        trials = Study(folder).trials()
        span = max(trial.ended or 0.0 for trial in trials) - min(trial.started for trial in trials)
        return images_trained(folder) / span


if __name__ == "__main__":
    main()

"""How long `analyse` takes for 10,000 samples of each committed space, in processor seconds; the issue allows 5.

Usage: python benchmarks/space_check.py
"""

import random
import time
from itertools import pairwise
from pathlib import Path

from archsearch.space.analyse import analyse
from archsearch.space.architecture import Task
from archsearch.space.cost import cost
from archsearch.space.load import load_space
from archsearch.space.network import network_hash
from archsearch.space.sample import RandomChooser, sample

SPACES = Path(__file__).parents[1] / "search_spaces"
SAMPLES = 10_000
GREY = Task(height=28, width=28, channels=1, classes=10)
COLOUR = Task(height=32, width=32, channels=3, classes=10)
TASKS = {"mnist": GREY, "lenet": GREY, "cifar": COLOUR, "vgg": COLOUR, "resnet": COLOUR, "cells": COLOUR}


def main() -> None:
    print(f"{'space':10}{'total s':>9}{'sample ms':>11}{'cost ms':>9}{'hash ms':>9}")
    for name, task in TASKS.items():
        space = load_space(SPACES / f"{name}.yaml")
        started = time.process_time()
        analyse(space, task, SAMPLES)
        total = time.process_time() - started
        chooser = RandomChooser(random.Random(1))
        marks = [time.process_time()]
        drawn = [sample(space, chooser, task).architecture for _ in range(1000)]
        for count in (cost, network_hash):
            marks.append(time.process_time())
            for architecture in drawn:
                count(architecture)
        marks.append(time.process_time())
        parts = [after - before for before, after in pairwise(marks)]
        print(f"{name:10}{total:9.2f}{parts[0]:11.3f}{parts[1]:9.3f}{parts[2]:9.3f}")


if __name__ == "__main__":
    main()

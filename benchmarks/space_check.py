"""How long `analyse` takes for 10,000 samples of each committed space, in processor seconds; 5 should do.

Usage: python benchmarks/space_check.py
"""

import random
import time
from itertools import pairwise
from pathlib import Path

from archsearch.space.analyse import analyse
from archsearch.space.architecture import Task
from archsearch.space.cost import plan_cost
from archsearch.space.load import load_space
from archsearch.space.network import plan, plan_hash
from archsearch.space.sample import RandomChooser, sample

SPACES = Path(__file__).parents[1] / "search_spaces"
SAMPLES = 10_000
GREY = Task(height=28, width=28, channels=1, classes=10)
COLOUR = Task(height=32, width=32, channels=3, classes=10)
TASKS = {"digits": GREY, "lenet": GREY, "mnist": GREY}


def main() -> None:
    print(f"{'space':10}{'total s':>9}{'sample ms':>11}{'plan ms':>9}{'cost ms':>9}{'hash ms':>9}")
    for path in sorted(SPACES.glob("*.yaml")):
        space, task = load_space(path), TASKS.get(path.stem, COLOUR)
        started = time.process_time()
        analyse(space, task, SAMPLES)
        total = time.process_time() - started
        chooser = RandomChooser(random.Random(1))
        marks = [time.process_time()]
        drawn = [sample(space, chooser, task).architecture for _ in range(1000)]
        marks.append(time.process_time())
        plans = [plan(architecture) for architecture in drawn]
        for count in (plan_cost, plan_hash):
            marks.append(time.process_time())
            for steps in plans:
                count(steps)
        marks.append(time.process_time())
        sampled, planned, counted, hashed = [after - before for before, after in pairwise(marks)]
        print(f"{path.stem:10}{total:9.2f}{sampled:11.3f}{planned:9.3f}{counted:9.3f}{hashed:9.3f}")


if __name__ == "__main__":
    main()

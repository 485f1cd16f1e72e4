"""What every peer's process does beside its search: read its options, keep its best model, end in time."""

import argparse
import csv
import os
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras

from benchmarks.peers import STARTED
from benchmarks.peers.family import BATCH_SIZE, SCHEDULES


@dataclass(frozen=True)
class Options:
    """What a peer is told.

    Attributes:
        data: A .npz file in Keras's layout.
        seconds: From the start of its process, imports included; then it ends wherever it is.
        seed: Of everything that draws.
        log: A CSV file to make; models are saved beside it.
        schedule: Of the learning rate, one of `SCHEDULES`.
    """

    data: Path
    seconds: float
    seed: int
    log: Path
    schedule: str


def begin(description: str | None) -> Options:
    """Reads the options, and starts the clock that ends this process."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--log", type=Path, required=True)
    parser.add_argument("--schedule", choices=SCHEDULES, required=True)
    options = Options(**vars(parser.parse_args()))
    options.log.parent.mkdir(parents=True, exist_ok=True)
    options.log.write_text("")
    clock = threading.Timer(max(0.0, options.seconds - (time.time() - STARTED)), os._exit, (0,))
    clock.daemon = True
    clock.start()
    keras.utils.set_random_seed(options.seed)
    return options


class Progress(keras.callbacks.Callback):  # type: ignore[misc]
    """After each epoch a line in the log: seconds, images trained on, best validation accuracy, its model."""

    def __init__(self, log: Path) -> None:
        super().__init__()
        self._log = log
        self._images = 0
        self._best = 0.0
        self._saved = ""

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self._images += BATCH_SIZE

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        accuracy = float(logs["val_accuracy"])
        if accuracy > self._best:
            self._best, self._saved = accuracy, f"{self._images}.keras"
            self.model.save(self._log.with_name(self._saved))
        with self._log.open("a", newline="") as file:
            row = f"{time.time() - STARTED:.2f}", self._images, f"{self._best:.5f}", self._saved
            csv.writer(file).writerow(row)

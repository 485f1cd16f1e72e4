"""Random search: KerasTuner's RandomSearch, with early stopping."""

import keras_tuner

from benchmarks.peers.kerastuner import search
from benchmarks.peers.progress import begin

if __name__ == "__main__":
    search(keras_tuner.RandomSearch, begin(__doc__), max_trials=1000)

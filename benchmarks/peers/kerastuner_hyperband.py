"""KerasTuner's Hyperband, with the settings of its tutorial."""

import keras_tuner

from benchmarks.peers.family import EPOCHS
from benchmarks.peers.kerastuner import search
from benchmarks.peers.progress import begin

if __name__ == "__main__":
    search(keras_tuner.Hyperband, begin(__doc__), max_epochs=EPOCHS, factor=3, hyperband_iterations=1000)

"""Optuna as its Keras example has it: an objective that builds and fits, and a callback that prunes.

https://github.com/optuna/optuna-examples/blob/main/keras/keras_integration.py; with TPE and Hyperband, which Optuna's
documentation calls the best for this.
"""

from typing import Any

import keras
import optuna

from archsearch.search.samplers import OptunaChooser
from benchmarks.peers.family import BATCH_SIZE, EPOCHS, compiled, draw, training_images
from benchmarks.peers.progress import Options, Progress, begin


class Pruning(keras.callbacks.Callback):  # type: ignore[misc]
    """`optuna_integration.KerasPruningCallback`, in short."""

    def __init__(self, trial: optuna.Trial) -> None:
        super().__init__()
        self._trial = trial

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self._trial.report(logs["val_accuracy"], epoch + 1)
        if self._trial.should_prune():
            raise optuna.TrialPruned(f"after epoch {epoch + 1}")


def search(options: Options) -> None:
    """Has Optuna search until the time is over."""
    x, y, held_out, labels = training_images(options.data, options.seed)
    progress = Progress(options.log)

    def objective(trial: optuna.Trial) -> float:
        keras.backend.clear_session()
        model = compiled(draw(OptunaChooser(trial)), len(x), EPOCHS, options.schedule)
        history = model.fit(
            x,
            y,
            batch_size=BATCH_SIZE,
            epochs=EPOCHS,
            validation_data=(held_out, labels),
            callbacks=[progress, Pruning(trial)],
            verbose=0,
        )
        return float(history.history["val_accuracy"][-1])

    study = optuna.create_study(
        direction="maximize",
        sampler=optuna.samplers.TPESampler(seed=options.seed),
        pruner=optuna.pruners.HyperbandPruner(min_resource=1, max_resource=EPOCHS, reduction_factor=3),
    )
    study.optimize(objective)


if __name__ == "__main__":
    search(begin(__doc__))

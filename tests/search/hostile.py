"""HyperModels that misbehave in `fit`, each in its own way."""

import os
import resource
import sys
import threading
import time
from typing import Any

import keras
import keras_tuner
from keras import layers


class Good(keras_tuner.HyperModel):
    def build(self, hp: Any) -> keras.Model:
        stack = [keras.Input((8, 8, 1)), layers.Flatten(), layers.Dense(10, activation="softmax")]
        model = keras.Sequential(stack)
        model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
        return model


class Loops(Good):
    """Never makes a step, and keeps Python's lock most of the time."""

    def fit(self, hp: Any, model: keras.Model, *args: Any, **kwargs: Any) -> Any:
        while True:
            pass


class Deaf(Good):
    """Catches whatever it is told."""

    def fit(self, hp: Any, model: keras.Model, *args: Any, **kwargs: Any) -> Any:
        while True:
            try:
                model.fit(*args, **kwargs)
            except BaseException:
                time.sleep(0.01)


class LeavesAThread(Good):
    """Is done, but for a thread that is not."""

    def fit(self, hp: Any, model: keras.Model, *args: Any, **kwargs: Any) -> Any:
        threading.Thread(target=time.sleep, args=(1000,)).start()
        return model.fit(*args, **kwargs)


class Exits(Good):
    def fit(self, hp: Any, model: keras.Model, *args: Any, **kwargs: Any) -> Any:
        sys.exit(0)


class Interrupts(Good):
    def fit(self, hp: Any, model: keras.Model, *args: Any, **kwargs: Any) -> Any:
        raise KeyboardInterrupt


class ExitsAtOnce(Good):
    def fit(self, hp: Any, model: keras.Model, *args: Any, **kwargs: Any) -> Any:
        os._exit(3)


class Aborts(Good):
    def fit(self, hp: Any, model: keras.Model, *args: Any, **kwargs: Any) -> Any:
        os.abort()


class Hungry(Good):
    """Takes all the memory that it may have."""

    def fit(self, hp: Any, model: keras.Model, *args: Any, **kwargs: Any) -> Any:
        resource.setrlimit(resource.RLIMIT_DATA, (3 << 30, 3 << 30))
        taken = []
        while True:
            taken.append(bytearray(1 << 28))


class LosesItsWay(Good):
    """Its loss is no number any more."""

    def fit(self, hp: Any, model: keras.Model, *args: Any, **kwargs: Any) -> Any:
        model.fit(*args, **kwargs)
        return float("nan")

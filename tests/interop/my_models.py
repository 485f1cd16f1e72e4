"""HyperModels as KerasTuner's guides write them, for real searches: nothing in here knows of archsearch."""

import time
from typing import Any

import keras
import keras_tuner
import tensorflow as tf
from keras import layers
from keras_tuner.applications import HyperResNet, HyperXception


def build_model(hp: Any) -> keras.Model:
    """Not built before it sees an image; labels one-hot; accuracy compiled."""
    model = keras.Sequential()
    model.add(layers.Flatten())
    units = hp.Int("units", min_value=32, max_value=64, step=32, default=64)
    model.add(layers.Dense(units, activation=hp.Choice("activation", ["relu", "tanh"])))
    if hp.Boolean("dropout"):
        model.add(layers.Dropout(rate=0.25))
    model.add(layers.Dense(10, activation="softmax"))
    rate = hp.Float("lr", min_value=1e-3, max_value=1e-1, sampling="log", default=1e-2)
    model.compile(keras.optimizers.Adam(rate), loss="categorical_crossentropy", metrics=["accuracy"])
    return model


class Conditional(keras_tuner.HyperModel):
    """Scopes, a name in two of them, and every kind of hyperparameter; takes raw pixels and gives logits."""

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.num_classes = num_classes

    def build(self, hp: Any) -> keras.Model:
        inputs = keras.Input((8, 8, 1))
        x = layers.Rescaling(1 / 255)(inputs)
        kind = hp.Choice("kind", ["dense", "conv"])
        with hp.conditional_scope("kind", ["dense"]):
            if kind == "dense":
                x = layers.Dense(hp.Int("units", 16, 64, step=2, sampling="log", default=64))(layers.Flatten()(x))
        with hp.conditional_scope("kind", ["conv"]):
            if kind == "conv":
                x = layers.Flatten()(layers.Conv2D(hp.Int("units", 4, 8), 3)(x))
        with hp.name_scope("head"):
            x = layers.Dropout(hp.Float("dropout", 0.0, 0.4, step=0.1))(layers.ReLU()(x))
        hp.Fixed("note", "fixed")
        momentum = hp.Float("momentum", 0.8, 0.99, sampling="reverse_log", parent_name="kind", parent_values="conv")
        optimizer = keras.optimizers.SGD(0.1, momentum=momentum or 0.9)
        model = keras.Model(inputs, layers.Dense(self.num_classes)(x))
        model.compile(optimizer, keras.losses.SparseCategoricalCrossentropy(from_logits=True))
        return model


class OwnEpochs(keras_tuner.HyperModel):
    """Tunes how it is fitted, and stops early."""

    def build(self, hp: Any) -> keras.Model:
        return build_model(hp)

    def fit(self, hp: Any, model: keras.Model, *args: Any, **kwargs: Any) -> keras.callbacks.History:
        callbacks = [*kwargs.pop("callbacks"), keras.callbacks.EarlyStopping("val_loss", patience=50)]
        epochs = hp.Int("epochs", 2, 3)
        return model.fit(*args, shuffle=hp.Boolean("shuffle"), epochs=epochs, callbacks=callbacks, **kwargs)


class CustomLoop(keras_tuner.HyperModel):
    """Trains uncompiled logits by a loop of its own and returns a number."""

    def build(self, hp: Any) -> keras.Model:
        inputs = keras.Input(shape=(8, 8, 1))
        x = layers.Dense(hp.Choice("units", [32, 64, 128], default=64), activation="relu")(layers.Flatten()(inputs))
        return keras.Model(inputs, layers.Dense(10)(x))

    def fit(
        self, hp: Any, model: keras.Model, x: Any, y: Any, validation_data: Any, callbacks: Any = None, **kwargs: Any
    ) -> float:
        batch_size = hp.Int("batch_size", 32, 128, step=32, default=32)
        training = tf.data.Dataset.from_tensor_slices((x, y)).shuffle(len(x), seed=0).batch(batch_size)
        optimizer = keras.optimizers.Adam(hp.Float("learning_rate", 1e-4, 1e-2, sampling="log", default=1e-2))
        loss_of = keras.losses.SparseCategoricalCrossentropy(from_logits=True)

        @tf.function
        def step(images: Any, labels: Any) -> None:
            with tf.GradientTape() as tape:
                loss = loss_of(labels, model(images, training=True))
            optimizer.apply_gradients(
                zip(tape.gradient(loss, model.trainable_variables), model.trainable_variables, strict=True)
            )

        for callback in callbacks:
            callback.set_model(model)
        best = float("inf")
        for epoch in range(2):
            print(f"Epoch {epoch}")
            for images, labels in training:
                step(images, labels)
            loss = float(loss_of(validation_data[1], model(validation_data[0])))
            for callback in callbacks:
                callback.on_epoch_end(epoch, logs={"my_metric": loss})
            best = min(best, loss)
        return best


class Returns(keras_tuner.HyperModel):
    """Says nothing until it returns a dict; its `fit` takes no keyword but one."""

    def build(self, hp: Any) -> keras.Model:
        return build_model(hp)

    def fit(self, hp: Any, model: keras.Model, x: Any, y: Any, validation_data: Any) -> dict[str, float]:
        model.fit(x, y, epochs=1, verbose=0)
        return {"val_loss": 0.5, "val_accuracy": 0.75}


class Percent(Returns):
    def fit(self, hp: Any, model: keras.Model, x: Any, y: Any, validation_data: Any) -> dict[str, float]:
        return {"val_accuracy": 75.0}


class Breaks(keras_tuner.HyperModel):
    """Its defaults build, everything else does not."""

    def build(self, hp: Any) -> keras.Model:
        if hp.Choice("depth", [1, 2, 3]) > 1:
            raise RuntimeError("too deep")
        return build_model(hp)


class BuildsForEver(keras_tuner.HyperModel):
    """With all but its defaults."""

    def build(self, hp: Any) -> keras.Model:
        while hp.Int("units", 8, 4096) > 8:
            time.sleep(0.1)
        return own_layer(hp)


class NeverBuilds(keras_tuner.HyperModel):
    def build(self, hp: Any) -> keras.Model:
        raise RuntimeError("no model today")


class SmallResNet(HyperResNet):
    """KerasTuner's own, as shallow as it goes."""

    def build(self, hp: Any) -> keras.Model:
        hp.Fixed("conv3_depth", 2)
        hp.Fixed("conv4_depth", 2)
        return super().build(hp)


class SmallXception(HyperXception):
    def build(self, hp: Any) -> keras.Model:
        hp.Fixed("sep_num_filters", 16)
        hp.Fixed("num_residual_blocks", 1)
        return super().build(hp)


def eleven(hp: Any) -> keras.Model:
    """One class too many."""
    return keras.Sequential([keras.Input((8, 8, 1)), layers.Flatten(), layers.Dense(11)])


def uncompiled(hp: Any) -> keras.Model:
    return keras.Sequential([keras.Input((8, 8, 1)), layers.Flatten(), layers.Dense(10)])


def colour(hp: Any) -> keras.Model:
    return keras.Sequential([keras.Input((32, 32, 3)), layers.Flatten(), layers.Dense(10)])


class Half(layers.Layer):
    """A layer that only this file knows."""

    def call(self, x: Any) -> Any:
        return x / 2


def own_layer(hp: Any) -> keras.Model:
    stack = [keras.Input((8, 8, 1)), layers.Flatten(), Half(), layers.Dense(10, activation="softmax")]
    model = keras.Sequential(stack)
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


class Unsaveable(keras.Model):
    """Has no `get_config`, so Keras cannot save it."""

    def __init__(self, units: int) -> None:
        super().__init__()
        self.flatten, self.dense = layers.Flatten(), layers.Dense(units, activation="softmax")

    def call(self, x: Any) -> Any:
        return self.dense(self.flatten(x))


def unsaveable(hp: Any) -> keras.Model:
    model = Unsaveable(10)
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model

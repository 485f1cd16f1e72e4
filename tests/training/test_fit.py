from collections import Counter

import keras
import numpy as np
import pytest
import tensorflow as tf
from candidates import architecture, block, candidate

from archsearch.data.dataset import ImageSet
from archsearch.data.sources import load_data
from archsearch.errors import TrialError
from archsearch.model.build import build
from archsearch.space.architecture import SGD, Adam, AdamW, Augment, Lion, Optimizer, Stage
from archsearch.training.fit import (
    Score,
    Trainer,
    balanced_weights,
    build_optimizer,
    cross_entropy,
    learning_rate,
    norm_momentum,
)
from archsearch.training.pipeline import mixup


@pytest.fixture(scope="module")
def digits() -> ImageSet:
    return load_data("digits").train


TRAINING = np.arange(1200, dtype=np.int32)
HELD_OUT = np.arange(1200, 1797, dtype=np.int32)


def nothing() -> None:
    pass


def trained(trainer: Trainer, digits: ImageSet, epochs: int) -> Score:
    trainer.reset()
    for _ in range(epochs):
        trainer.epoch(digits, TRAINING, nothing)
    return trainer.evaluate(digits, HELD_OUT)


@pytest.mark.parametrize(
    "optimizer",
    [
        Adam(learning_rate=1e-2),
        AdamW(learning_rate=1e-2),
        SGD(learning_rate=0.1, weight_decay=1e-3),
        Lion(learning_rate=1e-2, weight_decay=0.1),
    ],
    ids=lambda o: o.kind,
)
def test_digits_are_learned(optimizer: Optimizer, digits: ImageSet) -> None:
    made = candidate(optimizer=optimizer, augment=Augment(rotate=5.0), epochs=8)
    assert trained(Trainer(made, len(TRAINING), 0), digits, 8).accuracy > 0.9


def test_digits_are_learned_with_all_there_is(digits: ImageSet) -> None:
    made = candidate(
        optimizer=AdamW(learning_rate=1e-2),
        augment=Augment(rotate=5.0, flip=0.05, cutout=0.1, erase=0.1, mixup=0.2),
        warmup=0.1,
        label_smoothing=0.05,
        class_weights="balanced",
        epochs=8,
    )
    trainer = Trainer(made, len(TRAINING), 0)
    assert trained(trainer, digits, 8).accuracy > 0.85
    assert trainer._step.experimental_get_tracing_count() == 1


def test_the_shipped_model_scores_the_same(digits: ImageSet) -> None:
    trainer = Trainer(candidate(), len(TRAINING), 0)
    score = trained(trainer, digits, 2)
    answers = trainer.model().predict(digits.images[HELD_OUT], verbose=0)
    labels = digits.labels[HELD_OUT]
    assert (answers.argmax(1) == labels).mean() == pytest.approx(score.accuracy)
    assert -np.log(answers[np.arange(len(labels)), labels]).mean() == pytest.approx(score.loss, rel=1e-3)


def test_reset_goes_back_to_the_start(digits: ImageSet) -> None:
    trainer = Trainer(candidate(), len(TRAINING), 0)
    fresh = trainer.evaluate(digits, HELD_OUT)
    trained(trainer, digits, 1)
    first = trainer._optimizer.iterations.numpy()
    trainer.reset()
    assert trainer.evaluate(digits, HELD_OUT) == fresh
    assert (first, trainer._optimizer.iterations.numpy()) == (1200 // 64, 0)


def test_a_step_is_traced_once_for_all_folds(digits: ImageSet) -> None:
    trainer = Trainer(candidate(), len(TRAINING), 0)
    for _ in range(3):
        trained(trainer, digits, 1)
    assert trainer._step.experimental_get_tracing_count() == 1
    assert trainer._score.experimental_get_tracing_count() == 1


def test_the_same_seed_gives_the_same_network(digits: ImageSet) -> None:
    network = architecture(Stage(blocks=(block(dropout=0.2),), downsample="max"))
    made = candidate(network, augment=Augment(shift=0.1))
    first, again, other = (trained(Trainer(made, len(TRAINING), seed), digits, 1) for seed in (1, 1, 2))
    assert first == again != other


def test_a_loss_that_is_no_number_is_the_trials_failure(digits: ImageSet) -> None:
    linear = block(norm="none", activation="elu")
    wild = candidate(
        architecture(Stage(blocks=(linear, linear), downsample="average")), optimizer=SGD(learning_rate=100.0)
    )
    with pytest.raises(TrialError, match=r"training loss became (nan|inf); the learning rate was 100"):
        trained(Trainer(wild, len(TRAINING), 0), digits, 4)


@pytest.mark.parametrize(
    ("schedule", "warmup"), [("constant", 0.0), ("constant", 0.25), ("cosine", 0.0), ("cosine", 0.25)]
)
def test_the_learning_rate_rises_then_stays_or_falls(schedule: str, warmup: float) -> None:
    recipe = candidate(schedule=schedule, warmup=warmup, optimizer=SGD(learning_rate=2.0)).recipe
    step = np.arange(80)
    first = round(warmup * 80)
    expected = np.full(80, 2.0) if schedule == "constant" else 1 + np.cos(np.pi * (step - first) / (80 - first))
    expected[:first] = 2 * step[:first] / max(1, first)
    curve = learning_rate(recipe, 80)
    np.testing.assert_allclose([float(curve(tf.constant(i))) for i in step], expected, atol=1e-5)


def test_each_step_has_its_own_learning_rate(digits: ImageSet) -> None:
    made = candidate(warmup=0.25, epochs=1)
    trainer = Trainer(made, len(TRAINING), 0)
    rates: list[float] = []
    for _ in range(2):
        trainer.reset()
        trainer.epoch(digits, TRAINING, lambda: rates.append(float(trainer._optimizer.learning_rate)))
    steps = 1200 // 64
    curve = [float(learning_rate(made.recipe, steps)(tf.constant(i))) for i in range(steps)]
    # A rate is set within its step, so the one before it is seen between steps.
    np.testing.assert_allclose(rates[1:steps], curve[:-1], rtol=1e-5)
    assert rates[:steps] == rates[steps:]


@pytest.mark.parametrize("steps", [1, 2, 3])
@pytest.mark.parametrize("schedule", ["constant", "cosine"])
def test_warm_up_of_a_few_steps_leaves_some_to_train(schedule: str, steps: int) -> None:
    curve = learning_rate(candidate(schedule=schedule, warmup=0.5).recipe, steps)
    assert max(float(curve(tf.constant(i))) for i in range(steps)) == pytest.approx(1e-2)


@pytest.mark.parametrize(
    "settings", [AdamW(weight_decay=0.5), SGD(weight_decay=0.5), Lion(weight_decay=0.5)], ids=lambda o: o.kind
)
def test_only_kernels_decay(settings: AdamW | SGD | Lion) -> None:
    blocks = tuple(block(kind, norm=norm) for kind in ("separable", "residual") for norm in ("batch", "layer", "group"))
    model = build(architecture(Stage(blocks=blocks, downsample="max"), hidden=4))
    variables = model.trainable_variables
    optimizer = build_optimizer(settings, variables)
    for variable in variables:
        variable.assign(tf.ones(variable.shape))
    optimizer.apply([tf.zeros(variable.shape) for variable in variables], variables)
    left: dict[str, set[float]] = {}
    for variable in variables:
        left.setdefault(variable.name, set()).update(np.unique(variable.numpy()).tolist())
    assert left.keys() == {"kernel", "bias", "gamma", "beta"}
    assert list(left.pop("kernel")) == pytest.approx([1 - 0.5 * settings.learning_rate])
    assert set().union(*left.values()) == {1.0}


@pytest.mark.parametrize("settings", [Adam(), SGD(), Lion()], ids=lambda o: o.kind)
def test_no_weight_decay_costs_nothing(settings: Adam | SGD | Lion) -> None:
    assert build_optimizer(settings, [keras.Variable([1.0], name="kernel")]).weight_decay is None


LOGITS = np.random.default_rng(0).normal(0, 3, (50, 10)).astype(np.float32)
LABELS = (np.random.default_rng(1).random(50) ** 2 * 10).astype(np.int32)


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.6])
def test_label_smoothing_is_kerass(smoothing: float) -> None:
    keras_loss = keras.losses.CategoricalCrossentropy(True, label_smoothing=smoothing, reduction="none")
    expected = keras_loss(tf.one_hot(LABELS, 10), LOGITS)
    np.testing.assert_allclose(cross_entropy(LOGITS, LABELS, smoothing), expected, rtol=1e-5)


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_balanced_weights_make_the_loss_the_mean_of_the_classes(smoothing: float) -> None:
    assert len(set(Counter(LABELS.tolist()).values())) > 3, "the labels are unbalanced"
    weights = balanced_weights(LABELS, 10)
    assert weights[LABELS].mean() == pytest.approx(1.0)
    plain = np.asarray(cross_entropy(LOGITS, LABELS, smoothing))
    weighted = np.asarray(cross_entropy(LOGITS, LABELS, smoothing, tf.constant(weights)))
    assert weighted.mean() == pytest.approx(
        np.mean([plain[label == LABELS].mean() for label in np.unique(LABELS)]), rel=1e-5
    )


def test_a_class_without_images_weighs_nothing() -> None:
    weights = balanced_weights(np.array([0, 0, 0, 2], np.int32), 4)
    np.testing.assert_allclose(weights, [4 / (2 * 3), 0, 4 / (2 * 1), 0])


def test_class_weights_are_those_of_the_fold_that_trains(digits: ImageSet) -> None:
    at_rest = candidate(class_weights="balanced", optimizer=SGD(learning_rate=1e-20), batch_size=32, epochs=1)
    trainer = Trainer(at_rest, 64, 0)
    for classes in ((1, 2), (3, 4)):
        trainer.reset()
        one, two = (np.flatnonzero(digits.labels == label) for label in classes)
        fold = np.concatenate([one[:48], two[:16]]).astype(np.int32)
        trainer.epoch(digits, fold, nothing)
        weights = np.zeros(10, np.float32)
        weights[list(classes)] = 64 / (2 * 48), 64 / (2 * 16)
        assert trainer._weights is not None
        np.testing.assert_allclose(trainer._weights.numpy(), weights, rtol=1e-6)
    assert trainer._step.experimental_get_tracing_count() == 1


def test_the_training_loss_is_what_is_minimised_and_the_score_is_plain(digits: ImageSet) -> None:
    """A network without norm at rest gives the same answers in training and in scoring."""
    fold = np.flatnonzero(digits.labels < 3)[:320].astype(np.int32)
    fold = np.concatenate([fold, fold[digits.labels[fold] == 0][:64]]).astype(np.int32)
    labels = digits.labels[fold]
    at_rest = candidate(
        architecture(Stage(blocks=(block(norm="none"),), downsample="max")),
        optimizer=SGD(learning_rate=1e-20),
        label_smoothing=0.2,
        class_weights="balanced",
        epochs=1,
    )
    trainer = Trainer(at_rest, len(fold), 0)
    fitted, scored = trainer.epoch(digits, fold, nothing), trainer.evaluate(digits, fold)
    answers = trainer.model().predict(digits.images[fold], verbose=0)
    smoothed = keras.losses.CategoricalCrossentropy(label_smoothing=0.2, reduction="none")
    losses = np.asarray(smoothed(tf.one_hot(labels, 10), answers))
    assert len(fold) % 64 == 0
    assert fitted.loss == pytest.approx(np.mean([losses[labels == c].mean() for c in range(3)]), rel=1e-3)
    assert scored.loss == pytest.approx(-np.log(answers[np.arange(len(fold)), labels]).mean(), rel=1e-3)
    assert fitted.accuracy == pytest.approx(scored.accuracy)


def test_a_blend_has_the_blend_of_both_losses_and_the_larger_ones_class(digits: ImageSet) -> None:
    made = candidate(augment=Augment(mixup=1.0), optimizer=SGD(learning_rate=1e-20), label_smoothing=0.1)
    trainer = Trainer(made, len(TRAINING), 0)
    pixels, labels = digits.images[:64], digits.labels[:64]
    tf.random.set_seed(5)
    trainer._train_step(pixels, labels)  # not traced: so it draws what is drawn below
    loss, right = trainer._totals.numpy()
    tf.random.set_seed(5)
    blends, others, share = mixup(tf.cast(pixels, tf.float32), labels, 1.0)
    logits = trainer._model(blends, training=True)
    target = share[:, None] * tf.one_hot(labels, 10) + (1 - share)[:, None] * tf.one_hot(others, 10)
    expected = keras.losses.CategoricalCrossentropy(True, label_smoothing=0.1, reduction="sum")(target, logits)
    assert loss == pytest.approx(float(expected), rel=1e-4)
    assert right == (np.argmax(logits, 1) == labels).sum()


def test_a_plain_recipe_traces_nothing_more() -> None:
    graph = Trainer(candidate(schedule="constant"), len(TRAINING), 0)._step.get_concrete_function().graph
    kinds = {operation.type for operation in graph.get_operations()}
    assert "SparseSoftmaxCrossEntropyWithLogits" in kinds
    extra = {"LogSoftmax", "OneHot", "ResourceGather", "RandomUniform", "RandomGamma", "RandomShuffle", "If"}
    assert not kinds & (extra | {"ImageProjectiveTransformV3"})


def test_fewer_images_than_a_batch_still_train(digits: ImageSet) -> None:
    few = np.arange(20, dtype=np.int32)
    trainer = Trainer(candidate(batch_size=256), len(few), 0)
    assert trainer.batch_size == 20
    before = trainer.evaluate(digits, few).loss
    for _ in range(4):
        trainer.epoch(digits, few, nothing)
    assert trainer.evaluate(digits, few).loss < before


@pytest.mark.parametrize(("steps", "momentum"), [(1, 0.5), (16, 0.5), (100, 0.9), (300, 1 - 1 / 30), (10**6, 0.99)])
def test_norm_momentum_suits_the_length_of_an_epoch(steps: int, momentum: float) -> None:
    assert norm_momentum(steps) == pytest.approx(momentum)


@pytest.mark.slow
def test_known_network_learns_mnist(mnist: object) -> None:
    images = load_data(str(mnist))
    assert images.test is not None
    stages = [
        Stage(blocks=(block(filters=16),), downsample="max"),
        Stage(blocks=(block(filters=32),), downsample="max"),
        Stage(blocks=(block(filters=64),), downsample="none"),
    ]
    made = candidate(architecture(*stages, side=28), optimizer=Adam(learning_rate=5e-3), batch_size=128, epochs=1)
    trainer = Trainer(made, 20_000, 0)
    trainer.epoch(images.train, np.arange(20_000, dtype=np.int32), nothing)
    assert trainer.evaluate(images.test, np.arange(10_000, dtype=np.int32)).accuracy > 0.96

from collections import Counter
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from candidates import architecture, block, candidate
from numpy.typing import NDArray

from archsearch.data.dataset import ImageSet
from archsearch.data.sources import load_data
from archsearch.errors import TrialError
from archsearch.space.architecture import SGD, Adam, AdamW, Augment, Lion, Optimizer, Stage
from archsearch.training.fit import (
    Fold,
    Trainer,
    balanced_weights,
    checked,
    cross_entropy,
    learning_rate,
    norm_momentum,
)
from archsearch.training.job import CHECKED, Point, Score
from archsearch.training.pipeline import mixup


@pytest.fixture(scope="module")
def digits() -> ImageSet:
    return load_data("digits").train


TRAINING = np.arange(1200, dtype=np.int32)
HELD_OUT = np.arange(1200, 1797, dtype=np.int32)


def nothing() -> None:
    pass


def points(
    trainer: Trainer,
    images: ImageSet,
    training: NDArray[np.int32] = TRAINING,
    held_out: NDArray[np.int32] = HELD_OUT,
    at: Sequence[float] = (),
    **changes: Any,
) -> list[Point]:
    """What a training tells."""
    told: list[Point] = []
    trainer.train(Fold(images, training, held_out, at, told.append, nothing)._replace(**changes))
    return told


def watched_rates(trainer: Trainer) -> list[float]:
    """The learning rates of the steps that `trainer` will take, as it takes them."""
    rates: list[float] = []
    step = trainer._step

    def watched(pixels: Any, labels: Any, rate: float) -> None:
        rates.append(rate)
        step(pixels, labels, rate)

    trainer._step = watched
    return rates


def score(trainer: Trainer, digits: ImageSet) -> Score:
    scored = points(trainer, digits)[-1].scored
    assert scored is not None
    return scored


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
    assert score(Trainer(made, len(TRAINING), 0), digits).accuracy > 0.9


def test_digits_are_learned_with_all_there_is(digits: ImageSet) -> None:
    made = candidate(
        optimizer=AdamW(learning_rate=1e-2),
        augment=Augment(rotate=5.0, flip=0.05, cutout=0.1, erase=0.1, mixup=0.2),
        warmup=0.1,
        label_smoothing=0.05,
        class_weights="balanced",
        epochs=8,
    )
    assert score(Trainer(made, len(TRAINING), 0), digits).accuracy > 0.85


def test_the_shipped_model_scores_the_same(digits: ImageSet) -> None:
    trainer = Trainer(candidate(epochs=2), len(TRAINING), 0)
    found = score(trainer, digits)
    answers = trainer.model().predict(digits.images[HELD_OUT], verbose=0)
    labels = digits.labels[HELD_OUT]
    assert (answers.argmax(1) == labels).mean() == pytest.approx(found.accuracy)
    assert -np.log(answers[np.arange(len(labels)), labels]).mean() == pytest.approx(found.loss, rel=1e-3)


@pytest.mark.parametrize(("batch_size", "branches"), [(64, 2), (65, 3)])
def test_a_split_batch_is_trained_on_as_a_whole_one(digits: ImageSet, batch_size: int, branches: int) -> None:
    network = architecture(Stage(blocks=(block(norm="none"),), downsample="max"))
    made = candidate(network, optimizer=SGD(learning_rate=0.01), batch_size=batch_size, epochs=1, label_smoothing=0.1)
    whole, split = (Trainer(made, len(TRAINING), 0, count) for count in (1, branches))
    one, other = score(whole, digits), score(split, digits)
    assert other.loss == pytest.approx(one.loss, rel=1e-3)
    assert other.accuracy == pytest.approx(one.accuracy, abs=0.01)
    assert split.evaluate(digits, HELD_OUT[:7]).loss == pytest.approx(
        whole.evaluate(digits, HELD_OUT[:7]).loss, rel=1e-3
    )


def test_digits_are_learned_in_branches(digits: ImageSet) -> None:
    augment = Augment(rotate=5.0, shift=0.05, mixup=0.1)
    made = candidate(augment=augment, class_weights="balanced", epochs=8)
    assert score(Trainer(made, len(TRAINING), 0, 2), digits).accuracy > 0.9


def test_reset_goes_back_to_the_start(digits: ImageSet) -> None:
    trainer = Trainer(candidate(epochs=1), len(TRAINING), 0)
    fresh = trainer.evaluate(digits, HELD_OUT)
    assert score(trainer, digits) != fresh
    trainer.reset()
    assert trainer.evaluate(digits, HELD_OUT) == fresh


def test_a_fold_does_not_depend_on_those_before_it(digits: ImageSet) -> None:
    network = architecture(Stage(blocks=(block(dropout=0.2),), downsample="max"))
    augment = Augment(shift=0.1, cutout=0.1, erase=0.2, mixup=0.2)
    trainer = Trainer(candidate(network, augment=augment, epochs=1), len(TRAINING), 0)
    first = score(trainer, digits)
    points(trainer, digits, HELD_OUT, TRAINING)
    assert score(trainer, digits) == first


def test_all_folds_share_one_traced_step(digits: ImageSet) -> None:
    class Counted(Trainer):
        traced = 0

        def _train_step(self, pixels: Any, labels: Any, rate: Any) -> None:
            self.traced += 1
            super()._train_step(pixels, labels, rate)

    trainer = Counted(candidate(epochs=1), len(TRAINING), 0)
    points(trainer, digits, at=(0.5,))
    points(trainer, digits, HELD_OUT, TRAINING)
    assert trainer.traced == 1


def test_nothing_of_the_augmentation_is_in_the_shipped_model() -> None:
    augment = Augment(rotate=10.0, shift=0.1, zoom=0.1, shear=5.0, flip=0.5, cutout=0.2, erase=0.2, mixup=0.2)
    changed, plain = (
        Trainer(candidate(augment=augment), len(TRAINING), 0).model().to_json() for augment in (augment, Augment())
    )
    assert changed == plain


def test_the_same_seed_gives_the_same_network(digits: ImageSet) -> None:
    network = architecture(Stage(blocks=(block(dropout=0.2),), downsample="max"))
    made = candidate(network, augment=Augment(shift=0.1), epochs=1)
    first, again, other = (score(Trainer(made, len(TRAINING), seed), digits) for seed in (1, 1, 2))
    assert first == again != other


def test_points_come_at_their_shares_of_the_training(digits: ImageSet) -> None:
    told = points(Trainer(candidate(epochs=4), len(TRAINING), 0), digits, at=(0.2, 0.5))
    steps = 4 * 1200 // 64
    assert [point.epoch for point in told] == [
        pytest.approx(4 * share) for share in (0.2, round(0.5 * steps) / steps, 1)
    ]
    assert [point.images for point in told] == [64 * round(share * steps) for share in (0.2, 0.5, 1)]
    assert told[-1].epoch == 4
    assert {point.epochs for point in told} == {4}
    losses = [point.fitted.loss for point in told]
    assert losses == sorted(losses, reverse=True), "means over the images since the point before"


def test_the_end_is_always_a_point_and_is_told_once(digits: ImageSet) -> None:
    trainer = Trainer(candidate(epochs=1), len(TRAINING), 0)
    assert [point.epoch for point in points(trainer, digits)] == [1]
    assert [point.epoch for point in points(trainer, digits, at=(0.999, 1.0))] == [1]


@pytest.mark.parametrize("epochs", [0.25, 1.5])
def test_epochs_may_be_a_fraction(epochs: float, digits: ImageSet) -> None:
    (last,) = points(Trainer(candidate(epochs=epochs), len(TRAINING), 0), digits)
    assert last.epoch == last.epochs == epochs
    assert last.images == pytest.approx(epochs * 1200, abs=64)


def test_a_training_too_short_for_a_step_takes_one(digits: ImageSet) -> None:
    (last,) = points(Trainer(candidate(epochs=0.001), len(TRAINING), 0), digits, at=(0.1, 0.5))
    assert (last.images, last.epoch) == (64, 0.001)


class Clock:
    """Runs out when `share` of the steps are done, and goes evenly until then."""

    def __init__(self, share: float) -> None:
        self.share = share
        self.seen: list[float] = []

    def __call__(self, done: float) -> float:
        self.seen.append(min(1.0, done / self.share))
        return self.seen[-1]


def test_a_clock_ends_a_training_early_with_its_schedule_whole(digits: ImageSet) -> None:
    trainer = Trainer(candidate(epochs=4), len(TRAINING), 0)
    rates = watched_rates(trainer)
    told = points(trainer, digits, at=(0.2, 0.8), progress=Clock(0.5))
    steps = 4 * 1200 // 64
    assert len(rates) == pytest.approx(steps / 2, abs=1)
    assert rates[0] == pytest.approx(1e-2, rel=0.01)
    assert rates[-1] < 1e-2 * 0.01
    assert [point.epoch for point in told] == [pytest.approx(0.8), 4]
    assert told[-1].images == 64 * len(rates), "those it has trained on, not those it would have"


def test_a_clock_that_has_run_out_trains_nothing_and_still_scores(digits: ImageSet) -> None:
    trainer = Trainer(candidate(epochs=4), len(TRAINING), 0)
    fresh = trainer.evaluate(digits, HELD_OUT)
    (last,) = points(trainer, digits, at=(0.5,), progress=lambda done: 1.0)
    assert (last.epoch, last.images, last.scored) == (4, 0, fresh)


def test_a_training_that_ends_right_after_a_point_says_that_points_fit_again(digits: ImageSet) -> None:
    steps = 4 * 1200 // 64
    trainer = Trainer(candidate(epochs=4), len(TRAINING), 0)
    told = points(trainer, digits, at=(10 / steps,), progress=lambda done: 1.0 if done > 10 / steps else done)
    assert [point.images for point in told] == [640, 640]
    assert told[0].fitted == told[1].fitted


def test_points_on_the_way_score_a_part_of_many_and_the_end_all(digits: ImageSet) -> None:
    """Without norm and at rest, the network answers the same at both points: only the images differ."""
    many = np.concatenate([HELD_OUT, np.repeat(TRAINING, 2)])
    network = architecture(Stage(blocks=(block(norm="none"),), downsample="max"))
    trainer = Trainer(candidate(network, optimizer=SGD(learning_rate=1e-20), epochs=1), len(TRAINING), 0)
    middle, end = points(trainer, digits, held_out=many, at=(0.5,))
    assert len(many) > CHECKED
    assert middle.scored == trainer.evaluate(digits, checked(many))
    assert end.scored == trainer.evaluate(digits, many)
    assert middle.scored != end.scored


def test_what_is_checked_is_spread_evenly_and_always_the_same() -> None:
    few, many = np.arange(CHECKED, dtype=np.int32), np.arange(3 * CHECKED, dtype=np.int32)
    assert checked(few) is few
    part = checked(many)
    assert (len(part), part[0], part[-1]) == (CHECKED, 0, 3 * CHECKED - 1)
    assert set(np.diff(part)) <= {2, 3, 4}
    np.testing.assert_array_equal(part, checked(many))


def test_nothing_held_out_is_not_scored(digits: ImageSet) -> None:
    told = points(Trainer(candidate(epochs=1), len(TRAINING), 0), digits, held_out=TRAINING[:0], at=(0.5,))
    assert [point.scored for point in told] == [None, None]
    assert told[-1].fitted.accuracy > 0.1


def test_what_is_raised_between_steps_ends_the_training(digits: ImageSet) -> None:
    class Enough(Exception):
        pass

    calls = iter(range(3))

    def between_steps() -> None:
        if next(calls) == 2:
            raise Enough

    trainer = Trainer(candidate(epochs=1), len(TRAINING), 0)
    fresh = trainer.evaluate(digits, HELD_OUT)
    with pytest.raises(Enough):
        points(trainer, digits, between_steps=between_steps)
    assert trainer.evaluate(digits, HELD_OUT) != fresh, "it had taken two steps"


def test_a_loss_that_is_no_number_is_the_trials_failure(digits: ImageSet) -> None:
    linear = block(norm="none", activation="elu")
    wild = candidate(
        architecture(Stage(blocks=(linear, linear), downsample="average")), optimizer=SGD(learning_rate=100.0)
    )
    with pytest.raises(TrialError, match=r"training loss became (nan|inf); the learning rate was 100"):
        points(Trainer(wild, len(TRAINING), 0), digits)


@pytest.mark.parametrize(
    ("schedule", "warmup"), [("constant", 0.0), ("constant", 0.25), ("cosine", 0.0), ("cosine", 0.25)]
)
def test_the_learning_rate_rises_then_stays_or_falls(schedule: str, warmup: float) -> None:
    recipe = candidate(schedule=schedule, warmup=warmup, optimizer=SGD(learning_rate=2.0)).recipe
    over = np.linspace(0, 1, 81)
    later = (over - warmup) / (1 - warmup)
    expected = np.full(81, 2.0) if schedule == "constant" else 1 + np.cos(np.pi * later)
    expected[over < warmup] = 2 * over[over < warmup] / max(warmup, 1e-9)
    np.testing.assert_allclose([learning_rate(recipe, float(share)) for share in over], expected, atol=1e-9)


def test_each_step_has_the_learning_rate_of_its_middle(digits: ImageSet) -> None:
    made = candidate(warmup=0.25, epochs=1)
    trainer = Trainer(made, len(TRAINING), 0)
    rates = watched_rates(trainer)
    points(trainer, digits)
    steps = round(1200 / 64)
    assert rates == [learning_rate(made.recipe, (number + 0.5) / steps) for number in range(steps)]


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
        one, two = (np.flatnonzero(digits.labels == label) for label in classes)
        points(trainer, digits, np.concatenate([one[:48], two[:16]]).astype(np.int32))
        weights = np.zeros(10, np.float32)
        weights[list(classes)] = 64 / (2 * 48), 64 / (2 * 16)
        assert trainer._weights is not None
        np.testing.assert_allclose(trainer._weights.numpy(), weights, rtol=1e-6)


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
    (last,) = points(trainer, digits, fold, fold)
    fitted, scored = last.fitted, last.scored
    assert scored is not None
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
    blends, others, share = mixup(tf.cast(pixels, tf.float32), labels, 1.0, tf.random.Generator.from_seed(0))
    trainer._step(pixels, labels, 0.0)
    loss, right = trainer._totals.numpy()
    logits = trainer._model(blends, training=True)
    target = share[:, None] * tf.one_hot(labels, 10) + (1 - share)[:, None] * tf.one_hot(others, 10)
    expected = keras.losses.CategoricalCrossentropy(True, label_smoothing=0.1, reduction="sum")(target, logits)
    assert loss == pytest.approx(float(expected), rel=1e-4)
    assert right == (np.argmax(logits, 1) == labels).sum()


def test_a_plain_recipe_traces_nothing_more() -> None:
    trainer = Trainer(candidate(), len(TRAINING), 0)
    step = tf.function(trainer._train_step, autograph=False)
    graph = step.get_concrete_function(*trainer._batch, tf.TensorSpec(())).graph
    kinds = {operation.type for operation in graph.get_operations()}
    assert "SparseSoftmaxCrossEntropyWithLogits" in kinds
    extra = {"LogSoftmax", "OneHot", "ResourceGather", "RngReadAndSkip", "StatelessRandomGammaV3", "If"}
    assert not kinds & (extra | {"PartitionedCall"})


def test_fewer_images_than_a_batch_still_train(digits: ImageSet) -> None:
    few = np.arange(20, dtype=np.int32)
    trainer = Trainer(candidate(batch_size=256, epochs=4), len(few), 0)
    assert trainer.batch_size == 20
    before = trainer.evaluate(digits, few).loss
    (last,) = points(trainer, digits, few, few)
    assert last.images == 80
    assert last.scored is not None
    assert last.scored.loss < before


@pytest.mark.parametrize(("steps", "momentum"), [(1, 0.5), (100, 0.5), (500, 0.9), (1500, 1 - 1 / 30), (10**6, 0.99)])
def test_norm_momentum_suits_the_length_of_a_training(steps: int, momentum: float) -> None:
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
    points(trainer, images.train, np.arange(20_000, dtype=np.int32))
    assert trainer.evaluate(images.test, np.arange(10_000, dtype=np.int32)).accuracy > 0.96

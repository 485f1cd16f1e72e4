import numpy as np
import pytest
from candidates import architecture, block, candidate

from archsearch.data.dataset import ImageSet
from archsearch.data.sources import load_data
from archsearch.errors import TrialError
from archsearch.space.architecture import SGD, Adam, AdamW, Augment, Stage
from archsearch.training.fit import Score, Trainer, norm_momentum


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
    "optimizer", [Adam(learning_rate=1e-2), AdamW(learning_rate=1e-2), SGD(learning_rate=0.1)], ids=lambda o: o.kind
)
def test_digits_are_learned(optimizer: Adam | AdamW | SGD, digits: ImageSet) -> None:
    made = candidate(optimizer=optimizer, augment=Augment(rotate=5.0), epochs=8)
    assert trained(Trainer(made, len(TRAINING), 0), digits, 8).accuracy > 0.9


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


def test_cosine_ends_at_zero_and_constant_stays(digits: ImageSet) -> None:
    rates = {}
    for schedule in ("cosine", "constant"):
        trainer = Trainer(candidate(schedule=schedule, epochs=1), len(TRAINING), 0)
        trained(trainer, digits, 1)
        rates[schedule] = float(trainer._optimizer.learning_rate)
    assert rates["cosine"] == pytest.approx(0.0, abs=1e-8)
    assert rates["constant"] == pytest.approx(1e-2)


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

"""How many workers fit."""

from trials import trial

from archsearch.search.memory import WORKER_BYTES, expected, fits, needed

GB = 1_000_000_000


def test_needs_are_activations_and_the_state_of_each_parameter() -> None:
    assert needed(activation_bytes=1000, parameters=10, batch_size=64) == 64_000 + 160


def test_before_anything_is_measured_the_arithmetic_is_believed() -> None:
    assert expected(GB, []) == WORKER_BYTES + GB


def test_what_trials_took_beyond_their_arithmetic_is_expected_again() -> None:
    twice = trial(0, needs=GB, peak_memory=WORKER_BYTES + 2 * GB)
    assert expected(3 * GB, [twice]) == WORKER_BYTES + 6 * GB
    small = trial(0, needs=1000, peak_memory=2 * WORKER_BYTES)
    assert expected(GB, [small]) == WORKER_BYTES + GB


def test_without_arithmetic_a_trial_is_expected_to_take_as_much_as_the_most() -> None:
    assert expected(0, []) == WORKER_BYTES
    assert expected(0, [trial(0, peak_memory=3 * GB), trial(1, peak_memory=2 * GB)]) == 3 * GB


def test_workers_start_as_long_as_they_fit() -> None:
    running = [trial(0, needs=GB, state="running")]
    assert fits(GB, running, running, memory=4 * GB)
    assert not fits(2 * GB, running, running, memory=4 * GB)
    assert fits(2 * GB, [], running, memory=GB)
    assert fits(2 * GB, running, running, memory=None)

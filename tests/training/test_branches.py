"""How a training divides its work."""

from archsearch.training.branches import branches_for, threads_for


def test_no_branch_has_too_few_images() -> None:
    assert [branches_for(batch, threads) for batch, threads in ((128, 2), (128, 16), (32, 8), (8, 8))] == [2, 4, 1, 1]


def test_small_parts_have_a_thread_each_and_large_ones_share_all_threads() -> None:
    assert threads_for(32, 1_400_000, 2) == 1
    assert threads_for(128, 1_400_000, 2) == 2
    assert threads_for(128, 1_400_000, 16) == 4
    assert threads_for(32, 60_000_000, 16) == 16
    assert threads_for(128, 60_000_000, 16) == 16

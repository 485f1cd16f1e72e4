"""Rough training times: what they grow with, and that the machine is measured."""

from dataclasses import replace
from math import prod

import pytest
from candidates import architecture, block

from archsearch.space.architecture import Stage
from archsearch.space.layers import Flatten
from archsearch.space.network import lower
from archsearch.space.probe import ARITHMETIC, LAYER_SECONDS, TRAFFIC, Machine, epoch_seconds, probe

MACHINE = Machine(flops=1e10, bandwidth=1e9)


def small() -> Stage:
    return Stage(blocks=(block(filters=4),), downsample="max")


def test_the_machine_is_a_computer_of_this_age() -> None:
    found = probe(seconds=0.02)
    assert 1e8 < found.flops < 1e13
    assert 1e8 < found.bandwidth < 1e13


def test_the_estimate_is_the_sum_that_the_module_says() -> None:
    network = architecture(small())
    nodes = lower(network).nodes
    moved = sum(
        4 * (prod(node.shape) + sum(prod(nodes[before].shape) for before in node.inputs))
        for node in nodes[1:]
        if not isinstance(node.layer, Flatten)
    )
    flops = sum(node.flops for node in nodes)
    expected = 640 * (ARITHMETIC * flops / 1e10 + TRAFFIC * moved / 1e9) + 10 * LAYER_SECONDS * len(nodes)
    assert epoch_seconds(network, 640, MACHINE, batch_size=64) == pytest.approx(expected)


def test_more_of_anything_takes_longer_and_a_faster_machine_less_long() -> None:
    wide = Stage(blocks=(block(filters=32),), downsample="max")
    seconds = epoch_seconds(architecture(small()), 1000, MACHINE)
    assert epoch_seconds(architecture(wide), 1000, MACHINE) > seconds
    assert epoch_seconds(architecture(small(), small()), 1000, MACHINE) > seconds
    assert epoch_seconds(architecture(small()), 2000, MACHINE) > 1.9 * seconds
    assert epoch_seconds(architecture(small()), 1000, MACHINE, batch_size=32) > seconds
    assert epoch_seconds(architecture(small()), 1000, replace(MACHINE, bandwidth=1e10)) < seconds
    assert epoch_seconds(architecture(small()), 1000, replace(MACHINE, flops=1e12)) < seconds


def test_fewer_images_than_a_batch_are_one_step() -> None:
    assert epoch_seconds(architecture(small()), 1, MACHINE) > LAYER_SECONDS

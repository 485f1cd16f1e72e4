"""What an architecture costs, by arithmetic: nothing is built."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

from archsearch.space.architecture import Architecture
from archsearch.space.network import Part, Step, plan


@dataclass(frozen=True)
class Cost:
    """Of one network.

    Attributes:
        parameters: As Keras's `count_params` counts them.
        flops: For one image, forward; `layers.py` states the convention.
        activation_bytes: Of what all layers leave for one image as float32, which training keeps for the backward pass.
    """

    parameters: int
    flops: int
    activation_bytes: int


def cost(architecture: Architecture) -> Cost:
    """Counts `architecture`; raises what `network.plan` raises."""
    return plan_cost(plan(architecture))


def plan_cost(steps: Sequence[Step]) -> Cost:
    """`cost` of the architecture with this plan."""
    parameters, flops, values = 0, 0, prod(steps[0].shape)
    for step in steps:
        for counted in (step.fragment,) if isinstance(step, Part) else (step.shortcut, step.join):
            parameters += counted.parameters
            flops += counted.flops
            values += counted.values
    return Cost(parameters, flops, 4 * values)

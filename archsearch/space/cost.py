"""What an architecture costs, by arithmetic: nothing is built."""

from dataclasses import dataclass

from archsearch.space.architecture import Architecture
from archsearch.space.network import Part, plan


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
    height, width, channels = architecture.task.height, architecture.task.width, architecture.task.channels
    parameters, flops, values = 0, 0, height * width * channels
    for step in plan(architecture):
        for counted in (step.fragment,) if isinstance(step, Part) else (step.shortcut, step.join):
            parameters += counted.parameters
            flops += counted.flops
            values += counted.values
    return Cost(parameters, flops, 4 * values)

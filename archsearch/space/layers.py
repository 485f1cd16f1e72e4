"""The layers that networks are made of: what each does to a shape, and what it costs, by arithmetic.

Shapes are of one image: (height, width, channels), or (units,) after `Flatten`. Windows are padded ("same"), so a
stride or pool of 2 takes a side s to ceil(s / 2).

Every layer has the same four methods, each a function of its inputs' shapes. `shape` is that of its output, or a
ValueError where the inputs do not fit; `parameters` counts as Keras's `count_params` does, moving averages among them;
`flops` are for one image, forward, with one multiply-add as 2, and a comparison, an activation or another elementwise
step as 1 an element; `values` is how many numbers it leaves for the backward pass.
"""

from dataclasses import dataclass
from math import prod
from typing import Literal

Shape = tuple[int, ...]


class _Layer:
    """Free, unless it says otherwise."""

    def shape(self, *inputs: Shape) -> Shape:
        return inputs[0]

    def parameters(self, *inputs: Shape) -> int:
        return 0

    def flops(self, *inputs: Shape) -> int:
        return 0

    def values(self, *inputs: Shape) -> int:
        return prod(self.shape(*inputs))


class _Elementwise(_Layer):
    """Keeps the shape of its first input; one FLOP an element."""

    def flops(self, *inputs: Shape) -> int:
        return prod(inputs[0])


@dataclass(frozen=True)
class Input(_Layer):
    """What a network reads: raw pixels, 0 to 255, of `size` (height, width, channels)."""

    size: Shape

    def shape(self, *inputs: Shape) -> Shape:
        return self.size


@dataclass(frozen=True)
class Rescale(_Elementwise):
    """Pixels 0 to 255 become 0 to 1."""


@dataclass(frozen=True)
class Activation(_Elementwise):
    """Applies `function`, a name Keras knows."""

    function: str


@dataclass(frozen=True)
class Add(_Layer):
    """Sum of two or more equal shapes; all but the first cost one FLOP an element."""

    def shape(self, *inputs: Shape) -> Shape:
        return _fit(len(set(inputs)) == 1, inputs, "equal shapes")[0]

    def flops(self, *inputs: Shape) -> int:
        return (len(inputs) - 1) * prod(inputs[0])


@dataclass(frozen=True)
class Multiply(_Elementwise):
    """Product of (H, W, C) and a gate of (1, 1, C)."""

    def shape(self, *inputs: Shape) -> Shape:
        x, *gates = inputs
        return _fit(len(x) == 3 and gates == [(1, 1, x[-1])], inputs, "(H, W, C) and (1, 1, C)")[0]


@dataclass(frozen=True)
class Concatenate(_Layer):
    """Joins feature maps of equal height and width along their channels; free."""

    def shape(self, *inputs: Shape) -> Shape:
        _fit(len({x[:-1] for x in inputs}) == 1, inputs, "equal heights and widths")
        return (*inputs[0][:-1], sum(x[-1] for x in inputs))


@dataclass(frozen=True)
class Dropout(_Layer):
    """Zeroes a share `rate` of the values in training; free."""

    rate: float


@dataclass(frozen=True)
class DropPath(_Layer):
    """Zeroes all of (H, W, C) for a share `rate` of the images in training, the rest grows by 1 / (1 - rate); free."""

    rate: float

    def shape(self, *inputs: Shape) -> Shape:
        return _picture(inputs)


@dataclass(frozen=True)
class Norm(_Layer):
    """Normalises: `batch` each channel by moving averages, `layer` over channels, `group` over space and channels.

    `batch` is a scale and a shift, 2 FLOPs an element. The others are 8: mean 1, variance 3, normalise 2, scale and
    shift 2.
    """

    kind: Literal["batch", "layer", "group"]

    @staticmethod
    def groups(channels: int) -> int:
        """The largest number of groups, up to 8, that divides `channels`."""
        return max(n for n in range(1, 9) if channels % n == 0)

    def shape(self, *inputs: Shape) -> Shape:
        return _picture(inputs)

    def parameters(self, *inputs: Shape) -> int:
        return (4 if self.kind == "batch" else 2) * inputs[0][-1]

    def flops(self, *inputs: Shape) -> int:
        return (2 if self.kind == "batch" else 8) * prod(inputs[0])


@dataclass(frozen=True)
class Conv(_Layer):
    """Convolution with a `kernel` x `kernel` window.

    Let no `stride` be larger than `kernel`: pixels are lost, and a strided pointwise one of 1 or 3 channels corrupts
    memory in oneDNN (TensorFlow 2.21).
    """

    filters: int
    kernel: int
    stride: int
    bias: bool

    def shape(self, *inputs: Shape) -> Shape:
        return (*_strided(_picture(inputs), self.stride), self.filters)

    def parameters(self, *inputs: Shape) -> int:
        return (self.kernel**2 * inputs[0][-1] + self.bias) * self.filters

    def flops(self, *inputs: Shape) -> int:
        return prod(self.shape(*inputs)) * (2 * self.kernel**2 * inputs[0][-1] + self.bias)


@dataclass(frozen=True)
class Depthwise(_Layer):
    """Convolution of each channel by itself."""

    kernel: int
    stride: int
    bias: bool

    def shape(self, *inputs: Shape) -> Shape:
        return (*_strided(_picture(inputs), self.stride), inputs[0][-1])

    def parameters(self, *inputs: Shape) -> int:
        return (self.kernel**2 + self.bias) * inputs[0][-1]

    def flops(self, *inputs: Shape) -> int:
        return prod(self.shape(*inputs)) * (2 * self.kernel**2 + self.bias)


@dataclass(frozen=True)
class SelfAttention(_Layer):
    """Every place of (H, W, C) looks at every other, in `heads` heads of width `size`.

    With N = H * W places: projections to queries, keys and values, queries scaled (1 a value), N x N products for each
    head, their softmax (5 each: maximum, difference, exponential, sum, quotient), the weighted sum and the projection
    back to C channels; all projections have biases. Queries, keys, values, products, their softmax and the weighted sum
    stay in memory.
    """

    heads: int
    size: int

    def shape(self, *inputs: Shape) -> Shape:
        return _picture(inputs)

    def parameters(self, *inputs: Shape) -> int:
        channels, inner = inputs[0][-1], self.heads * self.size
        return 3 * (channels + 1) * inner + (inner + 1) * channels

    def flops(self, *inputs: Shape) -> int:
        (height, width, channels), inner = inputs[0], self.heads * self.size
        places = height * width
        projections = 3 * inner * (2 * channels + 1) + inner + channels * (2 * inner + 1)
        return places * projections + places**2 * (4 * inner + 5 * self.heads)

    def values(self, *inputs: Shape) -> int:
        height, width, channels = inputs[0]
        places = height * width
        return places * (channels + 4 * self.heads * self.size) + 2 * self.heads * places**2


@dataclass(frozen=True)
class Pool(_Layer):
    """Maximum or average of `window` x `window` pixels, every `stride` pixels; one FLOP a pixel looked at."""

    kind: Literal["max", "average"]
    window: int = 2
    stride: int = 2

    def shape(self, *inputs: Shape) -> Shape:
        return (*_strided(_picture(inputs), self.stride), inputs[0][-1])

    def flops(self, *inputs: Shape) -> int:
        return prod(self.shape(*inputs)) * self.window**2


@dataclass(frozen=True)
class GlobalPool(_Layer):
    """(H, W, C) becomes (1, 1, C); one FLOP an element of the input."""

    kind: Literal["max", "average"]

    def shape(self, *inputs: Shape) -> Shape:
        return (1, 1, _picture(inputs)[-1])

    def flops(self, *inputs: Shape) -> int:
        return prod(inputs[0])


@dataclass(frozen=True)
class Flatten(_Layer):
    """(H, W, C) becomes (H * W * C,); free."""

    def shape(self, *inputs: Shape) -> Shape:
        return (prod(inputs[0]),)


@dataclass(frozen=True)
class Dense(_Layer):
    """(inputs,) becomes (`units`,): a matrix product and a bias."""

    units: int

    def shape(self, *inputs: Shape) -> Shape:
        _fit(len(inputs[0]) == 1, inputs, "(units,)")
        return (self.units,)

    def parameters(self, *inputs: Shape) -> int:
        return (inputs[0][0] + 1) * self.units

    def flops(self, *inputs: Shape) -> int:
        return (2 * inputs[0][0] + 1) * self.units


Layer = (
    Input
    | Rescale
    | Conv
    | Depthwise
    | SelfAttention
    | Norm
    | Activation
    | Pool
    | GlobalPool
    | Flatten
    | Dropout
    | DropPath
    | Add
    | Multiply
    | Concatenate
    | Dense
)

JOINS = (Add, Multiply, Concatenate)
"""The layers that read two nodes or more; all others read one."""


def _strided(x: Shape, stride: int) -> Shape:
    return (-(-x[0] // stride), -(-x[1] // stride))


def _picture(inputs: tuple[Shape, ...]) -> Shape:
    return _fit(len(inputs[0]) == 3, inputs, "(height, width, channels)")[0]


def _fit(fits: bool, inputs: tuple[Shape, ...], expected: str) -> tuple[Shape, ...]:
    if not fits:
        raise ValueError(f"found {' and '.join(map(str, inputs))}, expected {expected}")
    return inputs

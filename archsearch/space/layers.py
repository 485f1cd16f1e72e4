"""The layers that networks are made of: what each does to a shape, and what it costs, by arithmetic.

Shapes are of one image: (height, width, channels), or (units,) after `Flatten`. Windows are padded ("same"), so a
stride or pool of 2 takes a side s to ceil(s / 2).

Every layer has the same three methods: `shape`, `parameters` and `flops`, each a function of its inputs' shapes.
FLOPs are counted forward, for one image, one multiply-add as 2; a comparison, an activation or another elementwise
step is 1 an element. Parameters are counted as Keras's `count_params` does: moving averages are among them.
"""

from dataclasses import dataclass
from math import prod
from typing import Literal

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Input:
    """Raw pixels, 0 to 255."""

    height: int
    width: int
    channels: int

    def shape(self) -> Shape:
        return (self.height, self.width, self.channels)

    def parameters(self) -> int:
        return 0

    def flops(self) -> int:
        return 0


class _Elementwise:
    """Keeps the shape of its first input; one FLOP an element."""

    def shape(self, x: Shape, *others: Shape) -> Shape:
        return x

    def parameters(self, x: Shape, *others: Shape) -> int:
        return 0

    def flops(self, x: Shape, *others: Shape) -> int:
        return prod(x)


@dataclass(frozen=True)
class Rescale(_Elementwise):
    """Pixels 0 to 255 become 0 to 1."""


@dataclass(frozen=True)
class Activation(_Elementwise):
    """Applies `function`, a name Keras knows."""

    function: str


@dataclass(frozen=True)
class Add(_Elementwise):
    """Sum of two equal shapes."""


@dataclass(frozen=True)
class Multiply(_Elementwise):
    """Product of (H, W, C) and a gate of (1, 1, C)."""


@dataclass(frozen=True)
class Dropout(_Elementwise):
    """Zeroes a share `rate` of the values in training; free afterwards."""

    rate: float

    def flops(self, x: Shape, *others: Shape) -> int:
        return 0


@dataclass(frozen=True)
class Norm(_Elementwise):
    """Normalises: `batch` each channel by moving averages, `layer` over channels, `group` over space and channels."""

    kind: Literal["batch", "layer", "group"]

    @staticmethod
    def groups(channels: int) -> int:
        """The largest number of groups, up to 8, that divides `channels`."""
        return max(n for n in range(1, 9) if channels % n == 0)

    def parameters(self, x: Shape, *others: Shape) -> int:
        return (4 if self.kind == "batch" else 2) * x[-1]

    def flops(self, x: Shape, *others: Shape) -> int:
        # Batch: scale and shift. Others: mean 1, variance 3, normalise 2, scale and shift 2.
        return (2 if self.kind == "batch" else 8) * prod(x)


@dataclass(frozen=True)
class Conv:
    """Convolution with a `kernel` x `kernel` window."""

    filters: int
    kernel: int
    stride: int
    bias: bool

    def shape(self, x: Shape) -> Shape:
        return (*_strided(x, self.stride), self.filters)

    def parameters(self, x: Shape) -> int:
        return self.kernel**2 * x[-1] * self.filters + self.bias * self.filters

    def flops(self, x: Shape) -> int:
        return prod(self.shape(x)) * (2 * self.kernel**2 * x[-1] + self.bias)


@dataclass(frozen=True)
class Depthwise:
    """Convolution of each channel by itself."""

    kernel: int
    stride: int
    bias: bool

    def shape(self, x: Shape) -> Shape:
        return (*_strided(x, self.stride), x[-1])

    def parameters(self, x: Shape) -> int:
        return (self.kernel**2 + self.bias) * x[-1]

    def flops(self, x: Shape) -> int:
        return prod(self.shape(x)) * (2 * self.kernel**2 + self.bias)


@dataclass(frozen=True)
class Pool:
    """Halves height and width by the maximum or average of 2 x 2 windows."""

    kind: Literal["max", "average"]

    def shape(self, x: Shape) -> Shape:
        return (*_strided(x, 2), x[-1])

    def parameters(self, x: Shape) -> int:
        return 0

    def flops(self, x: Shape) -> int:
        return prod(self.shape(x)) * 4


@dataclass(frozen=True)
class GlobalPool:
    """(H, W, C) becomes (1, 1, C)."""

    kind: Literal["max", "average"]

    def shape(self, x: Shape) -> Shape:
        return (1, 1, x[-1])

    def parameters(self, x: Shape) -> int:
        return 0

    def flops(self, x: Shape) -> int:
        return prod(x)


@dataclass(frozen=True)
class Flatten:
    """(H, W, C) becomes (H * W * C,)."""

    def shape(self, x: Shape) -> Shape:
        return (prod(x),)

    def parameters(self, x: Shape) -> int:
        return 0

    def flops(self, x: Shape) -> int:
        return 0


@dataclass(frozen=True)
class Concatenate:
    """Joins two feature maps of equal height and width along their channels."""

    def shape(self, x: Shape, y: Shape) -> Shape:
        return (*x[:-1], x[-1] + y[-1])

    def parameters(self, x: Shape, y: Shape) -> int:
        return 0

    def flops(self, x: Shape, y: Shape) -> int:
        return 0


@dataclass(frozen=True)
class Dense:
    """(inputs,) becomes (`units`,): a matrix product and a bias."""

    units: int

    def shape(self, x: Shape) -> Shape:
        return (self.units,)

    def parameters(self, x: Shape) -> int:
        return (x[0] + 1) * self.units

    def flops(self, x: Shape) -> int:
        return (2 * x[0] + 1) * self.units


Layer = (
    Input
    | Rescale
    | Conv
    | Depthwise
    | Norm
    | Activation
    | Pool
    | GlobalPool
    | Flatten
    | Dropout
    | Add
    | Multiply
    | Concatenate
    | Dense
)


def _strided(x: Shape, stride: int) -> Shape:
    return tuple(-(-side // stride) for side in x[:2])

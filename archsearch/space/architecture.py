"""What a model is and how it is trained, fully decided: frozen plain data, JSON both ways.

An `Architecture` is the network, a `Recipe` is its training, a `Candidate` is both: what one trial tries.
Nothing here needs TensorFlow; `network.py` says which layers an architecture stands for.
"""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Activation = Literal["relu", "gelu", "silu", "elu"]
Norm = Literal["batch", "layer", "group", "none"]
Downsample = Literal["max", "average", "stride", "none"]
HeadPool = Literal["flatten", "average", "max"]
Schedule = Literal["constant", "cosine"]

Filters = Annotated[int, Field(ge=1, le=4096)]
Kernel = Annotated[int, Field(ge=1, le=31)]
Count = Annotated[int, Field(ge=1, le=64)]
Fraction = Annotated[float, Field(ge=0.0, lt=1.0)]
LearningRate = Annotated[float, Field(gt=0.0, le=100.0)]


class Part(BaseModel):
    """A frozen piece of a candidate; unknown fields are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Task(Part):
    """What goes in and what comes out: images of (height, width, channels), one of `classes` labels."""

    height: Annotated[int, Field(ge=1)]
    width: Annotated[int, Field(ge=1)]
    channels: Literal[1, 3]
    classes: Annotated[int, Field(ge=2)]


class BlockFields(Part):
    """What every block has: (height, width, any channels) in, (height, width, `filters`) out.

    A block that ends its stage may also halve height and width (`Stage.downsample`).
    """

    filters: Filters
    kernel: Kernel
    activation: Activation
    norm: Norm
    dropout: Fraction


class Conv(BlockFields):
    """One convolution."""

    kind: Literal["conv"] = "conv"


class Residual(BlockFields):
    """Two convolutions added to their input (He et al. 2015, https://arxiv.org/abs/1512.03385)."""

    kind: Literal["residual"] = "residual"


class Separable(BlockFields):
    """A depthwise, then a pointwise convolution (Chollet 2016, https://arxiv.org/abs/1610.02357)."""

    kind: Literal["separable"] = "separable"


class Inverted(BlockFields):
    """Inverted residual: widen by `expansion`, depthwise, narrow (Sandler et al. 2018, https://arxiv.org/abs/1801.04381).

    `squeeze_excite` is the width of the squeeze-excite gate as a share of the block's input channels; 0 is off
    (Hu et al. 2017, https://arxiv.org/abs/1709.01507).
    """

    kind: Literal["inverted"] = "inverted"
    expansion: Annotated[int, Field(ge=1, le=16)] = 4
    squeeze_excite: Annotated[float, Field(ge=0.0, le=1.0)] = 0.0


class DenseBlock(BlockFields):
    """`layers` convolutions of `growth` filters, each fed with all before it, then a pointwise one to `filters`.

    After Huang et al. 2016, https://arxiv.org/abs/1608.06993.
    """

    kind: Literal["dense_block"] = "dense_block"
    layers: Annotated[int, Field(ge=1, le=32)] = 2
    growth: Annotated[int, Field(ge=1, le=512)] = 12


Block = Annotated[Conv | Residual | Separable | Inverted | DenseBlock, Field(discriminator="kind")]


class Stage(Part):
    """Blocks at one resolution, one after the other; the last halves height and width unless `downsample` is none."""

    blocks: tuple[Block, ...]
    downsample: Downsample


class Head(Part):
    """From the last feature map to class scores: pool, a hidden dense layer unless `hidden` is 0, dropout, scores."""

    pool: HeadPool
    hidden: Annotated[int, Field(ge=0, le=65536)]
    activation: Activation
    dropout: Fraction


class Architecture(Part):
    """A network, fully decided: models are built, counted, drawn and compared from this alone."""

    task: Task
    stages: tuple[Stage, ...]
    head: Head


class Augment(Part):
    """The largest random change to a training image, either way; all 0 is no augmentation.

    Attributes:
        rotate: Degrees.
        shift: Fraction of height and of width.
        zoom: Fraction of the size.
        shear: Degrees.
    """

    rotate: Annotated[float, Field(ge=0.0, le=180.0)] = 0.0
    shift: Annotated[float, Field(ge=0.0, le=1.0)] = 0.0
    zoom: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.0
    shear: Annotated[float, Field(ge=0.0, lt=90.0)] = 0.0


class Adam(Part):
    """Adam (Kingma & Ba 2014, https://arxiv.org/abs/1412.6980)."""

    kind: Literal["adam"] = "adam"
    learning_rate: LearningRate = 1e-3


class AdamW(Part):
    """Adam with decoupled weight decay (Loshchilov & Hutter 2017, https://arxiv.org/abs/1711.05101)."""

    kind: Literal["adamw"] = "adamw"
    learning_rate: LearningRate = 1e-3
    weight_decay: Annotated[float, Field(ge=0.0, le=1.0)] = 0.004


class SGD(Part):
    """Stochastic gradient descent with Nesterov momentum."""

    kind: Literal["sgd"] = "sgd"
    learning_rate: LearningRate = 0.1
    momentum: Fraction = 0.9


Optimizer = Annotated[Adam | AdamW | SGD, Field(discriminator="kind")]


class Recipe(Part):
    """How a network is trained. `epochs` counts passes over the training images of one fold."""

    augment: Augment
    optimizer: Optimizer
    schedule: Schedule
    batch_size: Annotated[int, Field(ge=1, le=65536)]
    epochs: Annotated[int, Field(ge=1, le=10000)]


class Candidate(Part):
    """What one trial tries: a network and its training."""

    architecture: Architecture
    recipe: Recipe

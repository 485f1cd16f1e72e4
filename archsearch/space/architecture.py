"""What a model is and how it is trained, fully decided: frozen plain data, JSON both ways.

An `Architecture` is the network, a `Recipe` is its training, a `Candidate` is both: what one trial tries.
Nothing here needs TensorFlow; `network.py` says which layers an architecture stands for.
"""

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

Activation = Literal["relu", "gelu", "silu", "elu", "tanh"]
Norm = Literal["batch", "layer", "group", "none"]
Downsample = Literal["max", "average", "stride", "conv", "none"]
Skip = Literal["none", "add", "concatenate"]
Join = Literal["sum", "concatenate"]
CellOperation = Literal["conv", "separable", "max", "average", "identity"]
HeadPool = Literal["flatten", "average", "max"]
Schedule = Literal["constant", "cosine"]
ClassWeights = Literal["none", "balanced"]

Filters = Annotated[int, Field(ge=1, le=4096)]
Kernel = Annotated[int, Field(ge=1, le=31)]
Count = Annotated[int, Field(ge=1, le=64)]
Fraction = Annotated[float, Field(ge=0.0, lt=1.0)]
LearningRate = Annotated[float, Field(gt=0.0, le=100.0)]
WeightDecay = Annotated[float, Field(ge=0.0, le=1.0)]
Heads = Annotated[int, Field(ge=0, le=16)]
Share = Annotated[float, Field(ge=0.0, le=1.0)]


class Part(BaseModel):
    """A frozen piece of a candidate; unknown fields are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Task(Part):
    """What goes in and what comes out: images of (height, width, channels), one of `classes` labels."""

    height: Annotated[int, Field(ge=1)]
    width: Annotated[int, Field(ge=1)]
    channels: Literal[1, 3]
    classes: Annotated[int, Field(ge=2)]


def code_reference(text: str) -> str:
    """Makes sure that `text` names something in Python code: `module:name` or `folder/file.py:name`."""
    if not re.fullmatch(r"([\w./\\-]+\.py|[A-Za-z_]\w*(\.[A-Za-z_]\w*)*):[A-Za-z_]\w*", text):
        raise ValueError(f"found '{text}', expected 'module:name' or 'file.py:name'")
    return text


class BlockFields(Part):
    """What every block has: (height, width, any channels) in, (height, width, `filters`) out.

    A block that ends its stage may also halve height and width (`Stage.downsample`).
    """

    filters: Filters
    kernel: Kernel
    activation: Activation
    norm: Norm
    dropout: Fraction


class Gated(BlockFields):
    """A block that can weigh its channels.

    Attributes:
        squeeze_excite: Width of the gate as a share of the block's input channels; 0 is off (Hu et al. 2017,
            https://arxiv.org/abs/1709.01507).
    """

    squeeze_excite: Share = 0.0


class Shortcut(Gated):
    """A block that is added to its own input.

    Attributes:
        drop_path: Share of images that skip the block in a training step; 0 is off (stochastic depth,
            Huang et al. 2016, https://arxiv.org/abs/1603.09382).
    """

    drop_path: Fraction = 0.0


class Conv(Gated):
    """One convolution."""

    kind: Literal["conv"] = "conv"


class Residual(Shortcut):
    """Two convolutions added to their input (He et al. 2015, https://arxiv.org/abs/1512.03385)."""

    kind: Literal["residual"] = "residual"


class Separable(Gated):
    """A depthwise, then a pointwise convolution (Chollet 2016, https://arxiv.org/abs/1610.02357)."""

    kind: Literal["separable"] = "separable"


class Inverted(Shortcut):
    """Inverted residual: widen, depthwise, narrow (Sandler et al. 2018, https://arxiv.org/abs/1801.04381).

    Attributes:
        expansion: How many times as wide as its input the block is in the middle.
    """

    kind: Literal["inverted"] = "inverted"
    expansion: Annotated[int, Field(ge=1, le=16)] = 4


class ConvNeXt(Shortcut):
    """Depthwise, norm, widen, narrow, added to the input (Liu et al. 2022, https://arxiv.org/abs/2201.03545).

    Attributes:
        expansion: How many times as wide as its input the block is in the middle.
    """

    kind: Literal["convnext"] = "convnext"
    expansion: Annotated[int, Field(ge=1, le=16)] = 4


class DenseBlock(BlockFields):
    """Convolutions, each fed with all before it, then a pointwise one (Huang et al. 2016, https://arxiv.org/abs/1608.06993).

    Attributes:
        layers: Convolutions before the pointwise one.
        growth: Filters of each of them; the pointwise one has the block's.
    """

    kind: Literal["dense_block"] = "dense_block"
    layers: Annotated[int, Field(ge=1, le=32)] = 2
    growth: Annotated[int, Field(ge=1, le=512)] = 12


class CellNode(Part):
    """A node of a cell.

    Attributes:
        inputs: One or two earlier features, ascending: 0 is the cell's input, n the n-th node's output.
        operation: What is done with them; convolutions have the block's kernel, pools 3 x 3 windows and stride 1.
    """

    inputs: Annotated[tuple[int, ...], Field(min_length=1, max_length=2)]
    operation: CellOperation


class Cell(BlockFields):
    """A small graph (Zoph et al. 2017, https://arxiv.org/abs/1707.07012).

    Its nodes read earlier features, joined by `join`; so are, at the end, the features that no node has read.
    """

    kind: Literal["cell"] = "cell"
    nodes: Annotated[tuple[CellNode, ...], Field(min_length=1, max_length=8)]
    join: Join = "sum"

    @model_validator(mode="after")
    def _check_inputs(self) -> "Cell":
        for number, node in enumerate(self.nodes):
            if list(node.inputs) != sorted(set(node.inputs)) or not 0 <= node.inputs[0] <= node.inputs[-1] <= number:
                raise ValueError(
                    f"node {number + 1} reads {node.inputs}; expected ascending numbers from 0 to {number}"
                )
        return self


class Custom(BlockFields):
    """A block that a user's function makes of the layers in `layers.py`; `code.py` says how it is written.

    Attributes:
        code: `module:function`, or `file.py:function`.
        options: What the function is told beside the fields of every block.
    """

    kind: Literal["custom"] = "custom"
    code: Annotated[str, AfterValidator(code_reference)]
    options: dict[str, bool | int | float | str] = {}


Block = Annotated[
    Conv | Residual | Separable | Inverted | ConvNeXt | DenseBlock | Cell | Custom, Field(discriminator="kind")
]


class Stage(Part):
    """Blocks at one resolution, one after the other.

    Attributes:
        blocks: The last one halves height and width, unless `downsample` is `none`. With `conv`, a strided convolution
            of 2 x 2 windows behind a norm does it (Liu et al. 2022).
        attention: Heads of self-attention over all places, added behind the blocks; 0 is off (Vaswani et al. 2017,
            https://arxiv.org/abs/1706.03762).
        skip: How the stage's input, brought to its output's shape, joins its output.
    """

    blocks: Annotated[tuple[Block, ...], Field(min_length=1)]
    downsample: Downsample
    attention: Heads = 0
    skip: Skip = "none"


class Head(Part):
    """From the last feature map to class scores: pool, a hidden dense layer unless `hidden` is 0, dropout, scores.

    Attributes:
        pool: How the map becomes a vector: all of it, or each channel's mean or maximum.
        hidden: Units of a dense layer before the scores; 0 is none.
        activation: Of the hidden layer.
        dropout: Share of values that are zeroed in training, before the scores.
    """

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
        flip: Probability that an image is mirrored left to right.
        cutout: Side of a square that is blacked out, as a fraction of the image's (DeVries & Taylor 2017,
            https://arxiv.org/abs/1708.04552).
        erase: Probability that a random rectangle is filled with noise (Zhong et al. 2017,
            https://arxiv.org/abs/1708.04896).
        mixup: Alpha of the Beta distribution by which pairs of images are blended (Zhang et al. 2017,
            https://arxiv.org/abs/1710.09412).
    """

    rotate: Annotated[float, Field(ge=0.0, le=180.0)] = 0.0
    shift: Annotated[float, Field(ge=0.0, le=1.0)] = 0.0
    zoom: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.0
    shear: Annotated[float, Field(ge=0.0, lt=90.0)] = 0.0
    flip: Annotated[float, Field(ge=0.0, le=0.5)] = 0.0
    cutout: Fraction = 0.0
    erase: Share = 0.0
    mixup: Annotated[float, Field(ge=0.0, le=4.0)] = 0.0


class Adam(Part):
    """Adam (Kingma & Ba 2014, https://arxiv.org/abs/1412.6980).

    Attributes:
        learning_rate: At the height of the schedule.
    """

    kind: Literal["adam"] = "adam"
    learning_rate: LearningRate = 1e-3


class AdamW(Part):
    """Adam with decoupled weight decay (Loshchilov & Hutter 2017, https://arxiv.org/abs/1711.05101).

    Attributes:
        learning_rate: At the height of the schedule.
        weight_decay: Share of each weight, times the learning rate, that a step takes away.
    """

    kind: Literal["adamw"] = "adamw"
    learning_rate: LearningRate = 1e-3
    weight_decay: WeightDecay = 0.004


class SGD(Part):
    """Stochastic gradient descent with Nesterov momentum; weight decay is decoupled from the gradient.

    Attributes:
        learning_rate: At the height of the schedule.
        momentum: Share of the last step that the next one keeps.
        weight_decay: Share of each weight, times the learning rate, that a step takes away.
    """

    kind: Literal["sgd"] = "sgd"
    learning_rate: LearningRate = 0.1
    momentum: Fraction = 0.9
    weight_decay: WeightDecay = 0.0


class Lion(Part):
    """Steps of the momentum's sign, decoupled weight decay (Chen et al. 2023, https://arxiv.org/abs/2302.06675).

    Attributes:
        learning_rate: At the height of the schedule.
        weight_decay: Share of each weight, times the learning rate, that a step takes away.
    """

    kind: Literal["lion"] = "lion"
    learning_rate: LearningRate = 3e-4
    weight_decay: WeightDecay = 0.0


Optimizer = Annotated[Adam | AdamW | SGD | Lion, Field(discriminator="kind")]


class Recipe(Part):
    """How a network is trained.

    Attributes:
        augment: Random changes to the training images.
        optimizer: With its learning rate at the height of the schedule.
        schedule: Of the learning rate, over all epochs of a fold.
        warmup: Share of all steps in which the learning rate rises from 0, before the schedule begins.
        label_smoothing: Share of each label that is spread over all classes (Szegedy et al. 2015,
            https://arxiv.org/abs/1512.00567).
        class_weights: `balanced` gives each class the same weight in the loss, however many images it has.
        batch_size: Images a step.
        epochs: Passes over the training images of one fold; half a pass is 0.5.
    """

    augment: Augment
    optimizer: Optimizer
    schedule: Schedule
    warmup: Annotated[float, Field(ge=0.0, le=0.5)] = 0.0
    label_smoothing: Fraction = 0.0
    class_weights: ClassWeights = "none"
    batch_size: Annotated[int, Field(ge=1, le=65536)]
    epochs: Annotated[float, Field(gt=0, le=10000)]


class Candidate(Part):
    """What one trial tries: a network and its training."""

    architecture: Architecture
    recipe: Recipe

    def trained_for(self, epochs: float) -> "Candidate":
        """The same with a recipe of so many `epochs`."""
        return self.model_copy(update={"recipe": self.recipe.model_copy(update={"epochs": epochs})})

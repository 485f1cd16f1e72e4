"""Small search spaces on the built-in digits."""

SMALL = """\
name: small
stages:
  - repeat: {int: [1, 2]}
    block: {choice: [conv, separable]}
    filters: {choice: [4, 8]}
    downsample: max
training:
  optimizer: {choice: {adam: {learning_rate: {float: [3.0e-3, 3.0e-2], log: true}}}}
  batch_size: 64
  epochs: 2
baseline:
  stages.0.repeat: 1
  stages.0.filters: 4
  training.optimizer.adam.learning_rate: 1.0e-2
"""

TWO_CANDIDATES = """\
name: two
stages: [{filters: {choice: [2, 4]}, downsample: max}]
training: {batch_size: 128, epochs: 1}
"""

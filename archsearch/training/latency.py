"""How long a network takes for one image once it is shipped: measured through LiteRT, as phones run it."""

import contextlib
import io
import time
from statistics import median

import keras
import numpy as np
import tensorflow as tf
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

WARM_UP = 5
SECONDS = 0.3
"""Of measuring."""


def converted(model: keras.Model) -> bytes:
    """A LiteRT file that takes one image (1, H, W, C) float32 and answers as `model` does."""
    # Converted as it is called by default, layers that only train would be in it; and weights that are not constants
    # are read anew each time, without the values that they have here.
    function = tf.function(lambda pixels: model(pixels, training=False), autograph=False)
    concrete = function.get_concrete_function(tf.TensorSpec((1, *model.input_shape[1:]), tf.float32))
    with contextlib.redirect_stdout(io.StringIO()):
        converter = tf.lite.TFLiteConverter.from_concrete_functions([convert_variables_to_constants_v2(concrete)])
        return bytes(converter.convert())


def latency(model: keras.Model) -> float:
    """Seconds that `model` takes for one image on one thread: the median of many runs.

    Args:
        model: From raw pixels (N, H, W, C) to class probabilities; its weights do not matter.
    """
    from ai_edge_litert.interpreter import Interpreter  # an extra

    shape = (1, *model.input_shape[1:])
    interpreter = Interpreter(model_content=converted(model), num_threads=1)
    interpreter.allocate_tensors()
    where = interpreter.get_input_details()[0]["index"]
    interpreter.set_tensor(where, np.zeros(shape, np.float32))
    for _ in range(WARM_UP):
        interpreter.invoke()
    times: list[float] = []
    end = time.perf_counter() + SECONDS
    while not times or time.perf_counter() < end:
        # Processor time: other workers are busy meanwhile.
        started = time.process_time()
        interpreter.invoke()
        times.append(time.process_time() - started)
    return median(times)

"""How long a network takes for one image once it is shipped: measured through LiteRT, as phones run it."""

import contextlib
import io
import time
from statistics import median

import keras
import numpy as np
import tensorflow as tf

WARM_UP = 5
SECONDS = 0.3
"""Of measuring."""


def latency(model: keras.Model) -> float:
    """Seconds that `model` takes for one image on one thread: the median of many runs.

    Args:
        model: From raw pixels (N, H, W, C) to class probabilities; its weights do not matter.
    """
    from ai_edge_litert.interpreter import Interpreter  # an extra

    shape = (1, *model.input_shape[1:])
    # Converted as it is called by default, layers that only train would be in it.
    function = tf.function(lambda pixels: model(pixels, training=False), autograph=False)
    concrete = function.get_concrete_function(tf.TensorSpec(shape, tf.float32))
    with contextlib.redirect_stdout(io.StringIO()):
        content = tf.lite.TFLiteConverter.from_concrete_functions([concrete], model).convert()
    interpreter = Interpreter(model_content=content, num_threads=1)
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

import numpy as np
import pytest
from candidates import architecture

from archsearch.model.build import build
from archsearch.training.latency import converted, latency

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("export")]


def test_what_is_timed_is_the_network_with_its_weights() -> None:
    from ai_edge_litert.interpreter import Interpreter

    model = build(architecture(side=8, hidden=16))
    interpreter = Interpreter(model_content=converted(model))
    image = np.random.default_rng(0).uniform(0, 255, (1, 8, 8, 1)).astype(np.float32)
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], image)
    interpreter.invoke()
    found = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])
    assert found == pytest.approx(model.predict(image, verbose=0), abs=1e-5)


def test_it_is_some_time() -> None:
    assert latency(build(architecture(side=8))) > 0

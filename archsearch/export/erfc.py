"""Teaches tf2onnx TensorFlow's Erfc, which GELU is made of and which it has no translation for: 1 - Erf."""

from typing import Any

import numpy as np
from tf2onnx.handler import tf_op


@tf_op("Erfc")
class Erfc:
    """The complementary error function, from ONNX's Erf (opset 9)."""

    @classmethod
    def version_9(cls, graph: Any, node: Any, **context: Any) -> None:
        """Puts the two nodes where the one was."""
        (source,), outputs = node.input, node.output
        shapes, types = node.output_shapes, node.output_dtypes
        graph.remove_node(node.name)
        erf = graph.make_node("Erf", [source]).output[0]
        one = graph.make_const(f"{node.name}/one", np.array(1.0, np.float32)).output[0]
        graph.make_node("Sub", [one, erf], name=node.name, outputs=outputs, shapes=shapes, dtypes=types)

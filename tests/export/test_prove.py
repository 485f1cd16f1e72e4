import numpy as np
import pytest

from archsearch.export.prove import object_to, object_to_resizing
from archsearch.search.certificate import Certificate

ANSWERS = np.full((1000, 4), 0.25, np.float32)


def certificate(**changes: object) -> Certificate:
    fields: dict[str, object] = {
        "format": "onnx",
        "numbers": "float32",
        "file": "model.onnx",
        "bytes": 1,
        "images": 1000,
        "agreement": 1.0,
        "lost": 0.0,
        "largest_difference": 1e-6,
        "accuracy": 0.99,
        "keras_accuracy": 0.99,
        "load_seconds": 0.1,
        "latency": 1e-4,
        "latency_95": 1e-4,
        "peak_memory": None,
        "runtime": "onnxruntime 1.32",
    }
    return Certificate.model_validate(fields | changes)


@pytest.mark.parametrize(
    ("changes", "objection"),
    [
        ({}, ""),
        ({"largest_difference": 1.01e-4}, "differs from predict by up to 0.0001 "),
        ({"agreement": 0.999}, "names the same class for 99.90% of 1,000 images"),
        ({"numbers": "float16", "agreement": 0.9, "largest_difference": 0.3, "lost": 0.002}, ""),
        (
            {"numbers": "float16", "lost": 0.003},
            "0.30% of 1,000 images wrong that predict names right (at most 0.20%",
        ),
        ({"numbers": "int8", "lost": 0.01}, ""),
        (
            {"numbers": "int8", "lost": 0.011, "accuracy": 0.99},
            "with int8 weights the exported model names 1.10% of 1,000 images",
        ),
        ({"numbers": "dynamic", "accuracy": None, "lost": 0.02}, "names 2.00% of 1,000 images"),
        ({"numbers": "float16", "images": 100, "lost": 0.01}, ""),  # one image
    ],
)
def test_what_counts_against_a_file(changes: dict[str, object], objection: str) -> None:
    found = object_to(certificate(**changes), ANSWERS)
    assert objection in found
    assert bool(found) == bool(objection)


def test_numbers_that_are_none() -> None:
    broken = ANSWERS.copy()
    broken[3, 1] = np.nan
    assert "NaN" in object_to(certificate(), broken)


def test_resizing_may_round_and_no_more() -> None:
    expected = np.random.default_rng(0).dirichlet((1, 1, 1), 200).astype(np.float32)
    assert object_to_resizing(expected + 0.01, expected) == ""
    assert "differs from TensorFlow by up to" in object_to_resizing(expected + 0.1, expected)
    assert "names the same class for" in object_to_resizing(expected[::-1], expected)

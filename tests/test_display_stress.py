"""What the terminal shows of a stress test, as text."""

from io import StringIO

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from archsearch.display_stress import stress_view
from archsearch.stress.measure import stress


def never_sure(images: NDArray[np.uint8]) -> NDArray[np.float32]:
    return np.tile(np.array([[0.6, 0.4]], np.float32), (len(images), 1))


def test_the_tables_and_sentences_fit_a_terminal() -> None:
    labels = np.array([0] * 30 + [1] * 10, np.int32)
    images = np.random.default_rng(0).integers(0, 256, (40, 12, 12, 3), np.uint8)
    report = stress(never_sure, images, labels, ["[bold]cat", "dog"], 0)
    console = Console(width=100, file=StringIO())
    with console.capture() as capture:
        console.print(stress_view(report))
    lines = [line.rstrip() for line in capture.get().splitlines()]
    rotation = next(number for number, line in enumerate(lines) if line.startswith("rotation"))
    assert lines[rotation].split() == ["rotation", *["75.0"] * 6, "60.0"]
    assert lines[rotation + 1].split() == ["5°", "10°", "20°", "30°", "45°"]
    assert any(line.split() == ["noise", "60.0", "%", "0.0", "%", "[bold]cat"] for line in lines)
    assert any(line.startswith("dog") and "shift: 0.0 %" in line for line in lines)
    assert "Stroke width is left out: these are no line drawings." in lines

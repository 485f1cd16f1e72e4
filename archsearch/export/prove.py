"""Compares an exported file with the Keras model it was made from: what differs does not count."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray

from archsearch.errors import ExportError
from archsearch.export.measure import Measured
from archsearch.export.own_code import OwnCode
from archsearch.export.runtimes import Pixels, Probabilities
from archsearch.files import scratch
from archsearch.search.certificate import Certificate
from archsearch.training.environment import NO_GPU, ONE_THREAD, TENSORFLOW, environment

TOLERANCE = 1e-4
"""Largest difference of any probability that a file with whole numbers may show."""
MOST_RESIZED, LEAST_RESIZED = 0.05, 0.95
"""Most difference of any probability, and least agreement, on images that a file has resized."""
MOST_LOST = {"float16": 0.002, "dynamic": 0.01, "int8": 0.01}
"""Share of the images that a file with rounded weights may name wrong and `predict` right, or one image."""


@dataclass(frozen=True)
class Probe:
    """What a file is asked for, and what the Keras model says to it.

    Attributes:
        images: (N, H, W, C) uint8.
        expected: `predict`'s probabilities, (N, classes) float32.
        labels: (N,) int, or None if the classes are not known.
        odd: For a file that resizes, images of another size and what the model says to them as TensorFlow resizes them.
    """

    images: Pixels
    expected: Probabilities
    labels: NDArray[np.int32] | None
    odd: tuple[Pixels, Probabilities] | None = None


def prove(path: Path, format: str, numbers: str, probe: Probe, code: OwnCode | None = None) -> Certificate:
    """Asks a file in a process of its own and compares.

    Args:
        path: The file, or the folder of a SavedModel.
        format: A name in `FORMATS`.
        numbers: How it keeps weights.
        probe: What to ask, and the right answers.
        code: Of layers of a user's own.

    Raises:
        ExportError: It cannot be loaded, or its answers differ by more than they may.
    """
    asked = {"images": probe.images} | ({"odd": probe.odd[0]} if probe.odd else {})
    measured, found = _ask(path, format, asked, code)
    answers = found["images"]
    certificate = Certificate(
        format=format,
        numbers=numbers,
        file=path.name,
        bytes=_size(path),
        images=len(probe.images),
        agreement=float((answers.argmax(1) == probe.expected.argmax(1)).mean()),
        lost=_lost(answers, probe),
        largest_difference=float(np.abs(answers - probe.expected).max()),
        accuracy=_accuracy(answers, probe.labels),
        keras_accuracy=_accuracy(probe.expected, probe.labels),
        load_seconds=measured.load_seconds,
        latency=measured.latency,
        latency_95=measured.latency_95,
        peak_memory=measured.peak_memory,
        runtime=measured.runtime,
    )
    objection = object_to(certificate, answers)
    if not objection and probe.odd:
        objection = object_to_resizing(found["odd"], probe.odd[1])
    if objection:
        raise ExportError(f"{format}: {objection}; it was not kept")
    return certificate


def object_to(certificate: Certificate, answers: Probabilities) -> str:
    """Why a file does not count, as the rest of a sentence; empty if it does."""
    if not np.isfinite(answers).all():
        return "the exported model gives numbers that are none (NaN or infinite)"
    agreement = f"names the same class for {certificate.agreement:.2%} of {certificate.images:,} images"
    if certificate.numbers not in MOST_LOST:
        if certificate.largest_difference > TOLERANCE or certificate.agreement < 1.0:
            return (
                f"the exported model differs from predict by up to {certificate.largest_difference:.2g} "
                f"(at most {TOLERANCE:.0e} is accepted) and {agreement}"
            )
        return ""
    most = max(MOST_LOST[certificate.numbers], 1.001 / certificate.images)
    if certificate.lost < most + 1e-9:
        return ""
    return (
        f"with {certificate.numbers} weights the exported model names {certificate.lost:.2%} of "
        f"{certificate.images:,} images wrong that predict names right (at most {most:.2%} is accepted), "
        f"and {agreement}"
    )


def object_to_resizing(answers: Probabilities, expected: Probabilities) -> str:
    """The same, of images that the file has resized: one grey value may be rounded the other way."""
    difference = float(np.abs(answers - expected).max())
    agreement = float((answers.argmax(1) == expected.argmax(1)).mean())
    if difference <= MOST_RESIZED and agreement >= LEAST_RESIZED:
        return ""
    return (
        f"of images of another size, the exported model differs from TensorFlow by up to {difference:.2g} and names "
        f"the same class for {agreement:.2%}"
    )


def _lost(answers: Probabilities, probe: Probe) -> float:
    """Share of the images that `predict` names right and the file wrong; without labels, that it names otherwise."""
    same = answers.argmax(1) == probe.expected.argmax(1)
    counted = True if probe.labels is None else probe.expected.argmax(1) == probe.labels
    return float((counted & ~same).mean())


def _ask(
    path: Path, format: str, asked: dict[str, Any], code: OwnCode | None
) -> tuple[Measured, dict[str, Probabilities]]:
    with TemporaryDirectory(dir=scratch()) as folder, environment(TENSORFLOW | ONE_THREAD):
        images, answers = Path(folder, "images.npz"), Path(folder, "answers.npz")
        np.savez(images, **asked)
        own = [str(code.folder), code.reference] if code else []
        # Without -P a file of the current folder could take the place of any module. In a session of its own it is not
        # interrupted on its own, which would look as if the file were at fault.
        words = [sys.executable, "-P", "-m", "archsearch.export.measure", str(path), str(images), str(answers), *own]
        # All runtimes are timed on a CPU.
        done = subprocess.run(words, capture_output=True, text=True, start_new_session=True, env=os.environ | NO_GPU)
        if done.returncode:
            reason = (done.stderr.strip().splitlines() or [f"it ended with {done.returncode}"])[-1]
            raise ExportError(f"{format}: the exported model cannot be used in its own runtime: {reason}")
        return Measured(**json.loads(done.stdout.splitlines()[-1])), dict(np.load(answers))


def _accuracy(answers: Probabilities, labels: NDArray[np.int32] | None) -> float | None:
    return None if labels is None else float((answers.argmax(1) == labels).mean())


def _size(path: Path) -> int:
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(file.stat().st_size for file in files if file.is_file())

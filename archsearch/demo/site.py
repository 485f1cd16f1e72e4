"""Writes the page: a folder of static files that any web server can host."""

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from archsearch.demo.layers import read, show_layers
from archsearch.demo.preparation import Pixels, learn
from archsearch.demo.threshold import calibrate
from archsearch.errors import InputError
from archsearch.export.description import from_json
from archsearch.files import whole_folder

HERE = Path(__file__).parent
ABOUT = "demo.json"
KIND = "archsearch demo"
PARTS = {"index.html", "page", "vendor", "examples", "model.onnx", ABOUT}
"""All that a page's folder holds."""
EXAMPLES = 12
"""Most training images that the page offers to try."""


def write_site(
    model: Path,
    images: Pixels,
    labels: NDArray[np.integer],
    probabilities: NDArray[np.float32],
    truth: NDArray[np.integer],
    out: Path,
) -> None:
    """Writes the page of a model; `out` appears when all is there, in place of an earlier page if there is one.

    The page holds up to twelve of the training images, as examples of what the model knows.

    Args:
        model: An exported ONNX file that says of itself what its classes are.
        images: (N, H, W, C) uint8, what it was trained on, to see how drawings were prepared.
        labels: (N,) their classes.
        probabilities: (M, classes) float32, its answers to images that it was not trained on.
        truth: (M,) the right classes of those.
        out: Folder to make.

    Raises:
        InputError: `model` is no such file, or `out` holds anything else than an earlier page.
    """
    require_ours(out)
    network = read(model)
    said = {entry.key: entry.value for entry in network.metadata_props}.get("description")
    if said is None:
        raise InputError(f"{model}: does not say what its classes are; expected a file that archsearch exported")
    description = from_json(said)
    preparation = learn(images)
    examples = _examples(labels)
    about = {
        "kind": KIND,
        "name": description.study,
        "classes": description.classes,
        "shape": images.shape[1:],
        "trained_on": len(images),
        "preparation": asdict(preparation) if preparation else None,
        "threshold": asdict(calibrate(probabilities, truth)),
        "layers": show_layers(network),
        "examples": [description.classes[labels[index]] for index in examples],
    }
    out = out.resolve()
    with _writing(out), whole_folder(out) as beside:
        for part in ("page", "vendor"):
            (beside / part).mkdir()
            for file in (HERE / part).iterdir():
                if file.name != "README.md":
                    shutil.copy(file, beside / part)
        (beside / "page" / "index.html").rename(beside / "index.html")
        (beside / "examples").mkdir()
        for number, index in enumerate(examples):
            Image.fromarray(images[index].squeeze()).save(beside / "examples" / f"{number}.png")
        (beside / "model.onnx").write_bytes(network.SerializeToString())
        (beside / ABOUT).write_text(json.dumps(about))
        if out.exists():
            shutil.rmtree(out)


@contextmanager
def _writing(out: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise InputError(f"{out}: cannot be written: {error.strerror or error}; name another folder") from error


def require_ours(out: Path) -> None:
    """Raises InputError if `out` cannot be a page's folder: it holds what this module did not write, or is in use."""
    if out.resolve() == Path.cwd():
        raise InputError(f"{out}: is the current folder, which cannot be replaced; name a new one")
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return
    try:
        ours = json.loads((out / ABOUT).read_text()).get("kind") == KIND
        strange = sorted({path.name for path in out.iterdir()} - PARTS)
    except (OSError, ValueError, AttributeError):
        ours, strange = False, []
    if not ours or strange:
        what = f"'{strange[0]}' beside a page" if strange else "something else than an earlier page"
        raise InputError(f"{out}: holds {what}; name a new or empty folder")


def _examples(labels: NDArray[np.integer]) -> list[int]:
    """The first image of each class; of some classes, evenly, if there are too many."""
    first = np.unique(labels, return_index=True)[1]
    chosen = np.linspace(0, len(first) - 1, min(EXAMPLES, len(first))).round().astype(int)
    return [int(index) for index in first[chosen]]

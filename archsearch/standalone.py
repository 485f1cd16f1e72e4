"""What is done with a model file that belongs to no study."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from archsearch.data.sources import load_data
from archsearch.errors import InputError
from archsearch.report.stress import StressReport
from archsearch.training.environment import TENSORFLOW, environment, stderr_to

if TYPE_CHECKING:
    from archsearch.search.certificate import Certificate


def export_file(file: Path, formats: Sequence[str], out: Path, numbers: str, data: str | None) -> "list[Certificate]":
    """Exports a `.keras` file that belongs to no study; see `archsearch.export.exporter`.

    Args:
        file: From raw pixels to class probabilities.
        formats: Names in `FORMATS`; none is all that can be written.
        out: Folder for the files.
        numbers: How weights are kept.
        data: The data source it is compared on; None is random pixels.

    Raises:
        InputError: It is no such file, or int8 is wanted without data.
    """
    if numbers == "int8" and data is None:
        raise InputError(f"{file}: int8 learns its ranges from images; name some with --data")
    with environment(TENSORFLOW), stderr_to(os.devnull):
        from archsearch.export.exporter import export
        from archsearch.export.source import of_file

        source = of_file(file, load_data(data) if data else None)
    return export(source, formats, out, numbers)


def stress_model(model: Path, data: str | None) -> tuple[StressReport, str]:
    """Tests an exported model on the test images of a data source, or on all its images if it has no test set.

    Returns:
        What was found, and on which images, in words.

    Raises:
        InputError: It is no model, no data is named, or they do not fit together.
    """
    from archsearch.export.runtimes import load
    from archsearch.export.source import fitting
    from archsearch.stress.measure import stress

    if data is None:
        raise InputError("stress: found no --data; expected the data that the model was made for, such as --data mnist")
    loaded = load(model)
    source = load_data(data, loaded.description.size)
    fitting(model, loaded.description, source)
    images = source.test or source.train
    of = "its test images" if source.test else "all its images, since it has no test set: the model may have seen them"
    return stress(loaded.predict, images.images, images.labels, loaded.description.classes, seed=0), f"{data}: {of}"

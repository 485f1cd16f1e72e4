"""What was proven of exported files: plain data, in `export.json` beside them."""

from pathlib import Path

from pydantic import BaseModel, ConfigDict

from archsearch.search.folder import read_plain

RECORD = "export.json"


class _Data(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Certificate(_Data):
    """What one file did in its own runtime, in a process without the training code, on one thread.

    Attributes:
        format: `keras`, `saved_model`, `onnx` or `litert`.
        numbers: How it keeps weights: `float32`, `float16`, `int8` or `dynamic`.
        file: Its name, or that of its folder, in exports/.
        bytes: Its size, or that of the folder's content.
        images: How many it was asked for.
        agreement: Share of them for which it names the same class as `predict` of the Keras model, 0 to 1.
        lost: Share of them that `predict` names right and the file wrong, 0 to 1; without known classes, that it names
            otherwise.
        largest_difference: Of any probability from `predict`'s.
        accuracy: Share of the images that it names right; None if their classes are not known.
        keras_accuracy: The same of `predict`.
        load_seconds: From asking for it until it can be asked, its runtime's own start not counted.
        latency: Median seconds for one image.
        latency_95: 95th percentile of the same.
        peak_memory: Most memory of the process with one image at a time, Python and the runtime included, in bytes;
            None where the system does not tell.
        runtime: What it was asked in, with its version.
    """

    format: str
    numbers: str
    file: str
    bytes: int
    images: int
    agreement: float
    lost: float
    largest_difference: float
    accuracy: float | None
    keras_accuracy: float | None
    load_seconds: float
    latency: float
    latency_95: float
    peak_memory: int | None
    runtime: str


class Exports(_Data):
    """All that lies in exports/.

    Attributes:
        study: Name of the study; empty for a file from elsewhere.
        trial: Number of the trial; None likewise.
        classes: In the order of the outputs.
        takes: The pixels in words.
        asked: Which images it was asked for, in words.
        made: When, ISO 8601 with time zone.
        files: One certificate a file.
    """

    study: str
    trial: int | None
    classes: tuple[str, ...]
    takes: str
    asked: str
    made: str
    files: tuple[Certificate, ...]


def read_exports(folder: Path) -> Exports | None:
    """What was proven of the files in a folder; None if nothing was. Raises StudyError if its record is damaged."""
    return read_plain(Exports, folder / RECORD) if (folder / RECORD).is_file() else None

"""A trained model → files in other formats, each proven before it counts, and `export.json` beside them."""

import os
import shutil
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from difflib import get_close_matches
from errno import ENOSPC
from pathlib import Path

import keras
import numpy as np

from archsearch.errors import ExportError, InputError, StudyError, first_line
from archsearch.export.formats import FORMATS, NUMBERS, WHOLE, Format, Order, missing
from archsearch.export.graph import PROBABILITIES, serving
from archsearch.export.own_code import known
from archsearch.export.prove import Probe, prove
from archsearch.export.runtimes import read_keras
from archsearch.export.source import Source
from archsearch.files import naming, sync, write_whole
from archsearch.search.certificate import RECORD, Certificate, Exports, read_exports
from archsearch.training.environment import all_of_float32, stderr_to

ODD = 100
"""Images of another size that a file is asked for if it resizes."""


def chosen(formats: Sequence[str], numbers: str) -> list[str]:
    """The formats that are meant: those that are named, or all that can be written with such weights.

    Raises:
        InputError: One is unknown, cannot keep its weights so, or something has to be installed for it.
    """
    if numbers not in NUMBERS:
        raise InputError(f"quantize: found '{numbers}', expected one of {', '.join(NUMBERS[1:])}")
    if not formats:
        every = [name for name, kind in FORMATS.items() if numbers in kind.numbers]
        if not (there := [name for name in every if not missing(name)]):
            raise InputError("; or ".join(map(missing, every)))
        return there
    for name in formats:
        if name not in FORMATS:
            raise InputError(f"format: found '{name}', expected one of {', '.join(FORMATS)}{_meant(name)}")
        if numbers not in FORMATS[name].numbers:
            able = " or ".join(other for other, kind in FORMATS.items() if numbers in kind.numbers)
            raise InputError(
                f"format: {name} keeps its weights as they are, so it cannot be {numbers}; expected {able}"
            )
        if needs := missing(name):
            raise InputError(needs)
    return list(dict.fromkeys(formats))


def export(source: Source, formats: Sequence[str], out: Path, numbers: str = WHOLE) -> list[Certificate]:
    """Writes a saved model in other formats and proves that each gives the same answers.

    Args:
        source: What to export.
        formats: Names in `FORMATS`; none is all that can be written.
        out: Folder for the files; made if it is not there. What is already there under the same name is replaced once
            the new one is proven.
        numbers: How weights are kept: `float32`, `float16`, `int8` or `dynamic`.

    Returns:
        One certificate a file that was written.

    Raises:
        InputError: A format is unknown or cannot be written so, the model cannot be loaded, or `out` holds files of
            another one.
        ExportError: A file's answers differ by more than they may (`prove`). Those before it are kept.
    """
    names = chosen(formats, numbers)
    _require_same(out, source)
    with known(source.code):
        model = read_keras(source.file)
        probe = _probe(model, source)
        out.mkdir(parents=True, exist_ok=True)
        made = []
        for name in names:
            made.append(_export_one(FORMATS[name], name, model, source, probe, out, numbers))
            _record(out, source, made[-1])
    return made


def _export_one(
    kind: Format, name: str, model: keras.Model, source: Source, probe: Probe, out: Path, numbers: str
) -> Certificate:
    path = out / kind.file_name(numbers)
    # In a folder of its own, so that the file has its name when it is proven.
    beside = out / f".{name}.tmp"
    _remove(beside)
    written = beside / path.name
    description = kind.described(source.description, numbers)
    if description.size is None:
        probe = replace(probe, odd=None)
    try:
        with naming(path):
            beside.mkdir()
            _write(kind, name, Order(model, description, written, numbers, source.calibration))
        certificate = prove(written, name, numbers, probe, source.code if name == "keras" else None)
        sync(beside)
        if path.is_dir():
            shutil.rmtree(path)
        written.replace(path)
    finally:
        _remove(beside)
    return certificate


def _probe(model: keras.Model, source: Source) -> Probe:
    with all_of_float32():
        expected = np.asarray(model.predict(source.images, verbose=0), np.float32)
        if source.description.size is None:
            return Probe(source.images, expected, source.labels)
        odd = source.images[:ODD].repeat(2, axis=1).repeat(3, axis=2)[:, 1:, :-2]
        resized = serving(model, source.description)(odd)[PROBABILITIES]
        return Probe(source.images, expected, source.labels, (odd, np.asarray(resized, np.float32)))


def _write(kind: Format, name: str, order: Order) -> None:
    try:
        with stderr_to(os.devnull):  # where converters talk to their makers
            kind.write(order)
    except OSError:
        raise
    except Exception as error:  # converters raise anything on an operation that they do not know
        if os.strerror(ENOSPC) in str(error):
            raise OSError(ENOSPC, os.strerror(ENOSPC)) from error
        raise ExportError(f"{name}: the model cannot be written: {first_line(error)}") from error


def _require_same(out: Path, source: Source) -> None:
    before = _before(out)
    if before and (before.study, before.trial) != (source.description.study, source.description.trial):
        whose = f"trial {before.trial} of {before.study}" if before.study else "another model"
        raise InputError(f"{out}: holds files of {whose}; choose another --out")


def _before(out: Path) -> Exports | None:
    try:
        return read_exports(out)
    except StudyError:  # damaged: it is written anew, with what is proven from now on
        return None


def _record(out: Path, source: Source, made: Certificate) -> None:
    """Adds a file to those in `export.json`, in place of an earlier one of its name."""
    before = _before(out)
    others = [one for one in before.files if one.file != made.file] if before else []
    described = source.description
    exports = Exports(
        study=described.study,
        trial=described.trial,
        classes=described.classes,
        takes=described.takes,
        asked=source.asked,
        made=datetime.now(UTC).isoformat(timespec="seconds"),
        files=tuple(sorted([*others, made], key=_place)),
    )
    write_whole(out / RECORD, exports.model_dump_json(indent=2))


def _meant(name: str) -> str:
    if "," in name:
        return "; several are separated by spaces"
    by_suffix = [other for other, kind in FORMATS.items() if kind.suffix == f".{name}"]
    close = by_suffix or get_close_matches(name, FORMATS, 1)
    return f"; did you mean '{close[0]}'?" if close else ""


def _place(made: Certificate) -> tuple[int, int]:
    """In the order of the formats, and of each the whole one first."""
    return list(FORMATS).index(made.format), NUMBERS.index(made.numbers)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)

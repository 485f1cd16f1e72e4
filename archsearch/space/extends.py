"""`extends: base.yaml`: a space file that says only what it changes in another one.

Sections are laid over each other field by field; a field is replaced as a whole, however it is written. `stages` may be
a mapping from an index to the fields of that entry; the index after the last adds an entry. Nothing (`augment: null`)
takes out what the base says.
"""

from copy import deepcopy
from dataclasses import replace
from pathlib import Path as FilePath
from typing import Any

import yaml

from archsearch.errors import Problem, SpaceError
from archsearch.space.source import (
    MAX_FILE,
    Path,
    Source,
    in_file_order,
    is_plain_text,
    nearest,
    parse_source,
    shown,
    too_long,
)

EXTENDS = "extends"
MAX_BASES = 16
"""Files that extend each other, one below the other."""


def read_source(path: str | FilePath) -> Source:
    """Reads a space file and all that it extends.

    Raises:
        SpaceError: One of them cannot be read or is not YAML, or they extend each other in a circle.
    """
    return _with_base(_read(str(path)), ())


def parse_whole(text: str, file: str) -> Source:
    """`text` as if it stood in `file`, and all that it extends; raises as `read_source`."""
    return _with_base(parse_source(text, file), ())


def self_contained(source: Source) -> str:
    """One file that says the same: `source` as it was written, or, where it extends others, all of them together."""
    if len(source.texts) == 1:
        return source.texts[source.file]
    header = f"# {source.file}, together with what it extends: {', '.join(list(source.texts)[1:])}\n"
    data = yaml.dump(source.data, Dumper=_Dumper, sort_keys=False, allow_unicode=True, default_flow_style=None)
    return header + data


class _Dumper(yaml.SafeDumper):
    """Writes what `parse_source` reads back: no aliases, and quotes where it would see anything but text."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


_Dumper.add_representer(
    str,
    lambda dumper, text: dumper.represent_scalar(
        "tag:yaml.org,2002:str", text, style=None if is_plain_text(text) else "'"
    ),
)


# Reading --------------------------------------------------------------------------------------------------------------


def _read(file: str) -> Source:
    try:
        with FilePath(file).open("rb") as opened:
            content = opened.read(MAX_FILE + 1)
        if len(content) > MAX_FILE:
            raise too_long(file)
        text = content.decode("utf-8-sig")
    except (OSError, ValueError) as error:
        if isinstance(error, UnicodeDecodeError):
            line, why = content.count(b"\n", 0, error.start) + 1, "not UTF-8 text"
        else:
            line, why = 1, (getattr(error, "strerror", None) or str(error)).lower()
        raise SpaceError([Problem(file, line, 1, "", f"{why}; expected a search space, a YAML file")]) from error
    return parse_source(text, file)


def _with_base(source: Source, above: tuple[FilePath, ...]) -> Source:
    """`source` laid over what it extends; `above` are the files that extend it."""
    if not isinstance(source.data, dict) or EXTENDS not in source.data:
        return source
    try:
        if (EXTENDS,) in source.spoilt:
            raise SpaceError([])
        name, here = source.data[EXTENDS], FilePath(source.file)
        above = (*above, here.resolve())
        if why := _unusable(name, here.parent, above):
            raise SpaceError([source.problem((EXTENDS,), why)])
        base = _with_base(_read(str(here.parent / name)), above)
        if not isinstance(base.data, dict):
            raise SpaceError([*base.problems, base.problem((), f"found {shown(base.data)}, expected a search space")])
    except SpaceError as error:
        raise SpaceError(in_file_order([*source.problems, *error.problems])) from None
    return _Overlay(base, source).result()


def _unusable(name: Any, folder: FilePath, above: tuple[FilePath, ...]) -> str | None:
    """Why `name` cannot be extended, or None."""
    if not isinstance(name, str) or not name or "\0" in name:
        return f"found {shown(name)}, expected the path of a space file, seen from this one"
    path = (folder / name).resolve()
    if path in above:
        around = " → ".join(file.name for file in (*above[above.index(path) :], path))
        return f"files extend each other in a circle: {around}"
    if len(above) > MAX_BASES:
        return f"{MAX_BASES} files extend each other already; expected at most so many"
    if not path.is_file():
        there = {file.stem: file.name for file in path.parent.glob("*.yaml") if file not in above}
        near = nearest(path.stem, there)
        hint = f"did you mean '{there[near]}'?" if near else "expected the path of a space file, seen from this one"
        return f"found '{name}', and there is no such file; {hint}"
    return None


# Laying over ----------------------------------------------------------------------------------------------------------


class _Overlay:
    """A file laid over its base; the marks of what is replaced give way to those of what replaces it."""

    def __init__(self, base: Source, over: Source) -> None:
        self._over = over
        self._merged = replace(
            base,
            file=over.file,
            texts=over.texts | base.texts,
            data=deepcopy(base.data),
            values=dict(base.values),
            keys=dict(base.keys),
            problems=[*over.problems, *base.problems],
            spoilt=set(base.spoilt),
        )

    def result(self) -> Source:
        self._lay((), (), levels=1)
        return self._merged

    def _lay(self, target: Path, origin: Path, levels: int) -> None:
        """Lays the mapping at `origin` over the one at `target`, and those in it down to `levels` below."""
        below, above = _at(self._merged.data, target), _at(self._over.data, origin)
        self._merged.values[target] = self._over.values[origin]
        for key, value in above.items():
            to, whence = (*target, key), (*origin, key)
            if whence == (EXTENDS,):
                continue
            if value is None and key in below and whence not in self._over.spoilt:
                self._forget(to)
                del below[key]
            elif to == ("stages",) and isinstance(value, dict) and isinstance(below.get(key), list):
                self._entries(value)
            elif levels and isinstance(value, dict) and isinstance(below.get(key), dict):
                self._lay(to, whence, levels - 1)
            else:
                below[key] = value
                self._take(to, whence)

    def _entries(self, entries: dict[str, Any]) -> None:
        """Lays entries of `stages`, by their index, over those of the base."""
        below = self._merged.data["stages"]
        for key, entry in entries.items():
            origin: Path = ("stages", key)
            index = int(key) if key.isascii() and key.isdigit() and len(key) < 4 else -1
            if not 0 <= index <= len(below):
                there = f"the base has {len(below)} entries, expected an index from 0 to {len(below)}"
                what = f"found '{key}'; {there}, where {len(below)} adds one"
                self._merged.problems.append(self._over.problem(origin, what, at_key=True, name="stages"))
            elif index < len(below) and isinstance(entry, dict) and isinstance(below[index], dict):
                self._lay(("stages", index), origin, levels=0)
            else:
                below[index:] = [entry, *below[index + 1 :]]
                self._take(("stages", index), origin)

    def _take(self, target: Path, origin: Path) -> None:
        """Replaces the marks below `target` by those of the upper file below `origin`."""
        self._forget(target)
        merged, over, size = self._merged, self._over, len(origin)
        merged.values.update({(*target, *p[size:]): mark for p, mark in over.values.items() if p[:size] == origin})
        merged.keys.update({(*target, *p[size:]): mark for p, mark in over.keys.items() if p[:size] == origin})
        merged.spoilt.update((*target, *p[size:]) for p in over.spoilt if p[:size] == origin)

    def _forget(self, path: Path) -> None:
        for marks in (self._merged.values, self._merged.keys):
            for inside in [p for p in marks if p[: len(path)] == path]:
                del marks[inside]
        self._merged.spoilt.difference_update({p for p in self._merged.spoilt if p[: len(path)] == path})


def _at(data: Any, path: Path) -> Any:
    for step in path:
        data = data[step]
    return data

"""From a space file to a `Space`, or to everything that is wrong with it.

`repair.py` finds what is wrong with the file itself; here follows what is wrong with what it says: code that is not
trusted, a baseline outside the space, images that become too small. `check.py` adds what only candidates can show.
"""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from importlib import import_module
from pathlib import Path as FilePath
from typing import Any

from archsearch.errors import InputError
from archsearch.space.architecture import Task
from archsearch.space.code import load_code, trust
from archsearch.space.corners import halvings, possible, settings
from archsearch.space.extends import parse_whole, read_source, self_contained
from archsearch.space.names import named
from archsearch.space.repair import Draft
from archsearch.space.schema import CustomSection, SpaceFile, walk
from archsearch.space.source import Path, Source, did_you_mean
from archsearch.space.values import (
    Choice,
    FloatRange,
    Formula,
    IntRange,
    Options,
    Scalar,
    Section,
    Varying,
    options_of,
    varies,
)

MOST_STAGES, MOST_BLOCKS = 256, 64 * 64
"""Of a candidate, copies included. More take minutes to draw, to count, and to check."""


@dataclass(frozen=True)
class Space:
    """A search space that has passed every check.

    Attributes:
        schema: What the file says.
        source: The file, and where in it everything stands.
    """

    schema: SpaceFile
    source: Source

    @property
    def name(self) -> str:
        """As the file has it."""
        return self.schema.name

    @property
    def file(self) -> str:
        """Path as the user wrote it."""
        return self.source.file

    @property
    def text(self) -> str:
        """All of it as one file, whatever it extends."""
        return self_contained(self.source)

    @property
    def limits(self) -> dict[str, int]:
        """What a candidate may cost: `parameters` and `flops`, those that are limited."""
        return {name: limit for name, limit in self.schema.limits if limit is not None}

    @property
    def most_epochs(self) -> int | None:
        """The most epochs that a candidate can train for; None if they are left for a search to plan."""
        epochs = self.schema.training.epochs
        return None if epochs is None else max(possible(self.schema, epochs))

    @property
    def code(self) -> list[str]:
        """The Python code that the file names, each once."""
        kinds = (value.sections.get("custom") for _, value in walk(self.schema) if isinstance(value, Options))
        return list(dict.fromkeys(custom.code for custom in kinds if isinstance(custom, CustomSection)))

    def hypermodel(self, task: Task) -> Any:
        """This space as a `keras_tuner.HyperModel` for images of `task`; see `interop.kerastuner.hypermodel`."""
        # Imported by name: the only thing that looks down from here, for the user's comfort.
        return import_module("archsearch.interop.kerastuner").hypermodel(self, task)

    @cached_property
    def hash(self) -> str:
        """Sixteen hexadecimal digits of what the file means: comments, layout and description do not count."""
        meaning = _plain(dict(self.schema) | {"description": ""})
        return hashlib.sha256(json.dumps(meaning).encode()).hexdigest()[:16]

    @cached_property
    def parameters(self) -> dict[str, Varying]:
        """Everything that may be drawn, by its name in a study, in the order of the language."""
        return {
            name: drawn
            for path, value in walk(self.schema)
            for _, name, drawn in named(self.schema, path, value)
            if varies(drawn)
        }

    @cached_property
    def baseline(self) -> dict[str, Scalar]:
        """The values that the file gives for its baseline, by the name of the parameter."""
        found: dict[str, Scalar] = {}
        for key, value in sorted(self.schema.baseline.items(), key=lambda item: item[0] in self.parameters):
            found |= {name: self.parameters[name].take(value) for name in self.keys_of_baseline[key]}
        return found

    @cached_property
    def keys_of_baseline(self) -> dict[str, list[str]]:
        """The parameters that each key of a baseline stands for: its own, or those of all copies or nodes."""
        short = {name: [name] for name in self.parameters}
        for path, value in walk(self.schema):
            for key, name, drawn in named(self.schema, path, value):
                if varies(drawn) and key != name:
                    short.setdefault(key, []).append(name)
        return short


def load_space(path: str | FilePath, trust_code: bool = False) -> Space:
    """Reads a space file and all that it extends.

    Args:
        path: Of the file.
        trust_code: Whether Python code that the file names may be run; it is looked for beside the file.

    Raises:
        SpaceError: The file cannot be read, or is not a usable space; every problem at once.
    """
    return usable(draft_space(read_source(path), trust_code))


def parse_space(text: str, file: str = "<text>") -> Space:
    """Reads a space from `text`; problems are said to be in `file`.

    Raises:
        SpaceError: `text` is not a usable space; every problem at once.
    """
    return usable(draft_space(parse_whole(text, file)))


def draft_space(source: Source, trust_code: bool = False) -> Draft:
    """What is wrong with a file, and what is left of it without that.

    Raises:
        SpaceError: It is so wrong that nothing is left.
    """
    draft = Draft(source)
    _check_blocks(draft)
    _check_code(draft, trust_code)
    _check_baseline(draft)
    return draft


def usable(draft: Draft) -> Space:
    """The space, if nothing is wrong with it; raises SpaceError otherwise."""
    if draft.problems:
        raise draft.error()
    return Space(draft.schema, draft.source)


# Meaning --------------------------------------------------------------------------------------------------------------


def _plain(node: Any) -> Any:
    """`node` as JSON, one way only, however it was written."""
    match node:
        case Section():
            return _plain(dict(node))
        case dict():
            return {key: _plain(item) for key, item in node.items()}
        case tuple():
            return [_plain(item) for item in node]
        case Formula(expression=expression):
            return expression.text
        case Options(sections=sections):
            return {"choice": _plain(sections)}
        case Choice(options=options):
            return {"choice": _plain(options)}
        case IntRange(ends=ends, step=step, log=log):
            return {"int": _plain(ends), "step": step, "log": log}
        case FloatRange(ends=ends, log=log):
            return {"float": _plain(ends), "log": log}
    return node


# What may be wrong ----------------------------------------------------------------------------------------------------


def check_size(draft: Draft, task: Task) -> None:
    """Notes if a candidate may halve a side of the image that is down to one pixel."""
    entries = enumerate(draft.schema.stages)
    fields = ((i, name, getattr(entry, name)) for i, entry in entries for name in ("repeat", "depth", "downsample"))
    if all(draft.sound(("stages", i, name), value) for i, name, value in fields) and (
        found := _too_small(draft.schema, task)
    ):
        index, message = found
        draft.complain(("stages", index, "downsample"), message)


def _too_small(schema: SpaceFile, task: Task) -> tuple[int, str] | None:
    """The first entry of `stages` that may halve a side of one pixel, and what to say about it.

    Pooling and strides pad, so that a side of s pixels becomes one of ceil(s / 2).
    """
    allowed = (min(task.height, task.width) - 1).bit_length()
    for index, most in halvings(schema):
        if most > allowed:
            return index, (
                f"images of {task.height}x{task.width} can be halved {_times(allowed)}, and up to here a candidate "
                f"may do it {_times(most)}; expected fewer copies (repeat) or 'downsample: none'"
            )
    return None


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"


def _check_blocks(draft: Draft) -> None:
    """Raises SpaceError if a candidate may have so many blocks that nothing else can be checked."""
    stages = blocks = 0
    for index, entry in enumerate(draft.schema.stages):
        copies = max(possible(draft.schema, entry.repeat))
        path: Path = ("stages", index, "depth")
        given = settings(draft.schema, path, entry.depth) if isinstance(entry.depth, Formula) else [{}]
        stages += copies
        blocks += copies * max((depth for names in given for depth in options_of(entry.depth, names)), default=1)
        for field, found, most in (("repeat", stages, MOST_STAGES), ("depth", blocks, MOST_BLOCKS)):
            if found > most:
                what = "stages" if field == "repeat" else "blocks"
                message = f"up to here a candidate may have {found:,} {what}, expected at most {most:,}"
                draft.complain(("stages", index, field), message)
                raise draft.error()


def _check_code(draft: Draft, trust_code: bool) -> None:
    """Notes Python code that is not trusted, or cannot be loaded."""
    if trust_code:
        trust(FilePath(draft.source.file).parent)
    for path, value in walk(draft.schema):
        if not isinstance(value, Options) or not isinstance(custom := value.sections.get("custom"), CustomSection):
            continue
        place = (*path, *value.inside, "custom")
        if not trust_code:
            what = f"names the Python code '{custom.code}', which can do anything; expected --trust-code to run it"
        else:
            try:
                load_code(custom.code)
                continue
            except InputError as error:
                what = str(error)
        draft.complain(place, what)
        draft.remove(place)


def _check_baseline(draft: Draft) -> None:
    """Notes keys of the baseline that speak of nothing that varies, or with a value that it cannot have."""
    space = Space(draft.schema, draft.source)
    short = space.keys_of_baseline
    fixed = {
        name
        for path, value in walk(space.schema)
        if not varies(value)
        for names in named(space.schema, path, value)
        for name in names[:2]
    }
    for key, found in space.schema.baseline.items():
        path: Path = ("baseline", key)
        if draft.speaks_of_cut(key, found):
            pass
        elif key in short:
            try:
                space.parameters[short[key][0]].take(found)
                continue
            except ValueError as error:
                draft.complain(path, str(error))
        elif key in fixed:
            draft.complain(path, f"does not vary in this space; {_instead(draft.source, path)}")
        else:
            draft.complain(path, f"unknown parameter '{key}'{_meant(key, short)}", at_key=True)
        draft.remove(path)


def _meant(key: str, known: Iterable[str]) -> str:
    """The end of a sentence: the parameter that `key` was probably meant to be, whole or by its last part."""
    last = key.removeprefix("let.")
    whole = next((name for name in known if name == last or name.endswith(f".{last}")), None)
    return (
        f"; did you mean '{whole}'?"
        if whole
        else did_you_mean(key, known) or ("; expected the path of something that varies")
    )


def _instead(source: Source, path: Path) -> str:
    """What to do about a key of the baseline, which may stand in a file that this one extends."""
    if source.values[path].file == source.file:
        return "expected the name of something that does"
    return f"expected 'baseline: {{{path[-1]}: null}}' in {FilePath(source.file).name}, which takes it out"

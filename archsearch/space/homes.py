"""Where a key belongs that stands in the wrong place of a space file."""

from collections.abc import Mapping, Sequence
from functools import cache
from itertools import chain
from typing import Any, get_args

from archsearch.space.architecture import Block, Optimizer
from archsearch.space.explain import WAY_KEYS
from archsearch.space.names import plain_name
from archsearch.space.schema import OPTIONS_OF, AugmentSection, SpaceFile, StageEntry
from archsearch.space.source import Path, listed, written

KIND_FIELDS = {"stages": "block", "training": "optimizer"}
"""By the section that holds it, the field that takes a kind with options of its own."""


def _kinds(union: Any) -> tuple[str, ...]:
    return tuple(part.model_fields["kind"].default for part in get_args(get_args(union)[0]))


_KINDS = {"block": _kinds(Block), "optimizer": _kinds(Optimizer)}


def kinds_of(path: Path) -> tuple[str, ...]:
    """The kinds that the field at `path`, or around it, takes: none but for blocks and optimizers."""
    field = [step for step in path if isinstance(step, str) and step not in WAY_KEYS][-1:]
    return _KINDS.get(field[0], ()) if field else ()


@cache
def _sections() -> dict[str, tuple[str, ...]]:
    """The fields of each section, by its name."""
    sections = {
        name: tuple(type(info.get_default()).model_fields)
        for name, info in SpaceFile.model_fields.items()
        if name in ("head", "training", "limits")
    }
    return {"stages": tuple(StageEntry.model_fields), "augment": tuple(AugmentSection.model_fields), **sections}


def home(path: Path, name: str, value: Any, parent: Mapping[str, Any]) -> str | None:
    """`it belongs in 'training': write 'training: {epochs: 5}'`; None for a name that nothing has.

    Args:
        path: Of the mapping that the key stands in.
        name: The key.
        value: What stands behind it.
        parent: The mapping.
    """
    if not _may_be_value(name, value):
        return None
    section = str(path[0]) if path else ""
    kind = _kind_at(path)
    if kinds := OPTIONS_OF.get(name):
        field = "optimizer" if set(kinds) <= set(_KINDS["optimizer"]) else "block"
        if kind and KIND_FIELDS.get(section) == field:
            return f"{kind} has no such option, {listed(kinds, 'and')} {'has' if len(kinds) == 1 else 'have'}"
        around = parent if path[-1:] == (field,) else parent.get(field)
        right = {field: _with_option(around, kinds, name, value)}
        if path[-1:] != (field,) and KIND_FIELDS.get(section) != field:
            right = _in_section("training" if field == "optimizer" else "stages", right)
        return f"it is an option of {listed(kinds, 'and')}: write '{_bare(right)}'"
    if name in kinds_of(path) and isinstance(names := parent.get("choice"), list):
        options = {**{str(each): {} for each in names}, name: value}
        return f"it belongs in the choice: write '{_bare({'choice': options})}'"
    sections = [each for each, fields in _sections().items() if name in fields]
    if kind and section in sections and section in KIND_FIELDS:
        return f"it belongs beside '{KIND_FIELDS[section]}', not in it"
    if sections:
        right = _in_section(sections[0], {name: value})
        return f"it belongs in {listed([repr(each) for each in sections])}: write '{_bare(right)}'"
    return f"it belongs at the top of the file, not in '{plain_name(path)}'" if name in SpaceFile.model_fields else None


def _may_be_value(name: str, value: Any) -> bool:
    """Whether the field `name` can hold `value`: `parameters` and `layers` are also sections of other tools' files."""
    if isinstance(value, list):
        return name in SpaceFile.model_fields or not any(isinstance(item, dict | list) for item in value)
    takes_mapping = {"options", *_KINDS, *chain(*_KINDS.values()), *SpaceFile.model_fields}
    return not isinstance(value, dict) or name in takes_mapping or any(way in value for way in WAY_KEYS)


def _kind_at(path: Path) -> str | None:
    """The kind whose options the mapping at `path` holds: `conv` for stages.0.block.choice.conv."""
    name = plain_name(path).split(".")
    return name[-1] if len(name) > 2 and name[-2] in KIND_FIELDS.values() else None


def _with_option(written: Any, kinds: Sequence[str], name: str, value: Any) -> dict[str, Any]:
    """What to write for a block or an optimizer that is `written` so far and shall have the option `name`."""
    names = [written] if isinstance(written, str) else []
    if isinstance(written, dict) and isinstance(written.get("choice"), list):
        names = [each for each in written["choice"] if isinstance(each, str)]
    if not set(names) & set(kinds):
        return {kinds[0]: {name: value}}
    options = {each: {name: value} if each in kinds else {} for each in names}
    return options if len(options) == 1 else {"choice": options}


def _in_section(section: str, fields: dict[str, Any]) -> dict[str, Any]:
    return {section: [fields] if section == "stages" else fields}


def _bare(fields: dict[str, Any]) -> str:
    return ", ".join(f"{key}: {written(value)}" for key, value in fields.items())

import json
from typing import Any

import pytest
from pydantic import ValidationError

from archsearch.space.architecture import DenseBlock, Inverted
from archsearch.space.expression import ExpressionError
from archsearch.space.schema import SpaceFile, StageEntry
from archsearch.space.values import Choice, FloatRange, Formula, IntRange, Options


def stage(**fields: Any) -> StageEntry:
    return StageEntry.model_validate({"filters": 8, **fields})


def field(name: str, written: object) -> Any:
    return getattr(stage(**{name: written}), name)


def test_fixed_values() -> None:
    assert field("kernel", 5) == 5
    assert field("activation", "gelu") == "gelu"
    assert isinstance(field("dropout", 0), float)


def test_choices() -> None:
    kernel, activation = field("kernel", {"choice": [3, 5]}), field("activation", {"choice": ["relu", "gelu"]})
    assert isinstance(kernel, Choice)
    assert (kernel.options, activation.options) == ((3, 5), ("relu", "gelu"))
    assert [type(option) for option in field("dropout", {"choice": [0, 0.5]}).options] == [float, float]


def test_options_keep_the_order_of_the_file_and_the_defaults_of_their_class() -> None:
    block = field("block", {"choice": {"inverted": {"expansion": 2}, "dense_block": {}, "conv": {}}})
    assert isinstance(block, Options)
    assert block.options == ("inverted", "dense_block", "conv")
    assert dict(block.sections["inverted"]) == {
        "expansion": 2,
        **{name: Inverted.model_fields[name].default for name in ("squeeze_excite", "drop_path")},
    }
    assert dict(block.sections["dense_block"]) == {
        name: DenseBlock.model_fields[name].default for name in ("layers", "growth")
    }
    assert dict(block.sections["conv"]) == {"squeeze_excite": 0.0}


@pytest.mark.parametrize(
    ("name", "written", "kind", "ends", "how"),
    [
        ("filters", {"int": [8, 64]}, IntRange, (8, 64), {"step": 1, "log": False}),
        ("filters", {"int": [8, 64], "log": True}, IntRange, (8, 64), {"step": 1, "log": True}),
        ("depth", {"int": [1, 7], "step": 2}, IntRange, (1, 7), {"step": 2, "log": False}),
        ("dropout", {"float": [0, 0.5]}, FloatRange, (0.0, 0.5), {"log": False}),
        ("dropout", {"float": [0.1, 0.5], "log": True}, FloatRange, (0.1, 0.5), {"log": True}),
    ],
)
def test_ranges(name: str, written: object, kind: type, ends: object, how: dict[str, object]) -> None:
    value = field(name, written)
    assert isinstance(value, kind)
    assert vars(value) == {"ends": ends, **how}


def test_expressions_give_values_of_the_fields_type() -> None:
    entry = stage(filters="= width / 2", dropout="= 0")
    assert isinstance(entry.filters, Formula)
    assert isinstance(entry.dropout, Formula)
    filters, dropout = entry.filters.value({"width": 16}), entry.dropout.value({})
    assert (filters, dropout) == (8, 0.0)
    assert (type(filters), type(dropout)) == (int, float)


@pytest.mark.parametrize(
    ("width", "message"),
    [
        (15, "'= width / 2' gives 7.5 for width=15, expected a whole number (round(…) makes one)"),
        (0, "'= width / 2' gives 0.0 for width=0, expected at least 1"),
        (10_000, "'= width / 2' gives 5000.0 for width=10000, expected at most 4096"),
    ],
)
def test_an_expression_stays_in_its_field(width: int, message: str) -> None:
    filters = stage(filters="= width / 2").filters
    assert isinstance(filters, Formula)
    with pytest.raises(ExpressionError) as caught:
        filters.value({"width": width})
    assert str(caught.value) == message


def test_taking_a_value() -> None:
    assert field("kernel", {"choice": [3, 5]}).take(5.0) == 5
    assert field("kernel", {"int": [2, 8], "step": 3}).take(5) == 5
    assert field("dropout", {"float": [0, 0.5]}).take(0) == 0.0


@pytest.mark.parametrize(
    ("name", "written", "found"),
    [
        ("kernel", {"choice": [3, 5]}, 4),
        ("kernel", {"int": [2, 8], "step": 3}, 4),
        ("kernel", {"int": [2, 8]}, 9),
        ("kernel", {"int": [2, 8]}, 3.0),
        ("dropout", {"float": [0, 0.5]}, 0.6),
        ("dropout", {"float": [0, 0.5]}, "half"),
        ("block", {"choice": {"conv": {}, "residual": {}}}, "separable"),
    ],
)
def test_what_is_not_taken(name: str, written: object, found: object) -> None:
    with pytest.raises(ValueError, match="expected"):
        field(name, written).take(found)


def test_defaults() -> None:
    space = SpaceFile.model_validate({"name": "a", "stages": [{"filters": 8}]})
    assert dict(space.stages[0]) == {
        "repeat": 1,
        "share": False,
        "depth": 1,
        "block": "conv",
        "filters": 8,
        "kernel": 3,
        "activation": "relu",
        "norm": "batch",
        "downsample": "none",
        "dropout": 0.0,
        "attention": 0,
        "skip": "none",
    }
    assert dict(space.head) == {"pool": "average", "hidden": 0, "activation": "relu", "dropout": 0.0}
    assert dict(space.training) == {
        "optimizer": "adam",
        "schedule": "cosine",
        "warmup": 0.0,
        "label_smoothing": 0.0,
        "class_weights": "none",
        "batch_size": 128,
        "epochs": None,
    }
    assert dict(space.limits) == {"parameters": None, "flops": None}
    assert space.augment is None
    assert (space.description, space.let, space.baseline) == ("", {}, {})


@pytest.mark.parametrize(("written", "limit"), [(300, 300), ("20M", 20_000_000), ("1.5k", 1500), ("2K", 2000)])
def test_limits(written: object, limit: int) -> None:
    data = {"name": "a", "stages": [{"filters": 8}], "limits": {"flops": written}}
    assert SpaceFile.model_validate(data).limits.flops == limit


def test_spaces_are_frozen() -> None:
    with pytest.raises(ValidationError):
        stage().__setattr__("kernel", 5)


def test_json_schema_for_editors() -> None:
    schema = SpaceFile.model_json_schema()
    assert schema["required"] == ["name", "stages"]
    kernel = schema["$defs"]["StageEntry"]["properties"]["kernel"]["oneOf"]
    assert kernel[0] == {"type": "integer", "minimum": 1, "maximum": 31}
    assert kernel[-1] == {"type": "string", "pattern": "^="}
    assert '"dense_block"' in json.dumps(schema)

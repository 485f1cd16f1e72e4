"""Random files that the language allows: each is a space, and what is drawn from it is built as it was counted."""

import json
import random
from typing import Any

import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from archsearch.model.build import build
from archsearch.space.architecture import Candidate, Task
from archsearch.space.cost import cost
from archsearch.space.load import parse_space
from archsearch.space.network import digest, network_hash
from archsearch.space.sample import FixedChooser, RandomChooser, RecordingChooser, sample

Written = st.SearchStrategy[Any]


def names(*options: str) -> Written:
    some = st.lists(st.sampled_from(options), min_size=1, max_size=3, unique=True)
    return st.sampled_from(options) | some.map(lambda chosen: {"choice": chosen})


def whole(low: int, high: int, *expressions: str) -> Written:
    number = st.integers(low, high)
    some = st.lists(number, min_size=1, max_size=3, unique=True)
    span = st.lists(number, min_size=2, max_size=2, unique=True).map(sorted)
    ways = [number, some.map(lambda chosen: {"choice": chosen}), span.map(lambda ends: {"int": ends})]
    return st.one_of(*ways, *map(st.just, expressions))


def real(low: float, high: float, *expressions: str) -> Written:
    number = st.sampled_from([low, (low + high) / 2, high])
    ways = [number, st.just({"float": [low, high]}), st.just({"choice": [low, high]})]
    return st.one_of(*ways, *map(st.just, expressions))


GATE = {"squeeze_excite": real(0.0, 0.5)}
PATH = GATE | {"drop_path": real(0.0, 0.4, "= 0.1 * block")}
OPERATIONS = ("conv", "separable", "max", "average", "identity")
OPTIONS: dict[str, dict[str, Written]] = {
    "conv": GATE,
    "separable": GATE,
    "residual": PATH,
    "inverted": PATH | {"expansion": whole(1, 3, "= 1 + block")},
    "convnext": PATH | {"expansion": whole(1, 3)},
    "dense_block": {"layers": whole(1, 2), "growth": whole(1, 4, "= n")},
    "cell": {
        "nodes": whole(1, 3, "= min(1 + stage, 3)"),
        "operation": names(*OPERATIONS),
        "join": names("sum", "concatenate"),
    },
}
KINDS = {kind: st.fixed_dictionaries({}, optional=options) for kind, options in OPTIONS.items()}
SOME_KINDS = st.lists(st.sampled_from(sorted(KINDS)), min_size=1, max_size=3, unique=True).flatmap(
    lambda kinds: st.fixed_dictionaries({kind: KINDS[kind] for kind in kinds})
)
BLOCK = (
    names(*KINDS)
    | SOME_KINDS.map(lambda kinds: {"choice": kinds})
    | st.sampled_from(sorted(KINDS)).flatmap(lambda kind: st.fixed_dictionaries({kind: KINDS[kind]}))
)
ENTRY = st.fixed_dictionaries(
    {"filters": whole(1, 6, "= n + stage", "= max(n, 2 * block)", "= 4 * (stage > 0) + 1")},
    optional={
        "repeat": whole(1, 2),
        "share": st.booleans(),
        "depth": whole(0, 2, "= 1 + stage % 2"),
        "block": BLOCK,
        "kernel": whole(1, 4),
        "activation": names("relu", "gelu", "silu", "elu", "tanh"),
        "norm": names("batch", "layer", "group", "none"),
        "downsample": names("max", "average", "stride", "conv", "none"),
        "dropout": real(0.0, 0.5, "= 0.1 * stage"),
        "attention": whole(0, 2, "= stage % 3"),
        "skip": names("none", "add", "concatenate"),
    },
)
RATE = {"learning_rate": st.just({"float": [1e-4, 1e-2], "log": True}) | st.just(1e-3)}
DECAY = RATE | {"weight_decay": real(0.0, 0.1)}
SPACE = st.fixed_dictionaries(
    {
        "name": st.just("random"),
        "let": st.fixed_dictionaries({"n": whole(1, 4), "m": st.just("= n + 1") | whole(1, 3)}),
        "stages": st.lists(ENTRY, min_size=1, max_size=2),
    },
    optional={
        "augment": st.fixed_dictionaries(
            {}, optional={"strength": real(0.0, 1.0), "rotate": real(0, 20), "flip": real(0, 0.5), "mixup": real(0, 1)}
        ),
        "head": st.fixed_dictionaries(
            {},
            optional={
                "pool": names("flatten", "average", "max"),
                "hidden": whole(0, 5, "= 4 * m"),
                "activation": names("relu", "gelu"),
                "dropout": real(0.0, 0.5),
            },
        ),
        "training": st.fixed_dictionaries(
            {},
            optional={
                "optimizer": st.fixed_dictionaries({"lion": st.fixed_dictionaries({}, optional=DECAY)})
                | st.fixed_dictionaries({"choice": st.just({"adam": {}, "sgd": {"momentum": {"float": [0.5, 0.9]}}})}),
                "warmup": real(0.0, 0.2),
                "label_smoothing": real(0.0, 0.2),
                "class_weights": names("none", "balanced"),
                "batch_size": whole(1, 64),
                "epochs": whole(1, 3, "= m"),
            },
        ),
    },
)
TASK = st.builds(
    Task,
    height=st.integers(16, 20),
    width=st.integers(16, 20),
    channels=st.sampled_from([1, 3]),
    classes=st.integers(2, 4),
)
CALM = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])


def text_of(space: dict[str, Any]) -> str:
    return json.dumps(space)  # which is YAML, too


@settings(CALM, max_examples=150)
@given(SPACE, TASK, st.integers(0, 2**32))
def test_what_is_drawn_is_in_the_space_and_can_be_drawn_again(written: dict[str, Any], task: Task, seed: int) -> None:
    space = parse_space(text_of(written))
    chooser = RandomChooser(random.Random(seed))
    for _ in range(5):
        recording = RecordingChooser(chooser)
        candidate = sample(space, recording, task)
        assert set(recording.point) <= set(space.parameters)
        for name, value in recording.point.items():
            assert space.parameters[name].take(value) == value
        again = sample(space, FixedChooser(recording.point), task)
        assert again == candidate
        restored = Candidate.model_validate_json(candidate.model_dump_json())
        assert restored == candidate
        assert digest(restored) == digest(candidate)
        assert cost(restored.architecture) == cost(candidate.architecture)


@settings(CALM, max_examples=10)
@given(SPACE, TASK, st.integers(0, 2**32))
def test_what_is_drawn_is_built_as_it_was_counted(written: dict[str, Any], task: Task, seed: int) -> None:
    architecture = sample(parse_space(text_of(written)), RandomChooser(random.Random(seed)), task).architecture
    model = build(architecture)
    assert model.count_params() == cost(architecture).parameters
    assert model.output_shape == (None, task.classes)
    assert len(network_hash(architecture)) == 16


@settings(CALM, max_examples=100)
@given(SPACE)
def test_the_meaning_does_not_depend_on_the_layout(written: dict[str, Any]) -> None:
    class Plain(yaml.SafeDumper):
        def ignore_aliases(self, data: Any) -> bool:
            return True

    tight = parse_space(text_of(written))
    loose = parse_space("# a comment\n" + yaml.dump(written, Dumper=Plain, sort_keys=False))
    assert loose.hash == tight.hash
    assert loose.parameters == tight.parameters

from pathlib import Path

import pytest

from archsearch.errors import SpaceError
from archsearch.space.architecture import Task
from archsearch.space.check import check_space
from archsearch.space.expression import FUNCTIONS, OPERATORS
from archsearch.space.load import load_space, parse_space
from archsearch.space.values import Options

EXAMPLE = """\
name: digits
description: From one convolution to a small residual net, for grey digits.

let:                                   # drawn once, usable in every expression below
  width: {choice: [8, 16, 32]}

augment:
  strength: {float: [0.0, 1.0]}        # scales all of these; 0 switches augmentation off
  rotate: 15                           # degrees either way at strength 1
  shift: 0.12                          # fraction of height and width
  zoom: 0.12
  shear: 8                             # degrees

stages:
  - repeat: {int: [1, 3]}              # copies are drawn independently; share: true makes them alike
    depth: {int: [1, 2]}               # blocks in the stage
    block: {choice: [conv, residual, separable]}
    filters: = width * 2 ** stage
    kernel: {choice: [3, 5]}
    activation: {choice: [relu, gelu]}
    norm: batch
    downsample: {choice: [max, stride]}
    dropout: {float: [0.0, 0.4]}

head:
  pool: {choice: [flatten, average]}
  hidden: {choice: [0, 64, 128]}
  dropout: {float: [0.0, 0.5]}

training:
  optimizer:
    choice:
      adam: {learning_rate: {float: [3.0e-4, 3.0e-2], log: true}}
      sgd: {learning_rate: {float: [1.0e-2, 1.0], log: true}, momentum: {float: [0.8, 0.99]}}
  schedule: cosine
  batch_size: {choice: [64, 128, 256]}
  epochs: 8

limits:                                # what breaks one is never trained
  parameters: 300_000
  flops: 20M

baseline:                              # the first trial, and what the report compares the winner with
  width: 8
  stages.0.repeat: 1
  augment.strength: 0
"""

WHOLE = "a fixed value, {choice: […]}, {int: [low, high]} or '= expression'"
NOT_WHOLE = "and this field takes whole numbers; expected {int: [low, high]}"
STAGE_ONLY = "; it exists only in the fields of 'stages', but for 'repeat'"
ARITHMETIC = f"numbers, names, {' '.join(OPERATORS)}, parentheses, {', '.join(FUNCTIONS)}"
ROUND = "a whole number (round(…) makes one)"
LIMIT = "a whole number above 0, such as 300_000 or 20M"

SMALL = "name: a\nstages: [{filters: 8}]\n"


def message(text: str) -> str:
    with pytest.raises(SpaceError) as caught:
        parse_space(text, "f")
    return str(caught.value)


def test_the_example_loads() -> None:
    space = parse_space(EXAMPLE, "search_spaces/digits.yaml")
    assert (space.name, space.file, space.text) == ("digits", "search_spaces/digits.yaml", EXAMPLE)
    assert space.limits == {"parameters": 300_000, "flops": 20_000_000}
    assert space.most_epochs == 8
    assert space.baseline == {"width": 8, "stages.0.repeat": 1, "augment.strength": 0.0}


def test_everything_that_may_be_drawn_has_a_name() -> None:
    names = list(parse_space(EXAMPLE).parameters)
    copies = [f"stages.0.{copy}.{field}" for field in ("depth", "block", "kernel") for copy in range(3)]
    assert names[:12] == ["width", "augment.strength", "stages.0.repeat", *copies]
    assert names[-4:] == [
        "training.optimizer.adam.learning_rate",
        "training.optimizer.sgd.learning_rate",
        "training.optimizer.sgd.momentum",
        "training.batch_size",
    ]


def test_all_problems_of_the_example_at_once() -> None:
    wrong = EXAMPLE.replace("= width", "= widht").replace("[0.0, 0.4]", "[0.4, 0.0]")
    with pytest.raises(SpaceError) as caught:
        parse_space(wrong, "search_spaces/digits.yaml")
    assert str(caught.value).splitlines() == [
        "search_spaces/digits.yaml:18:14: stages.0.filters: "
        "unknown name 'widht' in '= widht * 2 ** stage'; did you mean 'width'?",
        "search_spaces/digits.yaml:23:22: stages.0.dropout: "
        "float range is upside down: found [0.4, 0.0], expected low < high",
    ]


def test_problems_point_at_the_text_itself() -> None:
    lines = EXAMPLE.replace("= width", " = widht").replace("[0.0, 0.4]", "[0.4, 0.0]").splitlines(keepends=True)
    wrong = "".join(line for line in lines if not line.startswith(("description", "    activation")))
    with pytest.raises(SpaceError) as caught:
        parse_space(wrong, "search_spaces/digits.yaml")
    assert str(caught.value).splitlines() == [
        "search_spaces/digits.yaml:17:15: stages.0.filters: "
        "unknown name 'widht' in '= widht * 2 ** stage'; did you mean 'width'?",
        "search_spaces/digits.yaml:21:22: stages.0.dropout: "
        "float range is upside down: found [0.4, 0.0], expected low < high",
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("hello", "f:1:1: found 'hello', expected a search space: a mapping with 'name', 'stages' and more"),
        ("stages: [{filters: 8}]", "f:1:1: 'name' is missing, and has no default"),
        ("name: a", "f:1:1: 'stages' is missing, and has no default"),
        ("name: a\nstages: []", "f:2:9: stages: found nothing, expected at least one entry"),
        ("name: a\nstages: 3", "f:2:9: stages: found 3, expected a list of entries, each behind a '-'"),
        ("name: a\nstages:\n  - kernel: 3", "f:3:5: stages.0: 'filters' is missing, and has no default"),
        ("name: 5\nstages: [{filters: 8}]", "f:1:7: name: found 5, expected text"),
        (
            "name: ../a\nstages: [{filters: 8}]",
            "f:1:7: name: found '../a', expected letters, digits, '-', '_' and '.' (reports show it)",
        ),
        (
            SMALL + "stage: 1",
            "f:3:1: unknown key 'stage'; did you mean 'stages'? allowed keys are "
            "name, description, let, augment, stages, head, training, limits, baseline, extends",
        ),
        (
            SMALL + "head: {xyz: 1}",
            "f:3:8: head: unknown key 'xyz'; allowed keys are pool, hidden, activation, dropout",
        ),
        (
            SMALL + "training: {optimizer: {choice: {adm: {}}}}",
            "f:3:33: training.optimizer: unknown key 'adm'; did you mean 'adam'? "
            "allowed keys are adam, adamw, sgd, lion",
        ),
        (
            SMALL + "training: {optimizer: {choice: {adam: {momentum: 0.9}}}}",
            "f:3:40: training.optimizer.adam: unknown key 'momentum' here; adam has no such option, sgd has",
        ),
        (
            SMALL + "training: {optimizer: {choice: {adam: }}}",
            "f:3:38: training.optimizer.adam: found nothing, expected a mapping, {} if it is empty",
        ),
        (
            SMALL + "training: {optimizer: {choice: {}}}",
            "f:3:23: training.optimizer: the choice is empty; expected at least one option",
        ),
        (SMALL + "limits: {flops: 20X}", "f:3:17: limits.flops: found '20X', expected " + LIMIT),
        (SMALL + "limits: {flops: 0}", "f:3:17: limits.flops: found 0, expected " + LIMIT),
        (
            SMALL + "let: {min: 3}",
            "f:3:7: let: 'min' already means something in the language; expected another name",
        ),
        (
            SMALL + "let: {a-b: 3}",
            "f:3:7: let: 'a-b' cannot be used in an expression; expected letters, digits and _",
        ),
        (SMALL + "let: {a: relu}", "f:3:10: let.a: found 'relu', expected a number"),
        (SMALL + "let: {a: 1e999}", "f:3:10: let.a: found inf, expected a number no larger than 1e+12"),
        (SMALL + "let: {a: = b, b: = a + 1}", "f:3:10: let.a: depends on itself: a → b → a"),
        (SMALL + "let: {a: = a}", "f:3:10: let.a: depends on itself: a → a"),
        (SMALL + "let: {a: = stage}", "f:3:10: let.a: unknown name 'stage' in '= stage'" + STAGE_ONLY),
        (SMALL + "let: {a: = 9 ** 9 ** 9}", "f:3:10: let.a: '= 9 ** 9 ** 9' goes beyond 1e+12"),
        (SMALL + "augment: {strength: 2}", "f:3:21: augment.strength: found 2, expected at most 1.0"),
        (SMALL + "augment: {shear: 90}", "f:3:18: augment.shear: found 90, expected less than 90.0"),
        (
            SMALL + "head: {hidden: = stage}",
            "f:3:16: head.hidden: unknown name 'stage' in '= stage'" + STAGE_ONLY,
        ),
        (SMALL + "baseline: {a: true}", "f:3:15: baseline.a: found true, expected a number or a name"),
    ],
)
def test_sections(text: str, expected: str) -> None:
    assert message(text) == expected


@pytest.mark.parametrize(
    ("field", "column", "expected"),
    [
        ("kernel: 32", 13, "kernel: found 32, expected at most 31"),
        ("kernel: 0", 13, "kernel: found 0, expected at least 1"),
        ("kernel: 2.5", 13, "kernel: found 2.5, expected a whole number"),
        ("kernel: true", 13, "kernel: found true, expected a whole number"),
        ("kernel: '3'", 13, "kernel: found '3', which is text; expected a whole number without quotes"),
        ("kernel: ", 12, "kernel: found nothing, expected a whole number"),
        (
            "kernel: [3, 5]",
            13,
            "kernel: found [3, 5], expected {int: [3, 5]} for a range, or {choice: [3, 5]} for one of them",
        ),
        ("kernel: {from: 3}", 13, "kernel: found {from: 3}, expected " + WHOLE),
        ("kernel: {float: [1, 3]}", 13, "kernel: found {float: [1, 3]}, " + NOT_WHOLE),
        (
            "dropout: {int: [0, 1]}",
            14,
            "dropout: found {int: [0, 1]}, and this field takes real numbers; expected {float: [low, high]}",
        ),
        ("dropout: 1", 14, "dropout: found 1, expected less than 1.0"),
        ("dropout: half", 14, "dropout: found 'half', expected a number; a name in 'let' is written '= half'"),
        (
            "activation: rleu",
            17,
            "activation: found 'rleu', expected relu, gelu, silu, elu or tanh; did you mean 'relu'?",
        ),
        ("activation: 3", 17, "activation: found 3, expected relu, gelu, silu, elu or tanh"),
        (
            "activation: = a",
            17,
            "activation: found '= a', an expression, which gives a number; expected a fixed value or {choice: […]}",
        ),
        (
            "activation: {choice: {relu: {}}}",
            17,
            "activation: found {choice: {relu: {}}}, options with fields, which only blocks and optimizers have; "
            "expected {choice: [relu]}",
        ),
        ("share: yes", 12, "share: found 'yes', which is text here; expected true or false"),
        ("norm: {choice: []}", 20, "norm: the choice is empty; expected at least one option"),
        ("kernel: {choice: 3}", 22, "kernel: found 3, expected a list in brackets"),
        ("kernel: {choice: [3, 5, 3]}", 22, "kernel: the choice has 3 twice"),
        ("dropout: {choice: [0, 0.0]}", 23, "dropout: the choice has 0.0 twice"),
        ("kernel: {choice: [3, 33]}", 26, "kernel: found 33, expected at most 31"),
        ("kernel: {choice: [3, a]}", 26, "kernel: found 'a', expected a whole number"),
        ("kernel: {choice: [3], log: true}", 27, "kernel: unknown key 'log'; allowed keys are choice"),
        ("kernel: {int: [5, 3]}", 19, "kernel: int range is upside down: found [5, 3], expected low < high"),
        ("kernel: {int: [3, 3]}", 19, "kernel: int range has one value only: found [3, 3], expected low < high"),
        ("kernel: {int: [3, 33]}", 23, "kernel: found 33, expected at most 31"),
        ("kernel: {int: [0, 3]}", 20, "kernel: found 0, expected at least 1"),
        ("kernel: {int: [1.5, 3]}", 20, "kernel: found 1.5, expected a whole number"),
        ("kernel: {int: [3]}", 19, "kernel: found [3], expected two numbers, [low, high]"),
        ("kernel: {int: [3, 5, 7]}", 19, "kernel: found [3, 5, 7], expected two numbers, [low, high]"),
        ("kernel: {int: [1, 8], step: 2}", 19, "kernel: steps of 2 from 1 do not reach 8; expected 7 as the upper end"),
        ("kernel: {int: [1, 7], step: 2, log: true}", 19, "kernel: found step and log; expected one of them"),
        (
            "kernel: {int: [1, 7], stp: 2}",
            27,
            "kernel: unknown key 'stp'; did you mean 'step'? allowed keys are int, step, log",
        ),
        ("depth: {int: [0, 4], log: true}", 18, "depth: a log range begins at 1 or above; found [0, 4]"),
        ("dropout: {float: [0, 0.5], log: true}", 22, "dropout: a log range begins above 0; found [0.0, 0.5]"),
        ("kernel: = x.y", 13, "kernel: 'x.y' in '= x.y' is not arithmetic; expected " + ARITHMETIC),
        ("kernel: = stag", 13, "kernel: unknown name 'stag' in '= stag'; did you mean 'stage'?"),
        ("depth: = block", 12, "depth: unknown name 'block' in '= block'; known names are stage"),
        ("repeat: = stage", 13, "repeat: unknown name 'stage' in '= stage'" + STAGE_ONLY),
        ("kernel: = block - 1", 13, "kernel: '= block - 1' gives -1 for block=0, expected at least 1"),
        ("block: {choice: {inverted: {expansion: 17}}}", 44, "block.inverted.expansion: found 17, expected at most 16"),
        (
            "block: {choice: {inverted: {expansion: = 8 / 3}}}",
            44,
            "block.inverted.expansion: '= 8 / 3' gives 2.6666666666666665, expected " + ROUND,
        ),
        (
            "block: {choice: {conv: {kernel: 3}}}",
            29,
            "block.conv: unknown key 'kernel' here; it belongs beside 'block', not in it",
        ),
        (
            "block: {choice: [conv, cnv]}",
            28,
            "block: found 'cnv', expected conv, residual, separable, inverted, convnext, dense_block or cell; "
            "did you mean 'conv'?",
        ),
        (
            "filters: = 2 ** stage * 3 / 2",
            14,
            "filters: '= 2 ** stage * 3 / 2' gives 1.5 for stage=0, expected " + ROUND,
        ),
        ("filters: {float: [1, 2]}", 14, "filters: found {float: [1, 2]}, " + NOT_WHOLE),
        (
            "downsample: no",
            17,
            "downsample: found 'no', expected max, average, stride, conv or none; did you mean 'none'?",
        ),
        (
            "filters: = 8 if stage else 4",
            14,
            "filters: '8 if stage else 4' in '= 8 if stage else 4' is not arithmetic; choose by multiplying with a "
            "comparison, which is 1 or 0: '= 32 * (stage > 1)'",
        ),
    ],
)
def test_fields(field: str, column: int, expected: str) -> None:
    filters = "" if field.startswith("filters") else "    filters: 8\n"
    assert message(f"name: a\nstages:\n  - {field}\n{filters}") == f"f:3:{column}: stages.0.{expected}"


def test_an_expression_is_tried_at_the_corners_of_its_names() -> None:
    text = "let: {w: {int: [8, 15]}, v: = w / 2}\nname: a\nstages: [{filters: = v / 2 ** stage, repeat: {int: [1, 4]}}]"
    assert message(text) == (
        "f:3:20: stages.0.filters: '= v / 2 ** stage' gives 0.5 for v=4.0, stage=3, expected " + ROUND
    )


BASELINE = """name: a
let: {width: {choice: [8, 16]}, double: = 2 * width}
stages:
  - {filters: = width, repeat: {int: [1, 2]}, kernel: {choice: [3, 5]}, depth: {int: [1, 5], step: 2}}
  - {filters: 8, dropout: {float: [0.0, 0.5]}, block: {choice: {conv: {}, inverted: {expansion: {int: [2, 4]}}}}}
baseline:
"""


@pytest.mark.parametrize(
    ("line", "column", "expected"),
    [
        ("width: 9", 10, "baseline.width: found 9, expected 8 or 16"),
        ("widht: 8", 3, "baseline: unknown parameter 'widht'; did you mean 'width'?"),
        ("zzz: 8", 3, "baseline: unknown parameter 'zzz'; expected the path of something that varies"),
        ("double: 16", 11, "baseline.double: does not vary in this space; expected the name of something that does"),
        (
            "stages.1.filters: 8",
            21,
            "baseline.stages.1.filters: does not vary in this space; expected the name of something that does",
        ),
        (
            "stages.0.1.filters: 8",
            23,
            "baseline.stages.0.1.filters: does not vary in this space; expected the name of something that does",
        ),
        (
            "stages.0.2.kernel: 3",
            3,
            "baseline: unknown parameter 'stages.0.2.kernel'; did you mean 'stages.0.1.kernel'?",
        ),
        ("stages.0.kernel: 4", 20, "baseline.stages.0.kernel: found 4, expected 3 or 5"),
        ("stages.0.1.kernel: 4", 22, "baseline.stages.0.1.kernel: found 4, expected 3 or 5"),
        (
            "stages.0.depth: 2",
            19,
            "baseline.stages.0.depth: found 2, expected a whole number from 1 to 5 in steps of 2",
        ),
        ("stages.0.repeat: 1.0", 20, "baseline.stages.0.repeat: found 1.0, expected a whole number from 1 to 2"),
        ("stages.1.dropout: 0.6", 21, "baseline.stages.1.dropout: found 0.6, expected a number from 0.0 to 0.5"),
        (
            "stages.1.block: cnv",
            19,
            "baseline.stages.1.block: found 'cnv', expected conv or inverted; did you mean 'conv'?",
        ),
        (
            "stages.1.block.inverted.expansion: 5",
            38,
            "baseline.stages.1.block.inverted.expansion: found 5, expected a whole number from 2 to 4",
        ),
    ],
)
def test_baseline(line: str, column: int, expected: str) -> None:
    assert message(f"{BASELINE}  {line}\n") == f"f:7:{column}: {expected}"


def test_an_entrys_name_stands_for_its_copies() -> None:
    space = parse_space(BASELINE + "  stages.0.1.kernel: 3\n  stages.0.kernel: 5\n  stages.1.dropout: 0\n")
    assert space.baseline == {"stages.0.0.kernel": 5, "stages.0.1.kernel": 3, "stages.1.dropout": 0.0}


def test_most_epochs() -> None:
    def most(epochs: str) -> float | None:
        return parse_space(f"let: {{n: {{int: [2, 5]}}}}\n{SMALL}training: {{epochs: {epochs}}}").most_epochs

    assert parse_space(SMALL).most_epochs is None
    assert [most("7"), most("{choice: [3, 9, 6]}"), most("{int: [2, 8]}"), most("= 2 * n")] == [7, 9, 8, 10]


def test_the_hash_is_of_the_meaning() -> None:
    first = parse_space("name: a\ndescription: one\nstages: [{filters: = 2*8, kernel: 3}]").hash
    same = parse_space("# other\nstages:\n  - filters: '= (2 * 8)'\ndescription: two\nname: a\n").hash
    assert first == same
    assert len(first) == 16
    for other in ("= 2 * 9", "16", "{choice: [16]}", "{int: [8, 16]}", "{int: [8, 16], log: true}"):
        assert parse_space(f"name: a\nstages: [{{filters: {other}, kernel: 3}}]").hash != first


@pytest.mark.parametrize(("side", "fits"), [(5, True), (8, True), (4, False)])
def test_an_image_is_not_halved_below_one_pixel(tmp_path: Path, side: int, fits: bool) -> None:
    file, task = tmp_path / "f.yaml", Task(height=64, width=side, channels=1, classes=10)
    file.write_text(EXAMPLE)
    if fits:
        check_space(file, task)
        return
    with pytest.raises(SpaceError) as caught:
        check_space(file, task)
    assert str(caught.value) == (
        f"{file}:22:17: stages.0.downsample: images of 64x4 can be halved 2 times, and up to here a candidate may do "
        "it 3 times; expected fewer copies (repeat) or 'downsample: none'"
    )


def test_files(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text(SMALL, encoding="utf-8-sig")
    assert load_space(file).hash == load_space(str(file)).hash == parse_space(SMALL).hash
    file.write_bytes(b"name: a\ndescription: \xff\n")
    with pytest.raises(SpaceError) as caught:
        load_space(file)
    assert str(caught.value) == f"{file}:2:1: not UTF-8 text; expected a search space, a YAML file"
    with pytest.raises(SpaceError) as caught:
        load_space(tmp_path / "b.yaml")
    assert str(caught.value) == (
        f"{tmp_path / 'b.yaml'}:1:1: no such file or directory; expected a search space, a YAML file"
    )


TEN_MISTAKES = """\
name: ten mistakes
let: {width: {choice: [8, 16]}, depth: {int: [3, 1]}}
stages:
  - filters: = widht * 2 ** stage
    depth: = depth
    kernle: {choice: [3, 5]}
  - filters: = width / 16
    activation: rleu
    expansion: 4
training:
  optimizer: {choice: {adam: {}, sgd: {momentum: {float: [0.8, 0.95]}}}}
  epochs: 5
  epochs: 6
baseline:
  width: 9
  stages.0.kernel: 3
  training.optimizer.sgd.momentum: 0.9
"""


def test_ten_mistakes_of_every_kind_are_ten_problems(tmp_path: Path) -> None:
    file = tmp_path / "ten.yaml"
    file.write_text(TEN_MISTAKES, encoding="utf-8")
    with pytest.raises(SpaceError) as caught:
        check_space(file, Task(height=8, width=8, channels=1, classes=10))
    assert [(problem.line, problem.path) for problem in caught.value.problems] == [
        (1, "name"),
        (2, "let.depth"),
        (4, "stages.0.filters"),
        (6, "stages.0"),
        (7, "stages.1.filters"),
        (8, "stages.1.activation"),
        (9, "stages.1"),
        (13, "training.epochs"),
        (15, "baseline.width"),
        (17, "baseline"),
    ]


@pytest.mark.parametrize(
    "text",
    [
        "name: a\nlet: {w: wide}\nstages: [{filters: = w, repeat: = w, depth: = w - 1}]\nbaseline: {w: 3}",
        "name: a\nlet: {a-b: 3, w: {choice: [1, 2]}}\nstages: [{filters: = w}]\nbaseline: {a-b: 3}",
        "name: a\nlet: 3\nstages: [{filters: = w}]\nbaseline: {w: 3}",
        "name: a\nstages: [{filters: 8, block: {choice: {conv: {}, xyz: {}}}}]\nbaseline: {stages.0.block: xyz}",
        "name: a\nstages: [{filters: 8, block: {choice: {xyz: {}}}}]\nbaseline: {stages.0.block: xyz}",
        "name: a\nstages: [{filters: 8, repeat: {int: [3, 2]}}, {filters: = 8 * (stage - 1)}]\n"
        "baseline: {stages.0.2.kernel: 3}",
        "name: a\nstages: [{filters: 8, block: conv, expansion: {choice: [2, 4]}}]\n"
        "baseline: {stages.0.block.inverted.expansion: 2}",
        "name: a\nstages: [{filtres: 8}]",
        "nmae: a\nstages: [{filters: 8}]",
        "name: a\nstages: 3\nbaseline: {stages.0.kernel: 3}",
        "name: a\nstages: [{filters: *x, kernel: 3}]",
        "name: a\nlet: {a: = b, b: = a}\nstages: [{filters: = a, repeat: = b}]",
        "name: a\nlet: {a: = 8 / 0}\nstages: [{filters: = a, repeat: = a}]",
        "name: a\nlet: {w: 8}\nstages: [{filters: = w}]\nlet: {v: 8}\nhead: {hidden: = w * v}",
    ],
)
def test_one_mistake_is_one_problem(text: str) -> None:
    assert len(message(text).splitlines()) == 1


def test_code_is_loaded_if_it_is_trusted(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text("name: a\nstages: [{filters: 8, block: {choice: {conv: {}, custom: mine.py:ghost}}}]")
    with pytest.raises(SpaceError, match=r"names the Python code 'mine.py:ghost', .* expected --trust-code to run it"):
        load_space(file)
    with pytest.raises(SpaceError, match="cannot be loaded"):
        load_space(file, trust_code=True)
    (tmp_path / "mine.py").write_text("def ghost(network, x, block, downsample): return x")
    block = load_space(file, trust_code=True).parameters["stages.0.block"]
    assert isinstance(block, Options)
    assert block.options == ("conv", "custom")

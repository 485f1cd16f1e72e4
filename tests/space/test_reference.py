import random
import re
from pathlib import Path

import pytest

from archsearch.space.architecture import Task
from archsearch.space.cost import cost
from archsearch.space.load import load_space
from archsearch.space.reference import attributes, language_reference, summary
from archsearch.space.sample import RandomChooser, sample

PAGE = language_reference()
COMMITTED = Path(__file__).parents[2] / "docs" / "language.md"
EXAMPLES = re.findall(r"^```yaml\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
ROWS = re.findall(r"^\| (`\w+` \| .* \|)$", PAGE, re.MULTILINE)


def test_the_committed_page_is_up_to_date() -> None:
    if COMMITTED.read_text(encoding="utf-8") != PAGE:
        pytest.fail("docs/language.md has drifted from the language: run 'make docs' and commit it", pytrace=False)


@pytest.mark.parametrize(
    "row",
    [
        "`name` | text |  | required | Letters, digits, `-`, `_` and `.`; reports show it. |",
        "`kernel` | whole number from 1 to 31 | `choice`, `int`, `=` | `3` "
        "| Side of the convolutions' windows, in pixels. |",
        "`activation` | `relu`, `gelu`, `silu`, `elu`, `tanh` | `choice` | `relu` | Behind each norm. |",
        "`flip` | number from 0 to 0.5 | `choice`, `float`, `=` | `0.0` "
        "| Probability that an image is mirrored left to right. |",
        "`learning_rate` | number above 0 to 100 | `choice`, `float`, `=` | `0.0003` "
        "| At the height of the schedule. |",
        "`momentum` | number from 0 to below 1 | `choice`, `float`, `=` | `0.9` "
        "| Share of the last step that the next one keeps. |",
        "`share` | `true`, `false` |  | `false` | Whether the copies are alike; otherwise each is drawn for itself. |",
    ],
)
def test_fields(row: str) -> None:
    assert row in ROWS


@pytest.mark.parametrize("row", ROWS)
def test_every_field_has_a_meaning(row: str) -> None:
    assert not row.endswith("|  |"), "say what it means under 'Attributes:' in the docstring of its class"


@pytest.mark.parametrize("kind", ["conv", "dense_block", "cell", "custom", "adamw", "lion"])
def test_every_kind_has_a_place(kind: str) -> None:
    assert f"\n### `{kind}`\n" in PAGE


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With the page's first example and its Python code, under the names that the other examples know."""
    folder = tmp_path_factory.mktemp("examples")
    code = re.search(r"^```python\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
    assert code
    (folder / "ghosts.py").write_text(code[1], encoding="utf-8")
    (folder / "first.yaml").write_text(EXAMPLES[0], encoding="utf-8")
    return folder


@pytest.mark.parametrize("example", EXAMPLES)
def test_examples_are_spaces(example: str, folder: Path) -> None:
    """A piece of a space is filled up with what has no default."""
    has = set(re.findall(r"^(\w+):", example, re.MULTILINE))
    if not has & {"name", "extends"}:
        example += "name: example\n"
    if not has & {"stages", "extends"}:
        example += "stages: [{filters: 8}]\n"
    (folder / "example.yaml").write_text(example, encoding="utf-8")
    space = load_space(folder / "example.yaml", trust_code=True)
    candidate = sample(space, RandomChooser(random.Random(0)), Task(height=28, width=28, channels=1, classes=10))
    assert cost(candidate.architecture).parameters > 0


def test_attributes() -> None:
    docstring = """What it is,
    in a line or two (Zhang et al. 2017, https://arxiv.org/abs/1710.09412).

    And more: of it.

    Attributes:
        first: One line: short.
        second: Over
            two lines, after Hu & Li 2016, https://arxiv.org/abs/1709.01507.

            A paragraph.

    Raises:
        ValueError: Not an attribute.
    """
    assert summary(docstring) == (
        "What it is, in a line or two ([Zhang et al. 2017](https://arxiv.org/abs/1710.09412)). And more: of it."
    )
    assert attributes(docstring) == {
        "first": "One line: short.",
        "second": "Over two lines, after [Hu & Li 2016](https://arxiv.org/abs/1709.01507). A paragraph.",
    }
    assert attributes("Nothing to list.") == {}

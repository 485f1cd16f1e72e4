from pathlib import Path

import pytest

from archsearch.errors import SpaceError
from archsearch.space.load import Space, load_space, parse_space

BASE = """\
name: base
let: {width: {choice: [8, 16]}, growth: 12}
augment: {strength: {float: [0.0, 1.0]}, rotate: 15}
stages:
  - filters: = width
    kernel: {choice: [3, 5]}
  - filters: = 2 * width
    block: {choice: {conv: {}, dense_block: {growth: = growth}}}
training: {epochs: 5, optimizer: {sgd: {learning_rate: 0.1}}}
baseline: {width: 8, stages.0.kernel: 3}
"""


def over(folder: Path, text: str, name: str = "mine.yaml") -> Space:
    (folder / "base.yaml").write_text(BASE, encoding="utf-8")
    (folder / name).write_text(text, encoding="utf-8")
    return load_space(folder / name)


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("name: mine", BASE.replace("name: base", "name: mine")),
        ("let: {width: {choice: [4, 8]}}", BASE.replace("[8, 16]", "[4, 8]")),
        ("stages: {0: {kernel: {choice: [1, 3]}}}", BASE.replace("[3, 5]", "[1, 3]")),
        (
            "stages: {2: {filters: 32}}",
            BASE.replace("training:", "  - filters: 32\ntraining:"),
        ),
        (
            "stages: {1: {block: {conv: {squeeze_excite: 0.5}}}}",
            BASE.replace("{choice: {conv: {}, dense_block: {growth: = growth}}}", "{conv: {squeeze_excite: 0.5}}"),
        ),
        (
            "stages: [{filters: = growth}]\nbaseline: {stages.0.kernel: null}",
            BASE[: BASE.index("stages:")]
            + "stages: [{filters: = growth}]\n"
            + BASE[BASE.index("training:") :].replace(", stages.0.kernel: 3", ""),
        ),
        ("augment: null", BASE.replace("augment: {strength: {float: [0.0, 1.0]}, rotate: 15}\n", "")),
        ("training: {optimizer: lion}", BASE.replace("{sgd: {learning_rate: 0.1}}", "lion")),
        ("let: {width: 9}\nbaseline: {width: null}", BASE.replace("{choice: [8, 16]}", "9").replace("width: 8, ", "")),
    ],
)
def test_what_a_file_changes_in_its_base(tmp_path: Path, text: str, same: str) -> None:
    assert over(tmp_path, f"extends: base.yaml\n{text}\n").hash == parse_space(same).hash


def test_files_extend_each_other_in_a_chain_from_other_folders(tmp_path: Path) -> None:
    inner = tmp_path / "inner"
    inner.mkdir()
    (inner / "middle.yaml").write_text("extends: ../base.yaml\ntraining: {epochs: 7}\n")
    space = over(tmp_path, "extends: inner/middle.yaml\nname: top\n")
    assert (space.name, space.most_epochs) == ("top", 7)
    assert list(space.source.texts) == [
        str(tmp_path / name) for name in ("mine.yaml", "inner/middle.yaml", "inner/../base.yaml")
    ]


def test_the_text_is_self_contained_and_means_the_same(tmp_path: Path) -> None:
    space = over(tmp_path, "extends: base.yaml\ndescription: '1e-4'\nstages: {0: {filters: '= max(width, 4)'}}\n")
    again = parse_space(space.text)
    assert again.hash == space.hash
    assert again.schema == space.schema
    assert "extends" not in again.source.data
    assert space.text.startswith(
        f"# {tmp_path / 'mine.yaml'}, together with what it extends: {tmp_path / 'base.yaml'}\n"
    )


def test_a_file_that_extends_nothing_is_kept_as_it_is() -> None:
    assert parse_space(BASE).text == BASE


def test_problems_point_into_the_file_that_has_them(tmp_path: Path) -> None:
    with pytest.raises(SpaceError) as caught:
        over(tmp_path, "extends: base.yaml\nlet: {growth: 0}\nstages: {0: {kernel: 99}}\n")
    problems = [(Path(p.file).name, p.line, p.column, p.path) for p in caught.value.problems]
    assert problems == [
        ("base.yaml", 8, 54, "stages.1.block.dense_block.growth"),
        ("mine.yaml", 3, 22, "stages.0.kernel"),
    ]


@pytest.mark.parametrize(
    ("mine", "base", "expected"),
    [
        (
            "other.yaml",
            None,
            "1:10: extends: found 'other.yaml', and there is no such file; expected the path of a space file",
        ),
        ("bese.yaml", None, "1:10: extends: found 'bese.yaml', and there is no such file; did you mean 'base.yaml'?"),
        ("mine.yaml", None, "1:10: extends: files extend each other in a circle: mine.yaml → mine.yaml"),
        (
            "loop.yaml",
            "extends: mine.yaml",
            "1:10: extends: files extend each other in a circle: mine.yaml → loop.yaml → mine.yaml",
        ),
        ("loop.yaml", "[1, 2]", "1:1: found [1, 2], expected a search space"),
        ("loop.yaml", "a: [", "1:5: not YAML: while parsing a flow node"),
        ("[a, b]", None, "1:10: extends: found ['a', 'b'], expected the path of a space file"),
    ],
)
def test_what_cannot_be_extended(tmp_path: Path, mine: str, base: str | None, expected: str) -> None:
    if base:
        (tmp_path / "loop.yaml").write_text(base)
    with pytest.raises(SpaceError) as caught:
        over(tmp_path, f"extends: {mine}\nname: a\nname: b\n")
    assert len(caught.value.problems) == 2
    assert any(expected in str(problem) for problem in caught.value.problems)


def test_a_long_row_of_files_is_refused(tmp_path: Path) -> None:
    (tmp_path / "0.yaml").write_text(BASE, encoding="utf-8")
    for number in range(1, 19):
        (tmp_path / f"{number}.yaml").write_text(f"extends: {number - 1}.yaml", encoding="utf-8")
    assert load_space(tmp_path / "16.yaml").name == "base"
    with pytest.raises(SpaceError, match=r"1\.yaml:1:10: extends: 16 files extend each other already"):
        load_space(tmp_path / "17.yaml")


def test_a_file_without_end_is_not_read_to_it(tmp_path: Path) -> None:
    with (tmp_path / "mine.yaml").open("wb") as file:
        file.truncate(10**12)
    with pytest.raises(SpaceError, match="longer than a search space can be"):
        load_space(tmp_path / "mine.yaml")

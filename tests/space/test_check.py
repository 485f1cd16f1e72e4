from itertools import product
from pathlib import Path

import pytest

from archsearch.errors import SpaceError
from archsearch.space.architecture import Task
from archsearch.space.check import check_space
from archsearch.space.cost import cost
from archsearch.space.load import load_space, parse_space
from archsearch.space.sample import FixedChooser, Scalar, sample

SHIPPED = Path(__file__).parents[2] / "search_spaces"
TASK = Task(height=8, width=8, channels=1, classes=10)

TANGLED = """\
name: a
let: {width: {choice: [16, 12, 8]}}
stages:
  - filters: = 40 - width
    kernel: {choice: [5, 3, 1]}
    block: {choice: [conv, residual, separable]}
  - {filters: = width, repeat: {int: [1, 2]}}
head: {hidden: {choice: [0, 32]}}
"""


@pytest.mark.parametrize("file", sorted(SHIPPED.glob("*.yaml")), ids=lambda file: file.stem)
def test_it_is_the_space_that_is_loaded(file: Path) -> None:
    task = Task(height=64, width=64, channels=3, classes=10)
    assert check_space(file, task if file.stem == "resnet" else None).hash == load_space(file).hash


def smallest_of_all(text: str) -> int:
    space = parse_space(text)
    names = ("width", "stages.0.kernel", "stages.0.block", "stages.1.repeat", "head.hidden")
    options: tuple[tuple[int | str, ...], ...] = (
        (16, 12, 8),
        (5, 3, 1),
        ("conv", "residual", "separable"),
        (1, 2),
        (0, 32),
    )
    points: list[dict[str, Scalar]] = [dict(zip(names, values, strict=True)) for values in product(*options)]
    return min(cost(sample(space, FixedChooser(point), TASK).architecture).parameters for point in points)


def test_the_smallest_candidate_is_found(tmp_path: Path) -> None:
    least = smallest_of_all(TANGLED)
    file = tmp_path / "a.yaml"
    file.write_text(f"{TANGLED}limits: {{parameters: {least - 1}}}\n")
    with pytest.raises(SpaceError, match=f"the smallest candidate found has {least:,} parameters"):
        check_space(file, TASK)
    file.write_text(f"{TANGLED}limits: {{parameters: {least}}}\n")
    with pytest.raises(SpaceError, match=f"in the baseline, the limit is {least:,}"):
        check_space(file, TASK)


def test_limits_are_of_the_images_that_the_space_is_for(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text("name: a\nstages: [{filters: 8}]\nlimits: {flops: 20_000}\n")
    check_space(file)
    check_space(file, TASK)
    with pytest.raises(SpaceError, match="nothing in the space meets it"):
        check_space(file, Task(height=28, width=28, channels=1, classes=10))


def test_a_block_that_fails_in_the_baseline_is_a_problem(tmp_path: Path) -> None:
    (tmp_path / "blocks.py").write_text("def broken(network, x, block, downsample): return 1 / 0")
    file = tmp_path / "a.yaml"
    file.write_text("name: a\nstages: [{filters: 8, block: {custom: blocks.py:broken}}]\n")
    with pytest.raises(SpaceError, match=r"stages: the baseline cannot be built: .* ZeroDivisionError"):
        check_space(file, TASK, trust_code=True)

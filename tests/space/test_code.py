"""Each test runs in a process of its own where trust matters: it cannot be taken back."""

import subprocess
import sys
from pathlib import Path

import pytest

from archsearch.errors import InputError
from archsearch.space import code

GHOST = '''
from archsearch.space import layers

def ghost(network, x, block, downsample):
    """Half of the channels from a convolution, the other half from a cheap depthwise one (Han et al. 2019)."""
    half = network.add(layers.Conv(block.filters // 2, block.kernel, stride=1, bias=False), x)
    cheap = network.add(layers.Depthwise(3, 1, bias=False), half)
    x = network.add(layers.Concatenate(), half, cheap)
    return network.add(layers.Pool("max"), x) if downsample != "none" else x

def lazy(network, x, block, downsample):
    return x

broken = 3
'''

SPACE = """
name: ghosts
stages:
  - block: {choice: {conv: {}, custom: {code: "blocks.py:ghost", options: {ratio: {int: [1, 4]}}}}}
    filters: 8
    downsample: max
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "blocks.py").write_text(GHOST)
    (tmp_path / "space.yaml").write_text(SPACE)
    return tmp_path


def python(folder: Path, *lines: str) -> str:
    """What the `lines` print, run in `folder` by a fresh interpreter."""
    done = subprocess.run(
        [sys.executable, "-c", "\n".join(lines)], cwd=folder, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


TRUST = ("from pathlib import Path", "from archsearch.space.code import load_code, trust", "trust(Path('.'))")


def test_nothing_runs_without_trust() -> None:
    assert code.trusted_folder() is None
    with pytest.raises(InputError, match=r"'blocks\.py:ghost' names Python code.*--trust-code"):
        code.load_code("blocks.py:ghost")


@pytest.mark.parametrize("reference", ["blocks.py:ghost", "blocks:ghost"])
def test_a_file_and_a_module_are_found_beside_the_space(folder: Path, reference: str) -> None:
    assert python(folder, *TRUST, f"print(load_code({reference!r}).__name__)") == "ghost"


@pytest.mark.parametrize(
    ("reference", "said"),
    [
        ("nowhere.py:ghost", "'nowhere.py:ghost' cannot be loaded: FileNotFoundError"),
        ("nowhere:ghost", "'nowhere:ghost' cannot be loaded: ModuleNotFoundError"),
        ("blocks.py:gost", "'blocks.py:gost': blocks.py has no 'gost'"),
        ("bad.py:ghost", "'bad.py:ghost' cannot be loaded: ZeroDivisionError: division by zero"),
    ],
)
def test_what_cannot_be_loaded_is_said(folder: Path, reference: str, said: str) -> None:
    (folder / "bad.py").write_text("1 / 0")
    answer = python(
        folder, *TRUST, "try:", f"    load_code({reference!r})", "except Exception as error:", "    print(error)"
    )
    assert answer.startswith(said)


def test_a_block_of_ones_own_that_hangs_is_ended(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "blocks.py").write_text("def ghost(network, x, block, downsample):\n    while True:\n        pass\n")
    lines = (
        *TRUST,
        "from archsearch.errors import TrialError",
        "from archsearch.space import code",
        "from archsearch.space.architecture import Task",
        "from archsearch.space.load import load_space",
        "from archsearch.space.network import lower",
        "from archsearch.space.sample import FixedChooser, sample",
        "code.CODE_SECONDS = 0.5",
        "space = load_space('space.yaml', trust_code=True)",
        "task = Task(height=8, width=8, channels=1, classes=10)",
        "try:",
        "    lower(sample(space, FixedChooser({'stages.0.block': 'custom'}), task).architecture)",
        "except TrialError as error:",
        "    print(error)",
    )
    assert python(folder, *lines) == "'blocks.py:ghost' has not ended for 0.5 s"


def test_a_block_of_ones_own_is_counted_and_hashed_like_any_other(folder: Path) -> None:
    lines = (
        *TRUST,
        "from archsearch.space.architecture import Task",
        "from archsearch.space.cost import cost",
        "from archsearch.space.load import load_space",
        "from archsearch.space.sample import FixedChooser, sample",
        "space = load_space('space.yaml', trust_code=True)",
        "task = Task(height=8, width=8, channels=1, classes=10)",
        "architecture = sample(space, FixedChooser({'stages.0.block': 'custom'}), task).architecture",
        "block = architecture.stages[0].blocks[0]",
        "print(block.code, block.options, cost(architecture).parameters, *space.parameters)",
    )
    # 3x3 convolution to 4 channels, 3x3 depthwise of 4, dense from 8 to 10.
    expected = 9 * 4 + 9 * 4 + 8 * 10 + 10
    assert python(folder, *lines) == (
        f"blocks.py:ghost {{'ratio': 2}} {expected} stages.0.block stages.0.block.custom.options.ratio"
    )

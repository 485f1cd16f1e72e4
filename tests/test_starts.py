"""Searches that begin in other ways than from a plain space file; in processes of their own."""

import subprocess
from pathlib import Path

import numpy as np
import pytest
from searches import COMMAND, Cli
from sklearn.datasets import load_digits

from archsearch.study import Study

GHOST = """
from archsearch.space import layers

def ghost(network, x, block, downsample):
    x = network.add(layers.Conv(block.filters // 2, block.kernel, stride=1, bias=False), x)
    x = network.add(layers.Concatenate(), x, network.add(layers.Depthwise(3, stride=1, bias=False), x))
    if downsample != "none":
        x = network.add(layers.Pool("max"), x)
    return network.add(layers.Activation(block.activation), network.add(layers.Norm("batch"), x))
"""

SPACE = """
name: ghosts
stages: [{block: {custom: blocks.py:ghost}, filters: {choice: [4, 8]}, downsample: max, attention: 2}]
training: {batch_size: 64, epochs: 2}
"""


@pytest.mark.slow
def test_a_search_without_a_space_picks_one_and_keeps_it(tmp_path: Path, cli: Cli) -> None:
    digits = load_digits()
    np.savez(tmp_path / "few.npz", x=(digits.images[:300] * 15.9).astype(np.uint8), y=digits.target[:300])
    words = ("search", "--data", tmp_path / "few.npz", "--out", tmp_path / "study", "--folds", 2, "--workers", 1)
    done = cli(*words, "--trials", 1)
    assert (done.code, done.err) == (0, "")
    space = tmp_path / "study" / "space.yaml"
    assert done.out.startswith(
        f"space: {space}, family 'tiny' for images below 16 pixels: 8x8, grey, 128 images a fold\n"
    )
    assert "# Made for images of 8x8 pixels" in space.read_text()
    again = cli(*words, "--trials", 1)
    assert (again.code, again.err) == (0, "")
    assert again.out.startswith(f"space: {space}, with which the study began\n")
    assert len(Study(tmp_path / "study").trials()) == 1


@pytest.mark.slow
def test_a_block_of_ones_own_is_searched_retrained_and_exported(tmp_path: Path, cli: Cli) -> None:
    (tmp_path / "blocks.py").write_text(GHOST)
    space = tmp_path / "space.yaml"
    space.write_text(SPACE)
    words = ("search", space, "--out", tmp_path / "study", "--folds", 2, "--trials", 2)
    refused = cli(*words)
    assert refused.code == 2
    assert f"{space}:3:27: stages.0.block.custom: names the Python code 'blocks.py:ghost'" in refused.err
    assert not (tmp_path / "study").exists()
    done = cli(*words, "--trust-code")
    assert (done.code, done.err) == (0, "")
    assert "ghost3-4" in done.out
    study = Study(tmp_path / "study")
    assert study.is_retrained
    assert study.report().command.count("--trust-code") == 1
    assert cli("status", study.path).code == 0
    assert cli("report", study.path, "--trust-code").code == 0
    assert cli("export", study.path, "--format", "saved_model").code == 0
    assert (study.path / "blocks.py").read_text() == GHOST
    assert cli("space", "check", study.folder.space, "--trust-code").code == 0
    (tmp_path / "blocks.py").write_text(GHOST.replace("// 2", "// 4"))
    other = subprocess.run(
        [COMMAND, *map(str, words), "--trust-code"], capture_output=True, text=True, timeout=100, check=False
    )
    assert other.returncode == 2
    assert "the search space has changed" in other.stderr


def test_options_of_a_hypermodel_are_refused_for_a_space(tmp_path: Path, cli: Cli) -> None:
    space = tmp_path / "space.yaml"
    space.write_text("name: a\nstages: [{filters: 4}]\n")
    done = cli("search", space, "--batch-size", 8, "--out", tmp_path / "study")
    assert done.code == 2
    assert done.err == f"--batch-size: only for a HyperModel; expected 'training: {{batch_size: …}}' in {space}\n"


def test_epochs_are_refused_where_a_space_has_its_own(tmp_path: Path, cli: Cli) -> None:
    space = tmp_path / "space.yaml"
    space.write_text("name: a\nstages: [{filters: 4}]\ntraining: {epochs: 2}\n")
    done = cli("search", space, "--epochs", 3, "--out", tmp_path / "study")
    assert done.code == 2
    assert (
        done.err == f"--epochs: {space} has 'epochs' in 'training' already; take them out there, or give no --epochs\n"
    )
    assert not (tmp_path / "study").exists()


def test_a_python_file_needs_a_name_in_it(tmp_path: Path, cli: Cli) -> None:
    done = cli("search", tmp_path / "models.py", "--out", tmp_path / "study")
    assert done.code == 2
    assert f"'{tmp_path / 'models.py'}:NAME'" in done.err

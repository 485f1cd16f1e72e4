"""`archsearch space …`: what it prints, and how it ends."""

import importlib
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from searches import Cli, Searched

from archsearch.space.architecture import Candidate
from archsearch.space.editor import editor_schema
from archsearch.space.source import parse_source

ROOT = Path(__file__).parents[1]
SPACES = ROOT / "search_spaces"
SCHEMA = SPACES / "space.schema.json"
FEW = "name: few\nstages: [{filters: {choice: [4, 8]}, downsample: max}]\n"


@pytest.fixture
def few(tmp_path: Path) -> Path:
    file = tmp_path / "few.yaml"
    file.write_text(FEW)
    return file


def test_check_without_data_says_what_it_can(cli: Cli, few: Path) -> None:
    done = cli("space", "check", few)
    assert done.code == 0
    assert done.out.splitlines()[0] == f"{few}: a sound space: 2 architectures"
    assert "--data" in done.out
    assert "FLOPs" not in done.out


def test_check_with_data_counts_costs(cli: Cli, few: Path) -> None:
    done = cli("space", "check", few, "--data", "digits", "--samples", 200)
    assert done.code == 0
    assert "2 networks" in done.out
    assert re.search(r"parameters +102 +102 +(102|194) +194 +194", done.out)
    assert "99.0 % are networks that were drawn before" in done.out
    assert "note: most of what is drawn is a network that was drawn before" in done.out


def test_check_names_every_problem_and_ends_with_2(cli: Cli, tmp_path: Path) -> None:
    file = tmp_path / "bad.yaml"
    file.write_text("name: bad\nstages: [{filters: {int: [8, 4]}, kernal: 3}]\nhead: {pool: avrage}\n")
    done = cli("space", "check", file, "--data", "digits")
    assert (done.code, done.out) == (2, "")
    assert "upside down" in done.err
    assert "kernal" in done.err
    assert "'average'" in done.err


def test_check_draws_a_page_that_needs_no_network(cli: Cli, few: Path, tmp_path: Path) -> None:
    page = tmp_path / "few.html"
    done = cli("space", "check", few, "--data", "digits", "--samples", 50, "--plot", page)
    assert done.code == 0
    text = page.read_text()
    assert "activation bytes" in text
    assert "baseline" in text
    assert not re.search(r"<(script|link)[^>]*(src|href)=", text)
    assert set(tmp_path.iterdir()) == {few, page}


def test_a_plot_wants_data(cli: Cli, few: Path, tmp_path: Path) -> None:
    done = cli("space", "check", few, "--plot", tmp_path / "few.html")
    assert (done.code, done.out) == (2, "")
    assert "--data" in done.err


def test_show_is_a_tree_with_conditions(cli: Cli) -> None:
    done = cli("space", "show", SPACES / "cifar.yaml")
    assert done.code == 0
    for line in (
        "stages.1: 3 copies, each drawn for itself",
        "if inverted",
        "expansion: one of 2, 4",
        "0.1, real, log",
    ):
        assert line in done.out


def test_samples_are_tables_and_the_same_for_a_seed(cli: Cli) -> None:
    words = ("space", "sample", SPACES / "digits.yaml", "-n", 2, "--data", "digits")
    done = cli(*words)
    assert done.code == 0
    assert "candidate 2" in done.out
    assert "recipe: " in done.out
    assert cli(*words).out == done.out
    assert cli(*words, "--seed", 1).out != done.out


def test_samples_as_json_are_candidates(cli: Cli) -> None:
    done = cli("space", "sample", SPACES / "cells.yaml", "-n", 3, "--json")
    assert done.code == 0
    found = [Candidate.model_validate_json(json.dumps(each)) for each in json.loads(done.out)]
    assert len(found) == 3
    assert found[0].architecture.task.height == 32
    assert "32x32" in done.err


def test_diff_ends_as_diff_does(cli: Cli, few: Path, tmp_path: Path) -> None:
    same, other = tmp_path / "same.yaml", tmp_path / "other.yaml"
    same.write_text("# written otherwise\n" + FEW)
    other.write_text(FEW.replace("8", "16"))
    assert cli("space", "diff", few, same)[:2] == (0, "equal\n")
    done = cli("space", "diff", few, other)
    assert done.code == 1
    assert "stages.0.filters: one of 4, 8 → one of 4, 16" in done.out
    assert cli("space", "diff", few, tmp_path / "nowhere.yaml").code == 2


def test_diff_of_candidates(cli: Cli, few: Path, tmp_path: Path) -> None:
    files = [tmp_path / f"{seed}.json" for seed in (0, 1)]
    for seed, file in enumerate(files):
        file.write_text(cli("space", "sample", few, "-n", 1, "--seed", seed, "--json").out)
    first, second = (json.loads(file.read_text())[0] for file in files)
    assert cli("space", "diff", *files).code == int(first != second)
    assert cli("space", "diff", files[0], few).code == 2
    files[1].write_text(json.dumps(first["architecture"]))  # without its recipe
    alone = cli("space", "diff", *files)
    assert alone[:2] == (0, "only one of them says how it is trained: architectures alone are compared\nequal\n")
    files[1].write_text("[1, 2]")
    assert cli("space", "diff", *files).code == 2


@pytest.mark.xdist_group("study")
def test_diff_takes_studies_and_their_winners(cli: Cli, searched: Searched) -> None:
    folder = searched.study.folder
    assert cli("space", "diff", folder.path, folder.winner)[:2] == (0, "equal\n")


def test_the_committed_schema_is_what_the_command_prints(cli: Cli) -> None:
    assert cli("space", "schema").out == SCHEMA.read_text(), "archsearch space schema > search_spaces/space.schema.json"


FILES = sorted(SPACES.glob("*.yaml"))


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_editors_find_the_schema(file: Path) -> None:
    assert file.read_text().startswith("# yaml-language-server: $schema=space.schema.json\n")


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_committed_spaces_fit_the_schema(file: Path) -> None:
    jsonschema = pytest.importorskip("jsonschema")
    jsonschema.Draft202012Validator.check_schema(editor_schema())
    jsonschema.Draft202012Validator(editor_schema()).validate(parse_source(file.read_text(), str(file)).data)


@pytest.mark.parametrize(
    ("text", "fits"),
    [
        (FEW, True),
        ("extends: few.yaml\nstages: {0: {kernel: 5}}\nhead: null\n", True),
        ("stages: {0: {kernel: 5}}\nname: x\n", False),
        ("name: x\n", False),
        ("name: x\nstages: [{filters: 8, kernal: 3}]\n", False),
        ("name: x\nstages: [{filters: 8, block: {custom: blocks.py:ghost}}]\n", True),
        ("name: x\nstages: [{filters: 8, block: {inverted: {expansion: 99}}}]\n", False),
        ("name: x\nstages: [{filters: 8}]\nlet: null\n", False),
    ],
)
def test_the_schema_tells_right_from_wrong(text: str, fits: bool) -> None:
    jsonschema = pytest.importorskip("jsonschema")
    assert jsonschema.Draft202012Validator(editor_schema()).is_valid(parse_source(text, "x").data) == fits


def test_the_schema_says_what_fields_mean() -> None:
    found = editor_schema()["$defs"]
    assert found["StageEntry"]["properties"]["filters"]["description"].startswith("Channels")
    assert found["AugmentSection"]["properties"]["rotate"]["description"] == "Degrees."


def test_it_starts_neither_tensorflow_nor_optuna() -> None:
    code = (
        "import sys; from archsearch.cli import app\n"
        f"try: app(['space', 'check', {str(SPACES / 'mnist.yaml')!r}])\n"
        "except SystemExit: pass\n"
        "print(*sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "a sound space" in done.stdout
    assert not set(done.stdout.split()) & {"tensorflow", "keras", "optuna", "sklearn", "pandas", "plotly"}


def test_the_module_of_commands_is_light() -> None:
    assert importlib.import_module("archsearch.cli_space").app is not None


def test_new_writes_a_space_that_check_takes(cli: Cli, tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    done = cli("space", "new", "--data", "digits", "--out", file)
    assert done.code == 0
    assert done.out.startswith(f"{file}: family 'tiny' for images below 16 pixels: 8x8, grey, 1,222 images a fold")
    assert cli("space", "check", file, "--data", "digits", "--samples", 50).code == 0


def test_new_overwrites_nothing(cli: Cli, few: Path) -> None:
    done = cli("space", "new", "--data", "digits", "--out", few)
    assert done.code == 2
    assert "is there already" in done.err
    assert few.read_text() == FEW

"""What the README and the pages in docs/ say is there, is there; and what is there is in them."""

import ast
import os
import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer.main
import yaml

import archsearch
from archsearch.cli import app
from archsearch.space.load import parse_space

PACKAGE = Path(archsearch.__file__).parent
ROOT = PACKAGE.parent
README = (ROOT / "README.md").read_text()
ARCHITECTURE = (ROOT / "docs" / "architecture.md").read_text()
CLUSTER = (ROOT / "docs" / "cluster.md").read_text()
CLUSTER_FILES = sorted((ROOT / "docs" / "cluster").iterdir())

COMMANDS: Any = typer.main.get_command(app)


def commands(group: Any, before: tuple[str, ...] = ()) -> Iterator[str]:
    for name, command in group.commands.items():
        words = (*before, name)
        if hasattr(command, "commands"):
            yield from commands(command, words)
        else:
            yield " ".join(words)


def code_blocks(text: str, language: str = r"[^\n]*") -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


def command_lines(code: str) -> list[str]:
    """Every command line of archsearch in `code`, without prompt, comment and what is piped on."""
    lines = code.replace("\\\n", " ").splitlines()
    found = [re.match(r"\s*(?:\$ )?(?:\S*/)?archsearch (.*)", line) for line in lines]
    return [re.split(r" [|&>#] ?", match[1])[0].strip() for match in found if match]


def commands_in(document: str) -> list[str]:
    """Those of its code blocks, and those between backticks in its sentences."""
    inline = re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```", "", document, flags=re.DOTALL | re.MULTILINE))
    lines = [line for code in (*code_blocks(document), *inline) for line in command_lines(code)]
    return [line for line in lines if "…" not in line]


LINES = [
    *(line for document in (README, ARCHITECTURE, CLUSTER) for line in commands_in(document)),
    *command_lines((ROOT / "Makefile").read_text()),
]


def parse(line: str) -> None:
    """Reads `line` as the command would and runs nothing."""
    words, command, name = shlex.split(line, comments=True), COMMANDS, "archsearch"
    while hasattr(command, "commands") and words and not words[0].startswith("-"):
        name = words.pop(0)
        assert name in command.commands, f"no command '{name}' in 'archsearch {line}'"
        command = command.commands[name]
    if "--help" not in words:
        command.make_context(name, words)


@pytest.mark.parametrize("command", list(commands(COMMANDS)))
def test_every_command_is_in_the_readme(command: str) -> None:
    assert f"archsearch {command}" in README


@pytest.mark.parametrize("line", LINES)
def test_a_command_line_in_the_documents_is_one(line: str) -> None:
    parse(line)


@pytest.mark.parametrize(
    "line", ["serch space.yaml", "status", "search space.yaml --trails 3", "search space.yaml --trials many"]
)
def test_a_wrong_command_line_would_be_noticed(line: str) -> None:
    with pytest.raises(Exception, match=r"No such option|Missing parameter: study|no command|valid integer"):
        parse(line)


def test_command_lines_are_found() -> None:
    text = (
        "```\n$ .venv/bin/archsearch search a.yaml \\\n    --time 2m   # two minutes\narchsearch status a | less\n```\n"
    )
    assert [shlex.split(line) for line in command_lines(text)] == [
        ["search", "a.yaml", "--time", "2m"],
        ["status", "a"],
    ]
    assert commands_in("Try `archsearch status a`, or `archsearch …`.") == ["status a"]
    assert {"search", "status", "export"} <= {line.split()[0] for line in LINES}


def files_in_tree(text: str) -> set[str]:
    """Paths in the folder tree of docs/architecture.md: two spaces a level, names first, what they are after them."""
    (tree,) = [block for block in code_blocks(text) if block.startswith("archsearch/\n")]
    found: set[str] = set()
    above: list[str] = []
    for line in tree.splitlines()[1:]:
        indent, entry = re.fullmatch(r"( *)(.*)", line).groups()  # type: ignore[union-attr]
        names, _, about = entry.partition("  ")
        above = above[: len(indent) // 2 - 1]
        if names.endswith("/"):
            above.append(names)
            names = ", ".join(re.findall(r"\w+\.py\b", about))
        found |= {"".join([*above, name]) for name in names.split(", ") if name}
    return found


def test_the_folder_tree_is_what_is_there() -> None:
    there = {path.relative_to(PACKAGE).as_posix() for path in PACKAGE.rglob("*.py") if path.parent != PACKAGE}
    there = {path for path in there if not path.endswith("__init__.py")}
    there |= {path.name for path in PACKAGE.glob("*.py")}
    assert files_in_tree(ARCHITECTURE) == there


@pytest.mark.parametrize("file", [file for file in CLUSTER_FILES if file.suffix == ".yaml"], ids=lambda file: file.name)
def test_a_file_for_kubernetes_can_be_read(file: Path) -> None:
    for each in yaml.safe_load_all(file.read_text()):
        assert {"apiVersion", "kind", "metadata"} <= each.keys()
        if each["kind"] == "RayJob":
            assert each["spec"]["rayClusterSpec"]["rayVersion"] in (file.parent / "Dockerfile").read_text()
            command, _, line = each["spec"]["entrypoint"].partition(" ")
            assert command == "archsearch"
            parse(line)


@pytest.mark.parametrize("file", [file for file in CLUSTER_FILES if file.suffix == ".sh"], ids=lambda file: file.name)
def test_a_script_for_slurm_can_be_read(file: Path) -> None:
    subprocess.run(["bash", "-n", file], check=True)
    text = file.read_text()
    assert os.access(file, os.X_OK)
    assert re.match(r"#!/bin/bash\n(#.*\n)+set -euo pipefail\n", text)  # sbatch reads no further for its options
    (line,) = re.findall(r"^ *archsearch ((?:.*\\\n)*.*)", text, re.MULTILINE)
    parse(re.sub(r"\$\w+", "1", line.replace("\\\n", " ")))


@pytest.mark.parametrize("file", CLUSTER_FILES, ids=lambda file: file.name)
def test_the_page_on_clusters_names_each_of_its_files(file: Path) -> None:
    assert f"](cluster/{file.name})" in CLUSTER


@pytest.mark.parametrize("text", [README, ARCHITECTURE], ids=["README", "architecture"])
def test_a_path_in_the_documents_exists(text: str) -> None:
    named = set(re.findall(r"`((?:archsearch|docs|tests|search_spaces|benchmarks)/[\w./-]+)`", text))
    named |= set(re.findall(r"\]\((?!https?:|#|mailto:)([^)#\s]+)", text))
    assert {path for path in named if not (ROOT / path).exists()} == set()


@pytest.mark.parametrize("text", code_blocks(README, "yaml"))
def test_a_space_in_the_readme_is_one(text: str) -> None:
    assert parse_space(text).parameters


@pytest.mark.parametrize("text", code_blocks(README, "python"))
def test_the_readme_imports_what_is_public(text: str) -> None:
    nodes = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.ImportFrom)]
    names = {alias.name for node in nodes if node.module == "archsearch" for alias in node.names}
    assert names <= set(archsearch.__all__)

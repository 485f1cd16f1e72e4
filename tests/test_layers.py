"""The direction of imports: a module imports only from those above it."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import archsearch

ROOT = Path(archsearch.__file__).parent

ORDER = [
    {"errors", "files", "printable", "visitors"},
    {"space"},
    {"data"},
    {"model"},
    {"training"},
    {"search"},
    {"interop"},
    {"report"},
    {"track"},
    {"retrain", "replay", "explain"},
    {"export", "stress"},
    {"demo"},
    {"study", "standalone"},
    {"launch"},
    {"dashboard"},
    {"display", "display_space", "display_stress"},
    {"display_trial"},
    {"cli_space"},
    {"cli"},
]
RANK = {name: rank for rank, names in enumerate(ORDER) for name in names}

MODULES = sorted(path for path in ROOT.rglob("*.py") if path.parent != ROOT or path.name != "__init__.py")


def part(module: str) -> str:
    return module.split(".")[1]


def imported(path: Path) -> set[str]:
    """Parts of archsearch that a file imports, anywhere in it."""
    tree = ast.parse(path.read_text())
    names = [alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names]
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module:
            names += [f"{node.module}.{alias.name}" for alias in node.names]
    return {part(name) for name in names if name.startswith("archsearch.")}


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_point_upwards(path: Path) -> None:
    relative = path.relative_to(ROOT)
    own = relative.parts[0].removesuffix(".py")
    later = {name for name in imported(path) if RANK[name] > RANK[own]}
    beside = {name for name in imported(path) if RANK[name] == RANK[own] and name != own}
    assert not later, f"{relative} imports {later}, which come after {own}"
    assert not beside, f"{relative} imports {beside}, which stand beside {own}"


def modules_after(code: str) -> set[str]:
    listing = f"{code}\nimport sys; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", listing], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


@pytest.mark.parametrize(
    ("code", "absent"),
    [
        ("import archsearch", {"tensorflow", "keras", "optuna", "numpy", "pydantic"}),
        ("import archsearch.cli", {"tensorflow", "keras", "optuna", "numpy"}),
        (
            "import archsearch; archsearch.load_space, archsearch.sample, archsearch.cost",
            {"tensorflow", "optuna", "numpy"},
        ),
        ("import archsearch.training.job, archsearch.data.sources", {"tensorflow", "optuna"}),
        ("import archsearch.report.page", {"tensorflow", "keras"}),
        ("import archsearch.training.robustness", {"tensorflow", "keras", "sklearn", "plotly"}),
        ("import archsearch.export.predict, archsearch.stress.measure", {"tensorflow", "keras", "optuna"}),
        ("import archsearch.study, archsearch.display", {"tensorflow", "keras", "sklearn", "plotly"}),
        ("import archsearch.training.crossval", {"optuna", "plotly", "keras_tuner"}),
        ("import archsearch.interop.candidates", {"tensorflow", "keras", "keras_tuner"}),
    ],
)
def test_what_an_import_does_not_load(code: str, absent: set[str]) -> None:
    assert not modules_after(code) & absent


def test_only_the_search_writes_to_a_study() -> None:
    writes = {"set_user_attr", "set_trial_user_attr", "enqueue_trial", "create_study", "tell", "ask"}
    for path in MODULES:
        if path.relative_to(ROOT).parts[0] in ("search", "launch.py", "data"):  # where files tell where they are
            continue
        called = {node.attr for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Attribute)}
        assert not called & writes, path

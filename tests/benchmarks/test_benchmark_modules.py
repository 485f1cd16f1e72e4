"""Benchmarks are seldom run, so what they import is looked at here."""

from importlib import import_module
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FILES = [path for path in (ROOT / "benchmarks").rglob("*.py") if not path.name.startswith("__")]


@pytest.mark.slow
@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_benchmark_finds_what_it_imports(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT))
    import_module(".".join(file.relative_to(ROOT).with_suffix("").parts))

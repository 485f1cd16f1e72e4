"""The public names, all of them, and what they are."""

from pathlib import Path

import pytest

import archsearch


def test_the_public_names() -> None:
    assert archsearch.__all__ == [
        "Architecture",
        "ArchsearchError",
        "InputError",
        "SearchConfig",
        "SearchError",
        "Study",
        "build",
        "cost",
        "load_data",
        "load_space",
        "run_search",
        "sample",
    ]


@pytest.mark.parametrize("name", archsearch.__all__)
def test_a_public_name_is_documented(name: str) -> None:
    found = getattr(archsearch, name)
    assert found.__name__ == name
    assert found.__doc__


def test_no_public_name_is_also_a_module() -> None:
    """A module's name would shadow it as soon as the module is imported."""
    parts = {path.stem for path in Path(archsearch.__file__).parent.iterdir()}
    assert not parts & set(archsearch.__all__)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'serch'"):
        archsearch.serch  # noqa: B018

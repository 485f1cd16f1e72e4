"""What tests of several parts share: a cache of their own, real digits, and small candidates."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from archsearch.training.environment import ONE_THREAD, TENSORFLOW

# As a worker has them, and before anything imports TensorFlow.
for name, value in (TENSORFLOW | ONE_THREAD).items():
    os.environ.setdefault(name, value)

MNIST = Path(__file__).parents[2] / "shared" / "data" / "mnist.npz"


@pytest.fixture(scope="session", autouse=True)
def shared_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Converted data goes to a folder that one run's tests share, not to the user's cache."""
    folder = tmp_path_factory.getbasetemp() / "cache"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ARCHSEARCH_CACHE", str(folder))
        yield folder


@pytest.fixture(scope="session")
def mnist() -> Path:
    """The real MNIST, where it lies beside the project."""
    if not MNIST.is_file():
        pytest.skip(f"{MNIST} is not there")
    return MNIST

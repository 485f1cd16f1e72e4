"""The dashboard, or the demo, as a process that listens."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

from searches import Background, background


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def answers(url: str) -> bool:
    """Whether there is a page."""
    try:
        return bool(urlopen(url, timeout=5).status == 200)
    except URLError:
        return False


@contextmanager
def begun(study: Path, command: str = "dashboard") -> Iterator[tuple[str, Background]]:
    """Where a study's page is served, and the process."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    with background(command, study, "--port", port) as process:
        process.until(f"{command}: {url}/")
        process.wait_for(lambda: answers(url))
        yield url, process


@contextmanager
def serving(study: Path) -> Iterator[str]:
    """Where it is served, until the block ends."""
    with begun(study) as (url, dashboard):
        yield url
        dashboard.ctrl_c()
        dashboard.finish()

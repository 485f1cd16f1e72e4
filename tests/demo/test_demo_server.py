"""The page is served to this machine, and to nobody who comes under another name."""

import http.client
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from demo_models import write_drawings

from archsearch.demo.server import server
from archsearch.errors import InputError


@contextmanager
def running(folder: Path, host: str = "127.0.0.1") -> Iterator[int]:
    """The port on which the folder is served."""
    with server(folder, host, 0) as listening:
        thread = threading.Thread(target=listening.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield listening.server_address[1]
        finally:
            listening.shutdown()
            thread.join()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_drawings(tmp_path_factory.mktemp("served"))


def ask(port: int, path: str = "/", host: str | None = None, method: str = "GET") -> http.client.HTTPResponse:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    connection.request(method, path, headers={"Host": host} if host is not None else {})
    return connection.getresponse()


def test_files_come_as_what_they_are(folder: Path) -> None:
    kinds = {
        "/": "text/html",
        "/page/app.js": "text/javascript",
        "/page/style.css": "text/css",
        "/vendor/ort.wasm.bundle.min.mjs": "text/javascript",
        "/vendor/ort-wasm-simd-threaded.wasm.gz": "application/octet-stream",
        "/model.onnx": "application/octet-stream",
        "/demo.json": "application/json",
        "/examples/0.png": "image/png",
    }
    with running(folder) as port:
        for path, kind in kinds.items():
            answer = ask(port, path)
            assert (answer.status, answer.headers["Content-Type"]) == (200, kind), path
            assert answer.headers["X-Content-Type-Options"] == "nosniff"
            assert answer.headers["Content-Encoding"] is None


@pytest.mark.parametrize("path", ["/nothing", "/page/", "/../demo.py", "/%2e%2e/%2e%2e/etc/passwd"])
def test_there_is_nothing_else(folder: Path, path: str) -> None:
    with running(folder) as port:
        assert ask(port, path).status == 404


@pytest.mark.parametrize(
    "host", ["evil.example:{}", "127.0.0.1", "localhost:1", "", "127.0.0.1:{}:x", "192.168.0.7:{}"]
)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_other_names_are_refused(folder: Path, host: str, method: str) -> None:
    with running(folder) as port:
        assert ask(port, "/demo.json", host.format(port), method).status == 403


@pytest.mark.parametrize("host", ["127.0.0.1:{}", "localhost:{}", "LOCALHOST:{}", "[::1]:{}"])
def test_its_own_names_are_served(folder: Path, host: str) -> None:
    with running(folder) as port:
        assert ask(port, "/demo.json", host.format(port)).status == 200


def test_listening_everywhere_it_is_asked_by_address(folder: Path) -> None:
    with running(folder, "0.0.0.0") as port:
        assert ask(port, "/", f"192.168.0.7:{port}").status == 200
        assert ask(port, "/", f"evil.example:{port}").status == 403


def test_a_folder_without_a_page(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there is no page here"):
        server(tmp_path, "127.0.0.1", 0)

"""Serves the page on this machine."""

import sys
from collections.abc import Callable
from functools import partial
from http import HTTPStatus
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from archsearch.demo.site import ABOUT
from archsearch.errors import InputError
from archsearch.visitors import REFUSED, is_welcome, listening_address


def serve(folder: Path, host: str, port: int, ready: Callable[[], None] = lambda: None) -> None:
    """Serves a page that `write_site` wrote until interrupted.

    Args:
        folder: The page's folder.
        host: Address to listen on.
        port: TCP port, 1 to 65535.
        ready: Called when the server listens.

    Raises:
        InputError: There is no page in `folder`.
        OSError: The address cannot be listened on.
    """
    with server(folder, host, port) as listening:
        ready()
        listening.serve_forever()


def server(folder: Path, host: str, port: int) -> ThreadingHTTPServer:
    """A server that listens and is still to be run; port 0 is a free one. Raises what `serve` raises."""
    if not (folder / ABOUT).is_file():
        raise InputError(f"{folder}: there is no page here")
    family, address = listening_address(host, port)

    class Server(ThreadingHTTPServer):
        address_family = family
        asked_for = host

        def handle_error(self, request: Any, client_address: Any) -> None:
            if not isinstance(sys.exception(), ConnectionError):  # a browser that goes away is no error
                super().handle_error(request, client_address)

    return Server(address, partial(_Handler, directory=str(folder)))


class _Handler(SimpleHTTPRequestHandler):
    """Files of one folder, to whoever asks for them by this machine's own name."""

    extensions_map = {  # noqa: RUF012 - as its base class declares it
        **SimpleHTTPRequestHandler.extensions_map,
        ".mjs": "text/javascript",  # what the system's own table says of these differs from machine to machine
        ".js": "text/javascript",
        ".css": "text/css",
        ".onnx": "application/octet-stream",
        ".gz": "application/octet-stream",  # the page unpacks it
    }

    def send_head(self) -> Any:
        own: str = self.server.asked_for  # type: ignore[attr-defined]
        port = self.connection.getsockname()[1]
        if not is_welcome(own, port, self.command, self.headers.get("Host", ""), self.headers.get("Origin")):
            return self.send_error(HTTPStatus.FORBIDDEN, explain=REFUSED)
        return super().send_head()

    def list_directory(self, path: Any) -> Any:
        return self.send_error(HTTPStatus.NOT_FOUND)

    def end_headers(self) -> None:
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("Cache-Control", "no-cache")
        super().end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        pass

"""Serves the page on this machine."""

import socket
import sys
from collections.abc import Callable
from functools import partial
from http import HTTPStatus
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from archsearch.demo.site import ABOUT
from archsearch.errors import InputError

HOME = ("127.0.0.1", "::1", "localhost")
EVERYWHERE = ("", "0.0.0.0", "::")


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
    family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]

    class Server(ThreadingHTTPServer):
        address_family = family
        asked_for = host

        def handle_error(self, request: Any, client_address: Any) -> None:
            if not isinstance(sys.exception(), ConnectionError):  # a browser that goes away is no error
                super().handle_error(request, client_address)

    return Server(address[:2], partial(_Handler, directory=str(folder)))  # type: ignore[arg-type]


class _Handler(SimpleHTTPRequestHandler):
    """Files of one folder, to whoever asks for them by this machine's own name.

    A page elsewhere whose name is made to point here (DNS rebinding) still sends its own name as the host.
    """

    extensions_map = {  # noqa: RUF012 - as its base class declares it
        **SimpleHTTPRequestHandler.extensions_map,
        ".mjs": "text/javascript",  # what the system's own table says of these differs from machine to machine
        ".js": "text/javascript",
        ".css": "text/css",
        ".onnx": "application/octet-stream",
        ".gz": "application/octet-stream",  # the page unpacks it
    }

    def send_head(self) -> Any:
        if not self._asked_properly():
            return self.send_error(HTTPStatus.FORBIDDEN)
        return super().send_head()

    def list_directory(self, path: Any) -> Any:
        return self.send_error(HTTPStatus.NOT_FOUND)

    def end_headers(self) -> None:
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("Cache-Control", "no-cache")
        super().end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def _asked_properly(self) -> bool:
        own: str = self.server.asked_for  # type: ignore[attr-defined]
        port = self.connection.getsockname()[1]
        try:
            asked = urlsplit(f"//{self.headers.get('Host', '')}")
            name, on = (asked.hostname or "").lower(), asked.port or 80
        except ValueError:
            return False
        names = (*HOME, own.lower())
        return on == port and (name in names or (own in EVERYWHERE and _is_address(name)))


def _is_address(name: str) -> bool:
    """Whether it is digits, which no name server can make to mean anything else."""
    try:
        ip_address(name)
    except ValueError:
        return False
    return True

"""Serves Optuna's dashboard on a study, also while it runs."""

import socket
from collections.abc import Callable, Iterable
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING, Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

from archsearch.search.folder import StudyFolder
from archsearch.visitors import REFUSED, is_welcome, listening_address

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach what listens on `host`; a name that is not known is not."""
    try:
        found = socket.getaddrinfo(host, None)
    except OSError:
        return False
    return all(ip_address(address[0]).is_loopback for *_, address in found)


def serve(study: Path, host: str, port: int, ready: Callable[[], None] = lambda: None) -> None:
    """Serves the dashboard until interrupted. It has no password: whoever reaches it can delete the study.

    Args:
        study: A study's folder.
        host: Address to listen on.
        port: TCP port, 1 to 65535.
        ready: Called when everything is in order, just before the server starts.

    Raises:
        StudyError: `study` holds no study.
        OSError: The address cannot be listened on.
    """
    with server(study, host, port) as listening:
        ready()
        listening.serve_forever()


def server(study: Path, host: str, port: int) -> WSGIServer:
    """A server that listens and is still to be run; port 0 is a free one. Raises what `serve` raises."""
    from optuna_dashboard import wsgi

    from archsearch.dashboard.view import Pictures, view_of

    view = view_of(StudyFolder(study))
    family, address = listening_address(host, port)

    class Server(WSGIServer):
        address_family = family

    listening = Server(address, _Handler)
    listening.set_app(guarded(wsgi(view, Pictures(view)), host, listening.server_port))
    return listening


def guarded(app: "WSGIApplication", own: str, port: int) -> "WSGIApplication":
    """`app` for those who are welcome (`visitors.is_welcome`); its pages are in no frame of another, where a user
    could be made to click on them.

    Args:
        app: The application.
        own: The host that it was told to listen on.
        port: The port that it listens on.
    """

    def guard(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        host, origin = environ.get("HTTP_HOST", ""), environ.get("HTTP_ORIGIN")
        if not is_welcome(own, port, environ["REQUEST_METHOD"], host, origin):
            start_response("403 Forbidden", [("Content-Type", "text/plain")])
            return [f"{REFUSED}\n".encode()]

        def start(status: str, headers: list[tuple[str, str]], *more: Any) -> Callable[[bytes], object]:
            kept = [(name, value) for name, value in headers if name != "Access-Control-Allow-Origin"]
            return start_response(status, [*kept, ("X-Frame-Options", "DENY")], *more)

        return app(environ, start)

    return guard


class _Handler(WSGIRequestHandler):
    def address_string(self) -> str:
        return str(self.client_address[0])  # its name may take seconds to look up

    def log_message(self, format: str, *args: Any) -> None:
        pass

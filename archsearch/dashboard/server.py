"""Serves Optuna's dashboard on a study, also while it runs."""

import socket
from collections.abc import Callable
from ipaddress import ip_address
from pathlib import Path

from archsearch.search.folder import StudyFolder


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
    from optuna_dashboard import run_server

    from archsearch.dashboard.view import Pictures, view_of

    view = view_of(StudyFolder(study))
    # The server says that it listens before it tries to.
    socket.create_server((host, port)).close()
    ready()
    run_server(view, host, port, Pictures(view))

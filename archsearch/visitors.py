"""Whom a server on this machine answers: browsers that were sent there by its user, and by no page from elsewhere.

Such a page cannot read what a server of another origin answers, unless its own name is made to point here (DNS
rebinding): then the browser takes the two for one. But it still sends that name as the host that it asks. And it can
make a browser send requests whose answers it never sees: those say which page they come from.
"""

import socket
from ipaddress import ip_address
from urllib.parse import urlsplit

HOME = ("127.0.0.1", "::1", "localhost")
EVERYWHERE = ("", "0.0.0.0", "::")
READING = ("GET", "HEAD", "OPTIONS")
REFUSED = (
    "This server answers only to the address that it was started with, and only its own pages may change anything."
)


def listening_address(host: str, port: int) -> tuple[socket.AddressFamily, tuple[str, int]]:
    """What a server binds to, so that it listens on `host`. Raises OSError if there is no such host."""
    family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
    return family, (str(address[0]), int(address[1]))


def is_welcome(own: str, port: int, method: str, host: str, origin: str | None) -> bool:
    """Whether a request is answered.

    A server that listens everywhere does not know by which names it is reached: it is asked by address.

    Args:
        own: The host that the server was told to listen on.
        port: The port that it listens on.
        method: Of the request.
        host: Its `Host` header; empty if it has none.
        origin: Its `Origin` header. Browsers send one with every request that may change something; what sends none
            is no browser.
    """
    try:
        asked = urlsplit(f"//{host}")
        name, on = (asked.hostname or "").lower(), asked.port or 80
    except ValueError:
        return False
    by_its_name = name in (*HOME, own.lower()) or (own in EVERYWHERE and _is_address(name))
    from_its_page = method in READING or origin is None or origin.lower() == f"http://{host.lower()}"
    return asked.netloc == host and "@" not in host and on == port and by_its_name and from_its_page


def _is_address(name: str) -> bool:
    """Whether it is digits, which no name server can make to mean anything else."""
    try:
        ip_address(name)
    except ValueError:
        return False
    return True

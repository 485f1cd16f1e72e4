"""Requests that are answered, and those that a page from elsewhere makes a browser send."""

import pytest

from archsearch.visitors import is_welcome, listening_address


@pytest.mark.parametrize(
    ("own", "host", "welcome"),
    [
        ("127.0.0.1", "127.0.0.1:8080", True),
        ("127.0.0.1", "LocalHost:8080", True),
        ("127.0.0.1", "[::1]:8080", True),
        ("::1", "[::1]:8080", True),
        ("192.0.2.7", "192.0.2.7:8080", True),
        ("box.local", "Box.local:8080", True),
        ("0.0.0.0", "192.0.2.7:8080", True),
        ("::", "[2001:db8::1]:8080", True),
        ("127.0.0.1", "192.0.2.7:8080", False),
        ("127.0.0.1", "evil.example:8080", False),
        ("127.0.0.1", "127.0.0.1.evil.example:8080", False),
        ("127.0.0.1", "evil.example@127.0.0.1:8080", False),
        ("127.0.0.1", "127.0.0.1:8080/", False),
        ("0.0.0.0", "evil.example:8080", False),
        ("::", "box.local:8080", False),
        ("127.0.0.1", "127.0.0.1", False),
        ("127.0.0.1", "127.0.0.1:80", False),
        ("127.0.0.1", "[::1:8080", False),
        ("127.0.0.1", "127.0.0.1:808x", False),
        ("", "", False),
    ],
)
def test_the_name_that_is_asked(own: str, host: str, welcome: bool) -> None:
    assert is_welcome(own, 8080, "GET", host, None) == welcome


@pytest.mark.parametrize(
    ("method", "origin", "welcome"),
    [
        ("GET", "https://evil.example", True),  # whose page never sees the answer
        ("HEAD", "null", True),
        ("POST", None, True),
        ("DELETE", "http://127.0.0.1:8080", True),
        ("POST", "https://evil.example", False),
        ("PUT", "null", False),
        ("DELETE", "http://127.0.0.1:9999", False),
        ("DELETE", "http://localhost:8080", False),
        ("PATCH", "https://127.0.0.1:8080", False),
        ("DELETE", "", False),
    ],
)
def test_the_page_that_asks(method: str, origin: str | None, welcome: bool) -> None:
    assert is_welcome("127.0.0.1", 8080, method, "127.0.0.1:8080", origin) == welcome


def test_a_browser_leaves_the_usual_port_out() -> None:
    assert is_welcome("127.0.0.1", 80, "POST", "localhost", "http://localhost")


def test_where_a_server_listens() -> None:
    assert listening_address("127.0.0.1", 8080)[1] == ("127.0.0.1", 8080)
    assert listening_address("localhost", 8080)[1][0] in ("127.0.0.1", "::1")

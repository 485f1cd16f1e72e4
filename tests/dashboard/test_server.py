"""Optuna's dashboard on a real study, as a process that listens."""

import http.client
import json
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPMessage
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest
from dashboards import answers, begun, free_port
from searches import Cli, Searched, background, contents
from spaces import SMALL

from archsearch.dashboard.server import is_loopback, server
from archsearch.study import Study

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("study")]


def get(url: str) -> Any:
    with urlopen(url, timeout=30) as answer:
        return json.loads(answer.read())


def test_the_dashboard_shows_the_study(searched: Searched) -> None:
    before = contents(searched.study.path)
    with begun(searched.study.path) as (url, dashboard):
        assert answers(f"{url}/")
        (study,) = get(f"{url}/api/studies")["study_summaries"]
        assert study["study_name"] == "archsearch"
        trials = get(f"{url}/api/studies/{study['study_id']}?after=0")["trials"]
        kept = searched.study.trials()
        assert len(trials) == len(kept)
        assert [trial["values"] for trial in trials if trial["state"] == "Complete"] == [
            [trial.score] for trial in kept if trial.state == "complete"
        ]
        details = get(f"{url}/api/studies/{study['study_id']}?after=0")
        first = details["trials"][0]
        assert {fact["key"] for fact in first["user_attrs"]} >= {"state", "architecture", "parameters", "score"}
        assert first["note"]["body"].startswith("## Trial 0, the baseline: complete")
        assert details["note"]["body"].startswith(f"## {searched.study.path.name}")
        assert SMALL.strip() in details["note"]["body"]
        assert {plot["id"] for plot in details["plotly_graph_objects"]} >= {"best-so-far", "workers"}
        for picture in first["artifacts"]:
            where = f"{url}/artifacts/{study['study_id']}/{first['trial_id']}/{picture['artifact_id']}"
            with urlopen(where, timeout=30) as answer:
                assert answer.headers["Content-Type"] == "image/svg+xml"
                assert answer.read().startswith(b"<svg")
        assert [picture["filename"] for picture in first["artifacts"]] == ["architecture.svg", "learning-curve.svg"]
        dashboard.ctrl_c()
        done = dashboard.finish()
        assert done.code in (0, 128 + signal.SIGINT)
        assert "Traceback" not in done.err
    assert contents(searched.study.path) == before


@contextmanager
def running(study: Path) -> Iterator[int]:
    """The port on which the dashboard is served."""
    with server(study, "127.0.0.1", 0) as listening:
        thread = threading.Thread(target=listening.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield listening.server_port
        finally:
            listening.shutdown()
            thread.join()


def ask(port: int, method: str, path: str, **headers: str) -> tuple[int, HTTPMessage, str]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request(method, path, headers=headers)
    answer = connection.getresponse()
    return answer.status, answer.headers, answer.read().decode()


def test_other_names_are_refused(searched: Searched) -> None:
    with running(searched.study.path) as port:
        for path in ("/", "/api/studies", "/dashboard/studies/0", "/static/bundle.js"):
            status, _, text = ask(port, "GET", path, Host=f"evil.example:{port}")
            assert status == 403, path
            assert text.startswith("This server answers only to the address")
        assert ask(port, "GET", "/api/studies", Host=f"localhost:{port}")[0] == 200


def test_no_page_from_elsewhere_deletes_a_study(a_copy: Study) -> None:
    with running(a_copy.path) as port:
        for method, path in (("DELETE", "/api/studies/0"), ("POST", "/api/studies"), ("PUT", "/api/studies/0/note")):
            assert ask(port, method, path, Origin="https://evil.example")[0] == 403
        assert len(a_copy.trials()) > 0
        status, headers, _ = ask(port, "DELETE", "/api/studies/0", Origin=f"http://127.0.0.1:{port}")
        assert status == 204
        assert headers["X-Frame-Options"] == "DENY"


def test_pages_from_elsewhere_read_no_pictures(searched: Searched) -> None:
    with running(searched.study.path) as port:
        assert ask(port, "GET", "/api/studies/0?after=0")[0] == 200
        status, headers, text = ask(port, "GET", "/artifacts/0/0/0-a")
    assert (status, text[:4]) == (200, "<svg")
    assert "Access-Control-Allow-Origin" not in headers


def test_a_port_in_use_is_an_input_error(searched: Searched, cli: Cli) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = cli("dashboard", searched.study.path, "--port", port)
    assert done.code == 2
    assert done.err.startswith(f"dashboard: cannot listen on 127.0.0.1:{port}: Address already in use")
    assert done.err.endswith("; choose another --port\n")
    assert done.err.count("\n") == 1


@pytest.mark.parametrize(
    ("host", "loopback"),
    [("127.0.0.1", True), ("localhost", True), ("::1", True), ("0.0.0.0", False), ("192.0.2.7", False), ("?", False)],
)
def test_what_only_this_machine_reaches(host: str, loopback: bool) -> None:
    assert is_loopback(host) == loopback


def test_another_address_is_warned_of(searched: Searched) -> None:
    with background("dashboard", searched.study.path, "--host", "0.0.0.0", "--port", port := free_port()) as dashboard:
        dashboard.until(f"dashboard: http://0.0.0.0:{port}/")
        dashboard.ctrl_c()
        done = dashboard.finish()
    assert f"warning: the dashboard has no password; whoever reaches 0.0.0.0:{port} can change and delete" in done.err

"""A real PostgreSQL that ends with the tests, and can be stopped and killed before."""

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cached_property
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psycopg
import pytest
from dashboards import free_port

USER, PASSWORD = "anna", "p@ss/w:rd %7B{0}#?"
"""All of it has to be written in another way in a URL, and some means something to whoever reads one."""

HANGING = 60
"""Seconds after which a server will not start any more."""


def find_binaries() -> Path | None:
    """Where `initdb` and `postgres` are: in the PATH, or where Debian puts them."""
    if found := shutil.which("initdb"):
        return Path(found).resolve().parent
    return max(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: float(path.parent.name), default=None)


BINARIES = find_binaries()
needs_postgresql = pytest.mark.skipif(BINARIES is None, reason="needs PostgreSQL, as in 'apt-get install postgresql'")


class Server:
    """A PostgreSQL on a port of 127.0.0.1 that asks for a password; nothing of it waits for the disk."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self._data = folder / "data"
        self._log = folder / "log"
        self._process: subprocess.Popen[bytes] | None = None
        self._names = count()
        word = folder / "password"
        word.write_text(PASSWORD)
        if self._owner:
            for path in (folder, word):
                os.chown(path, self._owner["user"], self._owner["group"])
        made = ("--auth=scram-sha-256", f"--username={USER}", f"--pwfile={word}", "--no-sync", "--encoding=UTF8")
        self._run("initdb", f"--pgdata={self._data}", "--locale=C", *made)

    @cached_property
    def _owner(self) -> dict[str, Any]:
        """PostgreSQL refuses to run as root."""
        if os.getuid() != 0:
            return {}
        nobody = pwd.getpwnam("nobody")
        return {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}

    def _run(self, name: str, *words: str) -> None:
        assert BINARIES is not None
        subprocess.run([BINARIES / name, *words], check=True, capture_output=True, cwd="/", **self._owner)

    def url(self, database: str, password: str | None = PASSWORD) -> str:
        """Where a database of this server is."""
        word = "" if password is None else f":{quote(password, safe='')}"
        return f"postgresql://{USER}{word}@127.0.0.1:{self.port}/{database}"

    def new_database(self) -> str:
        """The URL of an empty one."""
        name = f"study{next(self._names)}"
        self.execute(f"CREATE DATABASE {name}")
        return self.url(name)

    def execute(self, statement: str, database: str = "postgres") -> list[Any]:
        """Runs SQL past everything that is tested; returns the rows."""
        with psycopg.connect(self.url(database), autocommit=True) as connection:
            cursor = connection.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []

    def start(self) -> None:
        """Starts it and waits until it answers."""
        assert BINARIES is not None
        words: list[str | Path] = [BINARIES / "postgres", "-D", self._data, "-p", str(self.port), "-h", "127.0.0.1"]
        words += ["-F", "-c", "unix_socket_directories=", "-c", "max_connections=30"]
        deadline = time.monotonic() + HANGING
        while True:
            if self._process is None or self._process.poll() is not None:
                # What a killed server leaves may still hold its memory for a moment; then the next one ends at once.
                with self._log.open("ab") as log:
                    self._process = subprocess.Popen(
                        words, stdout=log, stderr=log, cwd="/", start_new_session=True, **self._owner
                    )
            try:
                self.execute("SELECT 1")
            except psycopg.OperationalError:
                assert time.monotonic() < deadline, self._log.read_text()
                time.sleep(0.05)
            else:
                return

    def stop(self) -> None:
        """Shuts it down as an administrator does: connections are told and cut."""
        if self._process is not None:
            self._process.send_signal(signal.SIGINT)
            self._process.wait()
            self._process = None

    def kill(self) -> None:
        """Ends all of it at once; nobody is told."""
        if self._process is not None:
            self._process.send_signal(signal.SIGSTOP)  # so that it does not look after its children
            for child in self._children():
                with suppress(ProcessLookupError):
                    os.kill(child, signal.SIGKILL)
            self._process.kill()
            self._process.wait()
            self._process = None

    def restart(self) -> None:
        """Down and up again."""
        self.stop()
        self.start()

    def _children(self) -> list[int]:
        assert self._process is not None
        listing = ["ps", "-o", "pid=", "--ppid", str(self._process.pid)]
        return [*map(int, subprocess.run(listing, capture_output=True, text=True).stdout.split())]


@contextmanager
def serving_databases() -> Iterator[Server]:
    """A server that is up, until the block ends."""
    with tempfile.TemporaryDirectory(prefix="archsearch-postgresql-", ignore_cleanup_errors=True) as folder:
        server = Server(Path(folder))
        try:
            server.start()
            yield server
        finally:
            server.kill()

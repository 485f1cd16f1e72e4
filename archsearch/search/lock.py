"""A lock that a database keeps, and opens when its holder dies."""

import contextlib
from hashlib import sha256
from typing import TYPE_CHECKING

from archsearch.search.address import Address, Unreachable, told

if TYPE_CHECKING:
    from psycopg import Connection
    from psycopg.rows import TupleRow

WAIT_SECONDS = 0.5
"""That one try to get the lock takes at most."""

MOST_SECONDS = 60
"""That it is kept: the server takes it from a holder that is stopped and does not come back."""


class Lock:
    """One of PostgreSQL's advisory locks, held by a connection of its own: it ends with that. Not reentrant.

    See https://www.postgresql.org/docs/current/explicit-locking.html#ADVISORY-LOCKS.
    """

    def __init__(self, address: Address, name: str) -> None:
        self._address = address
        self._key = int.from_bytes(sha256(f"archsearch {name}".encode()).digest()[:8], "big", signed=True)
        self._connection: Connection[TupleRow] | None = None

    def acquire(self) -> bool:
        """Waits a moment for it; whether it is ours now.

        Raises:
            Unreachable: The database is away.
        """
        import psycopg

        try:
            if self._connection is None:
                self._connection = self._address.connect(autocommit=True)
                self._connection.execute(f"SET lock_timeout = '{WAIT_SECONDS}s'")
            self._connection.execute("SELECT pg_advisory_lock(%s)", [self._key])
            self._connection.execute(f"SET idle_session_timeout = '{MOST_SECONDS}s'")
        except psycopg.errors.LockNotAvailable:
            return False
        except psycopg.Error as error:
            self.close()
            raise Unreachable(told(error)) from error
        return True

    def keep(self) -> bool:
        """Says that its holder lives; whether it is still held."""
        import psycopg

        if self._connection is None:
            return False
        try:
            self._connection.execute("SELECT 1")
        except psycopg.Error:
            self.close()
            return False
        return True

    def release(self) -> bool:
        """Whether it was ours until now: it was not if the database has been away."""
        import psycopg

        if self._connection is None:
            return False
        try:
            row = self._connection.execute("SELECT pg_advisory_unlock(%s)", [self._key]).fetchone()
            self._connection.execute("RESET idle_session_timeout")
        except psycopg.Error:
            self.close()
            return False
        return bool(row and row[0])

    def close(self) -> None:
        """Ends the connection, and with it the lock."""
        import psycopg

        if self._connection is not None:
            with contextlib.suppress(psycopg.Error):
                self._connection.close()
            self._connection = None

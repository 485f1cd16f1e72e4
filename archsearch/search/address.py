"""The address of a database: checked, without its secrets wherever it is shown, and how to connect to it."""

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import unquote

from archsearch.errors import InputError, first_line

if TYPE_CHECKING:
    from psycopg import Connection
    from psycopg.rows import TupleRow

EXPECTED = "expected postgresql://USER@HOST/DATABASE"
SCHEMES = ("postgresql", "postgresql+psycopg")
SECRETS = ("password", "sslpassword", "oauth_client_secret", "scram_client_key", "scram_server_key")
"""Parameters of libpq that are kept from sight and out of files; a file that holds one (`passfile`) is not secret."""

DEFAULTS = {
    "fallback_application_name": "archsearch",
    "connect_timeout": "5",
    "keepalives_idle": "10",
    "keepalives_interval": "5",
    "keepalives_count": "3",
    "tcp_user_timeout": "25000",
}
"""What libpq is told unless the URL tells it something else: a server that vanishes is noticed after half a minute."""

SESSION = """
SET timezone = 'UTC';
SET tcp_keepalives_idle = 10;
SET tcp_keepalives_interval = 5;
SET tcp_keepalives_count = 3;
SET tcp_user_timeout = 25000;
"""
"""What the server is told: it notices as fast that we vanish, and then unlocks what we had locked. Optuna keeps
heartbeats as local times: those of two machines have to be of one zone, and one without a summer."""

ADVICE = (
    (
        "password authentication|no password",
        "give the right one in PGPASSWORD or in ~/.pgpass, where libpq finds it; the study's folder holds none",
    ),
    ("authentication|pg_hba", "ask who runs the database how this user may connect from here"),
    ("database .* does not exist", "make it with createdb, or correct its name"),
    ("resolve host|translate host|not known", "correct the host's name"),
    ("refused|timeout|timed out|No such file|unreachable|No route", "start PostgreSQL there, or correct host and port"),
    ("too many|remaining connection slots", "end other programs that use it, or raise its max_connections"),
    ("starting up|shutting down|closed the connection|terminating connection", "try again when it is up"),
    ("permission denied", "grant this user the rights to connect and to create tables: GRANT CREATE ON SCHEMA public"),
)
"""What to do, by what PostgreSQL says."""


class Unreachable(Exception):
    """There is no connection to be had just now; says why."""


@dataclass(frozen=True)
class Address:
    """Where a database is; made by `parse_address`.

    Attributes:
        shown: Its URL without any secret, for messages and files.
    """

    shown: str
    _conninfo: str = field(repr=False)

    def __str__(self) -> str:
        return self.shown

    def connect(self, autocommit: bool = False) -> "Connection[TupleRow]":
        """A new connection.

        Raises:
            Unreachable: There is none to be had.
        """
        import psycopg

        try:
            connection = psycopg.connect(self._conninfo, autocommit=True)
            connection.execute(SESSION)
        except psycopg.OperationalError as error:
            reason = told(error)
        else:
            connection.autocommit = autocommit
            return connection
        raise Unreachable(reason)  # out here it does not drag along the frames that know the password

    def refused(self, reason: str) -> InputError:
        """What is wrong if the database cannot be opened at all, and what to do."""
        advice = next((advice for words, advice in ADVICE if re.search(words, reason)), "correct the address")
        return InputError(f"{self}: {reason}; {advice}")


def parse_address(text: str) -> Address:
    """The address that a URL says.

    Args:
        text: As libpq reads it, such as `postgresql://USER@HOST:5432/DATABASE?sslmode=verify-full`. What it leaves
            open is taken from libpq's environment variables and files.

    Raises:
        InputError: It is of another kind or cannot be read, or psycopg is not installed. A text that cannot be read is
            not quoted, for who knows which part of it is the password.
    """
    scheme = re.match(r"([A-Za-z][\w+.-]*)://", text)
    if scheme is None or scheme[1] not in SCHEMES:
        found = f"'{scheme[0]}'" if scheme else "no URL"
        raise InputError(f"storage: found {found}, {EXPECTED}")
    try:
        from psycopg import ProgrammingError
        from psycopg.conninfo import conninfo_to_dict, make_conninfo
    except ImportError:
        raise InputError(
            "storage: PostgreSQL needs psycopg; install it with: pip install 'archsearch[postgresql]'"
        ) from None
    rest = text[scheme.end() :]
    try:
        given = {name: str(value) for name, value in conninfo_to_dict(f"postgresql://{rest}").items()}
    except ProgrammingError:
        raise _unreadable("something that libpq cannot read") from None
    if "@" in re.sub(r"^[^/?@]*@", "", rest):
        raise _unreadable("a '@' that is not the one before the host")
    if not re.fullmatch(r"[\d,]*", given.get("port", "")):
        raise _unreadable("a port that is not a number")
    return Address(_without_secrets(rest), make_conninfo("", **(DEFAULTS | given)))


def told(error: BaseException) -> str:
    """What PostgreSQL or libpq says, in one line."""
    said = first_line(error)
    return re.sub(r"^((connection failed|connection is bad|consuming input failed): )?(.*FATAL: +)?", "", said)


def _unreadable(found: str) -> InputError:
    return InputError(
        f"storage: found {found}, {EXPECTED}; in a user's name or a password, write @ as %40, : as %3A, / as %2F, "
        "? as %3F and % as %25, or give the password in PGPASSWORD or in ~/.pgpass"
    )


def _without_secrets(rest: str) -> str:
    place, _, query = rest.partition("?")
    login, _, where = place.rpartition("@")
    user = login.partition(":")[0]
    kept = [part for part in query.split("&") if part and unquote(part.partition("=")[0]) not in SECRETS]
    return f"postgresql://{f'{user}@' if user else ''}{where}{'?' if kept else ''}{'&'.join(kept)}"

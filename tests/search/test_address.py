"""Which addresses are taken, and that no secret of one is ever shown."""

import logging
import subprocess
import sys
import traceback
from urllib.parse import quote

import pytest
from databases import PASSWORD, USER, Server, needs_postgresql

from archsearch.errors import InputError
from archsearch.search.address import Address, Unreachable, parse_address
from archsearch.search.database import open_database


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("postgresql://anna@db/study", "postgresql://anna@db/study"),
        ("postgresql://anna:s3cret@db:5433/study", "postgresql://anna@db:5433/study"),
        ("postgresql+psycopg://anna:s3cret@db/study", "postgresql://anna@db/study"),
        ("postgresql://:s3cret@db/study", "postgresql://db/study"),
        ("postgresql://anna:s3c#ret@db/study", "postgresql://anna@db/study"),
        ("postgresql://db/study?user=anna&password=s3cret", "postgresql://db/study?user=anna"),
        ("postgresql://db/study?pass%77ord=s3cret", "postgresql://db/study"),
        (
            "postgresql://anna:s3cret@a:1,[::1]:2/study?sslmode=verify-full&sslpassword=s3cret&passfile=/my/file",
            "postgresql://anna@a:1,[::1]:2/study?sslmode=verify-full&passfile=/my/file",
        ),
        ("postgresql:///study?host=/run/postgresql", "postgresql:///study?host=/run/postgresql"),
        ("postgresql://%2Frun%2Fpostgresql/study", "postgresql://%2Frun%2Fpostgresql/study"),
    ],
)
def test_an_address_is_shown_without_its_secrets(given: str, shown: str) -> None:
    address = parse_address(given)
    assert (str(address), address.shown) == (shown, shown)
    assert "s3c" not in repr(address)
    assert str(parse_address(shown)) == shown


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ("sqlite:///study.db", "'sqlite://'"),
        ("mysql://anna:s3cret@db/study", "'mysql://'"),
        ("postgres://anna:s3cret@db/study", "'postgres://'"),
        ("reports/study", "no URL"),
        ("anna:s3cret@db/study", "no URL"),
        ("", "no URL"),
        ("postgresql://anna:s3@cret@db/study", "a '@' that is not the one before the host"),
        ("postgresql://anna:s3/cret@db/study", "a '@' that is not the one before the host"),
        ("postgresql://anna:53/s3cret@db/study", "a '@' that is not the one before the host"),
        ("postgresql://anna:s3?cret=a@db/study", "a '@' that is not the one before the host"),
        ("postgresql://anna:s3?dbname=a@db/study", "a '@' that is not the one before the host"),
        ("postgresql://anna:s3%cret@db/study", "something that libpq cannot read"),
        ("postgresql://anna:s3cret/study", "a port that is not a number"),
        ("postgresql://anna@db/study?pasword=s3cret", "something that libpq cannot read"),
    ],
)
def test_what_is_no_address_is_refused_without_being_quoted(given: str, found: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_address(given)
    assert f"found {found}, expected postgresql://" in str(caught.value)
    everything = "".join(traceback.format_exception(caught.value)).replace(__file__, "")
    assert "s3" not in everything
    assert "cret" not in everything


def test_without_psycopg_the_message_says_what_to_install() -> None:
    script = (
        "import sys; sys.modules['psycopg'] = None\n"
        "import archsearch.search.database\n"
        "from archsearch.search.address import parse_address\n"
        "parse_address('postgresql://anna:s3cret@db/study')"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.stderr.splitlines()[-1].endswith("install it with: pip install 'archsearch[postgresql]'")


def test_the_driver_is_loaded_when_it_is_used() -> None:
    script = (
        "import sys, archsearch.search.database; print(sys.modules.keys() & {'psycopg', 'sqlalchemy', 'tensorflow'})"
    )
    assert subprocess.run([sys.executable, "-c", script], capture_output=True, text=True).stdout == "set()\n"


def hold_nothing_secret(text: str) -> None:
    """Neither a password as it is, nor as a URL has it."""
    for secret in (PASSWORD, quote(PASSWORD, safe=""), "w:rd", "w%3Ard", "wr0ng"):
        assert secret not in text


def refusal(address: Address) -> str:
    with pytest.raises(InputError) as caught:
        open_database(address, "digits")
    hold_nothing_secret("".join(traceback.format_exception(caught.value)))
    return str(caught.value)


@needs_postgresql
class TestOfAServer:
    @pytest.fixture(autouse=True)
    def all_that_is_logged(self, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level(logging.DEBUG)

    def test_a_wrong_password(self, postgresql: Server, caplog: pytest.LogCaptureFixture) -> None:
        said = refusal(parse_address(postgresql.url("postgres", "wr0ng")))
        assert said == (
            f'{postgresql.url("postgres", None)}: password authentication failed for user "{USER}"; give the right one '
            "in PGPASSWORD or in ~/.pgpass, where libpq finds it; the study's folder holds none"
        )
        hold_nothing_secret(caplog.text)

    def test_no_password(self, postgresql: Server) -> None:
        assert "give the right one in PGPASSWORD" in refusal(parse_address(postgresql.url("postgres", None)))

    def test_a_password_from_the_environment(self, postgresql: Server, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("PGPASSWORD", PASSWORD)
        with parse_address(postgresql.url("postgres", None)).connect() as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)

    def test_no_such_database(self, postgresql: Server) -> None:
        said = refusal(parse_address(postgresql.url("nowhere")))
        assert 'database "nowhere" does not exist; make it with createdb' in said

    def test_nobody_listens(self, postgresql: Server) -> None:
        said = refusal(parse_address(f"postgresql://{USER}:wr0ng@127.0.0.1:1/study"))
        assert said.endswith("Connection refused; start PostgreSQL there, or correct host and port")

    def test_no_such_host(self) -> None:
        said = refusal(parse_address(f"postgresql://{USER}:wr0ng@nowhere.invalid/study"))
        assert said.endswith("; correct the host's name")

    def test_no_rights_to_make_tables(self, postgresql: Server) -> None:
        url = postgresql.new_database()
        name = url.rpartition("/")[2]
        postgresql.execute("DROP ROLE IF EXISTS guest")
        postgresql.execute("CREATE ROLE guest LOGIN PASSWORD 'wr0ng'")
        postgresql.execute("REVOKE CREATE ON SCHEMA public FROM public", name)
        said = refusal(parse_address(f"postgresql://guest:wr0ng@127.0.0.1:{postgresql.port}/{name}"))
        assert "permission denied for schema public; grant this user the rights" in said

    def test_a_reader_needs_no_rights_to_make_tables(self, postgresql: Server) -> None:
        url = postgresql.new_database()
        name = url.rpartition("/")[2]
        open_database(parse_address(url), "digits").close()
        postgresql.execute("DROP ROLE IF EXISTS reader")
        postgresql.execute("CREATE ROLE reader LOGIN PASSWORD 'wr0ng' IN ROLE pg_read_all_data")
        address = parse_address(f"postgresql://reader:wr0ng@127.0.0.1:{postgresql.port}/{name}")
        database = open_database(address, "digits")
        assert database.storage.get_all_studies() == []
        database.close()
        postgresql.execute("DROP ROLE reader")

    def test_tables_of_another_optuna(self, postgresql: Server) -> None:
        url = postgresql.new_database()
        open_database(parse_address(url), "digits").close()
        postgresql.execute("UPDATE alembic_version SET version_num = 'v99'", url.rpartition("/")[2])
        assert "no longer compatible with the table schema" in refusal(parse_address(url))

    def test_nothing_secret_is_left_where_it_is_seen(
        self, postgresql: Server, caplog: pytest.LogCaptureFixture
    ) -> None:
        address = parse_address(postgresql.new_database())
        database = open_database(address, "digits")
        storage = database.storage
        hold_nothing_secret(f"{address!r} {storage.url} {storage.engine!r} {storage.engine.url} {vars(storage)}")
        postgresql.stop()
        with pytest.raises(Unreachable) as caught:
            address.connect()
        shown = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
        hold_nothing_secret("".join(shown.format()))
        database.close()
        hold_nothing_secret(caplog.text)

    def test_sessions_are_told_how_to_find_out_that_we_are_gone(self, postgresql: Server) -> None:
        with parse_address(postgresql.new_database()).connect() as connection:
            shown = [
                connection.execute(f"SHOW {name}").fetchone()
                for name in ("tcp_keepalives_idle", "tcp_user_timeout", "timezone", "application_name")
            ]
            assert shown == [("10",), ("25000",), ("UTC",), ("archsearch",)]

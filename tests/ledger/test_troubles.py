"""What is in the way of a ledger is told in one line: which ledger, what, and what to do."""

from __future__ import annotations

import contextlib
import os
import pwd
import re
import socket
import sqlite3
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from runstone.errors import (
    LedgerBroken,
    LedgerBusy,
    LedgerDenied,
    LedgerError,
    LedgerFull,
    LedgerUnreachable,
)
from runstone.ledger import opening
from runstone.ledger.opening import open_for_reading, open_ledger
from runstone.ledger.place import Place
from runstone.ledger.port import Store
from runstone.ledger.sqlite import SqliteStore
from tests.harness.postgres import PASSWORD, PASSWORD_ROLE, Server
from tests.ledger.by_hand import AT, add_run, add_workspace

LATER = "runs are recorded and come into it later"
NAME_ANOTHER = "name another place in RUNSTONE_LEDGER"
RIGHT = f"give yourself the right to write the file and its folder, or {NAME_ANOTHER}"
REBUILD = "move it away, then: runstone ledger rebuild"
GRANT = f"let its owner grant you the right, or {NAME_ANOTHER}"
START = f"start its server, or correct RUNSTONE_LEDGER; {LATER}"
OWN_SCHEMA = "give it a schema of its own: schema=runstone in the URL"


@pytest.fixture
def file(tmp_path: Path) -> Place:
    return Place("sqlite", str(tmp_path / "ledger.db"))


@contextlib.contextmanager
def told(kind: type[LedgerError], message: str) -> Iterator[None]:
    with pytest.raises(LedgerError) as refused:
        yield
    assert (type(refused.value), str(refused.value)) == (kind, message)


def refused_to_all(place: Place, kind: type[LedgerError], message: str) -> None:
    for open_it in (open_ledger, open_for_reading):
        with told(kind, message):
            open_it(place)


# files


def test_a_file_that_is_no_database(file: Place) -> None:
    Path(file.address).write_text("no database " * 500)

    refused_to_all(
        file,
        LedgerBroken,
        f"the ledger {file.address} is damaged, or no database: file is not a database; "
        f"if it was the ledger, {REBUILD}; if it is not, name another file in RUNSTONE_LEDGER",
    )

    assert Path(file.address).read_text() == "no database " * 500
    assert os.listdir(Path(file.address).parent) == ["ledger.db"]


def test_the_database_of_somebody_else(file: Place) -> None:
    with sqlite3.connect(file.address) as connection:
        connection.execute("CREATE TABLE theirs (a)")
    connection.close()
    before = Path(file.address).read_bytes()

    refused_to_all(
        file,
        LedgerBroken,
        f"{file.address} is a database, but not a ledger; move it away, or name another file in RUNSTONE_LEDGER",
    )

    assert Path(file.address).read_bytes() == before


def test_a_damaged_file(file: Place) -> None:
    store = open_ledger(file)
    add_run(store, "r")
    store.close()
    with open(file.address, "r+b") as opened:
        opened.seek(100)
        opened.write(b"\xff" * 4000)

    refused_to_all(
        file,
        LedgerBroken,
        f"the ledger {file.address} is damaged, or no database: database disk image is malformed; {REBUILD}",
    )


def test_a_folder_in_the_place_of_the_file(file: Place) -> None:
    Path(file.address).mkdir()

    refused_to_all(
        file,
        LedgerDenied,
        f"the ledger {file.address} cannot be opened or written: it is a folder; name a file in RUNSTONE_LEDGER",
    )


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    place = Place("sqlite", str(tmp_path / "file" / "ledger.db"))

    with told(
        LedgerDenied,
        f"the folder {tmp_path / 'file'} of the ledger cannot be made: a part of the path is a file; make it, "
        f"or {NAME_ANOTHER}",
    ):
        open_ledger(place)


def test_a_file_that_another_process_holds(file: Place) -> None:
    holder = open_ledger(file)
    other = open_ledger(file, patience=0.05)
    reader = open_for_reading(file)
    assert reader is not None

    with holder.writing():
        with told(LedgerBusy, f"the ledger {file.address} is locked by another process; {LATER}"):
            add_run(other, "r")
        # who only looks does not wait
        assert reader.rows("SELECT * FROM pipeline_run") == []

    add_run(other, "r")
    assert reader.rows("SELECT run_id FROM pipeline_run") == [("r",)]
    for each in (holder, other, reader):
        each.close()


def test_no_room_for_the_file(file: Place) -> None:
    store = open_ledger(file)
    [(pages,)] = store.rows("PRAGMA page_count")
    store.script(f"PRAGMA max_page_count = {pages + 5}")

    def fill() -> None:
        with store.writing():
            add_workspace(store, "small")
            add_workspace(store, "large", "x" * 1_000_000)

    with told(LedgerFull, f"no room is left for the ledger {file.address}; make room, then: runstone ledger sync"):
        fill()

    assert store.rows("SELECT * FROM workspace") == []
    add_workspace(store, "small")
    store.close()


@pytest.fixture
def readable() -> Iterator[Path]:
    """A folder that everybody may enter, whoever runs the tests."""
    with tempfile.TemporaryDirectory(prefix="runstone-") as folder:
        os.chmod(folder, 0o755)
        yield Path(folder)
        os.chmod(folder, 0o755)


@contextlib.contextmanager
def without_rights() -> Iterator[None]:
    """As somebody who may not do everything: root may."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(pwd.getpwnam("nobody").pw_uid)
    try:
        yield
    finally:
        os.seteuid(0)


def test_a_file_that_may_not_be_written(readable: Path) -> None:
    place = Place("sqlite", str(readable / "ledger.db"))
    store = open_ledger(place)
    add_run(store, "r")
    store.close()
    os.chmod(place.address, 0o444)
    os.chmod(readable, 0o555)

    with without_rights():
        with told(
            LedgerDenied,
            f"the ledger {place.address} cannot be opened or written: attempt to write a readonly database; {RIGHT}",
        ):
            open_and_write(place)
        # and it can be looked at nevertheless
        reader = open_for_reading(place)
        assert reader is not None
        assert reader.rows("SELECT run_id FROM pipeline_run") == [("r",)]
        reader.close()
    assert os.listdir(readable) == ["ledger.db"]


def test_a_file_that_may_not_be_read(readable: Path) -> None:
    place = Place("sqlite", str(readable / "ledger.db"))
    open_ledger(place).close()
    os.chmod(place.address, 0o000)
    os.chmod(readable, 0o555)

    with without_rights():
        refused_to_all(
            place,
            LedgerDenied,
            f"the ledger {place.address} cannot be opened or written: unable to open database file; {RIGHT}",
        )


def open_and_write(place: Place) -> None:
    store = open_ledger(place)
    try:
        add_workspace(store, "w")
    finally:
        store.close()


def test_a_network_file_system(file: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opening, "network_file_system", lambda path: "nfs4")
    Path(file.address).touch()

    refused_to_all(
        file,
        LedgerDenied,
        f"the ledger {file.address} lies on a network file system (nfs4), where SQLite is not safe; name a local file "
        "or postgresql://... in RUNSTONE_LEDGER; commands about run folders work without it",
    )


def test_a_file_that_is_deleted_while_it_is_open_is_made_again(file: Place) -> None:
    store = open_ledger(file)
    add_run(store, "before")
    for path in Path(file.address).parent.iterdir():
        path.unlink()

    assert not store.is_there()
    add_run(store, "lost")
    again = open_ledger(file)

    assert not store.is_there()
    store.close()
    assert again.is_there()
    assert again.rows("SELECT * FROM pipeline_run") == []
    add_run(again, "after")
    again.close()


def test_the_room_of_what_was_deleted_comes_back(file: Place) -> None:
    store = open_ledger(file)
    assert isinstance(store, SqliteStore)
    empty = store.size_bytes()
    add_workspace(store, "large", "x" * 3_000_000)
    store.rows("DELETE FROM workspace")

    store.release_pages()

    assert store.size_bytes() <= empty + 64 * 1024
    store.close()


# servers


def test_no_server(server_port: int) -> None:
    place = Place("postgres", f"postgresql://me:secret@127.0.0.1:{server_port}/runs?sslpassword=hidden")

    refused_to_all(
        place,
        LedgerUnreachable,
        f"the ledger postgresql://me:***@127.0.0.1:{server_port}/runs?sslpassword=*** cannot be reached: connection "
        f'failed: connection to server at "127.0.0.1", port {server_port} failed: Connection refused; {START}',
    )


@pytest.fixture
def server_port() -> Iterator[int]:
    """One at which nobody listens, and nobody will."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://me:sec@ret@[/runs",
        "postgresql://me:sec/ret@127.0.0.1/runs",
        "postgresql://me:sec?ret@127.0.0.1/runs",
        "postgresql://me:sec:cret@127.0.0.1/runs",
        "postgresql://127.0.0.1/runs?password=sec@ret&no_such_key=1",
        "postgresql://me:secret@127.0.0.1:http/runs",
        "postgresql://me:secret@127.0.0.1/runs?no_such_key=1",
        "postgresql://me:secret@127.0.0.1/runs?connect_timeout=soon",
        "postgresql://me:se%zzcret@127.0.0.1/runs",
    ],
)
def test_a_url_that_is_none(url: str) -> None:
    with pytest.raises(LedgerUnreachable) as refused:
        open_ledger(Place("postgres", url))

    said = str(refused.value)
    assert said.startswith("the ledger postgresql://")
    assert said.endswith(START)
    assert "\n" not in said
    assert not re.search("sec|ret", said)


def test_a_wrong_password(postgres_server: Server) -> None:
    make_role(postgres_server, PASSWORD_ROLE, PASSWORD)
    postgres_server.execute(f"GRANT CREATE ON DATABASE postgres TO {PASSWORD_ROLE}")
    wrong = Place("postgres", postgres_server.url("guarded_ledger", PASSWORD_ROLE, "wr@ng"))

    with pytest.raises(LedgerUnreachable) as refused:
        open_ledger(wrong)
    assert f'FATAL:  password authentication failed for user "{PASSWORD_ROLE}"; {START}' in str(refused.value)
    assert "wr" not in str(refused.value)

    right = open_ledger(Place("postgres", postgres_server.url("guarded_ledger", PASSWORD_ROLE, PASSWORD)))
    assert f"{PASSWORD_ROLE}:***@" in right.where
    right.close()


def test_no_right_to_write_or_to_make_a_ledger(postgres_server: Server) -> None:
    make_role(postgres_server, "weak")
    owner = Place("postgres", postgres_server.new_schema())
    store = open_ledger(owner)
    schema = owner.address.rpartition("schema=")[2]
    postgres_server.execute(f"GRANT USAGE ON SCHEMA {schema} TO weak")
    postgres_server.execute(f"GRANT SELECT ON ALL TABLES IN SCHEMA {schema} TO weak")
    weak = Place("postgres", postgres_server.url(schema, "weak"))

    with told(
        LedgerDenied,
        f"the ledger {weak.shown} may not be read or written: permission denied for table workspace; {GRANT}",
    ):
        open_and_write(weak)
    reader = open_for_reading(weak)
    assert reader is not None
    assert reader.rows("SELECT * FROM pipeline_run") == []
    reader.close()

    elsewhere = Place("postgres", postgres_server.url("not_there_yet", "weak"))
    assert open_for_reading(elsewhere) is None
    with told(
        LedgerDenied,
        f"the ledger {elsewhere.shown} may not be read or written: permission denied for database postgres; {GRANT}",
    ):
        open_ledger(elsewhere)
    store.close()


def make_role(server: Server, name: str, password: str | None = None) -> None:
    login = "LOGIN" if password is None else f"LOGIN PASSWORD '{password}'"
    server.execute(
        f"DO $$ BEGIN IF NOT EXISTS (SELECT 1 FROM pg_roles WHERE rolname = '{name}') THEN"
        f" CREATE ROLE {name} {login}; END IF; END $$"
    )


def test_a_place_where_the_tables_of_somebody_else_are(postgres_server: Server) -> None:
    postgres_server.execute("CREATE SCHEMA theirs; CREATE TABLE theirs.event (a INTEGER)")
    place = Place("postgres", postgres_server.url("theirs"))

    with told(
        LedgerBroken,
        f'the ledger {place.shown} cannot be made there: relation "event" already exists; {OWN_SCHEMA}',
    ):
        open_ledger(place)

    assert postgres_server.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'theirs'") == [("event",)]


def test_a_place_without_a_schema(postgres_server: Server) -> None:
    place = Place("postgres", f"{postgres_server.url()}&options=-csearch_path%3Dnowhere")

    with told(
        LedgerBroken,
        f"the ledger {place.shown} cannot be made there: no schema has been selected to create in; {OWN_SCHEMA}",
    ):
        open_ledger(place)


@pytest.mark.parametrize("schema", ["plain", "With Space", 'quo"ted', "back\\slash", "ünï"])
def test_the_schema_that_the_url_names_is_made_and_used(postgres_server: Server, schema: str) -> None:
    from urllib.parse import quote

    place = Place("postgres", postgres_server.url(quote(schema)))
    store = open_ledger(place)

    assert store.rows("SELECT current_schema()") == [(schema,)]
    assert postgres_server.execute(
        f"SELECT count(*) FROM pg_tables WHERE schemaname = $${schema}$$ AND tablename = 'pipeline_run'"
    ) == [(1,)]
    store.close()


def test_options_of_the_url_hold(postgres_server: Server) -> None:
    postgres_server.execute("CREATE SCHEMA by_options")
    said = "&options=-csearch_path%3Dby_options%20-cstatement_timeout%3D7s%20-ctimezone%3DAsia/Tokyo"
    store = open_ledger(Place("postgres", f"{postgres_server.url()}{said}"))

    assert store.rows("SELECT current_schema(), current_setting('statement_timeout')") == [("by_options", "7s")]
    add_workspace(store, "w")
    assert store.rows("SELECT created_at FROM workspace") == [(AT,)]
    store.close()


@pytest.mark.parametrize(
    ("code", "kind", "message"),
    [
        ("53100", LedgerFull, "no room is left for the ledger {}; make room, then: runstone ledger sync"),
        ("40P01", LedgerBusy, f"the ledger {{}} is locked by another process; {LATER}"),
        ("40001", LedgerBusy, f"the ledger {{}} is locked by another process; {LATER}"),
        ("57P01", LedgerUnreachable, f"the ledger {{}} cannot be reached: said; {START}"),
        ("08006", LedgerUnreachable, f"the ledger {{}} cannot be reached: said; {START}"),
        ("42501", LedgerDenied, f"the ledger {{}} may not be read or written: said; {GRANT}"),
        ("22012", LedgerError, "the ledger {}: said"),
    ],
)
def test_what_a_server_says_is_told_as_ours(
    postgres_server: Server, code: str, kind: type[LedgerError], message: str
) -> None:
    store = open_ledger(Place("postgres", postgres_server.new_schema()))

    with told(kind, message.format(store.where)):
        store.script(f"DO $$ BEGIN RAISE EXCEPTION E'said\\nmore' USING ERRCODE = '{code}'; END $$")

    add_workspace(store, "w")
    store.close()


def test_a_statement_that_takes_too_long(postgres_server: Server) -> None:
    store = open_ledger(Place("postgres", postgres_server.new_schema()))
    store.script("SET statement_timeout = '50ms'")

    with told(LedgerBusy, f"the ledger {store.where} took too long to answer; {LATER}"):
        store.rows("SELECT pg_sleep(60)")
    store.close()


def test_without_the_driver(postgres_server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "runstone.ledger.postgres", raising=False)
    missing: Any = None
    monkeypatch.setitem(sys.modules, "psycopg", missing)

    with told(
        LedgerError,
        "a ledger in PostgreSQL needs psycopg, which cannot be loaded (import of psycopg halted; None in sys.modules); "
        "pip install 'runstone[postgres]'",
    ):
        open_ledger(Place("postgres", postgres_server.url()))


def test_nothing_is_left_open(store: Store) -> None:
    with store.reading():
        store.rows("SELECT 1")
    with store.writing():
        add_workspace(store, "w")
    with pytest.raises(LedgerError):
        store.rows("SELECT nothing")

    if store.dialect == "postgres":
        state = "SELECT state FROM pg_stat_activity WHERE pid = :pid"
        [(pid,)] = store.rows("SELECT pg_backend_pid()")
        other = open_ledger(Place("postgres", _url_of(store)))
        assert other.rows(state, {"pid": pid}) == [("idle",)]
        other.close()
    else:
        store.script("VACUUM")


def _url_of(store: Store) -> str:
    # nothing is hidden in it: there is no password
    return store.where

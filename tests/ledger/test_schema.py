"""The tables: the same in every store however old it was, and closed to rows that cannot be."""

from __future__ import annotations

import hashlib
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from runstone.errors import LedgerBroken, LedgerError, LedgerTooNew
from runstone.ledger import migrations, tables
from runstone.ledger.migrations import Migration
from runstone.ledger.opening import open_for_reading, open_ledger
from runstone.ledger.place import Place
from runstone.ledger.port import Store
from tests.harness.postgres import Server
from tests.ledger.by_hand import AT, add_run

TABLES = (*tables.INDEX, *tables.OWN, "runs")
VIEW = ["run_id", "tenant_id", "stage", "status", "error", "input_fingerprint", "code_ref", "config_hash", "started_at"]
VIEW += ["finished_at", "duration_seconds", "rows_in", "rows_out", "llm_calls", "tokens", "trace_id"]
SCHEMA = {
    "sqlite": ["SELECT type, name, tbl_name, sql FROM sqlite_schema ORDER BY 1, 2"],
    "postgres": [
        "SELECT table_name, ordinal_position, column_name, data_type, is_nullable, column_default, collation_name"
        " FROM information_schema.columns WHERE table_schema = current_schema() ORDER BY 1, 2",
        "SELECT tablename, indexname, replace(indexdef, current_schema(), '') FROM pg_indexes"
        " WHERE schemaname = current_schema() ORDER BY 1, 2",
        "SELECT conname, conrelid::regclass::text, pg_get_constraintdef(oid) FROM pg_constraint"
        " WHERE connamespace = current_schema()::regnamespace ORDER BY 1, 2",
        "SELECT viewname, definition FROM pg_views WHERE schemaname = current_schema()",
    ],
}
NEXT = {
    "sqlite": "ALTER TABLE annotation ADD COLUMN next TEXT; CREATE INDEX annotation_next ON annotation (next);",
    "postgres": "ALTER TABLE annotation ADD COLUMN next TEXT; CREATE INDEX annotation_next ON annotation (next);",
}
BREAKS = "CREATE TABLE half (a INTEGER); CREATE TABLE pipeline_run (a INTEGER);"


def schema(store: Store) -> list[list[tuple[Any, ...]]]:
    return [store.rows(sql) for sql in SCHEMA[store.dialect]]


def knows(monkeypatch: pytest.MonkeyPatch, dialect: str, *more: str, first: int | None = None) -> None:
    """Let this version have these migrations besides its own, or only its `first` ones."""
    ours = migrations.known(dialect)[:first]
    numbers = range(len(ours) + 1, len(ours) + len(more) + 1)
    ours = ours + [
        Migration(number, "more", sql, hashlib.sha256(sql.encode()).hexdigest())
        for number, sql in zip(numbers, more, strict=True)
    ]
    monkeypatch.setattr(migrations, "known", lambda _: ours)


def test_both_stores_have_the_same_tables_and_columns(postgres_server: Server, tmp_path: Path) -> None:
    found = []
    for place in (Place("sqlite", str(tmp_path / "ledger.db")), Place("postgres", postgres_server.new_schema())):
        store = open_ledger(place)
        found.append({table: tables.columns(store, table) for table in TABLES})
        store.close()

    assert found[0] == found[1]
    assert all(found[0].values())
    assert found[0]["runs"] == VIEW


def test_a_ledger_of_each_earlier_schema_becomes_the_same_as_a_new_one(
    place: Place, store: Store, postgres_server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for first in range(1, len(migrations.known(store.dialect)) + 1):
        older = Place("postgres", postgres_server.new_schema())
        if place.dialect == "sqlite":
            older = Place("sqlite", str(tmp_path / f"{first}.db"))
        with monkeypatch.context() as patch:
            knows(patch, place.dialect, first=first)
            open_ledger(older).close()
        migrated = open_ledger(older)
        assert schema(migrated) == schema(store)
        migrated.close()


def test_an_older_ledger_is_changed_when_it_is_opened_after_a_backup(
    place: Place, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_run(store, "kept")
    newest = len(migrations.known(place.dialect))
    store.close()
    knows(monkeypatch, place.dialect, NEXT[place.dialect])

    again = open_for_reading(place)

    assert again is not None
    assert again.rows("SELECT run_id FROM pipeline_run") == [("kept",)]
    assert tables.columns(again, "annotation")[-1] == "next"
    assert again.rows("SELECT max(number) FROM schema_migration") == [(newest + 1,)]
    again.close()
    if place.dialect == "sqlite":
        [copy] = Path(place.address).parent.glob("ledger.db.schema-*")
        assert copy.name.startswith(f"ledger.db.schema-{newest}-")
        with sqlite3.connect(copy) as connection:
            assert connection.execute("SELECT run_id FROM pipeline_run").fetchall() == [("kept",)]
            assert connection.execute("SELECT max(number) FROM schema_migration").fetchall() == [(newest,)]
        connection.close()


def test_a_migration_that_fails_leaves_the_ledger_as_it_was(
    place: Place, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_run(store, "kept")
    before = schema(store)
    knows(monkeypatch, place.dialect, NEXT[place.dialect], BREAKS)

    with pytest.raises(LedgerError, match=r"pipeline_run.*already exists"):
        open_ledger(place)

    assert schema(store) == before
    assert store.rows("SELECT run_id FROM pipeline_run") == [("kept",)]


def test_a_ledger_of_a_newer_version_is_not_touched(
    place: Place, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    newest = len(migrations.known(place.dialect))
    with monkeypatch.context() as patch:
        knows(patch, place.dialect, NEXT[place.dialect])
        open_ledger(place).close()
    before = schema(store)

    for open_it in (open_ledger, open_for_reading):
        with pytest.raises(LedgerTooNew) as refused:
            open_it(place)
        assert str(refused.value) == (
            f"the ledger {place.shown} has schema {newest + 1}, this version of Runstone knows {newest}; "
            "update Runstone: pip install --upgrade runstone"
        )
    assert schema(store) == before


def test_a_ledger_with_another_schema_of_the_same_number_is_not_touched(place: Place, store: Store) -> None:
    store.rows("UPDATE schema_migration SET checksum = 'another' WHERE number = 1")
    before = schema(store)

    for open_it in (open_ledger, open_for_reading):
        with pytest.raises(LedgerBroken) as refused:
            open_it(place)
        assert str(refused.value) == (
            f"the ledger {place.shown} was made with another schema 1 than this version has; "
            "move it away, then: runstone ledger rebuild"
        )
    assert schema(store) == before


def test_looking_makes_no_ledger(place: Place) -> None:
    assert open_for_reading(place) is None
    assert open_for_reading(place) is None

    if place.dialect == "sqlite":
        assert not Path(place.address).parent.exists()
        Path(place.address).parent.mkdir(parents=True)
        Path(place.address).touch()
        # as another process leaves it that has only just begun
        assert open_for_reading(place) is None
        assert Path(place.address).read_bytes() == b""


@pytest.mark.parametrize(
    "impossible",
    [
        {"run_id": ""},
        {"run_id": "x" * 201},
        {"run_id": None},
        {"workspace": "nobody made it"},
        {"kind": "other"},
        {"status": "done"},
        {"status": None},
        {"created_at": None},
        {"status": "completed"},
        {"status": "crashed", "finished_at": None},
        {"status": "running", "finished_at": AT},
        {"duration_seconds": -0.1},
        {"lease_seconds": 0.0},
        {"progress_done": -1},
        {"progress_total": -1},
        {"progress_failed": -1},
        {"error_count": -1},
        {"artifact_count": -1},
        {"rows_in": -1},
        {"rows_out": -1},
        {"llm_calls": -1},
        {"tokens": -1},
        {"input_fingerprint": "short"},
        {"config_hash": "short"},
        {"epoch": -1},
        {"seq": -1},
        {"variables": "{no json"},
        {"driver": "{no json"},
    ],
)
def test_a_row_of_a_run_that_cannot_be_is_refused(store: Store, impossible: dict[str, Any]) -> None:
    add_run(store, "possible", status="completed", finished_at=AT)

    with pytest.raises(LedgerError):
        add_run(store, **{"run_id": "impossible", **impossible})

    assert store.rows("SELECT run_id FROM pipeline_run") == [("possible",)]


EVENT = {"seq": 1, "epoch": 1, "at": AT, "kind": "warning", "body": "{}"}
ERROR = {"seq": 1, "block": "b", "attempt": 1, "type": "E", "message": "m", "at": AT}
ARTIFACT = {"seq": 1, "artifact_id": "a", "path": "p", "name": "n", "artifact_type": "f", "content_type": "c"}
ROWS: dict[str, dict[str, Any]] = {
    "block_run": {"position": 0, "block": "b", "status": "running"},
    "attempt": {"seq": 1, "block": "b", "attempt": 1, "status": "running"},
    "event": EVENT,
    "error": ERROR,
    "artifact": {**ARTIFACT, "size_bytes": 1, "sha256": "", "created_at": AT},
    "tag": {"workspace": "w", "tag": "t", "created_at": AT},
    "place": {"path": "/p"},
}


def add(store: Store, table: str, row: dict[str, Any]) -> None:
    values = ", ".join(f":{name}" for name in row)
    store.rows(f"INSERT INTO {table} ({', '.join(row)}) VALUES ({values})", row)


@pytest.mark.parametrize("table", ROWS)
def test_a_row_belongs_to_a_run_and_is_there_once(store: Store, table: str) -> None:
    key = add_run(store, "r")
    row = {"run_key": key, **ROWS[table]}
    add(store, table, row)

    with pytest.raises(LedgerError):
        add(store, table, row)
    with pytest.raises(LedgerError):
        add(store, table, {**row, "run_key": key + 1})

    assert store.rows(f"SELECT run_key FROM {table}") == [(key,)]
    store.rows("DELETE FROM pipeline_run")
    assert store.rows(f"SELECT run_key FROM {table}") == []


@pytest.mark.parametrize(
    ("table", "column", "value"),
    [
        ("block_run", "position", -1),
        ("block_run", "status", "incomplete"),
        ("block_run", "attempt", -1),
        ("block_run", "duration_seconds", -1.0),
        ("block_run", "total", -1),
        ("block_run", "ok", -1),
        ("block_run", "bytes", -1),
        ("block_run", "cpu_seconds", -1.0),
        ("block_run", "peak_memory", -1),
        ("attempt", "seq", 0),
        ("attempt", "element", -1),
        ("event", "seq", 0),
        ("event", "epoch", 0),
        ("event", "body", "{no json"),
        ("error", "element", -1),
        ("error", "message", None),
        ("artifact", "size_bytes", -1),
        ("artifact", "metadata", "{no json"),
    ],
)
def test_a_row_about_a_run_that_cannot_be_is_refused(store: Store, table: str, column: str, value: Any) -> None:
    key = add_run(store, "r")

    with pytest.raises(LedgerError):
        add(store, table, {"run_key": key, **ROWS[table], column: value})

    add(store, table, {"run_key": key, **ROWS[table]})


@pytest.mark.parametrize("impossible", [{"kind": "praise"}, {"version": 0}, {"text": None}])
def test_what_is_said_about_a_run_is_a_tag_or_a_note(store: Store, impossible: dict[str, Any]) -> None:
    said = {"run_id": "r", "version": 1, "kind": "note", "text": "t", "said_at": AT}

    with pytest.raises(LedgerError):
        add(store, "annotation", {**said, **impossible})

    add(store, "annotation", said)

"""SQL of users: what it gives, what it cannot do, and what is said of mistakes."""

from __future__ import annotations

import csv
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest

from runstone import Pipeline, block
from runstone.errors import LedgerError, StatementError
from runstone.ledger import duckdb_file, duckdb_rows, user_sql
from runstone.ledger.of_folder import project
from runstone.ledger.opening import open_ledger
from runstone.ledger.place import Place
from runstone.ledger.port import Row
from runstone.ledger.statement import only_statement
from runstone.ledger.user_sql import Engine, Reader, answering, reader

COLUMNS = [
    "run_id", "tenant_id", "stage", "status", "error", "input_fingerprint", "code_ref", "config_hash", "started_at",
    "finished_at", "duration_seconds", "rows_in", "rows_out", "llm_calls", "tokens", "trace_id",
]  # fmt: skip


@block
def halve(number: int) -> int:
    if number % 2:
        raise ValueError(f"{number} is odd")
    return number // 2


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Three completed runs and two failed ones."""
    folders = [str(tmp_path_factory.mktemp("runs") / f"run{number}") for number in range(5)]
    for number, folder in enumerate(folders):
        Pipeline("halving", [halve]).run({"number": number}, run_folder=folder, raise_on_error=False)
    return folders


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def full(request: pytest.FixtureRequest, folders: list[str], tmp_path_factory: pytest.TempPathFactory) -> Place:
    """A ledger with these runs, which nothing here can change."""
    if request.param == "postgres":
        place = Place("postgres", request.getfixturevalue("postgres_server").new_schema())
    else:
        place = Place("sqlite", str(tmp_path_factory.mktemp("ledger") / "ledger.db"))
    store = open_ledger(place)
    for folder in folders:
        project(store, folder)
    store.close()
    return place


@pytest.fixture
def ledger(full: Place) -> Iterator[Reader]:
    """It, to be asked."""
    with reader(full) as opened:
        assert opened is not None
        yield opened


def ask(ledger: Reader, sql: str, engine: Engine = Engine.AUTO) -> tuple[list[str], list[Row]]:
    with answering(ledger, sql, engine) as answer:
        return answer.columns, [row for batch in answer.batches for row in batch]


def refusal(ledger: Reader, sql: str, engine: Engine = Engine.AUTO) -> str:
    with pytest.raises(StatementError) as caught:
        ask(ledger, sql, engine)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def dialect(ledger: Reader) -> str:
    return "sqlite" if "PRAGMA" in ledger.words else "postgres"


@pytest.mark.parametrize("engine", Engine)
def test_the_view_of_all_runs_has_its_columns_and_a_row_for_each_run(ledger: Reader, engine: Engine) -> None:
    columns, rows = ask(ledger, "SELECT * FROM runs", engine)
    assert columns == COLUMNS
    assert len(rows) == 5
    assert {row[columns.index("stage")] for row in rows} == {"halving"}


def test_both_stores_and_their_copies_tell_the_same_of_times_and_parameters(ledger: Reader) -> None:
    _, native = ask(ledger, "SELECT created_at, CAST(variables AS TEXT) FROM pipeline_run ORDER BY created_at")
    _, copied = ask(ledger, "SELECT created_at, variables FROM pipeline_run ORDER BY created_at", Engine.DUCKDB)
    assert [f"{moment.isoformat(timespec='microseconds')}Z" for moment, _ in copied] == [row[0] for row in native]
    assert [said.replace(" ", "") for _, said in copied] == [f'{{"number":{number}}}' for number in range(5)]


def test_an_answer_without_rows_has_columns(ledger: Reader) -> None:
    assert ask(ledger, "SELECT run_id, status FROM runs WHERE 1 = 0") == (["run_id", "status"], [])


@pytest.mark.parametrize(
    "sql",
    [
        "DELETE FROM pipeline_run",
        "UPDATE pipeline_run SET status = 'failed'",
        "INSERT INTO workspace (name, created_at) VALUES ('mine', '2026-01-01T00:00:00.000000Z')",
        "DROP VIEW runs",
        "CREATE TABLE mine (number INTEGER)",
        "CREATE TEMP TABLE mine (number INTEGER)",
        "WITH gone AS (SELECT 1) DELETE FROM tag",
        "ATTACH 'other.db' AS other",
        "VACUUM",
        "BEGIN",
        "SET TRANSACTION READ WRITE",
        "DO $$ BEGIN DELETE FROM tag; END $$",
        "INSTALL httpfs",
        "LOAD icu",
        "COPY runs FROM 'runs.csv'",
        "COPY (SELECT 1) FROM 'runs.csv'",
    ],
)
@pytest.mark.parametrize("engine", Engine)
def test_what_would_write_is_refused(ledger: Reader, sql: str, engine: Engine) -> None:
    said = refusal(ledger, sql, engine)
    assert "only reads" in said or "needs --engine duckdb" in said
    assert len(ask(ledger, "SELECT * FROM runs")[1]) == 5


@pytest.mark.parametrize(
    ("store_kind", "sql"),
    [
        ("sqlite", "PRAGMA query_only = 0"),
        ("sqlite", "PRAGMA journal_mode = delete"),
        ("sqlite", "PRAGMA writable_schema = 1"),
        ("sqlite", "SELECT load_extension('evil')"),
        ("sqlite", "EXPLAIN DELETE FROM tag"),
        ("postgres", "WITH gone AS (DELETE FROM tag RETURNING 1) SELECT * FROM gone"),
        ("postgres", "SELECT lo_create(0)"),
        ("postgres", "SELECT set_config('transaction_read_only', 'off', false)"),
        ("postgres", "EXPLAIN ANALYZE DELETE FROM tag"),
    ],
)
def test_no_way_around_is_open(ledger: Reader, store_kind: str, sql: str) -> None:
    if dialect(ledger) == store_kind:
        refusal(ledger, sql, Engine.NATIVE)


def test_the_connection_itself_would_refuse_whatever_the_text_was_taken_for(ledger: Reader) -> None:
    for sql in ("DELETE FROM tag", "SELECT 1; DELETE FROM tag", "CREATE TABLE mine (number INTEGER)"):
        with pytest.raises(Exception, match=r"refused|read-only|multiple commands"):
            list(ledger.ask(sql).batches)


def test_a_table_may_be_described_where_sqlite_is_asked(ledger: Reader) -> None:
    if dialect(ledger) == "sqlite":
        _, rows = ask(ledger, "PRAGMA table_info(runs)")
        assert [row[1] for row in rows] == COLUMNS


def test_an_unknown_table_is_told_with_those_there_are(ledger: Reader) -> None:
    for engine in Engine:
        assert "there is no table 'rnus'" in (said := refusal(ledger, "SELECT * FROM rnus", engine))
        assert "did you mean 'runs'?" in said
        assert "runs, " in refusal(ledger, "SELECT * FROM elephants", engine)


def test_an_unknown_column_is_told_with_its_place_and_what_was_meant(ledger: Reader) -> None:
    for engine in Engine:
        said = refusal(ledger, "SELECT run_id,\n  statu FROM runs", engine)
        assert said == "there is no column 'statu', at line 2, column 3; did you mean 'status'?"
        assert "trace_id" in refusal(ledger, "SELECT elephants FROM runs", engine)


def test_a_mistake_in_the_grammar_is_told_with_its_place(ledger: Reader) -> None:
    for engine in Engine:
        assert "at line 1, column 22" in refusal(ledger, "SELECT * FROM runs ä GROUPING BY 1"[:21] + "BOUP 1", engine)
    assert "did you mean SELECT?" in refusal(ledger, "SELEC 1")


def test_one_statement_at_a_time() -> None:
    assert only_statement("SELECT ';' -- ; and\n/* ; */ ; -- the end") == "SELECT ';' -- ; and\n/* ; */ "
    with pytest.raises(StatementError, match="a second one begins, at line 2, column 1"):
        only_statement("SELECT 1;\nSELECT 2")
    for nothing in ("", " ;", "-- only words\n"):
        with pytest.raises(StatementError, match="no SQL"):
            only_statement(nothing)


def test_functions_that_only_duckdb_knows_are_executed_there(ledger: Reader) -> None:
    columns, rows = ask(
        ledger,
        "SELECT date_trunc('year', started_at) AS year, quantile_cont(duration_seconds, 0.5) AS half"
        " FROM runs GROUP BY 1",
    )
    assert columns == ["year", "half"]
    assert rows[0][0].month == 1
    assert rows[0][1] > 0
    _, pivoted = ask(ledger, "PIVOT runs ON status USING count(*) GROUP BY stage")
    assert pivoted == [("halving", 3, 2)]


def test_times_with_a_zone_come_out_in_utc(ledger: Reader) -> None:
    _, rows = ask(ledger, 'SELECT max(started_at) <= now(), now() AS "at ""now""" FROM runs -- now', Engine.DUCKDB)
    assert rows[0][0] is True
    assert abs(rows[0][1].timestamp() + rows[0][1].astimezone().utcoffset().total_seconds() - time.time()) < 60


@pytest.mark.parametrize("rows_for_arrow", [1, 10**9])
def test_runs_are_copied_out_as_csv_and_parquet(
    ledger: Reader, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rows_for_arrow: int
) -> None:
    monkeypatch.setattr(duckdb_rows, "WORTH_ARROW", rows_for_arrow)
    monkeypatch.chdir(tmp_path)
    columns, rows = ask(ledger, "COPY (SELECT * FROM runs) TO 'runs.csv'")
    assert (columns, rows) == (["Count"], [(5,)])
    ask(ledger, "COPY runs TO 'runs.parquet' (FORMAT parquet)")
    with open("runs.csv", encoding="utf-8", newline="") as file:
        told = list(csv.DictReader(file))
    assert list(told[0]) == COLUMNS
    assert sorted(row["error"] for row in told)[-1] == "halve: ValueError: 3 is odd"
    with duckdb.connect() as connection:
        types = dict(
            connection.execute("SELECT column_name, column_type FROM (DESCRIBE FROM 'runs.parquet')").fetchall()
        )
    assert types["started_at"] == "TIMESTAMP"
    assert (types["duration_seconds"], types["rows_in"]) == ("DOUBLE", "BIGINT")


def test_a_copy_overwrites_nothing(ledger: Reader, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "it's mine.db").write_text("mine")
    for target in ("'it''s mine.db'", "'it''s mine.db' (FORMAT parquet)", "'.'"):
        with pytest.raises(StatementError, match="already, and it is not overwritten"):
            ask(ledger, f"COPY (SELECT 1) TO {target}")
    for sql in ("COPY runs TO getenv('HOME')", "COPY runs"):
        with pytest.raises(StatementError, match="only reads"):
            ask(ledger, sql)
    assert (tmp_path / "it's mine.db").read_text() == "mine"


def test_duckdb_loads_nothing_from_elsewhere(ledger: Reader) -> None:
    assert "requires the extension" in refusal(ledger, "SELECT * FROM 'https://127.0.0.1:9/a.csv'", Engine.DUCKDB)
    _, rows = ask(ledger, "SELECT value FROM duckdb_settings() WHERE name LIKE 'auto%known_extensions'", Engine.DUCKDB)
    assert rows == [("false",), ("false",)]


def test_only_the_tables_that_are_named_are_copied(ledger: Reader, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    original = ledger.ask

    def noted(statement: str) -> Any:
        asked.append(statement.rpartition(" ")[2])
        return original(statement)

    monkeypatch.setattr(ledger, "ask", noted)
    ask(ledger, "COPY (SELECT r.error FROM runs r JOIN pipeline_run p ON r.run_id = p.run_id) TO '/dev/null'")
    assert sorted(asked) == ['"pipeline_run"', '"runs"']


def test_without_duckdb_it_is_told_how_to_get_it(ledger: Reader, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(user_sql, "has_duckdb", lambda: False)
    for sql in ("COPY (SELECT * FROM runs) TO 'runs.csv'", "SELECT quantile_cont(duration_seconds, 0.5) FROM runs"):
        assert "pip install 'runstone[analytics]'" in refusal(ledger, sql)
    assert len(ask(ledger, "SELECT * FROM runs")[1]) == 5


def test_nobody_is_asked_where_there_is_no_ledger_yet(place: Place) -> None:
    with reader(place) as opened:
        assert opened is None


@pytest.mark.parametrize("engine", Engine)
def test_ctrl_c_ends_a_long_statement_at_once(ledger: Reader, engine: Engine) -> None:
    endless = {
        "sqlite": "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n",
        "postgres": "SELECT pg_sleep(60)",
    }
    sql = endless[dialect(ledger)]
    if engine is Engine.DUCKDB:
        sql = "SELECT count(*) FROM range(1000000000) a, range(1000000000) b WHERE a.range + b.range = 7"
    timer = threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT))
    begun = time.monotonic()
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        ask(ledger, sql, engine)
    # of its own it would take longer than that
    assert time.monotonic() - begun < 50
    timer.join()


def test_rows_are_not_all_held_at_once(ledger: Reader) -> None:
    many = {
        "sqlite": "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 100000000) SELECT i FROM n",
        "postgres": "SELECT generate_series(1, 100000000)",
    }
    for engine, sql in ((Engine.NATIVE, many[dialect(ledger)]), (Engine.DUCKDB, "SELECT range FROM range(100000000)")):
        with answering(ledger, sql, engine) as answer:
            assert len(next(answer.batches)) <= user_sql.BATCH


def test_a_mistake_in_the_middle_of_the_rows_is_told(ledger: Reader) -> None:
    sql = {
        "sqlite": "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 3000)"
        " SELECT CASE WHEN i > 2500 THEN abs(-9223372036854775808) END FROM n",
        "postgres": "SELECT 1 / (2500 - i) FROM generate_series(1, 3000) AS n (i)",
    }[dialect(ledger)]
    said = refusal(ledger, sql, Engine.NATIVE)
    assert "integer overflow" in said or "division by zero" in said


@pytest.mark.parametrize("rows_for_arrow", [1, 10**9])
def test_the_runs_become_a_file_of_duckdb(
    ledger: Reader, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rows_for_arrow: int
) -> None:
    monkeypatch.setattr(duckdb_rows, "WORTH_ARROW", rows_for_arrow)
    path = tmp_path / "runs.duckdb"
    assert duckdb_file.write(ledger, str(path)) == 5
    _, told = ask(ledger, "SELECT run_id, started_at, duration_seconds, error FROM runs ORDER BY run_id")
    with duckdb.connect(str(path), read_only=True) as connection:
        kinds = connection.execute("SELECT column_name, data_type FROM duckdb_columns() WHERE table_name = 'runs'")
        found = dict(kinds.fetchall())
        indexed = connection.execute("SELECT expressions FROM duckdb_indexes()").fetchall()
        rows = connection.execute(
            "SELECT run_id, strftime(started_at, '%Y-%m-%dT%H:%M:%S.%fZ'), duration_seconds, error FROM runs ORDER BY 1"
        ).fetchall()
    assert list(found) == COLUMNS
    assert found["started_at"] == found["finished_at"] == "TIMESTAMP"
    assert {found[name] for name in ("rows_in", "rows_out", "llm_calls", "tokens")} == {"BIGINT"}
    assert {said.strip("[]'\"") for (said,) in indexed} == set(duckdb_file.INDEXED)
    assert rows == told
    assert sorted(each.name for each in tmp_path.iterdir() if "duckdb" in each.name) == ["runs.duckdb"]


def test_a_file_that_is_there_is_replaced_only_when_that_is_meant(ledger: Reader, tmp_path: Path) -> None:
    path = tmp_path / "runs.duckdb"
    path.write_text("mine")
    with pytest.raises(FileExistsError):
        duckdb_file.write(ledger, str(path))
    assert path.read_text() == "mine"
    assert duckdb_file.write(ledger, str(path), replace=True) == 5
    assert path.read_bytes()[8:12] == b"DUCK"


def test_nothing_is_left_of_a_file_that_cannot_be_written(ledger: Reader, tmp_path: Path) -> None:
    if sys.platform == "linux" and os.path.exists("/proc/self"):
        with pytest.raises((LedgerError, OSError)):
            duckdb_file.write(ledger, "/proc/self/runs.duckdb")
    assert not [each for each in tmp_path.iterdir() if ".tmp" in each.name]

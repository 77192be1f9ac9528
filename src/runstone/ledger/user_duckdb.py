"""Statements of a user, executed by DuckDB over copies of the tables that they name.

The rows are handed over by us: DuckDB neither opens the ledger nor downloads or loads an extension for it.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import duckdb
import msgspec

from runstone.ledger.duckdb_rows import insert
from runstone.ledger.port import Row
from runstone.ledger.statement import Kind, Refusal, names, offset_of, quoted
from runstone.ledger.user_sql import BATCH, Answer, Reader

T = TypeVar("T")

SETTINGS = {
    "autoinstall_known_extensions": False,
    "autoload_known_extensions": False,
    "allow_community_extensions": False,
}
_READING = ("SELECT", "EXPLAIN", "COPY", "MULTI")
_ZONED = "TIMESTAMP WITH TIME ZONE"
_KINDS = {
    ("Binder", "COLUMN_NOT_FOUND"): Kind.COLUMN,
    ("Binder", "NO_MATCHING_FUNCTION"): Kind.FUNCTION,
}


class DuckdbReader:
    """A database in memory with the tables of a ledger, filled when a statement names them."""

    def __init__(self, ledger: Reader) -> None:
        self._ledger = ledger
        self._tables = ledger.tables()
        self._filled: set[str] = set()
        self._overflow = tempfile.mkdtemp(prefix="runstone-")
        try:
            self._open()
        except BaseException:
            # Ctrl-C, say: nobody is there yet who could close it
            shutil.rmtree(self._overflow, ignore_errors=True)
            raise

    def _open(self) -> None:
        self._connection = duckdb.connect(":memory:", config={**SETTINGS, "temp_directory": self._overflow})
        # what DuckDB does, it does in there: Ctrl-C comes to this thread, and only this one can pass it on
        self._thread = ThreadPoolExecutor(1)
        self._connection.execute("SET errors_as_json = true")
        _set_if_known(self._connection, "python_enable_replacements", "false")
        # without the extension for time zones there is none to be set, and times are in UTC anyhow
        _set_if_known(self._connection, "TimeZone", "'UTC'")
        for table, columns in self._tables.items():
            described = ", ".join(f"{quoted(name)} {kind}" for name, kind in columns.items())
            self._connection.execute(f"CREATE TABLE {quoted(table)} ({described})")

    def ask(self, statement: str) -> Answer:
        """Execute one statement. Raises Refusal, LedgerError; so do the batches."""
        try:
            self._check(statement)
            for table in self._named(statement):
                self._fill(table)
            found = self._execute(statement)
            if any(str(kind) == _ZONED for _, kind, *_ in found):
                # Python would need a library of time zones to take them
                found = self._execute(_without_zones(statement, found))
        except duckdb.Error as error:
            raise _translated(error, statement) from error
        return Answer([str(name) for name, *_ in found], self._batches(statement))

    def _check(self, statement: str) -> None:
        kinds = [parsed.type.name for parsed in self._connection.extract_statements(statement)]
        if len(kinds) != 1 or kinds[0] not in _READING:
            raise Refusal(f"{' '.join(kinds)} is refused", Kind.WRITE)

    def _named(self, statement: str) -> set[str]:
        """The tables that a statement reads."""
        try:
            found = {name.lower() for name in self._connection.get_table_names(statement)}
        except duckdb.Error:
            # some statements DuckDB takes apart only when it executes them
            found = names(statement)
        return {table for table in self._tables if table in found}

    def _fill(self, table: str) -> None:
        if table in self._filled:
            return
        self._filled.add(table)
        columns = self._tables[table]
        answer = self._ledger.ask(f"SELECT {', '.join(map(quoted, columns))} FROM {quoted(table)}")
        for batch in answer.batches:
            self._patiently(insert, self._connection, table, list(columns.values()), batch)

    def _execute(self, statement: str) -> list[tuple[Any, ...]]:
        self._patiently(self._connection.execute, statement)
        return self._connection.description or []

    def _batches(self, statement: str) -> Generator[list[Row]]:
        try:
            while batch := self._patiently(self._connection.fetchmany, BATCH):
                yield batch
        except duckdb.Error as error:
            raise _translated(error, statement) from error

    def _patiently(self, call: Callable[..., T], *arguments: Any) -> T:
        doing = self._thread.submit(call, *arguments)
        try:
            return doing.result()
        except KeyboardInterrupt:
            self._connection.interrupt()
            raise

    def close(self) -> None:
        """Forget it all."""
        self._thread.shutdown()
        self._connection.close()
        shutil.rmtree(self._overflow, ignore_errors=True)


def _set_if_known(connection: Any, name: str, value: str) -> None:
    try:
        connection.execute(f"SET {name} = {value}")
    except duckdb.CatalogException:
        # of another version, or of an extension that is not there
        pass


def _without_zones(statement: str, found: Sequence[Sequence[Any]]) -> str:
    cells = (
        f"c{number}::TIMESTAMP AS {quoted(name)}" if str(kind) == _ZONED else f"c{number} AS {quoted(name)}"
        for number, (name, kind, *_) in enumerate(found)
    )
    places = ", ".join(f"c{number}" for number in range(len(found)))
    # the statement may end in a comment
    return f"SELECT {', '.join(cells)} FROM (\n{statement}\n) AS given({places})"


def _translated(error: duckdb.Error, statement: str) -> Refusal:
    said = str(error)
    try:
        told = msgspec.json.decode(said[said.index("{") :], type=dict[str, str])
    except (ValueError, msgspec.MsgspecError):
        return Refusal(said)
    subject, problem = told.get("exception_type", ""), told.get("exception_message", said)
    missing = told.get("type", "")
    if missing == "Table":
        kind = Kind.TABLE
    elif missing.endswith("Function"):
        kind = Kind.FUNCTION
    else:
        kind = _KINDS.get((subject, told.get("error_subtype", "")), Kind.OTHER)
        kind = Kind.SYNTAX if subject == "Parser" else kind
    at = told.get("position", "")
    offset = offset_of(statement, int(at)) if at.isdecimal() else None
    name = told.get("name", "") if kind in (Kind.TABLE, Kind.COLUMN) else ""
    # what follows the first line are candidates, and advice to turn on what is off on purpose
    return Refusal(problem.partition("\n")[0], kind, offset=offset, name=name)

"""Statements of a user, executed by SQLite on a connection that can only read."""

from __future__ import annotations

import re
from collections.abc import Generator

import apsw

from runstone.errors import LedgerBusy, LedgerError
from runstone.ledger.port import Row
from runstone.ledger.sqlite import immutable, nobody_writes
from runstone.ledger.statement import Kind, Refusal, Tables, offset_of
from runstone.ledger.user_sql import BATCH, Answer

WORDS = frozenset({"SELECT", "WITH", "VALUES", "EXPLAIN", "PRAGMA"})
"""What a statement may begin with."""

_STEPS_BETWEEN_SIGNALS = 20_000
_READING = frozenset({apsw.SQLITE_SELECT, apsw.SQLITE_READ, apsw.SQLITE_RECURSIVE})
_PRAGMAS = frozenset(
    {
        "collation_list", "compile_options", "database_list", "foreign_key_list", "function_list", "index_info",
        "index_list", "index_xinfo", "module_list", "pragma_list", "table_info", "table_list", "table_xinfo",
    }
)  # fmt: skip
_FORBIDDEN_FUNCTIONS = frozenset({"load_extension", "fts3_tokenizer"})
_TYPES = {"INTEGER": "BIGINT", "REAL": "DOUBLE", "BLOB": "BLOB"}
_KINDS = (
    (re.compile(r"no such table: (?:main\.)?(?P<name>.+)"), Kind.TABLE),
    (re.compile(r"no such column: (?P<name>.+)"), Kind.COLUMN),
    (re.compile(r"no such function|wrong number of arguments"), Kind.FUNCTION),
    (re.compile(r"syntax error|unrecognized token|incomplete input"), Kind.SYNTAX),
    (re.compile(r"not authorized|prohibited|readonly database|unsafe use"), Kind.WRITE),
)


class SqliteReader:
    """A connection to the file at `path` that no statement can write with. patience: seconds to wait for a writer."""

    words = WORDS

    def __init__(self, path: str, patience: float) -> None:
        self.where = path
        self._refused = ""
        try:
            self._connection = _connect(path, patience)
        except apsw.Error as error:
            raise LedgerError(f"the ledger {path} cannot be opened: {error}") from error
        # Ctrl-C is noticed when Python code is executed: let some be, while SQLite works
        self._connection.set_progress_handler(lambda: False, _STEPS_BETWEEN_SIGNALS)
        # all statements on this connection see the same state
        self._connection.execute("BEGIN")
        self._connection.authorizer = self._allows

    def _allows(self, action: int, first: str | None, second: str | None, database: str | None, by: str | None) -> int:
        if action in _READING:
            return apsw.SQLITE_OK
        if action == apsw.SQLITE_FUNCTION and (second or "").lower() not in _FORBIDDEN_FUNCTIONS:
            return apsw.SQLITE_OK
        if action == apsw.SQLITE_PRAGMA and (first or "").lower() in _PRAGMAS:
            return apsw.SQLITE_OK
        what = apsw.mapping_authorizer_function[action]
        name = (second if action == apsw.SQLITE_FUNCTION else first) or ""
        self._refused = f"{str(what).removeprefix('SQLITE_').replace('_', ' ')} {name}".rstrip() + " is refused"
        return apsw.SQLITE_DENY

    def tables(self) -> Tables:
        """What can be asked for."""
        found = self._connection.execute(
            "SELECT s.name, c.name, c.type FROM sqlite_schema s, pragma_table_info(s.name) c"
            " WHERE s.type IN ('table', 'view') AND s.name NOT LIKE 'sqlite\\_%' ESCAPE '\\'"
            " AND s.name <> 'schema_migration' ORDER BY s.type DESC, s.name, c.cid"
        ).fetchall()
        tables: dict[str, dict[str, str]] = {}
        for table, column, kind in (map(str, row) for row in found):
            is_time = kind == "TEXT" and (column == "at" or column.endswith("_at"))
            tables.setdefault(table, {})[column] = "TIMESTAMP" if is_time else _TYPES.get(kind, "VARCHAR")
        return tables

    def ask(self, statement: str) -> Answer:
        """Execute one statement. Raises Refusal, LedgerError; so do the batches."""
        columns: list[str] = []

        def begins(cursor: apsw.Cursor, _sql: str, _bindings: object) -> bool:
            # later, if there are no rows, the cursor does not know any more
            columns.extend(name for name, *_ in cursor.get_description())
            return True

        cursor = self._connection.cursor()
        cursor.exec_trace = begins
        try:
            cursor.execute(statement)
        except (apsw.Error, UnicodeError) as error:
            raise self._translated(error, statement) from error
        return Answer(columns, self._batches(cursor, statement))

    def _batches(self, cursor: apsw.Cursor, statement: str) -> Generator[list[Row]]:
        batch: list[Row] = []
        try:
            for row in cursor:
                batch.append(row)
                if len(batch) == BATCH:
                    yield batch
                    batch = []
        except (apsw.Error, UnicodeError) as error:
            raise self._translated(error, statement) from error
        if batch:
            yield batch

    def _translated(self, error: Exception, statement: str) -> Exception:
        said = str(error)
        if isinstance(error, apsw.BusyError | apsw.LockedError):
            return LedgerBusy(f"the ledger {self.where} is locked by another process; try again")
        if isinstance(error, apsw.CorruptError | apsw.NotADBError | apsw.IOError | apsw.CantOpenError):
            return LedgerError(f"the ledger {self.where} cannot be read: {said}; look at it: runstone ledger check")
        at = getattr(error, "error_offset", -1)
        offset = offset_of(statement, at) if at >= 0 else None
        for pattern, kind in _KINDS:
            if (found := pattern.search(said)) is not None:
                problem = (self._refused or said) if kind is Kind.WRITE else said
                return Refusal(problem, kind, offset=offset, name=found.groupdict().get("name", ""))
        return Refusal(said, offset=offset)

    def close(self) -> None:
        """Let go of the file."""
        self._connection.close(True)


def _connect(path: str, patience: float) -> apsw.Connection:
    """A connection that has read, so that it is known to be able to."""
    try:
        return _reading(path, patience)
    except (apsw.ReadOnlyError, apsw.CantOpenError):
        if not nobody_writes(path):
            raise
        return _reading(immutable(path), patience)


def _reading(address: str, patience: float) -> apsw.Connection:
    connection = apsw.Connection(address, flags=apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI)
    try:
        connection.set_busy_timeout(int(patience * 1000))
        connection.pragma("query_only", 1)
        connection.pragma("trusted_schema", 0)
        connection.pragma("schema_version")
    except BaseException:
        connection.close(True)
        raise
    return connection

"""Statements of a user, executed by PostgreSQL in a transaction that only reads."""

from __future__ import annotations

import itertools
import re
from collections.abc import Generator, Iterator

import psycopg
from psycopg import errors

from runstone.ledger import postgres_errors, postgres_values
from runstone.ledger.place import without_password
from runstone.ledger.port import Row
from runstone.ledger.postgres_url import conninfo, split_schema
from runstone.ledger.statement import Kind, Refusal, Tables
from runstone.ledger.user_sql import BATCH, Answer

WORDS = frozenset({"SELECT", "WITH", "VALUES", "EXPLAIN", "TABLE", "SHOW"})
"""What a statement may begin with. All else could change the transaction, or the server."""

_AT_LEISURE = (
    "SELECT set_config('statement_timeout', '0', true), set_config('idle_in_transaction_session_timeout', '0', true)"
)
_TYPES = {
    "bigint": "BIGINT",
    "integer": "BIGINT",
    "smallint": "BIGINT",
    "double precision": "DOUBLE",
    "real": "DOUBLE",
    "boolean": "BOOLEAN",
    "bytea": "BLOB",
    "timestamp with time zone": "TIMESTAMP",
}
_KINDS = (
    (errors.UndefinedTable, Kind.TABLE),
    (errors.UndefinedColumn, Kind.COLUMN),
    (errors.UndefinedFunction, Kind.FUNCTION),
    (errors.SyntaxError, Kind.SYNTAX),
    (errors.ReadOnlySqlTransaction, Kind.WRITE),
)
_NAME = re.compile(r'[\w."]+')


class PostgresReader:
    """A connection to the database at `address` whose one transaction only reads. patience: seconds to connect in."""

    words = WORDS

    def __init__(self, address: str, patience: float) -> None:
        self.where = without_password(address)
        try:
            plain, schema = split_schema(address)
            self._connection = psycopg.connect(conninfo(plain, schema, patience))
            self._connection.read_only = True
            self._connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
            # with its snapshot taken, a transaction can become one that writes no more; and a person may ask something
            # that takes its time, and read the answer slowly
            self._connection.execute(_AT_LEISURE)
        except (psycopg.Error, ValueError) as error:
            raise postgres_errors.unreachable(self.where, error, address) from None
        postgres_values.adapt(self._connection.adapters)

    def tables(self) -> Tables:
        """What can be asked for."""
        found = self._connection.execute(
            "SELECT c.table_name, c.column_name, c.data_type FROM information_schema.columns c"
            " JOIN information_schema.tables t USING (table_schema, table_name)"
            " WHERE c.table_schema = current_schema() AND c.table_name <> 'schema_migration'"
            " ORDER BY t.table_type = 'BASE TABLE', c.table_name, c.ordinal_position"
        ).fetchall()
        tables: dict[str, dict[str, str]] = {}
        for table, column, kind in found:
            tables.setdefault(table, {})[column] = _TYPES.get(kind, "VARCHAR")
        return tables

    def ask(self, statement: str) -> Answer:
        """Execute one statement. Raises Refusal, LedgerError; so do the batches."""
        cursor = self._connection.cursor()
        size = BATCH if psycopg.capabilities.has_stream_chunked() else 1
        self._connection.execute("SAVEPOINT before")
        try:
            # it goes by the extended protocol, where the server takes one statement at a time
            rows = cursor.stream(statement.encode(), size=size)
            first = list(itertools.islice(rows, 1))
        except psycopg.Error as error:
            refusal = _translated(error, statement)
            self._recover()
            raise refusal from error
        columns = [column.name for column in cursor.description or ()] or self._columns(statement)
        return Answer(columns, self._batches(first, rows, statement))

    def _batches(self, first: list[Row], rows: Iterator[Row], statement: str) -> Generator[list[Row]]:
        told = itertools.chain(first, rows)
        try:
            while batch := list(itertools.islice(told, BATCH)):
                yield batch
        except psycopg.Error as error:
            raise _translated(error, statement) from error
        finally:
            # it is a generator that tells the server that no more is wanted
            assert isinstance(rows, Generator)
            rows.close()
            self._recover()

    def _columns(self, statement: str) -> list[str]:
        """The names of the columns of a statement that gave no row: with its rows they are forgotten."""
        server = self._connection.pgconn
        server.prepare(b"described", statement.encode())
        described = server.describe_prepared(b"described")
        names = [described.fname(number) or b"" for number in range(described.nfields)]
        self._connection.execute("DEALLOCATE described")
        return [name.decode() for name in names]

    def _recover(self) -> None:
        """Make the transaction usable again after a statement that failed or was broken off."""
        if self._connection.info.transaction_status == psycopg.pq.TransactionStatus.INERROR:
            self._connection.execute("ROLLBACK TO SAVEPOINT before")

    def close(self) -> None:
        """Let go of the server."""
        self._connection.close()


def _translated(error: psycopg.Error, statement: str) -> Refusal:
    diagnosis = error.diag
    problem = diagnosis.message_primary or _line(error)
    if diagnosis.message_hint:
        problem += f" ({diagnosis.message_hint})"
    said = diagnosis.statement_position
    offset = int(said) - 1 if said and said.isdecimal() else None
    kind = next((kind for known, kind in _KINDS if isinstance(error, known)), Kind.OTHER)
    name = "" if offset is None else _name_at(statement, offset)
    return Refusal(problem, kind, offset=offset, name=name if kind in (Kind.TABLE, Kind.COLUMN) else "")


def _name_at(statement: str, offset: int) -> str:
    found = _NAME.match(statement, offset)
    return "" if found is None else found[0].replace('"', "").rpartition(".")[2]


def _line(error: psycopg.Error) -> str:
    return " ".join(str(error).split())

"""The ledger on a server: PostgreSQL.

Importing this raises LedgerError where the driver is not installed.
"""

from __future__ import annotations

import contextlib
import selectors
from collections.abc import Iterable, Iterator, Sequence

from runstone.errors import LedgerError
from runstone.ledger.insertion import Insertion, Values
from runstone.ledger.place import without_password
from runstone.ledger.placeholders import numbered
from runstone.ledger.port import Params, Row

try:
    import psycopg
except ImportError as error:
    raise LedgerError(
        f"a ledger in PostgreSQL needs psycopg, which cannot be loaded ({error}); pip install 'runstone[postgres]'"
    ) from None

from psycopg.pq import ConnStatus

from runstone.ledger import postgres_errors, postgres_values
from runstone.ledger.postgres_url import conninfo, split_schema

# What users have set for their server as a whole must not change what a transaction is here.
_READING = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
_WRITING = "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE"

_TAKE_TURNS = "SELECT pg_advisory_xact_lock(hashtextextended('runstone ledger ' || coalesce(current_schema(), ''), 0))"
_IS_THERE = "SELECT 1 FROM pg_namespace WHERE nspname = :name"
_SIZE = """
SELECT coalesce(sum(pg_total_relation_size(relation.oid)), 0)
FROM pg_class AS relation JOIN pg_namespace AS namespace ON namespace.oid = relation.relnamespace
WHERE namespace.nspname = current_schema() AND relation.relkind = 'r'
"""

_Connection = psycopg.Connection[Row]


class PostgresStore:
    """One connection to the database at `url`, which is made again when it was lost.

    patience: seconds to wait for the server, and for another writer. The key `schema` of the URL names where in the
    database the tables are; the schema is made with them.
    """

    dialect = "postgres"

    def __init__(self, url: str, *, patience: float = 5.0) -> None:
        self.where = without_password(url)
        self._url = url
        self._connection: _Connection | None = None
        self._inside = False
        try:
            plain, self._schema = split_schema(url)
            self._conninfo = conninfo(plain, self._schema, patience)
        except (psycopg.ProgrammingError, ValueError) as error:
            raise postgres_errors.unreachable(self.where, error, url) from None
        self._idle_connection()

    def rows(self, sql: str, params: Params = {}) -> list[Row]:  # noqa: B006
        with self._errors(), self._cursor() as cursor:
            if params:
                statement, names = numbered(sql)
                cursor.execute(statement, [params[name] for name in names])
            else:
                cursor.execute(sql)
            return cursor.fetchall() if cursor.description else []

    def many(self, sql: str, params: Iterable[Params]) -> None:
        statement, names = numbered(sql)
        with self._errors(), self._cursor() as cursor:
            cursor.executemany(statement, [[each[name] for name in names] for each in params])

    def insert(self, into: Insertion, rows: Sequence[Values]) -> None:
        with self._errors(), self._cursor() as cursor:
            cursor.executemany(into.sql(1, "$"), rows)

    def script(self, sql: str) -> None:
        with self._errors(), self._cursor() as cursor:
            cursor.execute(sql)

    @contextlib.contextmanager
    def reading(self) -> Iterator[None]:
        with self._transaction(_READING):
            yield

    @contextlib.contextmanager
    def writing(self) -> Iterator[None]:
        with self._transaction(_WRITING):
            yield

    @contextlib.contextmanager
    def exclusive(self) -> Iterator[None]:
        with self._transaction(_WRITING):
            self.script(_TAKE_TURNS)
            # a schema is changed in the time that it takes
            self.script("SET LOCAL statement_timeout = 0")
            if self._schema is not None and not self.rows(_IS_THERE, {"name": self._schema}):
                quoted = self._schema.replace('"', '""')
                self.script(f'CREATE SCHEMA "{quoted}"')
            yield

    def is_there(self) -> bool:
        # what is at the other end of a URL is the ledger, whoever has restarted it
        return True

    def tend(self) -> None:
        # the server does that by itself
        pass

    def size_bytes(self) -> int:
        return int(self.rows(_SIZE)[0][0])

    def close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with self._errors():
                connection.close()

    @contextlib.contextmanager
    def _transaction(self, begin: str) -> Iterator[None]:
        if self._inside:
            # PostgreSQL itself would only warn, and end the outer one with the inner one
            raise LedgerError(f"the ledger {self.where}: a transaction cannot begin within another")
        self.script(begin)
        self._inside = True
        try:
            yield
            self.script("COMMIT")
        except BaseException:
            self._roll_back()
            raise
        finally:
            self._inside = False

    def _roll_back(self) -> None:
        connection = self._connection
        if connection is None or connection.closed:
            return
        try:
            connection.execute("ROLLBACK")
        except psycopg.Error:
            # the server rolls back what loses its connection
            connection.close()

    def _cursor(self) -> psycopg.RawCursor[Row]:
        inside = self._connection if self._inside else None
        return psycopg.RawCursor(inside or self._idle_connection())

    def _idle_connection(self) -> _Connection:
        """The connection; a new one if it was lost while nothing was under way."""
        connection = self._connection
        if connection is not None and not _is_lost(connection):
            return connection
        if connection is not None:
            connection.close()
        try:
            connection = psycopg.connect(self._conninfo, autocommit=True)
        except psycopg.Error as error:
            raise postgres_errors.unreachable(self.where, error, self._url) from None
        postgres_values.adapt(connection.adapters)
        self._connection = connection
        return connection

    @contextlib.contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except (psycopg.Error, UnicodeError, OverflowError) as error:
            lost = self._connection is not None and self._connection.closed
            raise postgres_errors.translated(self.where, error, self._url, lost=lost) from error


def _is_lost(connection: _Connection) -> bool:
    """Whether the server has left. A statement that is sent nevertheless could not be told from one that counted."""
    if connection.closed:
        return True
    server = connection.pgconn
    # a server says nothing unasked, or it says that it goes
    try:
        with selectors.DefaultSelector() as selector:
            selector.register(server.socket, selectors.EVENT_READ)
            while selector.select(0):
                server.consume_input()
    except (psycopg.Error, OSError, ValueError):
        return True
    return server.status != ConnStatus.OK

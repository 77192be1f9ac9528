"""The database of a cache: opened when it is needed, made anew when it is gone, and never open across a fork."""

from __future__ import annotations

import contextlib
import os
import threading
import time
import weakref
from collections.abc import Iterator
from urllib.parse import quote

import apsw

from runstone.cache import place
from runstone.errors import CacheError

APPLICATION_ID = 0x52534343
FORMAT = 1
PATIENCE = 2.0
"""Seconds to wait for another writer."""

_SCHEMA = """
CREATE TABLE IF NOT EXISTS recipe (
    id INTEGER PRIMARY KEY, digest BLOB NOT NULL UNIQUE, stage TEXT NOT NULL, told BLOB NOT NULL);
CREATE INDEX IF NOT EXISTS recipe_of_stage ON recipe (stage);
CREATE TABLE IF NOT EXISTS piece (
    id INTEGER PRIMARY KEY, recipe INTEGER NOT NULL, run TEXT NOT NULL, made REAL NOT NULL, used REAL NOT NULL,
    entries INTEGER NOT NULL, bytes INTEGER NOT NULL, file TEXT, facts BLOB NOT NULL);
CREATE INDEX IF NOT EXISTS piece_of_recipe ON piece (recipe);
CREATE INDEX IF NOT EXISTS piece_by_age ON piece (made, bytes);
CREATE TABLE IF NOT EXISTS content (piece INTEGER PRIMARY KEY, data BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS entry (
    key BLOB PRIMARY KEY, piece INTEGER NOT NULL, position INTEGER NOT NULL) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS entry_of_piece ON entry (piece);
CREATE TABLE IF NOT EXISTS look (
    id INTEGER PRIMARY KEY, stage TEXT NOT NULL, run TEXT NOT NULL, at TEXT NOT NULL, told BLOB NOT NULL);
CREATE INDEX IF NOT EXISTS look_of_stage ON look (stage, id);
"""


class Database:
    """One file, used by all threads of this process through one connection. Every method raises CacheError.

    read_only: changes nothing.
    """

    def __init__(self, folder: str, *, read_only: bool = False) -> None:
        self.folder = folder
        self.path = os.path.join(folder, place.DATABASE)
        self._read_only = read_only
        self._connection: apsw.Connection | None = None
        self._inode: int | None = None
        self._lock = threading.RLock()
        if not read_only:
            place.make(folder)
        _databases.add(self)

    @property
    def is_there(self) -> bool:
        """Whether anybody has kept anything yet."""
        return os.path.exists(self.path)

    @contextlib.contextmanager
    def reading(self) -> Iterator[apsw.Connection]:
        """The connection, for one thread at a time."""
        with self._lock, self._errors():
            if self._connection is not None and _inode(self.path) != self._inode:
                # somebody has removed all of it
                self.close()
            if self._connection is None:
                if not self._read_only:
                    place.make(self.folder)
                self._connection = self._opened()
                self._inode = _inode(self.path)
            yield self._connection

    @contextlib.contextmanager
    def writing(self) -> Iterator[apsw.Connection]:
        """The same within a transaction: all of it comes to be, or nothing."""
        with self.reading() as connection:
            connection.execute("BEGIN IMMEDIATE").fetchall()
            try:
                yield connection
                connection.execute("COMMIT").fetchall()
            except BaseException:
                # a full disk has rolled back already
                if connection.in_transaction:
                    with contextlib.suppress(apsw.Error):
                        connection.execute("ROLLBACK").fetchall()
                raise

    def _opened(self) -> apsw.Connection:
        if self._read_only:
            # without a log beside it nobody is writing: then it is read without making one
            quiet = "" if os.path.lexists(f"{self.path}-wal") else "?immutable=1"
            connection = apsw.Connection(
                f"file:{quote(self.path)}{quiet}", flags=apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI
            )
        else:
            connection = apsw.Connection(self.path)
        try:
            connection.set_busy_timeout(int(PATIENCE * 1000))
            connection.pragma("trusted_schema", 0)
            # seen at one moment: another process may be making it just now
            with connection:
                known, format = connection.pragma("application_id"), connection.pragma("user_version")
                is_empty = not connection.execute("SELECT 1 FROM sqlite_schema LIMIT 1").fetchall()
            if known == 0 and is_empty and self._read_only:
                # somebody has begun to make it
                connection.close(True)
                connection = apsw.Connection(":memory:")
                _make(connection)
            elif known == 0 and is_empty:
                _make(connection)
            elif known != APPLICATION_ID:
                raise CacheError(f"{self.path} is not a cache of Runstone; move it away")
            elif int(format) > FORMAT:
                raise CacheError(f"the cache {self.folder} was made by a newer version; {_CURE}")
            if not self._read_only:
                connection.pragma("synchronous", "normal")
        except BaseException:
            connection.close(True)
            raise
        return connection

    @contextlib.contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except (apsw.NotADBError, apsw.CorruptError) as error:
            raise CacheError(f"the cache {self.folder} is damaged ({error}); {_CURE}") from error
        except (apsw.Error, ValueError, TypeError) as error:
            raise CacheError(f"the cache {self.folder} cannot be used: {error}") from error

    def vacuum(self) -> None:
        """Give the room of what was removed back to the disk."""
        with self.reading() as connection:
            connection.execute("PRAGMA incremental_vacuum").fetchall()
            connection.pragma("wal_checkpoint", "TRUNCATE")

    def close(self) -> None:
        """Let go of the files; what follows opens them again."""
        with self._lock:
            connection, self._connection = self._connection, None
            if connection is not None:
                with contextlib.suppress(apsw.Error):
                    connection.close(True)

    # forks

    def hold(self) -> None:
        """A fork is about to happen: a database must not be open across it."""
        self._lock.acquire()
        self.close()

    def go_on(self, *, child: bool) -> None:
        """It has happened."""
        if child:
            self._lock = threading.RLock()
        else:
            self._lock.release()


def _inode(path: str) -> int | None:
    try:
        return os.stat(path).st_ino
    except OSError:
        return None


_CURE = "to begin with an empty one: runstone cache rm --all"


def _make(connection: apsw.Connection) -> None:
    """Make the tables; several processes may do this at once."""
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            # remembered in the file, and so before its first table
            connection.pragma("auto_vacuum", "incremental")
            connection.pragma("journal_mode", "wal")
            break
        except apsw.BusyError:
            # for this nobody is waited for
            if time.monotonic() > deadline:
                raise
            time.sleep(0.01)
    connection.execute("BEGIN IMMEDIATE").fetchall()
    connection.execute(_SCHEMA).fetchall()
    connection.pragma("application_id", APPLICATION_ID)
    connection.pragma("user_version", FORMAT)
    connection.execute("COMMIT").fetchall()


_databases: weakref.WeakSet[Database] = weakref.WeakSet()
_held: list[Database] = []


def _before_fork() -> None:
    _held[:] = list(_databases)
    for each in _held:
        each.hold()


def _after_fork(child: bool) -> None:
    for each in _held:
        each.go_on(child=child)
    _held.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_before_fork,
        after_in_parent=lambda: _after_fork(child=False),
        after_in_child=lambda: _after_fork(child=True),
    )

"""The ledger in a file: SQLite in WAL mode, nothing to start."""

from __future__ import annotations

import contextlib
import os
import time
import weakref
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import Any
from urllib.parse import quote

import apsw

from runstone.errors import (
    LedgerBroken,
    LedgerBusy,
    LedgerDenied,
    LedgerError,
    LedgerFull,
)
from runstone.ledger.insertion import Insertion, Values
from runstone.ledger.port import Params, Row
from runstone.ledger.sign import Sign

_APPLICATION_ID = 0x52534C31
"""`RSL1`: tells our files from other people's databases."""

_WAL_PAGES = 4000
"""With so many pages in the log a commit brings them into the file itself; `tend` does it before, in its own time."""

_WAL_BYTES = 4 * 1024 * 1024
_CACHE_KIB = 16 * 1024
_ROWS_AT_ONCE = 128


class SqliteStore:
    """One connection to the file at `path`.

    patience: seconds to wait for another writer. durable: every commit is on the disk when it returns; otherwise a
    machine that dies may forget the last ones, which follow from run folders.
    """

    dialect = "sqlite"

    def __init__(self, path: str, *, patience: float = 5.0, durable: bool = False, read_only: bool = False) -> None:
        self.where = path
        self._inode: tuple[int, int] | None = None
        self._last_written, self._data_version = time.monotonic(), 0
        if os.path.exists(path) and not os.path.isfile(path):
            what = "a folder" if os.path.isdir(path) else "a device or a pipe"
            raise LedgerDenied(
                f"the ledger {path} cannot be opened or written: it is {what}; name a file in RUNSTONE_LEDGER"
            )
        if _inode(path) in _inherited:
            raise LedgerDenied(
                f"the ledger {path} was in use when this process was forked, and cannot be used here as well; runs are "
                "recorded and come into it with a later process, or now: runstone ledger sync"
            )
        options: dict[str, Any] = {"durable": durable, "read_only": read_only}
        with self._errors():
            try:
                self._open(path, patience, **options)
            except (apsw.ReadOnlyError, apsw.CantOpenError):
                if not read_only or not nobody_writes(path):
                    raise
                self._open(immutable(path), patience, **options)
        self._inode = _inode(path)
        self._sign = Sign(os.path.dirname(path))
        _open.add(self)

    def _open(self, path: str, patience: float, *, durable: bool, read_only: bool) -> None:
        flags = apsw.SQLITE_OPEN_READONLY if read_only else apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE
        self._connection = apsw.Connection(path, flags=flags | apsw.SQLITE_OPEN_URI)
        try:
            self._prepare(patience, durable=durable, read_only=read_only)
        except BaseException:
            self._connection.close(True)
            raise

    def _prepare(self, patience: float, *, durable: bool, read_only: bool) -> None:
        connection = self._connection
        connection.set_busy_timeout(int(patience * 1000))
        connection.wal_autocheckpoint(_WAL_PAGES)
        connection.pragma("foreign_keys", 1)
        connection.pragma("cache_size", -_CACHE_KIB)
        connection.pragma("trusted_schema", 0)
        # seen at one moment: another process may be making the ledger just now
        with connection:
            known = connection.pragma("application_id")
            tables = connection.execute("SELECT count(*) FROM sqlite_schema").get
            self._data_version = int(connection.pragma("data_version"))
        if known == _APPLICATION_ID:
            if not read_only:
                connection.pragma("synchronous", "full" if durable else "normal")
            return
        if known != 0 or tables:
            raise LedgerBroken(
                f"{self.where} is a database, but not a ledger; move it away, or name another file in RUNSTONE_LEDGER"
            )
        if read_only:
            # somebody has begun to make it
            return
        # both are remembered in the file, and must come before its first table
        connection.pragma("auto_vacuum", "incremental")
        connection.pragma("journal_mode", "wal")
        connection.pragma("synchronous", "full" if durable else "normal")
        connection.pragma("application_id", _APPLICATION_ID)

    def is_there(self) -> bool:
        return _inode(self.where) == self._inode

    def rows(self, sql: str, params: Params = {}) -> list[Row]:  # noqa: B006
        with self._errors():
            return self._connection.execute(sql, params).fetchall()

    def many(self, sql: str, params: Iterable[Params]) -> None:
        with self._errors():
            # a statement is executed only as far as it is asked for its rows
            self._connection.executemany(sql, params).fetchall()

    def insert(self, into: Insertion, rows: Sequence[Values]) -> None:
        # After every statement the interpreter's lock is asked for again, and others have it for milliseconds: the file
        # would be held all that time.
        with self._errors():
            for start in range(0, len(rows), _ROWS_AT_ONCE):
                part = rows[start : start + _ROWS_AT_ONCE]
                self._connection.execute(into.sql(len(part)), tuple(chain.from_iterable(part))).fetchall()

    def script(self, sql: str) -> None:
        with self._errors():
            self._connection.execute(sql).fetchall()

    @contextlib.contextmanager
    def reading(self) -> Iterator[None]:
        self.script("BEGIN")
        with self._to_its_end():
            yield

    @contextlib.contextmanager
    def writing(self) -> Iterator[None]:
        try:
            self.script("BEGIN IMMEDIATE")
        except LedgerBusy as error:
            error.held_seconds, error.by_us = self._held_seconds(), self._sign.is_up()
            raise
        self._last_written = time.monotonic()
        with self._sign, self._to_its_end():
            yield

    def exclusive(self) -> contextlib.AbstractContextManager[None]:
        # who writes here is alone with the whole file
        return self.writing()

    @contextlib.contextmanager
    def _to_its_end(self) -> Iterator[None]:
        """Of the transaction that has begun."""
        try:
            yield
            self.script("COMMIT")
        except BaseException:
            # a full disk has rolled back already
            if self._connection.in_transaction:
                with contextlib.suppress(LedgerError):
                    self.script("ROLLBACK")
            raise

    def _held_seconds(self) -> float:
        """For how long neither this connection nor, as far as it was looked at, another one has written."""
        with self._errors():
            # a number that changes whenever another connection has written
            found, now = int(self._connection.pragma("data_version")), time.monotonic()
        if found != self._data_version:
            self._data_version, self._last_written = found, now
        return now - self._last_written

    def tend(self) -> None:
        with self._errors():
            if _size(f"{self.where}-wal") > _WAL_BYTES:
                self._connection.pragma("wal_checkpoint", "PASSIVE")

    def size_bytes(self) -> int:
        return _size(self.where) + _size(f"{self.where}-wal")

    def backup_to(self, path: str) -> None:
        """Copy the whole ledger, as it is at one moment, into a new file; others go on meanwhile."""
        with self._errors():
            copy = apsw.Connection(path)
            try:
                with copy.backup("main", self._connection, "main") as backup:
                    # all at once: after each pause it would begin anew if somebody has written
                    backup.step()
                # one file, that can be read where nothing may be written
                copy.pragma("journal_mode", "delete")
            finally:
                copy.close()

    def replace_with(self, other: SqliteStore) -> None:
        """Put all that another ledger has in place of what this one has, in one step for those who have it open."""
        with self._errors(), self._connection.backup("main", other._connection, "main") as backup:
            backup.step()

    def vacuum(self) -> None:
        """Give the room of what was deleted back to the disk."""
        with self._errors():
            self._connection.execute("VACUUM").fetchall()
            self._connection.pragma("wal_checkpoint", "TRUNCATE")

    def release_pages(self) -> None:
        """The same, without rewriting the whole file."""
        with self._errors():
            # a page for each row that is asked for
            self._connection.execute("PRAGMA incremental_vacuum").fetchall()
            self._connection.pragma("wal_checkpoint", "TRUNCATE")

    def problems(self) -> list[str]:
        """What SQLite itself finds wrong with the file."""
        with self._errors():
            found = [str(row[0]) for row in self._connection.execute("PRAGMA integrity_check(20)")]
        return [] if found == ["ok"] else found

    def close(self) -> None:
        _open.discard(self)
        self._sign.close()
        self._connection.close(True)

    @contextlib.contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except (apsw.Error, UnicodeError, OverflowError) as error:
            raise _translated(error, self.where) from error


def _translated(error: Exception, where: str) -> LedgerError:
    said: Any = str(error)
    if isinstance(error, apsw.BusyError | apsw.LockedError):
        return LedgerBusy(f"the ledger {where} is locked by another process; runs are recorded and come into it later")
    if isinstance(error, apsw.FullError):
        return LedgerFull(f"no room is left for the ledger {where}; make room, then: runstone ledger sync")
    if isinstance(error, apsw.ReadOnlyError | apsw.PermissionsError | apsw.CantOpenError | apsw.AuthError):
        return LedgerDenied(
            f"the ledger {where} cannot be opened or written: {said}; "
            "give yourself the right to write the file and its folder, or name another place in RUNSTONE_LEDGER"
        )
    if isinstance(error, apsw.NotADBError | apsw.CorruptError):
        cure = "move it away, then: runstone ledger rebuild"
        if isinstance(error, apsw.NotADBError):
            # it may well be a file of the user's that was named by mistake
            cure = f"if it was the ledger, {cure}; if it is not, name another file in RUNSTONE_LEDGER"
        return LedgerBroken(f"the ledger {where} is damaged, or no database: {said}; {cure}")
    return LedgerError(f"the ledger {where}: {said}")


def nobody_writes(path: str) -> bool:
    """Whether a file says all there is, so that it may be read as it lies where nothing can be made beside it.

    Readers and writers agree by the files beside it: without them nobody has it open to write.
    """
    return os.path.exists(path) and not os.path.lexists(f"{path}-shm") and _size(f"{path}-wal") == 0


def immutable(path: str) -> str:
    """The address under which SQLite makes nothing beside a file, and trusts that nobody writes."""
    return f"file:{quote(path)}?immutable=1"


def _size(path: str) -> int:
    try:
        return os.stat(path).st_size
    except OSError:
        return 0


def _inode(path: str) -> tuple[int, int] | None:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino


_open: weakref.WeakSet[SqliteStore] = weakref.WeakSet()
_inherited: set[tuple[int, int] | None] = set()
_abandoned: list[SqliteStore] = []


def _after_fork() -> None:
    # A connection must not be used, nor closed, by a process that did not open it. And SQLite would take the locks of
    # its files for this process's own: what is opened here as well would have none.
    _abandoned.extend(_open)
    _inherited.update(store._inode for store in _abandoned if store._inode is not None)
    _open.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)

"""SQL that a user writes: executed by the store itself or by DuckDB, and unable to change the ledger."""

from __future__ import annotations

import contextlib
import enum
import importlib.util
import os
from collections.abc import Generator, Iterator
from difflib import get_close_matches
from typing import Protocol

import msgspec

from runstone.errors import StatementError
from runstone.ledger.opening import PATIENCE, open_for_reading
from runstone.ledger.place import Place
from runstone.ledger.port import Row
from runstone.ledger.statement import Kind, Refusal, Tables, copied_to, explained, first_word, only_statement

BATCH = 2000
"""Rows that are held at a time."""

INSTALL_DUCKDB = "pip install 'runstone[analytics]'"
_OF_DUCKDB = frozenset({"COPY", "FROM", "PIVOT", "UNPIVOT", "SUMMARIZE", "DESCRIBE", "DESC", "TABLE", "SHOW"})
_ANYWHERE = frozenset({"SELECT", "WITH", "VALUES", "EXPLAIN"})


class Engine(enum.StrEnum):
    """Who executes a statement. AUTO: the store, and DuckDB what the store does not know."""

    AUTO = "auto"
    NATIVE = "native"
    DUCKDB = "duckdb"


class Answer(msgspec.Struct, frozen=True):
    """What a statement gives: the names of its columns, and its rows, some at a time, to be gone through once."""

    columns: list[str]
    batches: Generator[list[Row]]


class Reader(Protocol):
    """A connection to a ledger that can only read, and sees one state of it."""

    words: frozenset[str]
    """What a statement may begin with."""

    def tables(self) -> Tables:
        """What can be asked for."""

    def ask(self, statement: str) -> Answer:
        """Execute one statement. Raises Refusal, LedgerError; so do the batches."""

    def close(self) -> None:
        """Let go of it."""


@contextlib.contextmanager
def reader(place: Place) -> Iterator[Reader | None]:
    """A connection for reading; None if there is no ledger yet. Raises LedgerError."""
    store = open_for_reading(place)
    if store is None:
        yield None
        return
    # it has been found to be a ledger, of this version
    store.close()
    opened = _open(place)
    try:
        yield opened
    finally:
        opened.close()


def _open(place: Place) -> Reader:
    if place.dialect == "postgres":
        from runstone.ledger.user_postgres import PostgresReader

        return PostgresReader(place.address, PATIENCE)
    from runstone.ledger.user_sqlite import SqliteReader

    return SqliteReader(place.address, PATIENCE)


@contextlib.contextmanager
def answering(ledger: Reader, text: str, engine: Engine = Engine.AUTO) -> Iterator[Answer]:
    """What one statement gives. Raises StatementError, LedgerError, also where its rows are gone through."""
    statement = only_statement(text)
    _check_word(statement, ledger, engine)
    with contextlib.ExitStack() as stack:
        try:
            answer = _answer(ledger, statement, engine, stack)
            # what is not gone through to its end must not keep the connection busy
            stack.callback(answer.batches.close)
            yield answer
        except Refusal as refusal:
            # after other refusals the connection may answer nothing more
            tables = ledger.tables() if refusal.kind in (Kind.TABLE, Kind.COLUMN) else {}
            raise explained(refusal, statement, tables) from refusal


def _check_word(statement: str, ledger: Reader, engine: Engine) -> None:
    """Refuse what is no question, in words of our own."""
    word = first_word(statement)
    known = ledger.words if engine is Engine.NATIVE else _ANYWHERE | _OF_DUCKDB
    known = known | ledger.words if engine is Engine.AUTO else known
    if word not in known:
        if engine is Engine.NATIVE and word in _OF_DUCKDB:
            raise StatementError(f"{word} needs --engine duckdb")
        close = get_close_matches(word, known, n=1, cutoff=0.75)
        hint = f"did you mean {close[0]}?" if close else f"a statement begins with {', '.join(sorted(known))}"
        raise StatementError(f"`runstone sql` only reads, and does not know {word}; {hint}")
    # a pipe or a device may be written to
    if word == "COPY" and (os.path.isfile(file := copied_to(statement)) or os.path.isdir(file)):
        raise StatementError(f"there is a file {file} already, and it is not overwritten; name another")


def _answer(ledger: Reader, statement: str, engine: Engine, stack: contextlib.ExitStack) -> Answer:
    word = first_word(statement)
    if engine is Engine.NATIVE:
        return ledger.ask(statement)
    if engine is Engine.DUCKDB or word not in ledger.words:
        if not has_duckdb():
            raise StatementError(f"{word} needs DuckDB, which is not installed: {INSTALL_DUCKDB}")
        return _of_duckdb(ledger, statement, stack)
    try:
        return ledger.ask(statement)
    except Refusal as refusal:
        if refusal.kind not in (Kind.SYNTAX, Kind.FUNCTION):
            raise
        if not has_duckdb():
            problem = f"{refusal.problem} (DuckDB, which is not installed, may know it: {INSTALL_DUCKDB})"
            raise Refusal(problem, refusal.kind, offset=refusal.offset) from None
        native = refusal
    try:
        return _of_duckdb(ledger, statement, stack)
    except Refusal as refusal:
        # where both do not understand it, the store is the one that was asked
        raise (native if refusal.kind is Kind.SYNTAX else refusal) from None


def has_duckdb() -> bool:
    """Whether DuckDB is installed."""
    return importlib.util.find_spec("duckdb") is not None


def _of_duckdb(ledger: Reader, statement: str, stack: contextlib.ExitStack) -> Answer:
    from runstone.ledger.user_duckdb import DuckdbReader

    return stack.enter_context(contextlib.closing(DuckdbReader(ledger))).ask(statement)

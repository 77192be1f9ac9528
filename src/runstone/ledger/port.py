"""What a store of the ledger can do: the few calls that SQLite and PostgreSQL both answer."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

from runstone.ledger.insertion import Insertion, Values

Row = tuple[Any, ...]
Params = Mapping[str, Any]


class Store(Protocol):
    """A connection to one ledger. It belongs to the thread that uses it, one at a time.

    Times come out as RFC 3339 in UTC with microseconds, JSON as text, whatever the store keeps.
    Every method raises LedgerError.
    """

    dialect: str
    """`sqlite` or `postgres`: the names of the folders in `sql/`."""

    where: str
    """The place as a person would say it; without a password."""

    def rows(self, sql: str, params: Params = ...) -> list[Row]:
        """Execute one statement; `:name` stands for a parameter. Returns what it gives, if anything."""

    def many(self, sql: str, params: Iterable[Params]) -> None:
        """Execute one statement for each set of parameters."""

    def insert(self, into: Insertion, rows: Sequence[Values]) -> None:
        """Insert rows, each with its values in the order of the columns: the fast way for many."""

    def script(self, sql: str) -> None:
        """Execute several statements without parameters."""

    def reading(self) -> AbstractContextManager[None]:
        """All statements inside see the same state."""

    def writing(self) -> AbstractContextManager[None]:
        """All statements inside count, or none if it is left by an exception. Writers take their turns."""

    def exclusive(self) -> AbstractContextManager[None]:
        """The same for those who change the tables: alone with each other even where there is no table yet."""

    def is_there(self) -> bool:
        """Whether it is still the one that was opened: a file may have been deleted since."""

    def tend(self) -> None:
        """Do what is due now and then, and would hold up somebody else if it were left undone."""

    def size_bytes(self) -> int:
        """How much disk the ledger takes."""

    def close(self) -> None:
        """Let go of it."""

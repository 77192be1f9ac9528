"""The ledger as workspaces use it: opened for each call, so that any thread may call."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from runstone.errors import SettingError
from runstone.ledger import opening, place
from runstone.ledger.migrations import migrate
from runstone.ledger.place import Place
from runstone.ledger.port import Store


class Books:
    """The ledger of the project in which it is made. Raises SettingError if that has none."""

    def __init__(self) -> None:
        found = place.find()
        if found is None:
            raise SettingError(
                f"workspaces are kept in the ledger, and it is switched off; take 'none' out of {place.VARIABLE}, "
                "or out of runstone.toml"
            )
        self.place: Place = found

    @contextmanager
    def reading(self) -> Iterator[Store]:
        """The ledger, to be looked at; an empty one as long as there is none. Raises LedgerError."""
        store = opening.open_for_reading(self.place)
        if store is None:
            # to look must not make a file
            from runstone.ledger.sqlite import SqliteStore

            store = SqliteStore(":memory:")
            migrate(store)
        try:
            yield store
        finally:
            store.close()

    @contextmanager
    def writing(self) -> Iterator[Store]:
        """The ledger, made if it is not there; what this process has recorded is in it. Raises LedgerError."""
        opening.bring_everything()
        store = opening.open_ledger(self.place)
        try:
            yield store
        finally:
            store.close()

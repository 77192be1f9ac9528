"""The ledger for commands whose main work is done in run folders."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from runstone.ledger.port import Store


@contextmanager
def ledger_at_hand(*, required: bool = False, only_read: bool = False) -> Iterator[Store | None]:
    """The ledger of the project, open for writing; None if it is switched off.

    required: raise LedgerError if it cannot be opened; otherwise that is a warning, and None. only_read: also where it
    cannot be written; None if there is none yet.
    """
    from runstone.errors import LedgerError
    from runstone.ledger.opening import open_for_reading, open_ledger
    from runstone.ledger.place import find

    place = find()
    store = None
    if place is not None:
        try:
            store = open_for_reading(place) if only_read else open_ledger(place)
        except LedgerError as error:
            if required:
                raise
            warn(str(error))
    try:
        yield store
    finally:
        if store is not None:
            store.close()


def warn(message: str) -> None:
    """Say on standard error what did not go as it should and harms nothing."""
    from runstone.drawing.lettering import showable

    click.echo(f"runstone: warning: {showable(message)}", err=True)

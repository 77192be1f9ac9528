"""Runs that have ended, brought into the ledger several in a transaction."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from runstone.ledger.attach import Attachment
from runstone.ledger.port import Store
from runstone.ledger.projection import Outcome, put_inside
from runstone.ledger.row_types import Rows

_MOST_ROWS = 200
"""With so many rows a transaction ends, for others wait: it takes a millisecond or two, or many on a busy machine."""


def taken(store: Store, ended: Iterable[Attachment]) -> Iterator[Attachment]:
    """Bring runs there; those that the ledger has now are given, a transaction's at a time.

    What cannot be brought so, one run or all, is left to whoever brings it alone. Raises LedgerError, FolderError,
    OSError.
    """
    for part in _parts(ended):
        with store.writing():
            known = [member for member, rows in part if put_inside(store, rows) is not Outcome.GAP]
        yield from known


def _parts(ended: Iterable[Attachment]) -> Iterator[list[tuple[Attachment, Rows]]]:
    part: list[tuple[Attachment, Rows]] = []
    size = 0
    for member in ended:
        rows = member.rows() if member.writer.complete else None
        if rows is None:
            continue
        part.append((member, rows))
        size += len(rows)
        if size >= _MOST_ROWS:
            yield part
            part, size = [], 0
    if part:
        yield part

"""What the files of one output amount to, and how much of a folder may be looked at to find out."""

from __future__ import annotations

import msgspec

from runstone.folder.foreign.pipefunc.pickles import Budget
from runstone.folder.foreign.pipefunc.snapshots import Snapshot

_ENTRIES = 300_000
_HEADS = 20_000
_TOLD = 50


class Allowance:
    """How much one look at a run may take: entries of folders, opcodes of dicts, beginnings of values, errors told in
    full."""

    def __init__(self) -> None:
        self.entries = _ENTRIES
        self.opcodes = Budget()
        self.heads = _HEADS
        self.told = _TOLD

    def head(self) -> bool:
        """Whether the beginning of one more value may be read."""
        self.heads -= 1
        return self.heads >= 0

    def tell(self) -> bool:
        """Whether one more error may be told in full."""
        self.told -= 1
        return self.told >= 0


class Stored(msgspec.Struct, kw_only=True):
    """What there is of one output.

    there: how many of its elements have ended and are there, errors among them; None if that cannot be told.
    bytes: of all its files. moments: when they were written, seconds since 1970, in any order.
    failed, not_called: of those there, how many are errors; errors: the first of them, by their flat numbers.
    damaged: files that are empty or cut off, and count as missing. notes: what a reader should be told.
    late: the storage writes nothing before the run ends, and has not.
    """

    there: int | None
    bytes: int = 0
    moments: list[float] = []
    failed: int = 0
    not_called: int = 0
    errors: list[tuple[int | None, Snapshot]] = []
    damaged: int = 0
    late: bool = False
    notes: list[str] = []

    def count(self, element: int | None, snapshot: Snapshot, *, in_full: bool) -> None:
        """Count a value that is an error. in_full: list it as well."""
        if snapshot.called:
            self.failed += 1
        else:
            self.not_called += 1
        if in_full and snapshot.called:
            self.errors.append((element, snapshot))

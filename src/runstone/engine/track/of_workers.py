"""Bringing what worker processes have tracked: they are ended with their pool, and nobody waits for them."""

from __future__ import annotations

from runstone import config
from runstone.ledger import place

PATIENCE = 1.0
"""Seconds that the end of the process waits for it."""


def bring() -> None:
    """Bring it into the ledger, for a bounded time; what is left the next process brings. Never raises."""
    try:
        ledger = place.find()
        root = config.project_root()
        if ledger is None:
            return
        from runstone.ledger import behind, track_feed

        if behind.journals(ledger.shown, root):
            track_feed.catch_up(ledger, root, PATIENCE)
    except Exception:
        # the end of the process is no place for complaints: the journals have everything
        return

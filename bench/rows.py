"""A line of the table."""

from __future__ import annotations


class Row:
    """One line of the table: what was measured, ours, the peer's, and the budget."""

    def __init__(self, what: str, ours: str, peer: str, budget: str, met: bool | None, note: str = "") -> None:
        self.cells = (what, ours, peer, budget, {True: "met", False: "**missed**", None: ""}[met], note)

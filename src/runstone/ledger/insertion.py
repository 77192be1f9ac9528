"""INSERT of many rows in few statements, as each store writes them."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

Values = Sequence[Any]


class Insertion:
    """Into a table, the columns in this order. conflict: what follows the values, without parameters."""

    def __init__(self, table: str, columns: Sequence[str], conflict: str = "") -> None:
        self.width = len(columns)
        self._before = f"INSERT INTO {table} ({', '.join(columns)}) VALUES "
        self._behind = f" {conflict}" if conflict else ""

    @functools.lru_cache(1024)  # noqa: B019 - there are as many of us as there are tables
    def sql(self, rows: int = 1, mark: str = "?") -> str:
        """The statement for so many rows. mark: of a parameter; `$` gives them numbers."""
        marks = [mark if mark == "?" else f"{mark}{number}" for number in range(1, self.width * rows + 1)]
        starts = range(0, len(marks), self.width)
        return self._before + ", ".join(f"({', '.join(marks[at : at + self.width])})" for at in starts) + self._behind

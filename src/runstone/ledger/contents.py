"""All that a ledger holds of one run, to be compared: with another ledger, or with what its folder says."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from runstone.ledger.annotations import of_run, take_in_inside
from runstone.ledger.migrations import migrate
from runstone.ledger.port import Store
from runstone.ledger.projection import put_inside
from runstone.ledger.row_types import Rows, RunRow
from runstone.ledger.sqlite import SqliteStore
from runstone.ledger.tables import INDEX, columns, forget

Contents = dict[str, list[dict[str, Any]]]
"""For each table its rows, in order, by column; without `run_key`, which differs from ledger to ledger."""

_COMPARED = tuple(table for table in reversed(INDEX) if table != "place")
"""Places are a question of where one has looked, not of what a folder says."""

_ORDER = {"block_run": "position", "tag": "tag"}
_JSON = frozenset(
    (table, name)
    for table, names in {
        "pipeline_run": ("variables", "driver", "metrics"),
        "event": ("body",),
        "artifact": ("metadata",),
    }.items()
    for name in names
)


class Reader:
    """Reads what a ledger holds of its runs."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._columns = {table: [name for name in columns(store, table) if name != "run_key"] for table in _COMPARED}
        # what no folder tells cannot be held against one
        self._columns["pipeline_run"] = list(RunRow.__struct_fields__)

    def contents(self, run_id: str) -> Contents | None:
        """All rows of a run; None if it is not in the ledger. Raises LedgerError."""
        key = self._store.rows("SELECT run_key FROM pipeline_run WHERE run_id = :run_id", {"run_id": run_id})
        if not key:
            return None
        return {table: self._rows(table, names, key[0][0]) for table, names in self._columns.items()}

    def _rows(self, table: str, names: list[str], key: int) -> list[dict[str, Any]]:
        order = "run_id" if table == "pipeline_run" else _ORDER.get(table, "seq")
        found = self._store.rows(
            f"SELECT {', '.join(names)} FROM {table} WHERE run_key = :run_key ORDER BY {order}", {"run_key": key}
        )
        rows = [dict(zip(names, row, strict=True)) for row in found]
        for row in rows:
            for name in names:
                # stores write the same JSON differently
                if (table, name) in _JSON and row[name] is not None:
                    row[name] = msgspec.json.decode(row[name])
        return rows


class Scratch:
    """An empty ledger in memory, that tells what one would hold which had heard of a folder alone."""

    def __init__(self) -> None:
        self._store = SqliteStore(":memory:")
        migrate(self._store)
        self._reader = Reader(self._store)

    def contents(self, rows: Rows, own: list[str], ledger: Store) -> Contents:
        """What a ledger holds that has these rows. own: the tags that the run began with; ledger: knows what people
        said of it since."""
        store, run_id = self._store, rows.run.run_id
        with store.writing():
            put_inside(store, rows)
            if said := of_run(ledger, run_id):
                take_in_inside(store, run_id, said, own)
        found = self._reader.contents(run_id)
        assert found is not None
        with store.writing():
            for (key,) in store.rows("SELECT run_key FROM pipeline_run"):
                forget(store, key)
            store.script("DELETE FROM annotation")
        return found

    def close(self) -> None:
        """Let go of it."""
        self._store.close()


def differing(held: Contents, told: Contents) -> list[str]:
    """The fields in which two differ, as `pipeline_run.status` or `block_run 3.ok`; `event (12, not 14)` for rows."""
    found: list[str] = []
    for table, rows in told.items():
        ours = held[table]
        if len(ours) != len(rows):
            found.append(f"{table} ({len(ours):,} rows, not {len(rows):,})")
            continue
        for number, (one, other) in enumerate(zip(ours, rows, strict=True)):
            found += [f"{_name(table, number, other)}.{name}" for name, value in other.items() if one[name] != value]
    return found


def _name(table: str, number: int, row: Mapping[str, Any]) -> str:
    if table == "pipeline_run":
        return table
    return f"{table} {row.get('block') if table == 'block_run' else row.get('seq', number)}"

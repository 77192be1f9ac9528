"""Which tables follow from run folders, and which hold what the ledger alone knows."""

from __future__ import annotations

from typing import Any

from runstone.ledger.port import Row, Store
from runstone.ledger.row_types import RunRow

INDEX = ("tag", "place", "artifact", "error", "attempt", "event", "block_run", "pipeline_run")
"""They can be made again of run folders; rows that others refer to come last."""

OWN = ("annotation", "workspace", "schema_migration")
"""They are nowhere else: nothing that makes the index again touches them."""

_COLUMNS = {
    "sqlite": "SELECT name FROM pragma_table_info(:table) ORDER BY cid",
    "postgres": "SELECT column_name FROM information_schema.columns"
    " WHERE table_schema = current_schema() AND table_name = :table ORDER BY ordinal_position",
}


def columns(store: Store, table: str) -> list[str]:
    """The columns of a table, in order."""
    return [str(row[0]) for row in store.rows(_COLUMNS[store.dialect], {"table": table})]


def unfolded(store: Store) -> list[str]:
    """The columns of `pipeline_run` that no folder tells: they outlive the making again of its row."""
    return [
        name for name in columns(store, "pipeline_run") if name != "run_key" and name not in RunRow.__struct_fields__
    ]


class Kept:
    """What the ledger alone knows about runs whose rows are made again. run_id: of one of them; None: of all."""

    def __init__(self, store: Store, run_id: str | None = None) -> None:
        self._names = unfolded(store)
        self._values: list[Row] = []
        if self._names:
            told = " OR ".join(f"{name} IS NOT NULL" for name in self._names)
            which = "" if run_id is None else "run_id = :run_id AND "
            self._values = store.rows(
                f"SELECT run_id, {', '.join(self._names)} FROM pipeline_run WHERE {which}({told})",
                {} if run_id is None else {"run_id": run_id},
            )

    def give_back(self, store: Store) -> None:
        """Put it into the rows that are there again."""
        if self._values:
            places = ", ".join(f"{name} = :{name}" for name in self._names)
            names = ("run_id", *self._names)
            store.many(
                f"UPDATE pipeline_run SET {places} WHERE run_id = :run_id",
                [dict(zip(names, values, strict=True)) for values in self._values],
            )


def forget(store: Store, run_key: int) -> None:
    """Take all rows of one run out of the index."""
    for table in INDEX:
        store.rows(f"DELETE FROM {table} WHERE run_key = :run_key", {"run_key": run_key})


def forget_all_with_folders(store: Store) -> None:
    """Take the rows of all runs that have a folder out of the index; what has none, the ledger alone knows."""
    alone = store.rows("SELECT count(*) FROM pipeline_run WHERE run_folder IS NULL")[0][0]
    which = " WHERE run_key IN (SELECT run_key FROM pipeline_run WHERE run_folder IS NOT NULL)" if alone else ""
    for table in INDEX:
        store.rows(f"DELETE FROM {table}{which}")


def counts(store: Store) -> dict[str, int]:
    """How many rows each table has."""
    return {table: _count(store.rows(f"SELECT count(*) FROM {table}")) for table in (*reversed(INDEX), *OWN)}


def _count(rows: list[Any]) -> int:
    return int(rows[0][0])

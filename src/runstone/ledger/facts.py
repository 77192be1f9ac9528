"""What can be said of a ledger at a glance: how large it is, what is in it, from when until when."""

from __future__ import annotations

import os

import msgspec

from runstone.ledger import acting, behind, migrations
from runstone.ledger.place import Place
from runstone.ledger.port import Store
from runstone.ledger.sqlite import SqliteStore
from runstone.ledger.tables import INDEX, OWN, counts


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """exists: whether there is a ledger yet; otherwise the rest says nothing. where: as a person may read it.

    schema: number of its newest migration; newest_schema: of the one this version knows. size_bytes: on the disk;
    free_bytes: of these, what `vacuum` would give back, None where that is not known. tables: rows of each. statuses:
    runs of each status to act on. oldest, newest: when the first and the last run was created. waiting: runs of this
    project that could not be brought into it yet.
    """

    where: str
    dialect: str
    exists: bool
    schema: int = 0
    newest_schema: int = 0
    size_bytes: int = 0
    free_bytes: int | None = None
    tables: dict[str, int] = {}
    workspaces: dict[str, int] = {}
    statuses: dict[str, int] = {}
    oldest: str | None = None
    newest: str | None = None
    waiting: int = 0


def facts(place: Place, store: Store | None) -> Facts:
    """What there is to say about a ledger; store: None if it is not there yet. Raises LedgerError."""
    if store is None:
        return Facts(
            where=place.shown, dialect=place.dialect, exists=False, waiting=behind.on_the_way(place.shown, None)
        )
    oldest, newest = store.rows("SELECT min(created_at), max(created_at) FROM pipeline_run")[0]
    return Facts(
        where=place.shown,
        dialect=store.dialect,
        exists=True,
        schema=migrations.version(store),
        newest_schema=len(migrations.known(store.dialect)),
        size_bytes=store.size_bytes(),
        free_bytes=_free(store),
        tables=counts(store),
        workspaces=dict(
            store.rows("SELECT workspace, count(*) FROM pipeline_run GROUP BY workspace ORDER BY workspace")
        ),
        statuses=_statuses(store),
        oldest=oldest,
        newest=newest,
        waiting=behind.on_the_way(place.shown, store),
    )


def _free(store: Store) -> int | None:
    if store.dialect != "sqlite":
        return None
    free, page = (int(store.rows(f"PRAGMA {name}")[0][0]) for name in ("freelist_count", "page_size"))
    return free * page


def _statuses(store: Store) -> dict[str, int]:
    """How many runs have each status; of unfinished ones what their folder and their process say counts."""
    found: dict[str, int] = dict(store.rows("SELECT status, count(*) FROM pipeline_run GROUP BY status"))
    moved = acting.moved(store, None)
    if moved:
        recorded: dict[int, str] = dict(
            store.rows(f"SELECT run_key, status FROM pipeline_run WHERE {acting.UNFINISHED_SQL} ORDER BY run_key")
        )
        for key, status in moved.items():
            if key in recorded:
                found[recorded[key]] -= 1
                found[status] = found.get(status, 0) + 1
    return {status: count for status, count in sorted(found.items()) if count}


def vacuum(store: Store) -> tuple[int, int]:
    """Give the room of what was deleted back to the disk; returns the bytes before and after. Raises LedgerError."""
    before = store.size_bytes()
    if isinstance(store, SqliteStore):
        store.vacuum()
    else:
        store.script("SET statement_timeout = 0")
        store.script(f"VACUUM (ANALYZE) {', '.join((*INDEX, *OWN))}")
    return before, store.size_bytes()


def schema(place: Place) -> int:
    """The number of the newest migration of a ledger as it is, changing nothing; 0 if there is none yet.

    Raises LedgerError.
    """
    store: Store
    if place.dialect == "postgres":
        from runstone.ledger.postgres import PostgresStore

        store = PostgresStore(place.address)
    elif os.path.lexists(place.address):
        store = SqliteStore(place.address, read_only=True)
    else:
        return 0
    try:
        return migrations.version(store)
    finally:
        store.close()

"""The workspaces of a project: a row of the ledger each, and a folder for their runs."""

from __future__ import annotations

import os

import msgspec

from runstone import config
from runstone.errors import LedgerError, WorkspaceNotFound
from runstone.folder import clock, disk
from runstone.ledger import claims, opening, place
from runstone.ledger.port import Store

_NAMED = 10
_ROWS = "SELECT name, created_at, description FROM workspace"
_DESCRIBE = (
    "INSERT INTO workspace (name, created_at, description) VALUES (:name, :created_at, :description)"
    " ON CONFLICT (name) DO UPDATE SET description = excluded.description"
)


class WorkspaceRow(msgspec.Struct, frozen=True, kw_only=True):
    """One workspace. created_at: None for one that the ledger has not heard of yet."""

    name: str
    created_at: str | None = None
    description: str = ""


def listed(store: Store) -> list[WorkspaceRow]:
    """All of them, `default` first, the others by name. Raises LedgerError."""
    known = {row[0]: WorkspaceRow(name=row[0], created_at=row[1], description=row[2]) for row in store.rows(_ROWS)}
    for name in (config.DEFAULT_WORKSPACE, *(root.workspace for root in claims.roots())):
        known.setdefault(name, WorkspaceRow(name=name))
    return sorted(known.values(), key=lambda row: (row.name != config.DEFAULT_WORKSPACE, row.name))


def named(store: Store, name: str) -> WorkspaceRow:
    """The one with this name. Raises WorkspaceNotFound naming those there are, SettingError, LedgerError."""
    wanted = config.workspace(name)
    rows = store.rows(f"{_ROWS} WHERE name = :name", {"name": wanted})
    if rows:
        return WorkspaceRow(name=rows[0][0], created_at=rows[0][1], description=rows[0][2])
    if wanted == config.DEFAULT_WORKSPACE or _has_folder(wanted):
        return WorkspaceRow(name=wanted)
    raise _unknown(wanted, [row.name for row in listed(store)])


def create(store: Store, name: str, description: str) -> WorkspaceRow:
    """Make one, or describe the one that is there anew. Raises SettingError, StorageError, LedgerError."""
    wanted = config.workspace(name)
    if wanted != config.DEFAULT_WORKSPACE:
        disk.make_folder(config.runs_root(wanted), parents=True)
    with store.writing():
        store.rows(_DESCRIBE, {"name": wanted, "created_at": clock.now(), "description": description})
    return named(store, wanted)


def require(name: str) -> None:
    """Raise WorkspaceNotFound if there is no such workspace, as far as the ledger and the folders can tell.

    Without a ledger, or with one that cannot be asked, every name is taken: then folders alone tell workspaces apart.
    """
    if name == config.DEFAULT_WORKSPACE or _has_folder(name):
        return
    try:
        found = place.find()
        if found is None:
            return
        store = opening.open_for_reading(found)
        if store is None:
            raise _unknown(name, [root.workspace for root in claims.roots()])
        try:
            named(store, name)
        finally:
            store.close()
    except LedgerError:
        return


def _has_folder(name: str) -> bool:
    return os.path.isdir(config.runs_root(name))


def _unknown(name: str, there: list[str]) -> WorkspaceNotFound:
    others = list(dict.fromkeys((config.DEFAULT_WORKSPACE, *there)))
    more = f" and {len(others) - _NAMED} more" if len(others) > _NAMED else ""
    return WorkspaceNotFound(
        f"no workspace {name!r}; there is {', '.join(others[:_NAMED])}{more}; "
        f"make it with: runstone workspace create {name}"
    )

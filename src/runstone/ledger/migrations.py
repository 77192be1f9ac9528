"""The schema of the ledger, and how older ones become it: numbered files, each applied once and never changed."""

from __future__ import annotations

import functools
import hashlib
import os
from collections.abc import Callable

import msgspec

from runstone.errors import LedgerBroken, LedgerTooNew
from runstone.folder import clock
from runstone.ledger.port import Store

_TABLE = """
CREATE TABLE IF NOT EXISTS schema_migration (
    number INTEGER NOT NULL PRIMARY KEY, name TEXT NOT NULL, checksum TEXT NOT NULL, applied_at TEXT NOT NULL
)
"""


class Migration(msgspec.Struct, frozen=True):
    """number: from 1 on, without gaps. checksum: SHA-256 of its text, in hex."""

    number: int
    name: str
    sql: str
    checksum: str


@functools.cache
def known(dialect: str) -> list[Migration]:
    """All migrations of this version, in order."""
    # importlib.resources would take longer than all the rest of opening a ledger
    folder = os.path.join(os.path.dirname(__file__), "sql", dialect)
    found = []
    for file in sorted(each for each in os.listdir(folder) if each.endswith(".sql")):
        with open(os.path.join(folder, file), encoding="utf-8") as opened:
            sql = opened.read()
        number, _, name = file.removesuffix(".sql").partition("_")
        found.append(Migration(int(number), name, sql, hashlib.sha256(sql.encode()).hexdigest()))
    return found


def version(store: Store) -> int:
    """The number of the last migration that was applied; 0 for a new ledger.

    Raises LedgerTooNew, and LedgerBroken if one of them was another than this version knows.
    """
    if not _has_table(store):
        return 0
    applied = store.rows("SELECT number, checksum FROM schema_migration ORDER BY number")
    ours = known(store.dialect)
    if len(applied) > len(ours):
        raise LedgerTooNew(
            f"the ledger {store.where} has schema {len(applied)}, this version of Runstone knows {len(ours)}; "
            "update Runstone: pip install --upgrade runstone"
        )
    for (number, checksum), migration in zip(applied, ours, strict=False):
        if (number, checksum) != (migration.number, migration.checksum):
            raise LedgerBroken(
                f"the ledger {store.where} was made with another schema {number} than this version has; "
                "move it away, then: runstone ledger rebuild"
            )
    return len(applied)


def migrate(store: Store, before: Callable[[int], None] | None = None) -> tuple[int, int]:
    """Bring the schema up to this version; returns from which number to which.

    before: called first if there is an older schema to be changed, with its number.
    """
    newest = len(known(store.dialect))
    found = version(store)
    if found == newest:
        return found, newest
    if found and before is not None:
        before(found)
    with store.exclusive():
        store.script(_TABLE)
        # another process may have been first
        found = version(store)
        for migration in known(store.dialect)[found:]:
            store.script(migration.sql)
            store.rows(
                "INSERT INTO schema_migration (number, name, checksum, applied_at)"
                " VALUES (:number, :name, :checksum, :at)",
                {
                    "number": migration.number,
                    "name": migration.name,
                    "checksum": migration.checksum,
                    "at": clock.now(),
                },
            )
    return found, newest


def _has_table(store: Store) -> bool:
    catalog = {
        "sqlite": "SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = 'schema_migration'",
        "postgres": "SELECT 1 FROM information_schema.tables"
        " WHERE table_schema = current_schema() AND table_name = 'schema_migration'",
    }
    return bool(store.rows(catalog[store.dialect]))

"""Opening a ledger: the right store, the schema of this version, and what is in the way told with its cure."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable

from runstone import config
from runstone.errors import LedgerDenied, LedgerError
from runstone.folder import clock
from runstone.ledger import migrations
from runstone.ledger.place import Place
from runstone.ledger.port import Store
from runstone.ledger.shared_disks import network_file_system

PATIENCE = 5.0
"""Seconds to wait for another writer."""

_PATIENCE_FOR_OTHERS = 0.2
_SECONDS_FOR_OTHERS = 1.0
BYTES_FOR_OTHERS = 64 * 1024 * 1024
"""Of journals: those of a project that are larger together take seconds to be gone through."""

before_reading: list[Callable[[], None]] = []
"""Called before this process reads a ledger; those who have something to bring there put themselves here."""


def open_ledger(place: Place, *, patience: float = PATIENCE, durable: bool = False) -> Store:
    """A connection for reading and writing; a ledger that is not there is made, an older one is changed after a backup.

    durable: what is written is on the disk before a call returns. Raises LedgerError.
    """
    store = _connect(place, patience, durable)
    try:
        migrations.migrate(store, before=lambda number: _back_up(store, number))
    except BaseException:
        store.close()
        raise
    return store


def bring_everything() -> None:
    """Let the ledger have what this process has recorded, as far as that can be done in bounded time."""
    for bring in before_reading:
        bring()


def open_for_reading(place: Place, *, patience: float = PATIENCE, at_once: bool = False) -> Store | None:
    """A connection that changes nothing; None if there is no ledger yet. Raises LedgerError.

    What this process has recorded is there, unless the ledger is out of order. So is what others had to leave behind,
    as far as a second goes, unless it is to be opened at once.
    """
    bring_everything()
    if not at_once:
        _bring_what_others_left(place)
    if place.dialect == "sqlite":
        if not os.path.lexists(place.address):
            return None
        from runstone.ledger.sqlite import SqliteStore

        _refuse_network(place.address)
        store: Store = SqliteStore(place.address, patience=patience, read_only=True)
    else:
        store = _connect(place, patience, durable=False)
    try:
        found = migrations.version(store)
        if found == 0:
            # an empty file, or a server where nobody has recorded a run yet
            store.close()
            return None
        if found < len(migrations.known(store.dialect)):
            store.close()
            store = open_ledger(place, patience=patience)
    except BaseException:
        store.close()
        raise
    return store


def _bring_what_others_left(place: Place) -> None:
    from runstone.ledger import behind

    # whatever is in the way of that is told by those whose runs they are, and by `runstone ledger info`
    with contextlib.suppress(LedgerError, OSError):
        if behind.runs(place.shown):
            store = open_ledger(place, patience=_PATIENCE_FOR_OTHERS)
            try:
                behind.catch_up(store, seconds=_SECONDS_FOR_OTHERS)
            finally:
                store.close()
    _bring_what_others_tracked(place)


def _bring_what_others_tracked(place: Place) -> None:
    from runstone.ledger import behind

    try:
        root = config.project_root()
    except OSError:
        # the current folder was deleted
        return
    if behind.journals(place.shown, root):
        # loaded by those who have some
        from runstone.ledger import track_feed

        track_feed.catch_up(place, root, _SECONDS_FOR_OTHERS, most_bytes=BYTES_FOR_OTHERS)


def _connect(place: Place, patience: float, durable: bool) -> Store:
    if place.dialect == "postgres":
        from runstone.ledger.postgres import PostgresStore

        return PostgresStore(place.address, patience=patience)
    from runstone.ledger.sqlite import SqliteStore

    _refuse_network(place.address)
    folder = os.path.dirname(place.address)
    try:
        os.makedirs(folder, exist_ok=True)
    except OSError as error:
        is_file = isinstance(error, FileExistsError | NotADirectoryError)
        why = "a part of the path is a file" if is_file else (error.strerror or str(error)).lower()
        raise LedgerDenied(
            f"the folder {folder} of the ledger cannot be made: {why}; "
            "make it, or name another place in RUNSTONE_LEDGER"
        ) from None
    return SqliteStore(place.address, patience=patience, durable=durable)


def _refuse_network(path: str) -> None:
    kind = network_file_system(path)
    if kind is not None:
        raise LedgerDenied(
            f"the ledger {path} lies on a network file system ({kind}), where SQLite is not safe; name a local file or "
            "postgresql://... in RUNSTONE_LEDGER; commands about run folders work without it"
        )


def _back_up(store: Store, number: int) -> None:
    """Copy an older ledger beside itself before it is changed."""
    if store.dialect != "sqlite":
        # a database on a server is backed up by those who keep it; its changes are one transaction
        return
    from runstone.ledger.sqlite import SqliteStore

    assert isinstance(store, SqliteStore)
    copy = f"{store.where}.schema-{number}-{clock.now()[:19].replace(':', '')}"
    # others may do the same at the same time
    private = f"{copy}.{os.urandom(4).hex()}.tmp"
    try:
        store.backup_to(private)
        # one that another process has changed meanwhile was backed up by that
        if migrations.version(store) == number:
            os.replace(private, copy)
    except OSError as error:
        raise LedgerDenied(
            f"the ledger {store.where} cannot be backed up before it is changed: {copy}: {error.strerror}; "
            "give yourself the right to write its folder"
        ) from None
    finally:
        with contextlib.suppress(OSError):
            os.unlink(private)

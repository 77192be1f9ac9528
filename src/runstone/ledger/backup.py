"""Copies of a ledger in a file, and the way back. A ledger on a server is left to the tools of the server."""

from __future__ import annotations

import contextlib
import os
import shlex

from runstone.errors import LedgerBroken, LedgerDenied, LedgerError, LedgerFull, LedgerTooNew
from runstone.folder import clock
from runstone.ledger import migrations
from runstone.ledger.opening import open_ledger
from runstone.ledger.place import Place
from runstone.ledger.sqlite import SqliteStore

ALONE = "the queue, requests, triggers, annotations, keys and webhooks"
"""What is in the ledger and nowhere else, so that no rebuild brings it back."""

_BESIDE = ("", "-wal", "-shm")


def refuse_server(place: Place, verb: str, file: str) -> None:
    """For a ledger on a server, say which command does it. verb: backup or restore. Raises LedgerError."""
    if place.dialect == "sqlite":
        return
    # says so where the library for servers is not installed
    import runstone.ledger.postgres  # noqa: F401
    from runstone.ledger.postgres_url import split_schema

    plain, schema = split_schema(place.shown.replace(":***@", "@"))
    said, url = shlex.quote(file), shlex.quote(plain)
    only = "" if schema is None else f" --schema={shlex.quote(schema)}"
    command = f"pg_dump --format=custom --file={said}{only} --dbname={url}"
    if verb == "restore":
        command = f"pg_restore --clean --if-exists{only} --dbname={url} {said}"
    raise LedgerError(f"the ledger {place.shown} is kept by PostgreSQL, whose own tool is to be used: {command}")


def back_up(place: Place, file: str) -> int:
    """Copy the ledger, as it is at one moment, into a new file, while others go on with it; returns its bytes.

    Raises LedgerError: also if there is none, or the file is there already.
    """
    refuse_server(place, "backup", file)
    if not os.path.lexists(place.address):
        raise LedgerError(f"there is no ledger {place.address} yet, so nothing to back up")
    part = _new_part(file)
    store = None
    try:
        store = SqliteStore(place.address, read_only=True)
        try:
            store.backup_to(part)
        except LedgerFull:
            raise LedgerFull(f"no room is left for {file}; make room, or name a file on another disk") from None
        _finish(part, file)
    finally:
        if store is not None:
            store.close()
        _remove(part)
    return os.stat(file).st_size


def _new_part(file: str) -> str:
    """An empty file beside the one that is wanted. Raises LedgerDenied if there can be none."""
    folder, name = os.path.split(file)
    if not name:
        raise LedgerDenied(f"{file} cannot be written: it is a folder; name a file" if file else "name a file to write")
    if os.path.lexists(file):
        raise LedgerDenied(f"{file} is there already, and is not overwritten; name another file")
    if folder and not os.path.isdir(folder):
        raise LedgerDenied(f"{file} cannot be written: there is no folder {folder}; make it, or name another file")
    part = f"{file}.{os.getpid()}.part"
    try:
        os.close(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666))
    except OSError as error:
        raise LedgerDenied(f"{file} cannot be written: {(error.strerror or str(error)).lower()}") from None
    return part


def _finish(part: str, file: str) -> None:
    try:
        descriptor = os.open(part, os.O_RDWR)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        os.rename(part, file)
    except OSError as error:
        raise LedgerDenied(f"{file} cannot be written: {(error.strerror or str(error)).lower()}") from None


def restore(place: Place, file: str) -> str | None:
    """Put a backup in the place of the ledger; returns where the one that was there is kept now, None if none was.

    Processes that have the ledger open go on with what was restored. Raises LedgerError if the file is no ledger, is
    damaged, or of a newer schema; then nothing was changed.
    """
    refuse_server(place, "restore", file)
    if not os.path.isfile(file):
        raise LedgerError(f"there is no file {file}")
    if os.path.lexists(place.address) and os.path.samefile(file, place.address):
        raise LedgerDenied(f"{file} is the ledger itself; name a backup of it")
    try:
        source = SqliteStore(file, read_only=True)
    except LedgerBroken as error:
        why = error.__cause__ or "it is a database, but not of Runstone"
        raise LedgerBroken(f"{file} is no backup of a ledger, and was not restored: {why}") from error
    try:
        _refuse_unsound(source)
        target, aside = _set_aside(place)
        try:
            target.replace_with(source)
        finally:
            target.close()
    finally:
        source.close()
    # a backup of an older schema becomes one of this version
    open_ledger(place).close()
    return aside


def _refuse_unsound(source: SqliteStore) -> None:
    if migrations.version(source) == 0:
        raise LedgerBroken(f"{source.where} is empty, and no backup of a ledger")
    if found := source.problems():
        raise LedgerBroken(f"{source.where} is damaged, and was not restored: {found[0]}")


def _set_aside(place: Place) -> tuple[SqliteStore, str | None]:
    """The ledger that is there, open to be replaced, and where it is kept: a copy, for others may have it open.

    What is no ledger, or none that can be read, is renamed.
    """
    moment = clock.now()[:26].replace(":", "").replace(".", "")
    aside = f"{place.address}.before-restore-{moment}" if os.path.lexists(place.address) else None
    try:
        store = open_ledger(place)
        assert isinstance(store, SqliteStore)
    except LedgerTooNew:
        store = SqliteStore(place.address)
    except LedgerBroken:
        for end in _BESIDE:
            with contextlib.suppress(FileNotFoundError):
                os.rename(place.address + end, f"{aside}{end}")
        return _set_aside(place)[0], aside
    if aside is not None:
        try:
            store.backup_to(aside)
        except BaseException:
            store.close()
            _remove(aside)
            raise
    return store, aside


def _remove(path: str) -> None:
    for end in (*_BESIDE, "-journal"):
        with contextlib.suppress(OSError):
            os.unlink(path + end)

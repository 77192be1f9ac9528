"""Keeping a cache small: what is too old goes, then what nobody has taken for longest; and whatever a person names."""

from __future__ import annotations

import contextlib
import math
import os
import shutil
import time
from collections.abc import Sequence
from typing import Any

import apsw
import msgspec

from runstone.cache import place
from runstone.cache.limits import Limits
from runstone.cache.store import Store, drop
from runstone.errors import CacheError

ROOM = 0.9
"""A cache that is too large is brought down to this part of its limit, so that not every run has to do it again."""

_LEFTOVER_SECONDS = 3600.0
"""A file that no row speaks of is somebody's who is about to write that row, if it is younger."""


class Removed(msgspec.Struct, frozen=True, kw_only=True):
    """What went."""

    entries: int = 0
    bytes: int = 0


def within(store: Store, limits: Limits) -> Removed:
    """Bring a cache within its limits. Raises CacheError."""
    with store.reading() as connection:
        oldest = connection.execute("SELECT min(made) FROM piece").get
        total = connection.execute("SELECT sum(bytes) FROM piece").get
    too_old = limits.max_age is not None and oldest is not None and oldest < time.time() - limits.max_age
    if not too_old and (total or 0) <= limits.max_size:
        return Removed()
    removed = [remove(store, older_than=limits.max_age)] if limits.max_age is not None else []
    left = (total or 0) - sum(each.bytes for each in removed)
    if left > limits.max_size:
        removed.append(_make_room(store, left - int(limits.max_size * ROOM)))
        store.vacuum()
    return Removed(entries=sum(each.entries for each in removed), bytes=sum(each.bytes for each in removed))


def remove(store: Store, *, stage: str | None = None, older_than: float | None = None) -> Removed:
    """Remove results: of one stage, computed so many seconds ago, or both; without either all of them.

    stage: `pipeline/block`, or a pipeline or a block alone. Raises CacheError.
    """
    with store.writing() as connection:
        rows = connection.execute(
            "SELECT piece.id, piece.bytes, piece.file, recipe.stage FROM piece JOIN recipe ON recipe.id = piece.recipe"
            " WHERE piece.made < ?",
            (time.time() - older_than if older_than is not None else math.inf,),
        ).fetchall()
        removed = _remove(store, connection, [row for row in rows if stage is None or is_of(str(row[3]), stage)])
    store.vacuum()
    return removed


def is_of(stage: str, named: str) -> bool:
    """Whether a person means this stage by `pipeline/block`, or by one of the two alone."""
    pipeline, _, block = stage.rpartition("/")
    return named in (stage, pipeline, block)


def remove_all(store: Store) -> Removed:
    """Remove everything, also of a cache that cannot be read. Raises CacheError."""
    try:
        return remove(store)
    except CacheError:
        store.close()
        size = 0
        for folder, _, names in os.walk(store.folder):
            for name in names:
                with contextlib.suppress(OSError):
                    size += os.stat(os.path.join(folder, name)).st_size
        shutil.rmtree(store.folder, ignore_errors=True)
        if os.path.lexists(store.path):
            raise
        return Removed(bytes=size)


def _make_room(store: Store, wanted: int) -> Removed:
    with store.writing() as connection:
        rows, room = list[Any](), wanted
        for row in connection.execute("SELECT id, bytes, file FROM piece ORDER BY used, id"):
            if room <= 0:
                break
            rows.append(row)
            room -= int(row[1])
        return _remove(store, connection, rows)


def _remove(store: Store, connection: apsw.Connection, rows: Sequence[Any]) -> Removed:
    """rows: id, bytes and file of each piece that goes."""
    before = connection.execute("SELECT count(*) FROM entry").get
    drop(connection, [row[0] for row in rows])
    # of those that were computed again since, nothing is found any more
    connection.execute("DELETE FROM recipe WHERE id NOT IN (SELECT recipe FROM piece)").fetchall()
    after = connection.execute("SELECT count(*) FROM entry").get
    spoken_of = {str(row[0]) for row in connection.execute("SELECT file FROM piece WHERE file NOT NULL")}
    _remove_files(os.path.join(store.folder, place.LARGE), spoken_of, {row[2] for row in rows if row[2]})
    return Removed(entries=before - after, bytes=sum(row[1] for row in rows))


def _remove_files(folder: str, spoken_of: set[str], removed: set[str]) -> None:
    try:
        names = os.listdir(folder)
    except OSError:
        return
    young = time.time() - _LEFTOVER_SECONDS
    for name in names:
        path = os.path.join(folder, name)
        with contextlib.suppress(OSError):
            if name not in spoken_of and (name in removed or os.stat(path).st_mtime < young):
                os.unlink(path)

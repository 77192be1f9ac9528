"""Deleting tracked runs: a line that says so, and no journal any more of which nothing else is left."""

from __future__ import annotations

import os
from collections.abc import Iterable

from runstone.core.tracked import TrackDeleted, TrackEvent
from runstone.errors import FolderError
from runstone.folder import clock, disk, identity, track_files, track_journal
from runstone.folder.track_files import TrackFile


def tombstone(root: str, run_ids: Iterable[str]) -> None:
    """Say in the journal of this process that runs of a project were deleted; it is on the disk when this returns.

    root: the folder of the project. Raises StorageError.
    """
    lines = [track_files.encode_line(TrackDeleted(run=run_id, at=clock.now())) for run_id in run_ids]
    if not lines:
        return
    journal = track_journal.of(root)
    with journal.lock:
        journal.ready()
        journal.append(b"".join(lines))
    journal.bring_to_disk()


def of_runs(runs: Iterable[tuple[str, str]]) -> list[str]:
    """The same for runs of which the journal is known; returns the folders of their projects.

    runs: the id of each, and the path of its journal. One that is not there any more needs no such line.
    """
    by_root: dict[str, list[str]] = {}
    for run_id, journal in runs:
        if os.path.lexists(journal):
            by_root.setdefault(_root_of(journal), []).append(run_id)
    for root, run_ids in by_root.items():
        tombstone(root, run_ids)
    return list(by_root)


def _root_of(journal: str) -> str:
    """.../<project>/.runstone/track/<name>"""
    return os.path.dirname(os.path.dirname(os.path.dirname(journal)))


def remove_emptied(root: str) -> int:
    """Remove the journals of dead processes all of whose runs were deleted; returns how many. Never raises.

    One that says of the runs of another journal that they were deleted stays as long as that is there.
    """
    told: dict[str, tuple[set[str], set[str]]] = {}
    alive: set[str] = set()
    try:
        paths = track_files.paths(root)
    except OSError:
        return 0
    for path in paths:
        own: set[str] = set()
        deleted: set[str] = set()
        try:
            with TrackFile(path) as file:
                if not identity.is_gone(file.header.process):
                    alive.add(path)
                for _, event in file.events():
                    if isinstance(event, TrackDeleted):
                        deleted.add(event.run)
                    elif isinstance(event, TrackEvent):
                        own.add(event.run)
        except (OSError, FolderError):
            # whose runs are in it, nobody knows
            return 0
        told[path] = own, deleted
    all_deleted = set().union(*(deleted for _, deleted in told.values()))
    removed = 0
    # first those with runs, then those that only tell of these
    for only_tells in (False, True):
        for path, (own, deleted) in list(told.items()):
            if path in alive or own - all_deleted or (not own) != only_tells:
                continue
            others = set().union(*(runs for other, (runs, _) in told.items() if other != path))
            if deleted & others:
                continue
            disk.remove(path)
            if not os.path.lexists(path):
                del told[path]
                removed += 1
    return removed

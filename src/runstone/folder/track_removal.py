"""Deleting tracked runs: a line that says so, then the files that were saved with them go, and at last journals of
which nothing else is left."""

from __future__ import annotations

import os
from collections.abc import Iterable

from runstone.core.tracked import TrackDeleted, TrackEvent
from runstone.errors import FolderError, StorageError
from runstone.folder import clock, disk, identity, removal, track_files, track_journal
from runstone.folder.removal import Aside
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


def saved_folder(run_id: str, journal: str) -> str:
    """The folder of the files that were saved with the run of a journal; "" if there is none."""
    folder = track_files.run_folder(_root_of(journal), run_id)
    return folder if folder and os.path.isdir(folder) and not os.path.islink(folder) else ""


def finish(root: str) -> list[str]:
    """Remove what is left of deleted runs; returns what stays, and why."""
    left = remove_saved(root, None)
    if not left:
        # the lines that say what was deleted stay until it is gone
        remove_emptied(root)
    return left


def remove_saved(root: str, deleted: set[str] | None) -> list[str]:
    """Remove the files of runs that were deleted, also where a process died that was deleting them.

    deleted: their ids; None to look for them in all journals. Returns what stays, and why.
    """
    left: list[str] = []
    for name in track_files.saved_with(root):
        if deleted is None:
            deleted = _deleted(root)
        if name in deleted:
            try:
                removal.remove(Aside(path="", place=track_files.run_folder(root, name)))
            except StorageError as error:
                left.append(str(error))
    return left


def _deleted(root: str) -> set[str]:
    found: set[str] = set()
    for path in track_files.paths(root):
        try:
            with TrackFile(path) as file:
                found.update(event.run for _, event in file.events() if isinstance(event, TrackDeleted))
        except (OSError, FolderError):
            continue
    return found


def remove_emptied(root: str) -> int:
    """Remove the journals all of whose runs were deleted, and that nobody writes; returns how many. Never raises.

    One that says of the runs of another journal that they were deleted stays as long as that is there.
    """
    told: dict[str, tuple[set[str], set[str]]] = {}
    alive: dict[tuple[str, int, int, str], tuple[int, str]] = {}
    try:
        paths = track_files.paths(root)
    except OSError:
        return 0
    for path in paths:
        own: set[str] = set()
        deleted: set[str] = set()
        try:
            with TrackFile(path) as file:
                process = file.header.process
                if not identity.is_gone(process):
                    # the last one is being written
                    which, newest = track_files.which_process(process), (track_files.number(path, process), path)
                    alive[which] = max(alive.get(which, newest), newest)
                for _, event in file.events():
                    if isinstance(event, TrackDeleted):
                        deleted.add(event.run)
                    elif isinstance(event, TrackEvent):
                        own.add(event.run)
        except (OSError, FolderError):
            # whose runs are in it, nobody knows
            return 0
        told[path] = own, deleted
    written = {path for _, path in alive.values()}
    all_deleted = set().union(*(deleted for _, deleted in told.values()))
    removed = 0
    # first those with runs, then those that only tell of these
    for only_tells in (False, True):
        for path, (own, deleted) in list(told.items()):
            if path in written or own - all_deleted or (not own) != only_tells:
                continue
            others = set().union(*(runs for other, (runs, _) in told.items() if other != path))
            if deleted & others:
                continue
            disk.remove(path)
            if not os.path.lexists(path):
                del told[path]
                removed += 1
    return removed

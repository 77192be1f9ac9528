"""The journal that this process writes its tracked runs to.

A line is with the kernel when `append` returns, so it outlives the process; the pulse brings it to the disk some 20 ms
later. What the disk refuses is kept by whoever wrote it, and tried again.
"""

from __future__ import annotations

import errno
import os
import threading
import time
from collections.abc import Callable
from typing import Protocol

import msgspec

from runstone.core.tracked import Header, TrackLine
from runstone.errors import StorageError
from runstone.folder import clock, disk, identity, pulse, track_files

FILE_BYTES = 64 * 1024 * 1024
"""From this size on what is new goes into another file, so that those can go of which all runs were deleted."""

UPDATE_SECONDS = 0.2
"""Numbers that change are written so often, at most."""

_RETRY_SECONDS = 0.5
_NEXT_TRY_SECONDS = 5.0
_LOOK_SECONDS = 0.02
"""So often is looked whether somebody has deleted the file."""

_MOST_OWED = 10_000
_MOST_NAMES = 100


class Recorded(Protocol):
    """A run whose lines are written here."""

    def write(self) -> None:
        """Write what is not in the journal yet; the lock is held. Raises StorageError."""


class TrackJournal:
    """Appends lines to a file in the project at `root`, from any thread.

    It is made with the first line. Another one follows when somebody has deleted it, or it has become large:
    `generation` tells how many there were. What an open run had said before is then to be said once more, so that
    nobody needs the earlier file for what happens from there on.
    """

    def __init__(self, root: str) -> None:
        self.root = root
        self.path = ""
        self.generation = 0
        self.lock = threading.RLock()
        self.files: dict[int, str] = {}
        """The path of each generation, of those that were not deleted by others; the last one is written."""
        self.on_made: Callable[[str], None] | None = None
        """Told the path of a file before its first run is in it; the lock is held."""
        self.on_synced: Callable[[], None] | None = None
        """Called by the pulse after it has brought lines to the disk."""
        self.synced = 0
        """So many bytes of this generation are on the disk."""
        self.abandoned = False
        """This is a forked child, and the journal is its parent's."""
        self.found: TrackLine | None = None
        """What every generation says after its first line."""
        self.complain: Callable[[str], None] | None = None
        """Told what the disk refuses, if nobody waits for it."""
        self._descriptor = -1
        self._size = 0
        self._torn = False
        self._made = False
        self._sync_lock = threading.Lock()
        # of earlier files, that are still to be synced
        self._left: list[int] = []
        self._changed: set[Recorded] = set()
        self._owed: dict[Recorded, None] = {}
        self._ticking = False
        self._next_look = 0.0
        self._next_file = 0.0
        self._next_update = self._next_retry = self._next_sync = 0.0

    # all of these with the lock held

    def ready(self) -> None:
        """Make the file if it is not there, any more or yet; the generation tells. Raises StorageError."""
        now = time.monotonic()
        if self._descriptor >= 0:
            if self._size >= FILE_BYTES and now >= self._next_file:
                self._begin_next(now)
                return
            if now < self._next_look:
                return
            self._next_look = now + _LOOK_SECONDS
            try:
                if os.fstat(self._descriptor).st_nlink:
                    return
            except OSError:
                # closed by code that closes what it did not open
                self._descriptor = -1
            else:
                self.files.pop(self.generation, None)
                self._left.append(self._descriptor)
                self._descriptor = -1
        self._make()

    def append(self, data: bytes) -> None:
        """Hand whole lines to the kernel, all or none of them. Raises StorageError."""
        if self._torn:
            data = b"\n" + data
        try:
            disk.append(self._descriptor, data, self.path)
        except StorageError:
            self._mend()
            raise
        self._torn = False
        self._size += len(data)
        self._go_on()

    def owe(self, run: Recorded) -> None:
        """This run has ended, and the disk has refused to take that: it is tried again."""
        if len(self._owed) < _MOST_OWED:
            self._owed[run] = None
        self._go_on()

    def touch(self, run: Recorded) -> None:
        """Numbers of this run have changed."""
        self._changed.add(run)
        self._go_on()

    def forget(self, run: Recorded) -> None:
        """All of this run is written."""
        self._changed.discard(run)
        self._owed.pop(run, None)

    def refused(self, error: StorageError) -> None:
        """Say once what is wrong."""
        if self.complain is not None:
            self.complain(str(error))

    def _mend(self) -> None:
        """Take half a line off the end; whatever came behind it could not be told from it."""
        try:
            if os.fstat(self._descriptor).st_size == self._size:
                return
            disk.cut(self._descriptor, self._size, self.path)
        except (OSError, StorageError):
            self._torn = True

    def _begin_next(self, now: float) -> None:
        """Go on in another file; in this one if there can be none."""
        before = self._descriptor
        try:
            self._make()
        except StorageError as error:
            self._next_file = now + _NEXT_TRY_SECONDS
            self.refused(error)
        else:
            self._left.append(before)

    def _make(self) -> None:
        place = track_files.folder(self.root)
        try:
            disk.make_folder(place, parents=True)
            private = os.path.join(place, f".{os.getpid()}.{self.generation}.tmp")
            disk.remove(private)
            descriptor = disk.create(private)
        except (OSError, StorageError) as error:
            raise _refusal(error, place) from error
        try:
            head = self._head(descriptor)
            disk.append(descriptor, head, private)
            # a reader finds it with its first line, or not at all
            self.path = _publish(private, place, self.generation + 1)
        except BaseException as error:
            disk.close(descriptor)
            disk.remove(private)
            if isinstance(error, OSError):
                raise _refusal(error, place) from error
            raise
        self._descriptor = descriptor
        self._size = len(head)
        self._torn = False
        self._made = True
        self.synced = 0
        self.generation += 1
        self.files[self.generation] = self.path
        if self.on_made is not None:
            self.on_made(self.path)

    def _head(self, descriptor: int) -> bytes:
        file = os.fstat(descriptor)
        process = msgspec.structs.replace(
            identity.this_process(), journal_inode=file.st_ino, journal_device=file.st_dev, executor="track"
        )
        head = track_files.encode_line(Header(at=clock.now(), process=process))
        return head if self.found is None else head + track_files.encode_line(self.found)

    def _go_on(self) -> None:
        if not self._ticking:
            self._ticking = True
            pulse.join(self)

    # by the pulse, and at the end

    def tick(self, now: float) -> None:
        """Write changed numbers and what was refused before, as often as is due, and sync."""
        with self.lock:
            if self.abandoned:
                return
            if self._changed and now >= self._next_update:
                self._next_update = now + UPDATE_SECONDS
                self._write(list(self._changed))
            if self._owed and now >= self._next_retry:
                self._next_retry = now + _RETRY_SECONDS
                self._write(list(self._owed))
        if now >= self._next_sync:
            self._next_sync = 0.0 if self.sync() else now + _RETRY_SECONDS
        with self.lock:
            if not self._changed and not self._owed and self.synced == self._size:
                self._ticking = False
                pulse.leave(self)

    def flush(self) -> None:
        """Write and sync everything now."""
        with self.lock:
            if self.abandoned:
                return
            self._write([*self._changed, *self._owed])
        self.sync()

    def _write(self, runs: list[Recorded]) -> None:
        for run in runs:
            try:
                run.write()
            except StorageError as error:
                self.refused(error)
                return
            self.forget(run)

    def bring_to_disk(self) -> None:
        """The same for whoever has to know. Raises StorageError."""
        with self._sync_lock:
            with self.lock:
                descriptors = [*self._left, self._descriptor]
            for each in descriptors:
                disk.sync(each, self.path)
        disk.sync_folder(os.path.dirname(self.path))

    def sync(self) -> bool:
        """Bring all lines to the disk, and the name of the file; tells whether they are there."""
        with self._sync_lock:
            with self.lock:
                descriptor, size, generation, made = self._descriptor, self._size, self.generation, self._made
                self._made = False
            if not self._settle_earlier():
                with self.lock:
                    self._made |= made
                return False
            if descriptor < 0 or size == self.synced:
                return True
            try:
                disk.sync(descriptor, self.path)
                if made:
                    place = os.path.dirname(self.path)
                    for above in (place, os.path.dirname(place), self.root):
                        disk.sync_folder(above)
            except StorageError as error:
                with self.lock:
                    self._made |= made
                    if self.generation != generation:
                        # deleted meanwhile, and begun anew
                        return True
                if os.path.lexists(self.path):
                    # otherwise it was deleted, and is made again with the next line
                    self.refused(error)
                return False
            with self.lock:
                if self.generation == generation:
                    self.synced = size
        if self.on_synced is not None:
            self.on_synced()
        return True

    def _settle_earlier(self) -> bool:
        """Sync and close the files that were written before this one; tells whether they are on the disk."""
        while self._left:
            try:
                disk.sync(self._left[0], self.path)
            except StorageError as error:
                self.refused(error)
                return False
            with self.lock:
                disk.close(self._left.pop(0))
        return True

    def forked(self) -> None:
        """This is a child that was forked: the journal, and the threads that may hold its locks, are not here."""
        self.abandoned = True
        self.lock = threading.RLock()
        self._sync_lock = threading.Lock()
        self.on_synced = None
        self.on_made = None
        descriptors, self._descriptor = [*self._left, self._descriptor], -1
        self._left = []
        for each in descriptors:
            if each >= 0:
                disk.close(each)


def _publish(private: str, place: str, first: int) -> str:
    """Give a complete file a name of this process that is free, with this number or one behind it; returns its path."""
    process = identity.this_process()
    for number in range(first, first + _MOST_NAMES):
        path = os.path.join(place, track_files.name(process, number))
        given = disk.publish(private, path)
        if given is None and not os.path.lexists(path):
            # no links here; the name is that of this process alone
            disk.move(private, path)
            return path
        if given:
            disk.remove(private)
            return path
    raise FileExistsError(errno.EEXIST, "too many journals of this name are there; remove some")


_lock = threading.Lock()
_journals: dict[str, TrackJournal] = {}
inherited: list[TrackJournal] = []
"""In a forked child: the journals of its parent."""


def of(root: str) -> TrackJournal:
    """The journal of this process for the project at `root`."""
    with _lock:
        journal = _journals.get(root)
        if journal is None:
            journal = _journals[root] = TrackJournal(root)
        return journal


def _after_fork() -> None:
    global _lock
    _lock = threading.Lock()
    inherited[:] = _journals.values()
    _journals.clear()
    for journal in inherited:
        journal.forked()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def _refusal(error: OSError | StorageError, place: str) -> StorageError:
    """What is wrong with the place of the journals, with its cure."""
    cause = error if isinstance(error, OSError) else error.__cause__
    why = (getattr(cause, "strerror", None) or str(cause or error)).lower()
    return StorageError(f"{place} cannot be made or written ({why}); make it a folder that this user may write to")

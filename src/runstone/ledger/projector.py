"""The thread that brings the runs of this process into the ledger, a few times a second, and never in their way.

What cannot be brought, because the ledger is locked, full, gone or out of reach, stays in the run's folder, which has
everything. It is tried again from there, by this process or the next one.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import threading
import time
from collections import deque
from collections.abc import Callable

from runstone.errors import (
    FolderError,
    LedgerBroken,
    LedgerBusy,
    LedgerDenied,
    LedgerError,
    LedgerFull,
    LedgerTooNew,
    LedgerUnreachable,
)
from runstone.folder.writer import RunWriter
from runstone.ledger import behind, opening
from runstone.ledger.attach import Attachment
from runstone.ledger.opening import open_ledger
from runstone.ledger.place import Place
from runstone.ledger.port import Store
from runstone.ledger.projection import Outcome, put_inside
from runstone.ledger.track_feed import TrackFeed

TICK_SECONDS = 0.1
PATIENCE = 1.0
"""Seconds that a process waits for the ledger at its end."""

_GATHER_SECONDS = 0.02
_MOST_ENDED = 1000
"""With so many runs waiting, those who make more of them wait as well."""

_LOCK_PATIENCE = 0.4
_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 30.0
_LINGER_TICKS = 50


_OUT_OF_ORDER = (LedgerBusy, LedgerFull, LedgerDenied, LedgerTooNew, LedgerBroken, LedgerUnreachable)


class Projector:
    """Brings runs into the ledger at one place. complain: told once what is wrong with it."""

    def __init__(self, place: Place, complain: Callable[[str], None]) -> None:
        self.place = place
        self._complain = complain
        self._complained = False
        self._members: set[Attachment] = set()
        self._ended: deque[Attachment] = deque()
        self._feeds: set[TrackFeed] = set()
        # of them, those that have something to bring
        self._moving: set[TrackFeed] = set()
        self._turn = threading.Lock()
        self._wake = threading.Event()
        self._asleep = False
        self._thread: threading.Thread | None = None
        self._store: Store | None = None
        self._pause = 0.0
        self._next_try = 0.0
        self._may_be_behind = True

    def join(self, writer: RunWriter) -> Attachment:
        """From now on bring what this writer records into the ledger."""
        member = Attachment(writer)
        self._members.add(member)
        self._rouse()
        return member

    def know(self, feed: TrackFeed) -> None:
        """Tracked runs of this process are to come here."""
        self._feeds.add(feed)

    def part(self, feed: TrackFeed) -> None:
        """The process is about to end: bring what can be brought until the feed's deadline; a note tells of the rest."""
        if self._turn.acquire(timeout=PATIENCE - _LOCK_PATIENCE):
            try:
                self._project(feed, last=True)
            finally:
                self._turn.release()
        self._feeds.discard(feed)
        self._moving.discard(feed)

    def attend(self, feed: TrackFeed) -> None:
        """Some of them have something new."""
        self._moving.add(feed)
        self._rouse()

    def leave(self, member: Attachment) -> None:
        """The run has ended; what it has recorded last is brought soon, and before this process ends."""
        self._members.discard(member)
        self._ended.append(member)
        if len(self._ended) > _MOST_ENDED:
            self.flush()
        else:
            self._wake.set()

    def flush(self) -> None:
        """Bring everything now, for a bounded time: somebody is about to read, or this process to end."""
        if self._turn.acquire(timeout=PATIENCE - _LOCK_PATIENCE):
            try:
                self._bring()
                for feed in tuple(self._feeds):
                    self._project(feed, last=True)
            finally:
                self._turn.release()
        else:
            self._say(f"the ledger {self.place.shown} is held up; runs come into it later")

    def close(self) -> None:
        """Bring everything, and let go of the ledger, unless it is in use."""
        if self._ended or self._members or self._moving:
            self.flush()
        while self._ended:
            self._leave_note(self._ended.popleft())
        if self._turn.acquire(timeout=_LOCK_PATIENCE):
            try:
                self._let_go()
            finally:
                self._turn.release()

    def _live(self) -> None:
        idle = 0
        with self._turn:
            # while the run has begun its work; a new ledger takes some time to be made
            self._connect()
        while True:
            self._asleep = idle >= _LINGER_TICKS
            if self._wake.wait(None if self._asleep else TICK_SECONDS):
                # those that end at the same time go together
                time.sleep(_GATHER_SECONDS)
                self._wake.clear()
            with self._turn:
                self._bring()
                self._bring_tracked()
                if self._may_be_behind:
                    self._catch_up()
                self._tend()
            idle = 0 if self._members or self._moving or self._may_be_behind else idle + 1

    def _rouse(self) -> None:
        if self._thread is None or not self._thread.is_alive():
            self._thread = threading.Thread(target=self._live, name="runstone-ledger", daemon=True)
            self._asleep = False
            self._thread.start()
        elif self._asleep:
            self._asleep = False
            self._wake.set()

    def _bring(self) -> None:
        ended = [self._ended.popleft() for _ in range(len(self._ended))]
        for member in self._all_but_taken_together(ended):
            if not self._project(member, last=True):
                self._leave_note(member)
        for member in tuple(self._members):
            self._project(member)

    def _bring_tracked(self) -> None:
        for feed in tuple(self._moving):
            # whoever has something new meanwhile comes again
            self._moving.discard(feed)
            if not self._project(feed) or not feed.at_rest:
                self._moving.add(feed)

    def _all_but_taken_together(self, ended: list[Attachment]) -> list[Attachment]:
        """Bring runs that have ended in one transaction; returns those that have to be brought one by one."""
        if len(ended) < 2 or (store := self._connect()) is None:
            return ended
        left = []
        try:
            told = [(member, member.rows() if member.writer.complete else None) for member in ended]
            with store.writing():
                for member, rows in told:
                    if rows is None or put_inside(store, rows) is Outcome.GAP:
                        left.append(member)
        except (LedgerError, FolderError, OSError):
            # whatever it is, it is told by those it is about
            return ended
        return left

    def _leave_note(self, member: Attachment) -> None:
        behind.remember(self.place, member.run_id, member.folder)
        self._may_be_behind = True

    def _project(self, member: Attachment | TrackFeed, *, last: bool = False) -> bool:
        """Whether the ledger has now all that the member has recorded."""
        store = self._connect()
        if store is None:
            member.failed()
            return False
        try:
            if last:
                member.finish(store)
            else:
                member.project(store)
        except _OUT_OF_ORDER as error:
            self._refused(error)
            member.failed()
            return False
        except LedgerError as error:
            # something about this one run: the others are not held up by it
            self._say(str(error))
            member.failed()
            return False
        except (FolderError, OSError):
            # a run that cannot be recorded any more tells that itself
            return False
        return True

    def _connect(self) -> Store | None:
        if self._store is not None and not self._store.is_there():
            # deleted, or another file is in its place
            self._let_go()
        if self._store is None and time.monotonic() >= self._next_try:
            try:
                self._store = open_ledger(self.place, patience=_LOCK_PATIENCE)
            except LedgerError as error:
                self._refused(error)
            else:
                self._pause = 0.0
        return self._store

    def _refused(self, error: LedgerError) -> None:
        self._let_go()
        self._pause = min(_LONGEST_PAUSE, self._pause * 2 or _FIRST_PAUSE)
        self._next_try = time.monotonic() + self._pause
        self._may_be_behind = True
        self._say(str(error))

    def _let_go(self) -> None:
        store, self._store = self._store, None
        if store is not None:
            with contextlib.suppress(LedgerError):
                store.close()

    def _say(self, what: str) -> None:
        if not self._complained:
            self._complained = True
            self._complain(what)

    def _tend(self) -> None:
        if self._store is not None:
            try:
                self._store.tend()
            except LedgerError as error:
                self._refused(error)

    def _catch_up(self) -> None:
        store = self._connect()
        if store is None:
            return
        try:
            behind.catch_up(store, self.place)
        except LedgerError as error:
            self._refused(error)
        else:
            self._may_be_behind = False


_projectors: dict[Place, Projector] = {}


def flush() -> None:
    """Bring everything that this process has recorded into its ledgers, for a bounded time."""
    for each in tuple(_projectors.values()):
        each.flush()


def of(place: Place, complain: Callable[[str], None]) -> Projector:
    """The projector of this process for a ledger."""
    found = _projectors.get(place)
    if found is None:
        found = _projectors.setdefault(place, Projector(place, complain))
    return found


opening.before_reading.append(flush)


def _close_all() -> None:
    # what is in the log of a file comes into the file itself, so that who copies that has everything
    for each in _projectors.values():
        each.close()


atexit.register(_close_all)


def _after_fork() -> None:
    # a connection must not be used, nor closed, by a process that did not open it
    _abandoned.extend(_projectors.values())
    _projectors.clear()


_abandoned: list[Projector] = []

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)

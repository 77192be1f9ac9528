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
from runstone.ledger import behind
from runstone.ledger.attach import Attachment
from runstone.ledger.opening import open_ledger
from runstone.ledger.place import Place
from runstone.ledger.port import Store

TICK_SECONDS = 0.1
PATIENCE = 1.0
"""Seconds that the end of a run waits for the ledger."""

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
        # while the end of the run waits for the disk, all before it can be brought
        writer.on_ending = self._wake.set
        if self._thread is None or not self._thread.is_alive():
            self._thread = threading.Thread(target=self._live, name="runstone-ledger", daemon=True)
            self._asleep = False
            self._thread.start()
        elif self._asleep:
            self._asleep = False
            self._wake.set()
        return member

    def leave(self, member: Attachment) -> None:
        """The run has ended: wait until the ledger has it, for a bounded time."""
        self._members.discard(member)
        if self._turn.acquire(timeout=PATIENCE - _LOCK_PATIENCE):
            try:
                if self._project(member, last=True):
                    return
            finally:
                self._turn.release()
        else:
            self._say(f"the ledger {self.place.shown} is held up")
        behind.remember(self.place, member.run_id, member.folder)
        self._may_be_behind = True

    def close(self) -> None:
        """Let go of the ledger, unless it is in use."""
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
            # a run that takes less than a tick is brought by the one who waits for its end
            self._asleep = idle >= _LINGER_TICKS
            if self._wake.wait(None if self._asleep else TICK_SECONDS):
                self._wake.clear()
            with self._turn:
                for member in tuple(self._members):
                    self._project(member)
                if self._may_be_behind:
                    self._catch_up()
                self._tend()
            idle = 0 if self._members or self._may_be_behind else idle + 1

    def _project(self, member: Attachment, *, last: bool = False) -> bool:
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


def of(place: Place, complain: Callable[[str], None]) -> Projector:
    """The projector of this process for a ledger."""
    found = _projectors.get(place)
    if found is None:
        found = _projectors.setdefault(place, Projector(place, complain))
    return found


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

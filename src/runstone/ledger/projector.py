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
from typing import TYPE_CHECKING

from runstone import config
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
from runstone.ledger.together import taken
from runstone.ledger.trouble import Trouble

if TYPE_CHECKING:
    # loaded by those who track something
    from runstone.ledger.track_feed import TrackFeed

TICK_SECONDS = 0.1
PATIENCE = 1.0
"""Seconds that a process waits for the ledger at its end."""

_GATHER_SECONDS = 0.02
_MOST_ENDED = 1000
"""With so many runs waiting, those who make more of them wait as well."""

_LOCK_PATIENCE = 0.4
_LONGEST_GATHER = 0.5
_AFTER_A_FAULT = 0.5
_LINGER_TICKS = 50

_OUT_OF_ORDER = (LedgerBusy, LedgerFull, LedgerDenied, LedgerTooNew, LedgerBroken, LedgerUnreachable)


class Projector:
    """Brings runs into the ledger at one place. complain: told once what is wrong with it."""

    def __init__(self, place: Place, complain: Callable[[str], None]) -> None:
        self.place = place
        self._trouble = Trouble(place.shown, complain)
        self._members: set[Attachment] = set()
        self._ended: deque[Attachment] = deque()
        # those of them that somebody brings just now
        self._bringing: list[Attachment] = []
        self._feeds: set[TrackFeed] = set()
        # of them, those that have something to bring
        self._moving: set[TrackFeed] = set()
        self._turn = threading.Lock()
        self._wake = threading.Event()
        self._asleep = False
        self._thread: threading.Thread | None = None
        self._store: Store | None = None
        # the longer it takes to bring something, the more is brought at once
        self._gather = _GATHER_SECONDS
        self._may_be_behind = True
        # of the projects whose runs come here: notes are left there
        self._roots: set[str] = set()

    def join(self, writer: RunWriter) -> Attachment:
        """From now on bring what this writer records into the ledger."""
        member = Attachment(writer, _project_root())
        self._know_root(member.root)
        self._members.add(member)
        self._rouse()
        return member

    def know(self, feed: TrackFeed) -> None:
        """Tracked runs of this process are to come here."""
        self._feeds.add(feed)
        self._know_root(feed.journal.root)

    def part(self, feed: TrackFeed) -> None:
        """The process is about to end: bring what can be until the feed's deadline; a note tells of the rest."""
        if self._turn.acquire(timeout=PATIENCE - _LOCK_PATIENCE):
            try:
                if not self._project(feed, last=True):
                    self._trouble.tell_if_held()
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
        if len(self._ended) > _MOST_ENDED or not self._has_thread():
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
            except Exception as error:
                # whoever calls has other work to do
                self._trouble.stumbled(error)
            finally:
                self._turn.release()

    def close(self) -> None:
        """Bring everything, and let go of the ledger, unless it is in use."""
        until = time.monotonic() + PATIENCE - _LOCK_PATIENCE
        self._trouble.last_call()
        if self._ended or self._bringing or self._members or self._moving:
            self.flush()
        while (self._ended or self._bringing) and time.monotonic() < until:
            # others came first
            time.sleep(_GATHER_SECONDS)
            self.flush()
        left = [*self._bringing, *self._ended]
        if left:
            self._trouble.tell_if_held()
        self._ended.clear()
        for member in left:
            self._leave_note(member)
        if self._turn.acquire(timeout=_LOCK_PATIENCE):
            try:
                if self._may_be_behind:
                    # runs may all be too short for the thread to find time for it
                    self._catch_up(_LOCK_PATIENCE)
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
            # whoever came just before has seen nobody asleep
            asleep = self._asleep and not (self._members or self._moving)
            if self._wake.wait(None if asleep else max(TICK_SECONDS, self._gather)):
                # those that end at the same time go together
                time.sleep(self._gather)
                self._wake.clear()
            try:
                self._go_round()
            except Exception as error:
                # whatever it is: the runs to come are not to be without anybody who brings them
                self._trouble.stumbled(error)
                time.sleep(_AFTER_A_FAULT)
            idle = 0 if self._members or self._moving or self._ended or self._may_be_behind else idle + 1

    def _go_round(self) -> None:
        with self._turn:
            began = time.monotonic()
            self._bring()
            self._bring_tracked()
            self._gather = min(_LONGEST_GATHER, max(_GATHER_SECONDS, 4 * (time.monotonic() - began)))
            if self._may_be_behind:
                self._catch_up()
            self._tend()

    def _rouse(self) -> None:
        if not self._has_thread():
            self._thread = threading.Thread(target=self._live, name="runstone-ledger", daemon=True)
            self._asleep = False
            try:
                self._thread.start()
            except RuntimeError:
                # no more threads are to be had, or the interpreter is about to end: `leave` brings everything
                self._thread = None
        elif self._asleep:
            self._asleep = False
            self._wake.set()

    def _has_thread(self) -> bool:
        """Whether somebody brings what waits. Once the main thread has ended nobody can tell for how long."""
        return self._thread is not None and self._thread.is_alive() and threading.main_thread().is_alive()

    def _bring(self) -> None:
        ended = self._bringing = [self._ended.popleft() for _ in range(len(self._ended))]
        try:
            for member in self._all_but_taken_together(ended):
                if self._project(member, last=True):
                    continue
                if self._trouble.is_passing:
                    self._ended.append(member)
                else:
                    self._leave_note(member)
        except BaseException:
            # interrupted, say: they are brought once more, or have a note when this process ends
            self._ended.extendleft(reversed(ended))
            raise
        finally:
            self._bringing = []
        for member in tuple(self._members):
            self._project(member)

    def _bring_tracked(self) -> None:
        for feed in tuple(self._moving):
            # whoever has something new meanwhile comes again
            self._moving.discard(feed)
            if not self._project(feed) or not feed.at_rest:
                self._moving.add(feed)

    def _all_but_taken_together(self, ended: list[Attachment]) -> list[Attachment]:
        """Bring runs that have ended; returns those that have to be brought one by one."""
        if len(ended) < 2 or (store := self._connect()) is None:
            return ended
        left = dict.fromkeys(ended)
        try:
            for member in taken(store, ended):
                del left[member]
                self._trouble.over()
        except LedgerBusy as error:
            self._trouble.busy(error)
        except Exception:
            # whatever it is, it is told by those it is about
            pass
        return list(left)

    def _leave_note(self, member: Attachment) -> None:
        behind.remember(self.place, member.run_id, member.folder, root=member.root)
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
            self._trouble.say(str(error))
            member.failed()
            return False
        except (FolderError, OSError):
            # a run that cannot be recorded any more tells that itself
            return False
        except Exception as error:
            # a mistake of ours holds up neither the others nor the run itself
            self._trouble.stumbled(error)
            member.failed()
            return False
        self._trouble.over()
        return True

    def _connect(self) -> Store | None:
        if self._store is not None and not self._store.is_there():
            # deleted, or another file is in its place
            self._let_go()
        if not self._trouble.may_try():
            return None
        if self._store is None:
            try:
                self._store = open_ledger(self.place, patience=_LOCK_PATIENCE)
            except LedgerError as error:
                self._refused(error)
            except Exception as error:
                self._trouble.stumbled(error)
                self._trouble.rest()
            else:
                self._trouble.answered()
        return self._store

    def _refused(self, error: LedgerError) -> None:
        if isinstance(error, LedgerBusy):
            self._trouble.busy(error)
            return
        self._let_go()
        self._may_be_behind = True
        self._trouble.refused(error)

    def _let_go(self) -> None:
        store, self._store = self._store, None
        if store is not None:
            with contextlib.suppress(LedgerError):
                store.close()

    def _tend(self) -> None:
        if self._store is not None:
            try:
                self._store.tend()
            except LedgerError as error:
                self._refused(error)

    def _catch_up(self, seconds: float | None = None) -> None:
        store = self._connect()
        if store is None:
            return
        try:
            for root in tuple(self._roots):
                behind.catch_up(store, root, seconds)
        except LedgerError as error:
            self._refused(error)
        except Exception as error:
            # the notes are there for the next process
            self._may_be_behind = False
            self._trouble.stumbled(error)
        else:
            self._may_be_behind = False

    def _know_root(self, root: str | None) -> None:
        if root is not None and root not in self._roots:
            self._roots.add(root)
            self._may_be_behind = True

    def hold_still(self) -> bool:
        """Keep the ledger shut until `go_on`, for a fork of this process; False if it is in use for too long."""
        if not self._turn.acquire(timeout=PATIENCE):
            return False
        self._let_go()
        return True

    def go_on(self) -> None:
        """It has been forked."""
        self._turn.release()


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
    for each in tuple(_projectors.values()):
        each.close()


atexit.register(_close_all)


def _project_root() -> str | None:
    try:
        return config.project_root()
    except OSError:
        # the current folder was deleted
        return None


class _Held(threading.local):
    """What the thread that forks keeps still."""

    def __init__(self) -> None:
        self.projectors: list[Projector] = []


_held = _Held()


def _before_fork() -> None:
    # SQLite in the child would take the locks of what is open for its own, which they are not: others could then take
    # the log away that it writes in. What is still open nevertheless is refused there.
    files = [each for each in tuple(_projectors.values()) if each.place.dialect == "sqlite"]
    _held.projectors = [each for each in files if each.hold_still()]


def _after_fork_in_parent() -> None:
    held, _held.projectors = _held.projectors, []
    for each in held:
        each.go_on()


def _after_fork() -> None:
    # a connection must not be used, nor closed, by a process that did not open it
    _held.projectors = []
    _abandoned.extend(_projectors.values())
    _projectors.clear()


_abandoned: list[Projector] = []

if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_parent=_after_fork_in_parent, after_in_child=_after_fork)

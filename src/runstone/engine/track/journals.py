"""The journals of this process, one for each project it tracks runs in, and their way into the ledger."""

from __future__ import annotations

import atexit
import os
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

from runstone import config
from runstone.core.tracked import TrackSurroundings
from runstone.engine.track import surrounding
from runstone.engine.track.complaints import once, was_said
from runstone.errors import CurrentFolderGone, SettingError, StorageError
from runstone.folder import clock, track_journal
from runstone.folder.track_files import encode_line
from runstone.folder.track_journal import TrackJournal
from runstone.ledger import place

if TYPE_CHECKING:
    from runstone.ledger.place import Place
    from runstone.ledger.track_feed import TrackFeed

PATIENCE = 1.0
"""Seconds that the end of the process waits for the ledger."""

READERS_BRING = 5_000
"""So many runs that are left are nothing to tell: whoever reads the ledger next brings some 20,000 in its second."""

_WORTH_IT = 0.1

_lock = threading.Lock()
_ours: list[TrackJournal] = []
_feeds: dict[str, dict[str, TrackFeed]] = {}
_lookouts: list[threading.Event] = []
_here: tuple[str, TrackJournal] | None = None
_leaves_told = -1


def here() -> TrackJournal:
    """The journal for the project around the current folder."""
    global _here
    known = _here
    try:
        folder = os.getcwd()
    except FileNotFoundError:
        if known is None:
            raise CurrentFolderGone from None
        # deleted: what is begun goes on where it was
        return known[1]
    if known is not None and known[0] == folder:
        return known[1]
    journal = of(config.project_root())
    _here = folder, journal
    return journal


def of(root: str) -> TrackJournal:
    """The journal for a project."""
    with _lock:
        journal = track_journal.of(root)
        if root not in _feeds:
            journal.complain = _not_recorded
            _feeds[root] = {}
            _ours.append(journal)
            own = _own_place()
            _bring(journal, own, all_others=True)
            # called before what the ledger itself has registered
            _tell_leaving()
            _look_around(journal, own)
        return journal


def also_to(journal: TrackJournal, ledger: Place) -> str:
    """Bring runs that name it into another ledger as well; returns what they name."""
    with _lock:
        _bring(journal, ledger, all_others=False)
    return ledger.shown


def _own_place() -> Place | None:
    try:
        return place.find()
    except SettingError as error:
        _not_in_ledger(str(error))
        return None
    finally:
        for problem in config.untold():
            once(problem, f"warning: {problem}")


def _bring(journal: TrackJournal, ledger: Place | None, *, all_others: bool) -> None:
    feeds = _feeds[journal.root]
    if ledger is None or ledger.shown in feeds:
        return
    # the database is loaded by those who have one
    from runstone.ledger import projector
    from runstone.ledger.track_feed import TrackFeed

    feed = feeds[ledger.shown] = TrackFeed(journal, ledger, others=all_others)
    projector.of(ledger, _not_in_ledger).know(feed)

    def tell() -> None:
        for each in tuple(feeds.values()):
            projector.of(each.place, _not_in_ledger).attend(each)

    def note(path: str) -> None:
        for each in tuple(feeds.values()):
            each.note(path)

    journal.on_made = note
    journal.on_synced = tell


def _look_around(journal: TrackJournal, own: Place | None) -> None:
    """Find out, beside the work, what may take git some time; and bring what those before have left to be brought."""
    known = next((each.found for each in track_journal.inherited if each.root == journal.root), None)
    if known is not None:
        journal.found = known
        return
    looked = threading.Event()

    def look() -> None:
        try:
            found = surrounding.look_around()
        except Exception:
            found = TrackSurroundings(at=clock.now())
        with journal.lock:
            if journal.abandoned:
                return
            journal.found = found
            try:
                journal.ready()
                journal.append(encode_line(found))
            except StorageError as error:
                journal.refused(error)
        looked.set()
        if own is not None:
            from runstone.ledger import track_feed

            track_feed.catch_up(own, journal.root)

    _lookouts.append(looked)
    try:
        threading.Thread(target=look, name="runstone-lookout", daemon=True).start()
    except RuntimeError:
        # there are too many threads, or the process is about to end
        journal.found = TrackSurroundings(at=clock.now())
        looked.set()


def _not_recorded(reason: str) -> None:
    once("journal", f"tracked runs are not recorded for now: {reason}")


def _not_in_ledger(reason: str) -> None:
    if was_said("journal"):
        # where they are not even recorded, this would contradict it
        return
    once("ledger", f"tracked runs are recorded in {config.OWN}/track alone for now: {reason}")


# the end of the process, and its forked children


def _tell_leaving() -> None:
    """Have `leave` called at the end of this process. Children of multiprocessing end without what others end with."""
    global _leaves_told
    if _leaves_told == os.getpid():
        return
    _leaves_told = os.getpid()
    util: Any = sys.modules.get("multiprocessing.util")
    if util is not None:
        util.Finalize(None, leave, exitpriority=0)
    atexit.register(leave)


def leave() -> None:
    """Write and sync what there is, and wait for the ledger for a bounded time."""
    deadline = time.monotonic() + PATIENCE
    for looked in _lookouts:
        looked.wait(max(0.0, deadline - time.monotonic()))
    for journal in list(_ours):
        journal.flush()
    for feeds in list(_feeds.values()):
        for feed in list(feeds.values()):
            from runstone.ledger import projector

            feed.deadline = deadline
            projector.of(feed.place, _not_in_ledger).part(feed)
            _tell_what_is_left(feed)
            feed.close()
            _go_on_with_others(feed, deadline)


def _tell_what_is_left(feed: TrackFeed) -> None:
    """Unless whoever reads the ledger next brings it within the second that readers take for that."""
    if feed.at_rest or was_said("journal") or was_said("ledger"):
        return
    left = feed.left()
    if left > READERS_BRING:
        once(
            "left",
            f"{left:,} tracked runs are in {config.OWN}/track, and not in the ledger yet: those who read that bring"
            " them step by step; to have all now: runstone ledger sync",
        )


def _go_on_with_others(feed: TrackFeed, deadline: float) -> None:
    """What dead processes have left, for as long as there is time: this one was perhaps too short to come to it."""
    seconds = deadline - time.monotonic()
    if seconds < _WORTH_IT:
        return
    from runstone.ledger import behind, opening, track_feed

    if behind.journals(feed.place.shown, feed.journal.root):
        track_feed.catch_up(feed.place, feed.journal.root, seconds, most_bytes=opening.BYTES_FOR_OTHERS)


def _after_fork() -> None:
    global _here, _lock
    _lock = threading.Lock()
    _ours.clear()
    _feeds.clear()
    _lookouts.clear()
    _here = None


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)

"""Which block and element the current thread is computing, for code inside a block that wants to say something."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, Protocol

from runstone.core.events import ArtifactSaved
from runstone.errors import RunError


class Recorder(Protocol):
    """What code inside a block may add to the record of its run."""

    folder: str | None

    def artifact(self, block: str, element: int | None, source: str, **fields: Any) -> ArtifactSaved: ...


class Place:
    """One block run in progress. element: tells the flat number of the element that is being computed, if any."""

    __slots__ = ("block", "element", "recorder")

    def __init__(self, recorder: Recorder, block: str, element: Callable[[], int | None]) -> None:
        self.recorder = recorder
        self.block = block
        self.element = element


class _Current(threading.local):
    place: Place | None = None


_current = _Current()


def enter(place: Place | None) -> Place | None:
    """Make this the place of the current thread; returns the one before."""
    before = _current.place
    _current.place = place
    return before


def place(what: str) -> Place:
    """Where the current thread is. what: the call that needs to know, for the error outside of any block."""
    if _current.place is None:
        raise RunError(f"{what} only works inside a block, while a run computes it")
    return _current.place

"""Which block and element the current thread, or task of an event loop, is computing."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from typing import Any, Protocol

from runstone.core.events import ArtifactSaved
from runstone.errors import RunError


class Recorder(Protocol):
    """What code inside a block may add to the record of its run."""

    folder: str | None
    run_id: str

    def artifact(self, block: str, element: int | None, source: str, **fields: Any) -> ArtifactSaved: ...


def _first() -> int:
    return 1


class Place:
    """One block run in progress.

    element: tells the flat number of the element that is being computed, if any; attempt: which try that is.
    """

    __slots__ = ("attempt", "block", "element", "recorder")

    def __init__(
        self,
        recorder: Recorder,
        block: str,
        element: Callable[[], int | None],
        attempt: Callable[[], int] = _first,
    ) -> None:
        self.recorder = recorder
        self.block = block
        self.element = element
        self.attempt = attempt


_current: ContextVar[Place | None] = ContextVar("runstone_place", default=None)


def enter(place: Place | None) -> Place | None:
    """Make this the place of the current thread or task; returns the one before."""
    before = _current.get()
    _current.set(place)
    return before


def current() -> Place | None:
    """The place of the current thread or task, None if it computes no block."""
    return _current.get()


def place(what: str) -> Place:
    """Where the current thread or task is. what: the call that needs to know, for the error outside of any block."""
    found = _current.get()
    if found is None:
        raise RunError(f"{what} only works inside a block, while a run computes it, or inside `with track(...)`")
    return found

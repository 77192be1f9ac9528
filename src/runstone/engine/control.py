"""Asking a run to stop: the one thing other threads say to a driver."""

from __future__ import annotations

import threading

from runstone.core.reasons import Reason
from runstone.core.receipts import Receipt
from runstone.errors import FolderError


class Control:
    """Shared by a driver and those who watch it. `stopping` is read before every element, so it is a plain field.

    interruptible: user code is being called, and an exception may be raised into it. broken: why the run cannot be
    recorded any more. receipts: of the processes that were ended for it.
    """

    __slots__ = ("broken", "interruptible", "message", "reason", "receipts", "requested_by", "stopping", "wake")

    def __init__(self) -> None:
        self.stopping = False
        self.interruptible = False
        self.reason = Reason.CANCEL_REQUESTED
        self.message = ""
        self.requested_by: str | None = None
        self.broken: FolderError | None = None
        self.receipts: list[Receipt] = []
        self.wake = threading.Event()

    def cancel(self, *, by: str | None = None, message: str = "", reason: Reason = Reason.CANCEL_REQUESTED) -> None:
        """Ask the run to stop at its next element, block or pause. Asking twice is asking once."""
        if not self.stopping:
            self.requested_by, self.message, self.reason = by, message, reason
            self.stopping = True
            self.wake.set()

    def break_off(self, error: FolderError) -> None:
        """The run cannot be recorded any more: what is computed from here on would be lost, or done twice."""
        self.broken = error
        self.stopping = True
        self.wake.set()

    def pause(self, seconds: float) -> bool:
        """Wait, but not longer than until somebody asks to stop; tells whether the run should go on."""
        if seconds > 0:
            self.wake.wait(seconds)
        return not self.stopping

"""Asking a run to stop: the one thing other threads say to a driver."""

from __future__ import annotations

import threading

from runstone.core.reasons import Reason
from runstone.core.receipts import Receipt
from runstone.core.statuses import RunStatus


class Control:
    """Shared by a driver and those who watch it. `stopping` is read before every element, so it is a plain field.

    interruptible: user code is being called, and an exception may be raised into it. broken: why the run cannot go on,
    or be recorded any more. receipts: of the processes that were ended for it. end_as: how the run ends that was
    stopped. supervised: another process ends this one if it does not stop by itself.
    """

    __slots__ = (
        "broken",
        "end_as",
        "interruptible",
        "message",
        "reason",
        "receipts",
        "requested_at",
        "requested_by",
        "stopping",
        "supervised",
        "wake",
    )

    def __init__(self) -> None:
        self.stopping = False
        self.interruptible = False
        self.reason = Reason.CANCEL_REQUESTED
        self.message = ""
        self.requested_by: str | None = None
        self.requested_at: str | None = None
        self.end_as = RunStatus.CANCELLED
        self.supervised = False
        self.broken: Exception | None = None
        self.receipts: list[Receipt] = []
        self.wake = threading.Event()

    def cancel(
        self,
        *,
        by: str | None = None,
        message: str = "",
        at: str | None = None,
        reason: Reason = Reason.CANCEL_REQUESTED,
        end_as: RunStatus = RunStatus.CANCELLED,
    ) -> None:
        """Ask the run to stop at its next element, block or pause. Asking twice is asking once.

        by, at: who asked, and when.
        """
        if not self.stopping:
            self.requested_by, self.requested_at, self.message = by, at, message
            self.reason, self.end_as = reason, end_as
            self.stopping = True
            self.wake.set()

    def break_off(self, error: Exception) -> None:
        """Stop, though nobody has asked for it.

        error: why; of a run that cannot be recorded any more, what is computed from here on would be lost, or done
        twice.
        """
        self.broken = error
        self.stopping = True
        self.wake.set()

    def pause(self, seconds: float) -> bool:
        """Wait, but not longer than until somebody asks to stop; tells whether the run should go on."""
        if seconds > 0:
            self.wake.wait(seconds)
        return not self.stopping

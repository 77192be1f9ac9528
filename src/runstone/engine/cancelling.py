"""Noticing that a run is to stop, and saying so in its record at once, whatever its blocks are doing.

The pulse looks: for requests that others have left in the folder, for the time limit of the run, and for whether the
code that is to stop does so in time.
"""

from __future__ import annotations

import threading

from runstone.core import events as ev
from runstone.core.reasons import Reason
from runstone.core.settings import OnTimeout, Settings
from runstone.core.statuses import RunStatus
from runstone.engine.control import Control
from runstone.engine.record import Recorder
from runstone.folder import clock, requests

_LOOK = 0.1

TIMEOUT_ENDS = {
    OnTimeout.TIMED_OUT: RunStatus.TIMED_OUT,
    OnTimeout.FAILED: RunStatus.FAILED,
    OnTimeout.CANCELLED: RunStatus.CANCELLED,
}
"""How a run ends that takes too long; after a warning it goes on."""


class Cancelling:
    """Watches over one run from its start to its end.

    settings: of the run as a whole.
    """

    def __init__(self, recorder: Recorder, control: Control, settings: Settings) -> None:
        self._recorder = recorder
        self._control = control
        self._limit = settings.run_timeout or 0.0
        self._on_timeout = settings.on_timeout or OnTimeout.TIMED_OUT
        self._grace = settings.grace or 0.0
        self._started = clock.steady()
        self._looked = 0.0
        self._stopping_since: float | None = None
        self._is_told = False
        self._over = False
        self._lock = threading.Lock()

    def __enter__(self) -> Cancelling:
        self._recorder.ticks.append(self.tick)
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Say nothing more: the end is being written."""
        with self._lock:
            if not self._over:
                self._over = True
                self._recorder.ticks.remove(self.tick)

    def tick(self, now: float) -> None:
        """Look, and say what there is to say; called by the pulse."""
        if now - self._looked >= _LOOK:
            self._looked = now
            self._look(now)
        if self._control.stopping and self._control.broken is None:
            self._say(now)

    def _look(self, now: float) -> None:
        folder = self._recorder.folder
        if folder is not None and not self._control.stopping and requests.exist(folder):
            asked = requests.pending(folder, requests.CANCEL)
            if asked is not None:
                self._control.cancel(by=asked.by, message=asked.message, at=asked.at)
        if self._limit and now - self._started > self._limit:
            what = f"the run takes longer than its limit of {self._limit:g} s"
            limit, self._limit = self._limit, 0.0
            if self._on_timeout is OnTimeout.WARNING:
                self._recorder.event(ev.Warned, code="timeout", message=f"{what}, and goes on")
            else:
                self._control.cancel(
                    by="run_timeout",
                    message=f"it took longer than its limit of {limit:g} s",
                    reason=Reason.TIMEOUT,
                    end_as=TIMEOUT_ENDS[self._on_timeout],
                )

    def _say(self, now: float) -> None:
        with self._lock:
            if self._over or self._recorder.state.done:
                return
            if self._stopping_since is None:
                self._stopping_since = now
                self.announce()
            elif now - self._stopping_since > self._grace and not self._is_told and not self._control.supervised:
                self._is_told = True
                self._recorder.event(
                    ev.RunCancelling,
                    reason=Reason.NOT_KILLABLE,
                    message="the code that runs shares its process with the program that started it, and cannot be "
                    "ended from outside; it stops at its next element, block or await",
                    requested_at=self._control.requested_at,
                    requested_by=self._control.requested_by,
                )
                self._recorder.flush()

    def announce(self) -> None:
        """Record that the run is to stop, unless that was done."""
        control = self._control
        if self._recorder.state.status is RunStatus.RUNNING:
            self._recorder.event(
                ev.RunCancelling,
                reason=control.reason,
                message=control.message,
                requested_at=control.requested_at,
                requested_by=control.requested_by,
            )
            self._recorder.flush()

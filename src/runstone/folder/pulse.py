"""The heartbeat thread of this process: one for all its runs.

While runs are being written it wakes about every 10 ms and lets every writer do what is due. A little after the last
run has ended it sleeps until the next one comes.
"""

from __future__ import annotations

import contextlib
import os
import threading
from typing import Protocol

from runstone.folder import clock

TICK_SECONDS = 0.01
_LINGER_TICKS = 200


class Beating(Protocol):
    """What the pulse keeps alive."""

    def tick(self, now: float) -> None: ...

    def forked(self) -> None: ...


class Pulse:
    """Ticks its members until they leave."""

    def __init__(self) -> None:
        self._members: set[Beating] = set()
        self._wake = threading.Event()
        self._asleep = True
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()

    def join(self, member: Beating) -> None:
        """From now on tick this one."""
        with self._lock:
            self._members.add(member)
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._beat, name="runstone-heartbeat", daemon=True)
                self._asleep = False
                self._thread.start()
            elif self._asleep:
                self._asleep = False
                self._wake.set()

    def leave(self, member: Beating) -> None:
        """No longer tick this one; a tick that has begun may still finish."""
        self._members.discard(member)

    def members(self) -> list[Beating]:
        """Those it ticks."""
        return list(self._members)

    def _beat(self) -> None:
        idle = 0
        while True:
            if self._wake.wait(None if self._asleep else TICK_SECONDS):
                self._wake.clear()
            members = self.members()
            idle = 0 if members else idle + 1
            now = clock.steady()
            for member in members:
                # Whatever it is: a broken writer remembers its error, user code that fails while its values are stored
                # does so again in the driver, and the other runs of this process need their heartbeat.
                with contextlib.suppress(BaseException):
                    member.tick(now)
            with self._lock:
                self._asleep = idle >= _LINGER_TICKS and not self._members
                idle = 0 if self._asleep else idle


_pulse = Pulse()


def _after_fork() -> None:
    # A forked child has no heartbeat thread, and its parent's runs are not its own.
    global _pulse
    members = _pulse.members()
    _pulse = Pulse()
    for member in members:
        member.forked()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def join(member: Beating) -> None:
    """Tick this one from now on, in this process."""
    _pulse.join(member)


def leave(member: Beating) -> None:
    """No longer tick this one."""
    _pulse.leave(member)

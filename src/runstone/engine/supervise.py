"""`runstone run` in two processes: one that executes, and one that can end it from outside.

Code that runs in the driver's own process may not notice that it is to stop. So the command forks before anything else:
the child becomes the driver, the parent waits, and once the run is to stop it sees to it that it does. Whoever proves
the driver dead may write the end.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import sys
import time
from collections.abc import Callable
from types import FrameType

import msgspec

from runstone.core.reasons import Reason
from runstone.core.receipts import Receipt
from runstone.core.settings import OnTimeout
from runstone.core.statuses import RunStatus
from runstone.engine.cancelling import TIMEOUT_ENDS
from runstone.engine.finish import write_end
from runstone.engine.guard import kernel, processes, trees
from runstone.engine.interrupts import KEYBOARD, TERMINATED
from runstone.engine.launch import Launched
from runstone.errors import RunstoneError
from runstone.folder import requests
from runstone.folder.resolve import shown, typed

_LOOK = 0.1
_FIRST = 0.3
"""Seconds that a driver has for what it can end by itself."""

_SIGNALS = {KEYBOARD: signal.SIGINT, TERMINATED: signal.SIGTERM}


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """What a driver tells the process that supervises it.

    grace, run_timeout: seconds, 0 for none. timeout_ends: how the run ends that takes too long; None if it goes on.
    """

    folder: str
    grace: float
    run_timeout: float = 0.0
    timeout_ends: RunStatus | None = None


Tell = Callable[[Told], None]

_decode = msgspec.json.Decoder(Told).decode


def can_be_supervised() -> bool:
    """Whether this system can do it."""
    return sys.platform == "linux" and hasattr(os, "pidfd_open")


def fork() -> Tell:
    """Fork; returns in the child. The parent supervises it and exits as it did, 130 after Ctrl-C."""
    reader, writer = os.pipe()
    sys.stdout.flush()
    sys.stderr.flush()
    parent = os.getpid()
    child = os.fork()
    if child:
        os.close(writer)
        kernel.adopt_orphans()
        code = Supervisor(child, reader).watch()
        sys.stdout.flush()
        sys.stderr.flush()
        # what is registered to happen at exit is the driver's
        os._exit(code)
    os.close(reader)
    kernel.die_with(parent)

    def tell(told: Told) -> None:
        with contextlib.suppress(OSError):
            os.write(writer, msgspec.json.encode(told))
        os.close(writer)

    return tell


def tell_of(launched: Launched, tell: Tell) -> None:
    """Let the supervisor know what it is to see to."""
    control, settings = launched.driver.control, launched.driver.task.run_settings
    control.supervised = True
    tell(
        Told(
            folder=launched.driver.recorder.folder or "",
            grace=settings.grace or 0.0,
            run_timeout=settings.run_timeout or 0.0,
            timeout_ends=TIMEOUT_ENDS.get(settings.on_timeout or OnTimeout.TIMED_OUT),
        )
    )


class Supervisor:
    """Waits for a driver, and ends it if it was asked to stop and does not."""

    def __init__(self, child: int, reader: int) -> None:
        self._child = child
        self._reader = reader
        self._told: Told | None = None
        self._told_at = 0.0
        self._asked: tuple[float, str, str] | None = None
        self._reason = Reason.CANCEL_REQUESTED
        self._ends = RunStatus.CANCELLED
        self._receipt: Receipt | None = None

    def watch(self) -> int:
        """Wait until the driver has ended; returns the code to exit with."""
        for number in (signal.SIGINT, signal.SIGTERM):
            # whoever starts a command in the background may have it ignore Ctrl-C
            if signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, self._signalled)
        process = os.pidfd_open(self._child)
        waiting = [process, self._reader]
        while True:
            ready, _, _ = select.select(waiting, [], [], _LOOK)
            if self._reader in ready:
                waiting.remove(self._reader)
                self._listen()
            if process in ready:
                break
            self._look()
        _, status = os.waitpid(self._child, 0)
        self._end_what_is_left()
        return self._code(status)

    def _signalled(self, number: int, frame: FrameType | None) -> None:
        by = next(name for name, each in _SIGNALS.items() if each == number)
        if self._asked is None:
            said = "interrupted from the keyboard" if by == KEYBOARD else f"the command was sent {by}"
            self._asked = time.monotonic(), by, said
        with contextlib.suppress(ProcessLookupError):
            os.kill(self._child, number)

    def _listen(self) -> None:
        with contextlib.suppress(msgspec.DecodeError, OSError):
            self._told, self._told_at = _decode(os.read(self._reader, 64 * 1024)), time.monotonic()

    def _look(self) -> None:
        told, now = self._told, time.monotonic()
        if told is None:
            # the user's modules are still being imported; nothing is recorded yet
            if self._asked is not None and now - self._asked[0] > _LOOK:
                self._end(0.0)
            return
        if self._asked is None and requests.exist(told.folder):
            asked = requests.pending(told.folder, requests.CANCEL)
            if asked is not None:
                self._asked = now, asked.by, asked.message
        if self._asked is None and told.timeout_ends and told.run_timeout and now - self._told_at > told.run_timeout:
            self._asked = now, "run_timeout", f"it took longer than its limit of {told.run_timeout:g} s"
            self._reason, self._ends = Reason.TIMEOUT, told.timeout_ends
        # the driver is first to end its workers, and has the proof of that
        if self._asked is not None and now - self._asked[0] > told.grace / 2 + _FIRST:
            self._end(told.grace / 2)

    def _end(self, grace: float) -> None:
        """End the driver and all it has started."""
        self._receipt = trees.end_tree(
            self._child, grace, reason="cancel", name="the driver of the run", others=self._adopted
        )

    def _adopted(self) -> list[int]:
        return [pid for pid in processes.children(os.getpid()) if pid != self._child]

    def _end_what_is_left(self) -> None:
        """What the driver has left behind became ours; and the end of the run, if it could not write that."""
        if self._adopted():
            trees.end_tree(self._child, 0.0, others=self._adopted)
        if self._receipt is None or self._told is None or self._asked is None:
            return
        _, by, message = self._asked
        # it may have written its end in the last moment
        with contextlib.suppress(RunstoneError):
            write_end(
                self._told.folder,
                self._ends,
                reason=self._reason,
                message=message,
                by=by,
                receipts=[self._receipt],
            )

    def _death(self, by: str) -> str:
        """That the driver was killed, and what to do about it, in a line."""
        if self._told is None:
            return f"the process that was to execute the run was killed by {by}, before it was recorded"
        return (
            f"the process that executed the run was killed by {by}; what it recorded is kept in "
            f"{shown(self._told.folder)}: runstone resume {typed(self._told.folder)}"
        )

    def _code(self, status: int) -> int:
        if self._asked is not None and self._asked[1] in _SIGNALS:
            return 128 + _SIGNALS[self._asked[1]]
        if os.WIFEXITED(status):
            return os.WEXITSTATUS(status)
        if self._receipt is not None:
            return 1
        sys.stderr.write(f"{self._death(signal.Signals(os.WTERMSIG(status)).name)}\n")
        return 128 + os.WTERMSIG(status)

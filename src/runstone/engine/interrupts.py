"""Ctrl-C and SIGTERM during a run: they stop user code at once, and never the recording in the middle of a record."""

from __future__ import annotations

import signal
import threading
from types import FrameType, TracebackType
from typing import Any

from runstone.engine.control import Control

_runs: list[Control] = []


KEYBOARD, TERMINATED = "keyboard", "SIGTERM"
"""Who asked a run to stop, if it was a signal."""

_USUAL = {signal.SIGINT: signal.default_int_handler, signal.SIGTERM: signal.SIG_DFL}


def _interrupted(number: int, frame: FrameType | None) -> None:
    by_keyboard = number == signal.SIGINT
    for control in _runs:
        if by_keyboard:
            control.cancel(by=KEYBOARD, message="interrupted from the keyboard")
        else:
            control.cancel(by=TERMINATED, message="its process was sent SIGTERM")
    # every time, for code that swallows the first
    if _runs and _runs[-1].interruptible:
        raise KeyboardInterrupt


class Interrupts:
    """While entered, Ctrl-C and SIGTERM cancel this run (and those it runs inside of).

    Only in the main thread, and only where nobody else has taken the signal over.
    """

    def __init__(self, control: Control) -> None:
        self._control = control
        self._entered = False
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Interrupts:
        if threading.current_thread() is threading.main_thread():
            for number, usual in _USUAL.items():
                handler = signal.getsignal(number)
                if handler is usual:
                    self._before[number] = handler
                    signal.signal(number, _interrupted)
                self._entered = self._entered or handler is usual or handler is _interrupted
            if self._entered:
                _runs.append(self._control)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._entered:
            _runs.remove(self._control)
        for number, handler in self._before.items():
            if signal.getsignal(number) is _interrupted:
                # unless a block has put a handler of its own there meanwhile
                signal.signal(number, handler)


def raise_again(control: Control) -> None:
    """The run is recorded as cancelled; now the signal has the effect on this process that it usually has."""
    if control.requested_by == KEYBOARD:
        raise KeyboardInterrupt
    if control.requested_by == TERMINATED:
        raise SystemExit(128 + signal.SIGTERM)

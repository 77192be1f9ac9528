"""Ctrl-C during a run: it stops user code at once, and never the recording in the middle of a record."""

from __future__ import annotations

import signal
import threading
from types import FrameType, TracebackType

from runstone.engine.control import Control

_runs: list[Control] = []


def _interrupted(number: int, frame: FrameType | None) -> None:
    for control in _runs:
        control.cancel(by="keyboard", message="interrupted from the keyboard")
    # every time, for code that swallows the first
    if _runs and _runs[-1].interruptible:
        raise KeyboardInterrupt


class Interrupts:
    """While entered, Ctrl-C cancels this run (and those it runs inside of).

    Only in the main thread, and only where nobody else has taken the signal over.
    """

    def __init__(self, control: Control) -> None:
        self._control = control
        self._entered = False
        self._outermost = False

    def __enter__(self) -> Interrupts:
        if threading.current_thread() is threading.main_thread():
            handler = signal.getsignal(signal.SIGINT)
            self._outermost = handler is signal.default_int_handler
            if self._outermost or handler is _interrupted:
                _runs.append(self._control)
                self._entered = True
            if self._outermost:
                signal.signal(signal.SIGINT, _interrupted)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._entered:
            _runs.remove(self._control)
        if self._outermost and signal.getsignal(signal.SIGINT) is _interrupted:
            # unless a block has put a handler of its own there meanwhile
            signal.signal(signal.SIGINT, signal.default_int_handler)

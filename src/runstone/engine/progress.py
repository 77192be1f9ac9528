"""Showing runs while they are executed: on a terminal, in a notebook, or as lines on a pipe.

All runs that one process executes at a time share one display and one thread. Whatever goes wrong with the display
ends the display, never a run.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Protocol

from runstone.core.records import RunInfo
from runstone.core.run_state import RunState
from runstone.engine.glance import Glance, View

# Shorter runs are shown once, at their end.
_FIRST_LOOK_SECONDS = 0.1
_PATIENCE_SECONDS = 2.0


class Screen(Protocol):
    """Where runs are shown. seconds: between two looks. Every method may raise OSError or ValueError."""

    seconds: float

    def open(self) -> None: ...

    def begin(self, glance: Glance) -> None: ...

    def show(self, glances: Sequence[Glance]) -> None: ...

    def settle(self, glance: Glance, others: Sequence[Glance]) -> None: ...

    def close(self) -> None: ...


class Display:
    """Shows one run from `__enter__` to `__exit__`; its last state stays.

    Reads `state`, which the thread that executes the run goes on changing. Shows nothing where nobody could see it.
    """

    def __init__(self, info: RunInfo, state: RunState, folder: str | None) -> None:
        self._view = View(info, state, folder)
        self._stage: Stage | None = None

    def __enter__(self) -> Display:
        try:
            self._stage = _enter(self._view)
        except Exception:
            # What cannot be shown is executed all the same.
            self._stage = None
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._view.broken = kind is not None
        if self._stage is not None:
            self._stage.leave(self._view)


class Stage:
    """All runs on display in this process, and the thread that looks at them."""

    def __init__(self, screen: Screen) -> None:
        self._screen = screen
        self._views: list[View] = []
        self._lock = threading.Lock()
        self._end = threading.Event()
        self._thread: threading.Thread | None = None
        self._works = True
        self._closed = False

    def enter(self, view: View) -> bool:
        """Show this run too; False if the screen has just been closed."""
        with self._lock:
            if self._closed:
                return False
            self._views.append(view)
            if self._thread is None:
                self._try(self._screen.open)
            self._try(lambda: self._screen.begin(view.glance()))
            if self._thread is None:
                self._thread = threading.Thread(target=self._look, name="runstone-progress", daemon=True)
                self._thread.start()
            return True

    def leave(self, view: View) -> None:
        """Show the last state of this run; the last one to leave closes the screen."""
        last = True
        try:
            with self._lock:
                self._views.remove(view)
                last = self._closed = not self._views
                self._try(lambda: self._screen.settle(view.glance(), [other.glance() for other in self._views]))
        finally:
            if last:
                self._close()

    def _close(self) -> None:
        self._end.set()
        try:
            self._screen.close()
        except Exception:
            self._works = False
        if self._thread is not None:
            # It waits for the end, or for a terminal that has stopped taking anything.
            self._thread.join(_PATIENCE_SECONDS)

    def _look(self) -> None:
        wait = _FIRST_LOOK_SECONDS
        while not self._end.wait(wait):
            wait = self._screen.seconds
            with self._lock:
                if self._closed or not self._works:
                    return
                self._try(lambda: self._screen.show([view.glance() for view in self._views]))

    def _try(self, act: Callable[[], None]) -> None:
        """Do something to the screen; once that has failed nothing is shown any more."""
        if self._works:
            try:
                act()
            except Exception:
                self._works = False

    def forget(self) -> None:
        """In a forked child: the thread is not there, and the terminal is for the parent to draw on."""
        self._works = False
        self._lock = threading.Lock()
        self._screen.close()


_stage: Stage | None = None
_door = threading.Lock()


def _enter(view: View) -> Stage | None:
    global _stage
    with _door:
        if _stage is None or not _stage.enter(view):
            screen = _screen()
            _stage = None if screen is None else Stage(screen)
            if _stage is not None:
                _stage.enter(view)
        return _stage


def _screen() -> Screen | None:
    from runstone.engine import notebook, streams

    if notebook.shell() is not None:
        return notebook.Notebook()
    stream = streams.beneath("stderr")
    try:
        if stream is None or stream.closed or not stream.writable():
            return None
        if not stream.isatty():
            from runstone.engine.log_lines import LogLines

            return LogLines(stream)
    except (AttributeError, ValueError, OSError):
        return None
    if os.environ.get("TERM", "dumb") == "dumb" and sys.platform != "win32":
        return None
    from runstone.engine.terminal import Terminal

    return Terminal(stream)


def _after_fork() -> None:
    global _stage, _door
    stage, _stage, _door = _stage, None, threading.Lock()
    if stage is not None:
        stage.forget()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)

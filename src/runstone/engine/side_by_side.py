"""Blocks that are executed elsewhere while the driver goes on: each has a thread that waits for it."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Iterator
from typing import Protocol

from runstone.engine.control import Control
from runstone.engine.interrupts import KEYBOARD
from runstone.engine.work import BlockEnd

Ended = tuple[str, BlockEnd | None, float]


class Prepared(Protocol):
    """A block run that can be executed in any thread."""

    def run(self) -> BlockEnd | None: ...


class SideBySide:
    """The blocks that are being executed elsewhere.

    running: their names.
    """

    def __init__(self, control: Control) -> None:
        self.running: set[str] = set()
        self._control = control
        self._ends: queue.SimpleQueue[tuple[str, BlockEnd | BaseException | None, float]] = queue.SimpleQueue()

    def start(self, name: str, prepared: Prepared) -> None:
        """Begin a block."""
        self.running.add(name)
        threading.Thread(target=self._run, args=(name, prepared), name=f"runstone-{name}", daemon=True).start()

    def _run(self, name: str, prepared: Prepared) -> None:
        begun = time.perf_counter()
        end: BlockEnd | BaseException | None
        try:
            end = prepared.run()
        except BaseException as error:
            # raised again in the driver's thread
            end = error
        self._ends.put((name, end, time.perf_counter() - begun))

    def ended(self, *, wait: bool) -> Iterator[Ended]:
        """Those that have ended. wait: until there is at least one. Raises what made one of them impossible."""
        while self.running:
            try:
                name, end, seconds = self._ends.get(block=wait)
            except queue.Empty:
                return
            self.running.discard(name)
            wait = False
            if isinstance(end, BaseException):
                raise end
            yield name, end, seconds

    def all_ended(self) -> Iterator[Ended]:
        """All that are left, as they end; if one cannot go on, the others are asked to stop, and waited for."""
        failed: BaseException | None = None
        while self.running:
            try:
                yield from self.ended(wait=True)
            except BaseException as error:
                failed = failed or error
                if isinstance(error, Exception):
                    self._control.break_off(error)
                else:
                    self._control.cancel(by=KEYBOARD, message="interrupted from the keyboard")
        if failed is not None:
            raise failed

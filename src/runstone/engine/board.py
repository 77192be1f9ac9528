"""What a driver and a worker show each other without a message: a few numbers, in memory they share.

A worker writes there what it is computing, so that its death, or its silence, can be charged to the right element.
"""

from __future__ import annotations

import mmap
import os
import time

NOTHING = -1
"""In place of an element: the worker computes nothing."""

_FIELDS = 4
_ELEMENT, _ATTEMPT, _SINCE, _STOP = range(_FIELDS)
_SIZE = _FIELDS * 8


class Board:
    """The numbers of one worker."""

    __slots__ = ("_numbers",)

    def __init__(self, descriptor: int) -> None:
        """descriptor: of the memory; it is mapped, and may be closed."""
        self._numbers = memoryview(mmap.mmap(descriptor, _SIZE)).cast("q")

    @classmethod
    def make(cls) -> tuple[Board, int]:
        """A new one, and the descriptor to hand to the worker; to be closed by the caller."""
        descriptor = os.memfd_create("runstone-board", os.MFD_CLOEXEC)
        os.ftruncate(descriptor, _SIZE)
        board = cls(descriptor)
        board.clear()
        return board, descriptor

    def clear(self) -> None:
        """The worker computes nothing, and nobody asks it to stop."""
        self._numbers[_ELEMENT] = NOTHING
        self._numbers[_ATTEMPT] = self._numbers[_SINCE] = self._numbers[_STOP] = 0

    def begin(self, element: int, attempt: int) -> None:
        """This element (0 for a block that is not mapped) is computed from now on."""
        self._numbers[_ATTEMPT] = attempt
        self._numbers[_SINCE] = time.monotonic_ns()
        self._numbers[_ELEMENT] = element

    def announce(self, element: int) -> None:
        """The same, for the first attempt of an element that has no time limit."""
        self._numbers[_ELEMENT] = element

    def end(self) -> None:
        """Nothing is computed from now on."""
        self._numbers[_ELEMENT] = NOTHING

    @property
    def element(self) -> int | None:
        """What is computed."""
        found: int = self._numbers[_ELEMENT]
        return None if found == NOTHING else found

    @property
    def attempt(self) -> int:
        """Which attempt that is."""
        return int(self._numbers[_ATTEMPT])

    def seconds(self) -> float:
        """How long that has been going on; 0 if nothing is computed."""
        since: int = self._numbers[_SINCE]
        return 0.0 if self._numbers[_ELEMENT] == NOTHING else (time.monotonic_ns() - since) / 1e9

    def ask_to_stop(self) -> None:
        """The worker should stop at its next element."""
        self._numbers[_STOP] = 1

    @property
    def should_stop(self) -> bool:
        """Whether somebody asked."""
        return bool(self._numbers[_STOP])

"""The time that an attempt may take, and what follows when it takes longer."""

from __future__ import annotations

from runstone.core import events as ev
from runstone.core.settings import OnTimeout
from runstone.core.statuses import BlockStatus
from runstone.engine.board import Board
from runstone.engine.work import Work

WARNINGS = 1_000
"""Written for the attempts of one block at most."""


class Limit:
    """The timeout of a block, for each of its attempts."""

    def __init__(self, work: Work) -> None:
        self._work = work
        self._seconds = work.settings.timeout or 0.0
        self._warned: set[tuple[int, int]] = set()

    def is_over(self, board: Board) -> bool:
        """Whether the attempt on this board is to be ended; one that may go on is only warned of, once."""
        if not self._seconds or board.seconds() <= self._seconds:
            return False
        if self._work.settings.on_timeout is not OnTimeout.WARNING:
            return True
        element = board.element
        if element is not None and (element, board.attempt) not in self._warned and len(self._warned) < WARNINGS:
            self._warned.add((element, board.attempt))
            name = self._work.block.name
            what = f"element {element} of {name!r}" if self._work.block.graph_block().is_mapped else f"block {name!r}"
            self._work.recorder.event(
                ev.Warned,
                code="timeout",
                message=f"attempt {board.attempt} of {what} takes longer than {self._seconds:g} s, and goes on",
                block=name,
            )
        return False


def ended_for_time(on_timeout: OnTimeout | None) -> BlockStatus:
    """How a block ends whose last attempt took too long."""
    if on_timeout is OnTimeout.FAILED:
        return BlockStatus.FAILED
    return BlockStatus.CANCELLED if on_timeout is OnTimeout.CANCELLED else BlockStatus.TIMED_OUT

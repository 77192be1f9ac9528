"""Threads of this process that compute the elements of one block together."""

from __future__ import annotations

import threading
import time
from typing import Any

from runstone.core.failed import Failed
from runstone.core.settings import OnError
from runstone.engine import mapped
from runstone.engine.collect import Collector, Told
from runstone.engine.compute import compute_and_record
from runstone.engine.executors.assignments import Assignments
from runstone.engine.failures import describe
from runstone.engine.work import BlockEnd, Work


class Team:
    """Threads that compute the elements of one block.

    error: the first one of an element. told: which errors are events already.
    """

    def __init__(self, work: Work, portion: mapped.Portion, size: int) -> None:
        self.error: BaseException | None = None
        self.told = Told()
        self._work = work
        self._portion = portion
        self._size = max(1, min(size, len(portion.numbers)))
        self._tolerated = work.settings.on_error is OnError.CONTINUE
        self._assignments = Assignments(portion.numbers, self._size)
        self._done: list[Collector] = []
        self._broken: BaseException | None = None
        self._until: float | None = None
        self._lock = threading.Lock()

    @property
    def done(self) -> int:
        """How many elements were computed."""
        return sum(len(collector.cells) for collector in self._done)

    @property
    def left(self) -> int:
        """How many elements were not computed."""
        return len(self._portion.numbers) - self.done

    @property
    def failure(self) -> str | None:
        """The first error of an element, in one line."""
        return None if self.error is None else describe(self.error, traceback=False).short

    def run(self, seconds: float | None = None) -> None:
        """Compute until nothing is left, or is to be computed any more. Raises what makes recording impossible.

        seconds: stop after the first part that takes it beyond that.
        """
        self._until = None if seconds is None else time.perf_counter() + seconds
        name = self._work.block.name
        others = [
            threading.Thread(target=self._member, name=f"runstone-{name}-{number}", daemon=True)
            for number in range(1, self._size)
        ]
        for thread in others:
            thread.start()
        self._member()
        for thread in others:
            thread.join()
        if self._broken is not None:
            raise self._broken

    @property
    def goes_on(self) -> bool:
        """Whether anything is still to be computed."""
        failed = self.error is not None and not self._tolerated
        return bool(self.left) and not (self._work.control.stopping or failed or self._broken is not None)

    def rest(self) -> list[int]:
        """The elements that were not computed, for others to do so."""
        known = {number for collector in self._done for number in collector.numbers[: len(collector.cells)]}
        return [number for number in self._portion.numbers if number not in known]

    def end(self) -> BlockEnd | None:
        """How the block ends; None if it was asked to stop before."""
        if self.left and (self.error is None or self._tolerated):
            return None
        return mapped.end(self._work, self._portion, cells=self.cells, error=self.error)

    def _member(self) -> None:
        try:
            while self.goes_on and (self._until is None or time.perf_counter() < self._until):
                with self._lock:
                    part = self._assignments.take(0.0)
                if part is None:
                    return
                self._compute(part)
        except BaseException as error:
            with self._lock:
                self._broken = self._broken or error

    def _compute(self, part: range | list[int]) -> None:
        work, plan = self._work, self._portion.plan
        collector = Collector(work, plan, part, told=self.told)
        begun = time.perf_counter()
        error = compute_and_record(work, plan, collector)
        with self._lock:
            self._done.append(collector)
            self._assignments.measured(len(collector.cells), time.perf_counter() - begun)
            self._assignments.give_back(part[len(collector.cells) :])
            self.error = self.error or error

    def cells(self) -> tuple[list[Any], list[int]]:
        """All cells in their order, and the numbers of those that have failed."""
        found: list[Any] = [None] * self._portion.plan.count
        for collector in self._done:
            for number, cell in zip(collector.numbers, collector.cells, strict=False):
                found[number] = cell
        for number, mark in self._portion.marks.items():
            found[number] = mark
        return found, [number for number, cell in enumerate(found) if type(cell) is Failed]

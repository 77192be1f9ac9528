"""Collecting what the elements of a mapped block give, and recording it in chunks.

One thread computes and only appends; the pulse looks about every 10 ms and records what has waited long enough, so
that a chunk is closed at the latest half a second after its first result, also while a slow element is computed.
"""

from __future__ import annotations

import threading
import time
from bisect import bisect_left, insort
from collections.abc import Mapping
from typing import Any

from runstone.core.calls import CallPlan
from runstone.core.failed import Failed
from runstone.core.ranges import Range, to_ranges
from runstone.core.reasons import Reason
from runstone.engine.errors import raised, unstorable
from runstone.engine.record import ElementNotStorable, Elements
from runstone.engine.work import Work
from runstone.errors import NotStorable

CLOSE_SECONDS = 0.4
CLOSE_ELEMENTS = 32 * 1024
BATCH = 1024
"""How many elements are computed between two looks at how much is waiting to be recorded."""
ERRORS_RECORDED = 1_000


class Told:
    """How many errors of the elements of one block are events already; shared by all who compute them.

    final: of elements that failed for good; others: of attempts that were followed by another.
    """

    __slots__ = ("final", "others")

    def __init__(self, final: int = 0, others: int = 0) -> None:
        self.final = final
        self.others = others

    def has_room(self, *, final: bool) -> bool:
        """Whether one more may be an event; then it is counted."""
        if final:
            self.final += 1
            return self.final <= ERRORS_RECORDED
        self.others += 1
        return self.others <= ERRORS_RECORDED


class Collector:
    """What the elements of one block have given so far.

    numbers: which elements are computed, in order. cells: what they gave; the computing thread appends here, and
    nothing before the end is ever replaced but a value that could not be stored. bad: the positions in `cells` of
    those that failed.
    spent: attempts of an element that were used up elsewhere. told: which errors of the block are events already.
    refused: the first error of a value that could not be stored, for the computing thread to find.
    """

    def __init__(
        self,
        work: Work,
        plan: CallPlan,
        numbers: range | list[int],
        spent: Mapping[int, int] | None = None,
        told: Told | None = None,
    ) -> None:
        self.work = work
        self.plan = plan
        self.numbers = numbers
        self.spent = spent or {}
        self.cells: list[Any] = []
        self.bad: list[int] = []
        # an element whose attempts were used up elsewhere is always alone in its part
        self.retries = sum(self.spent.values())
        self.told = told or Told()
        self._again: tuple[int | None, int] = (None, 1)
        self.refused: NotStorable | None = None
        self._closed = 0
        self._bad_closed = 0
        self._waiting_since: float | None = None
        self._lock = threading.Lock()
        # other threads may close what this one computes
        self._clock = (
            time.pthread_getcpuclockid(threading.get_ident()) if hasattr(time, "pthread_getcpuclockid") else None
        )
        self._cpu_seen = 0.0 if self._clock is None else time.clock_gettime(self._clock)

    def current(self) -> int | None:
        """The number of the element that is being computed."""
        position = len(self.cells)
        return self.numbers[position] if position < len(self.numbers) else None

    def attempt(self) -> int:
        """Which attempt of it that is."""
        number, attempt = self._again
        current = self.current()
        if current is None or number == current:
            return attempt
        return 1 + self.spent.get(current, 0)

    def fail(self, error: BaseException, attempt: int, reason: Reason = Reason.EXCEPTION) -> None:
        """The element that is being computed has failed for good."""
        number = self.numbers[len(self.cells)]
        failed = self._failed(number, error, attempt, reason)
        with self._lock:
            self.bad.append(len(self.cells))
            self.cells.append(failed)

    def tried_again(self, error: BaseException, attempt: int) -> None:
        """The element that is being computed has failed and gets another attempt."""
        with self._lock:
            self.retries += 1
        number = self.current()
        self._again = number, attempt + 1
        if number is not None and self.told.has_room(final=False):
            raised(self.work, self.plan, error, number, attempt, final=False)

    def _failed(self, number: int, error: BaseException, attempt: int, reason: Reason) -> Failed:
        name = self.work.block.name
        if self.told.has_room(final=True):
            found = raised(self.work, self.plan, error, number, attempt, final=True, reason=reason)
        else:
            from runstone.engine.failures import describe

            found = describe(error, traceback=False)
        return Failed(name, self.plan.index_of(number), found.type, found.message)

    def tick(self, now: float) -> None:
        """Record what has waited long enough."""
        if len(self.cells) == self._closed:
            self._waiting_since = None
        elif self._waiting_since is None:
            self._waiting_since = now
        elif now - self._waiting_since >= CLOSE_SECONDS:
            self._waiting_since = None
            self.close()

    def close_if_full(self) -> None:
        """Record what there is, if that is much."""
        if len(self.cells) - self._closed >= CLOSE_ELEMENTS:
            self.close()

    def close(self) -> None:
        """Record everything that was collected so far."""
        with self._lock:
            start, stop = self._closed, len(self.cells)
            while start < stop:
                # a copy, always: the list itself goes on growing while this part of it is written
                cells = self.cells[start:stop]
                bad = [position - start for position in self.bad[self._bad_closed :] if position < stop]
                retries, self.retries = self.retries, 0
                try:
                    self.work.recorder.elements(
                        Elements(
                            block=self.work.block.name,
                            outputs=self.work.block.outputs,
                            ranges=self._ranges(start, stop),
                            cells=cells,
                            bad=bad,
                            shape=list(self.plan.shape),
                            retries=retries,
                            cpu_seconds=self._cpu(),
                        )
                    )
                except ElementNotStorable as refusal:
                    self._refuse(start, refusal)
                    if not refusal.recorded:
                        self.retries += retries
                    start += refusal.recorded
                    self._closed, self._bad_closed = start, bisect_left(self.bad, start)
                    continue
                self._closed, self._bad_closed = stop, self._bad_closed + len(bad)
                return

    def _cpu(self) -> float:
        """Seconds of CPU that the thread which computes has used since this was asked last."""
        try:
            now = time.clock_gettime(self._clock) if self._clock is not None else 0.0
        except OSError:
            # that thread has ended
            return 0.0
        used, self._cpu_seen = now - self._cpu_seen, now
        return round(used, 6)

    def _refuse(self, start: int, refusal: ElementNotStorable) -> None:
        for position, why in sorted(refusal.refused.items()):
            number = self.numbers[start + position]
            told = unstorable(self.work, self.cells[start + position], why)
            self.cells[start + position] = self._failed(number, told, 1, Reason.OUTPUT_NOT_STORABLE)
            self.refused = self.refused or told
            # in place: the computing thread may be appending
            insort(self.bad, start + position)

    def _ranges(self, start: int, stop: int) -> list[Range]:
        if isinstance(self.numbers, range):
            return [(self.numbers[start], self.numbers[stop - 1] + 1)]
        return to_ranges(self.numbers[start:stop])

    def all_cells(self, marks: Mapping[int, Failed]) -> tuple[list[Any], list[int]]:
        """The cells of all elements in their order, and which of them have failed."""
        if not marks:
            return self.cells, self.bad
        cells: list[Any] = [None] * self.plan.count
        for number, cell in zip(self.numbers, self.cells, strict=False):
            cells[number] = cell
        for number, mark in marks.items():
            cells[number] = mark
        return cells, sorted([*(self.numbers[position] for position in self.bad), *marks])


def record_blocked(work: Work, plan: CallPlan, blocked: Mapping[int, Failed]) -> dict[int, Failed]:
    """Record the elements that are not called because an argument of theirs has failed; returns their marks."""
    name = work.block.name
    marks = {number: cause.for_dependant(name, plan.index_of(number)) for number, cause in blocked.items()}
    work.recorder.elements(
        Elements(
            block=name,
            outputs=work.block.outputs,
            ranges=to_ranges(marks),
            cells=list(marks.values()),
            bad=range(len(marks)),
            shape=list(plan.shape),
        )
    )
    return marks

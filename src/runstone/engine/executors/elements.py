"""The elements of a mapped block, computed by worker processes."""

from __future__ import annotations

import time

from runstone.core.calls import CallPlan
from runstone.core.events import ErrorRaised
from runstone.core.failed import Failed
from runstone.core.ranges import Range, add_range, to_ranges
from runstone.core.reasons import Reason
from runstone.core.settings import OnError
from runstone.core.statuses import BlockStatus
from runstone.engine.board import Board
from runstone.engine.channel import Call, Compute, Computed, Ended, Happened, Said
from runstone.engine.collect import Told
from runstone.engine.errors import raised
from runstone.engine.executors.assignments import Assignments, Numbers
from runstone.engine.executors.deaths import error_of, may_try_again
from runstone.engine.executors.job import Death, Job
from runstone.engine.executors.limits import Limit, ended_for_time
from runstone.engine.jitter import jitter
from runstone.engine.record import Elements
from runstone.engine.work import Work

VAIN_DEATHS = 5
"""Workers that die before they compute anything, one more of which ends the block."""


class ElementsJob(Job):
    """Hands elements to workers, in parts; a worker that dies costs the element it was on one attempt.

    failure: in one line, the first error of an element, and error: that exception, as far as it could be sent. status:
    of the block if that is not for its counts to say. told: which errors are events already.
    """

    def __init__(
        self, work: Work, plan: CallPlan, numbers: Numbers, packed: bytes, path: list[str], limit: int
    ) -> None:
        super().__init__(work, packed, path, limit)
        self.failure: str | None = None
        self.error: BaseException | None = None
        self.status: tuple[BlockStatus, Reason] | None = None
        self._plan = plan
        self._assignments = Assignments(numbers, limit)
        self._given: dict[int, Numbers] = {}
        self._recorded: dict[int, list[Range]] = {}
        self._spent: dict[int, int] = {}
        self._tolerated = work.settings.on_error is OnError.CONTINUE
        self._limit = Limit(work)
        self._vain = 0
        self.told = Told()

    @property
    def finished(self) -> bool:
        return not self._given and (self._gives_up or not self._assignments.left)

    @property
    def _gives_up(self) -> bool:
        return self.failure is not None and not self._tolerated

    @property
    def stopping(self) -> bool:
        return super().stopping or self._gives_up

    def wants_more(self, now: float) -> bool:
        return self._assignments.ready(now)

    def next(self, worker: int, now: float) -> Compute | Call | None:
        part = self._assignments.take(now)
        return None if part is None else self.give(worker, part)

    def give(self, worker: int, part: Numbers) -> Compute:
        """Let a worker compute these elements."""
        self._given[worker] = part
        self._recorded[worker] = []
        spent = {number: self._spent[number] for number in part if number in self._spent} if self._spent else {}
        told = (self.told.final, self.told.others)
        return Compute(task=self.task, elements=_ranges(part), spent=spent, told=told)

    def take_record(self, worker: int, message: Happened | Ended, payload: memoryview) -> None:
        event = message.event if isinstance(message, Happened) else None
        # several workers may have found room for it
        if isinstance(event, ErrorRaised) and not self.told.has_room(final=event.final):
            return
        super().take_record(worker, message, payload)
        if isinstance(message, Ended):
            # not computed again if the worker dies now
            for start, stop in message.header.elements:
                add_range(self._recorded[worker], start, stop)

    def received(self, worker: int, message: Said, payload: memoryview) -> bool:
        if not isinstance(message, Computed):
            return False
        part = self._given.pop(worker)
        self._vain = 0
        self._assignments.measured(message.count, message.seconds)
        if message.count < len(part):
            self._assignments.give_back(part[message.count :])
        if message.failure is not None and self.failure is None:
            self.failure, self.error = message.failure, self.exception(payload)
        return True

    def overdue(self, worker: int, board: Board) -> bool:
        return self._limit.is_over(board)

    def take_back(self, worker: int) -> list[int]:
        """What this worker was given and has not recorded; it will not."""
        part, recorded = self._given.pop(worker), self._recorded.pop(worker)
        return [number for number in part if not any(start <= number < stop for start, stop in recorded)]

    def lost(self, worker: int, element: int | None, attempt: int, death: Death) -> None:
        left = self.take_back(worker)
        if death.ended_for is None and self.forgives(death):
            self._assignments.give_back(left)
            return
        if self.work.control.stopping or element is None or element not in left:
            self._assignments.give_back(left)
            self._died_in_vain(death)
            return
        left.remove(element)
        self._assignments.give_back(left)
        self._charge(element, max(attempt, 1 + self._spent.get(element, 0)), death)

    def _died_in_vain(self, death: Death) -> None:
        """A worker died between two elements, or before the first: nobody's fault, unless it goes on and on."""
        self._vain += 1
        if self._vain > VAIN_DEATHS and self.failure is None:
            error, reason = error_of(death, None)
            found = raised(self.work, None, error, None, 1, final=True, reason=reason)
            self.failure, self.error, self.status = found.short, error, (BlockStatus.CRASHED, reason)
            self._tolerated = False

    def _charge(self, number: int, attempt: int, death: Death) -> None:
        """The element that the worker was on has failed in this attempt."""
        error, reason = error_of(death, self.work.settings.timeout)
        retries = self.work.settings.retries
        assert retries is not None
        again = may_try_again(retries, attempt, error)
        found = raised(self.work, self._plan, error, number, attempt, final=not again, reason=reason)
        if again:
            self._spent[number] = attempt
            self._assignments.retry_at(time.monotonic() + retries.wait_before(attempt + 1, jitter()), number)
            return
        name = self.work.block.name
        self.recorder.elements(
            Elements(
                block=name,
                outputs=self.work.block.outputs,
                ranges=[(number, number + 1)],
                cells=[Failed(name, self._plan.index_of(number), found.type, found.message)],
                bad=[0],
                shape=list(self._plan.shape),
                retries=attempt - 1,
            )
        )
        if self.failure is None:
            self.failure, self.error = found.short, error
            if not self._tolerated:
                status = BlockStatus.CRASHED
                if reason is Reason.TIMEOUT:
                    status = ended_for_time(self.work.settings.on_timeout)
                self.status = (status, reason)


def _ranges(part: Numbers) -> list[Range]:
    return [(part.start, part.stop)] if isinstance(part, range) else to_ranges(part)

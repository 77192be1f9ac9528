"""A block that is not mapped, called in a worker process."""

from __future__ import annotations

import time

from runstone.core import events as ev
from runstone.core.reasons import Reason
from runstone.core.statuses import BlockStatus
from runstone.engine.board import Board
from runstone.engine.channel import Call, Called, Compute, Said
from runstone.engine.errors import raised
from runstone.engine.executors.deaths import error_of, may_try_again
from runstone.engine.executors.job import Death, Job
from runstone.engine.executors.limits import Limit, ended_for_time
from runstone.engine.jitter import jitter
from runstone.engine.work import BlockEnd, Work


class CallJob(Job):
    """One call, with its retries; each death of its worker is an attempt."""

    def __init__(self, work: Work, packed: bytes, path: list[str]) -> None:
        super().__init__(work, packed, path, 1)
        self.end: BlockEnd | None = None
        self._attempt = 1
        self._running = False
        self._due = 0.0
        self._limit = Limit(work)

    @property
    def finished(self) -> bool:
        return self.end is not None

    def wants_more(self, now: float) -> bool:
        return not self._running and self.end is None and now >= self._due

    def next(self, worker: int, now: float) -> Compute | Call | None:
        if not self.wants_more(now):
            return None
        self._running = True
        return Call(task=self.task, attempt=self._attempt)

    def received(self, worker: int, message: Said, payload: memoryview) -> bool:
        if not isinstance(message, Called):
            return False
        self._running = False
        if message.status is not None:
            self.recorder.keep_small(message.values)
            self.end = BlockEnd(
                status=message.status,
                reason=message.reason,
                message=message.message,
                values=message.values,
                error=self.exception(payload),
                cpu_seconds=message.cpu,
                peak_memory=message.peak_memory,
            )
        return True

    def overdue(self, worker: int, board: Board) -> bool:
        return self._limit.is_over(board)

    def lost(self, worker: int, element: int | None, attempt: int, death: Death) -> None:
        self._running = False
        if self.work.control.stopping:
            return
        if self.recorder.state.blocks[self.work.block.name].has_values(self.work.block.outputs):
            # all it had left to say was that it is done
            self.end = BlockEnd(status=BlockStatus.COMPLETED)
            return
        if death.ended_for is None and self.forgives(death):
            return
        attempt = max(self._attempt, attempt)
        error, reason = error_of(death, self.work.settings.timeout)
        retries = self.work.settings.retries
        assert retries is not None
        again = may_try_again(retries, attempt, error)
        if self.recorder.state.blocks[self.work.block.name].status is BlockStatus.PENDING:
            # it died before it could say that it begins
            self.recorder.event(ev.BlockStarted, block=self.work.block.name, attempt=attempt)
        found = raised(self.work, None, error, None, attempt, final=not again, reason=reason)
        if again:
            delay = retries.wait_before(attempt + 1, jitter())
            self.recorder.event(ev.BlockRetrying, block=self.work.block.name, attempt=attempt, delay=delay)
            self.recorder.flush()
            self._attempt, self._due = attempt + 1, time.monotonic() + delay
            return
        status = BlockStatus.CRASHED
        if reason is Reason.TIMEOUT:
            status = ended_for_time(self.work.settings.on_timeout)
        self.end = BlockEnd(status=status, reason=reason, message=found.short, error=error)

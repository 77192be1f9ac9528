"""Blocks that are `async def`: their calls are awaited beside each other in an event loop of their own thread."""

from __future__ import annotations

import asyncio
from typing import Any

from runstone.core import events as ev
from runstone.core.calls import CallPlan
from runstone.core.failed import Failed
from runstone.core.reasons import Reason
from runstone.core.settings import OnError, OnTimeout
from runstone.core.statuses import BlockStatus
from runstone.engine import context, inline, mapped
from runstone.engine.collect import Collector
from runstone.engine.errors import InvalidOutput, check_several, raised
from runstone.engine.executors.limits import ended_for_time
from runstone.engine.jitter import jitter
from runstone.engine.work import BlockEnd, Work
from runstone.errors import TimedOut

AT_ONCE = 100
"""Elements that are awaited beside each other, where `max_parallel` says nothing."""

_LOOK = 0.02


def prepare(work: Work) -> BlockEnd | Prepared:
    """Everything that is done before the loop is started; to be called in the driver's own thread."""
    plan = inline.planned(work)
    return plan if isinstance(plan, BlockEnd) else Prepared(work, plan)


class Prepared:
    """A block run that an event loop can be asked to do."""

    def __init__(self, work: Work, plan: CallPlan | None) -> None:
        self._work = work
        self._plan = plan

    def run(self) -> BlockEnd | None:
        """Execute it in a loop of this thread; None if it was asked to stop before it had ended."""
        if self._plan is None:
            return asyncio.run(_Call(self._work).run())
        work = self._work
        portion = mapped.begin(work, self._plan)
        elements = _Elements(work, portion)
        asyncio.run(elements.run())
        tolerated = work.settings.on_error is OnError.CONTINUE
        if elements.left and (elements.error is None or tolerated):
            return None
        return mapped.end(work, portion, cells=elements.cells, error=elements.error, status=elements.status)


async def _watch(work: Work, tasks: set[asyncio.Task[Any]]) -> None:
    """Cancel all tasks, at their next await, once the run is asked to stop."""
    while not work.control.stopping:
        await asyncio.sleep(_LOOK)
    for task in tasks:
        task.cancel()


class _Call:
    """A block that is not mapped."""

    def __init__(self, work: Work) -> None:
        self._work = work

    async def run(self) -> BlockEnd | None:
        task: asyncio.Task[BlockEnd | None] = asyncio.ensure_future(self._attempts())
        watch = asyncio.ensure_future(_watch(self._work, {task}))
        try:
            return await task
        except asyncio.CancelledError:
            return None
        finally:
            watch.cancel()

    async def _attempts(self) -> BlockEnd | None:
        work, attempt = self._work, 1
        try:
            arguments, keywords = inline.arguments_of(work)
        except Exception as error:
            return inline.unplanned(work, error)
        retries = work.settings.retries
        assert retries is not None
        while True:
            work.recorder.event(ev.BlockStarted, block=work.block.name, attempt=attempt)
            work.recorder.flush()
            context.enter(context.Place(work.recorder, work.block.name, lambda: None, lambda: attempt))  # noqa: B023  # which it is then
            try:
                result = await _limited(work, work.block.function(*arguments, **keywords))
            except asyncio.CancelledError:
                raise
            except BaseException as error:
                timed = isinstance(error, TimedOut)
                again = attempt <= retries.count and retries.allows(error) and not work.control.stopping
                reason = Reason.TIMEOUT if timed else Reason.EXCEPTION
                plan = None if timed else inline.plan_of(work)
                found = raised(work, plan, error, None, attempt, final=not again, reason=reason)
                if not again:
                    status = ended_for_time(work.settings.on_timeout) if timed else BlockStatus.FAILED
                    return BlockEnd(status=status, reason=reason, message=found.short, error=error)
            else:
                return inline.store(work, result)
            delay = retries.wait_before(attempt + 1, jitter())
            work.recorder.event(ev.BlockRetrying, block=work.block.name, attempt=attempt, delay=delay)
            work.recorder.flush()
            await asyncio.sleep(delay)
            attempt += 1


class _Elements:
    """The elements of a mapped block. error: the first one of an element."""

    def __init__(self, work: Work, portion: mapped.Portion) -> None:
        self.error: BaseException | None = None
        self.status: tuple[BlockStatus, Reason] | None = None
        self._work = work
        self._portion = portion
        self._numbers: list[int] = []
        self._collector = Collector(work, portion.plan, self._numbers)
        self._tolerated = work.settings.on_error is OnError.CONTINUE

    @property
    def left(self) -> int:
        """How many elements have not ended."""
        return len(self._portion.numbers) - len(self._numbers)

    async def run(self) -> None:
        """Compute all elements, as far as failures and requests to stop let it."""
        numbers = iter(self._portion.numbers)
        tasks: set[asyncio.Task[Any]] = set()
        watch = asyncio.ensure_future(_watch(self._work, tasks))
        self._work.recorder.ticks.append(self._collector.tick)
        try:
            size = min(self._work.settings.max_parallel or AT_ONCE, len(self._portion.numbers))
            tasks.update(asyncio.ensure_future(self._member(numbers)) for _ in range(size))
            await asyncio.gather(*tasks)
        except asyncio.CancelledError:
            # asked to stop; what is awaited still ends at its next await
            await asyncio.gather(*tasks, return_exceptions=True)
        finally:
            watch.cancel()
            self._work.recorder.ticks.remove(self._collector.tick)
            self._collector.close()
            self.error = self.error or self._collector.refused

    async def _member(self, numbers: Any) -> None:
        """Compute one element after the other, like all other members do with theirs."""
        for number in numbers:
            if self._work.control.stopping or (self.error is not None and not self._tolerated):
                return
            await self._element(number)
            self._collector.close_if_full()
            if self._collector.refused is not None:
                self.error = self.error or self._collector.refused

    async def _element(self, number: int) -> None:
        work, plan = self._work, self._portion.plan
        retries = work.settings.retries
        assert retries is not None
        attempt = 1
        while True:
            # each task has a context of its own, so what is said inside belongs to this element
            context.enter(context.Place(work.recorder, work.block.name, lambda: number, lambda: attempt))  # noqa: B023  # which it is then
            try:
                result = await _limited(work, plan.function(*next(iter(plan.arguments((number,))))))
                if len(work.block.outputs) > 1:
                    check_several(work.block.name, work.block.outputs, result)
                    result = tuple(result)
            except asyncio.CancelledError:
                raise
            except BaseException as error:
                if attempt > retries.count or not retries.allows(error):
                    self._fail(number, error, attempt)
                    return
                if self._collector.told.has_room(final=False):
                    raised(work, plan, error, number, attempt, final=False)
                self._collector.retries += 1
            else:
                self._numbers.append(number)
                self._collector.cells.append(result)
                return
            attempt += 1
            await asyncio.sleep(retries.wait_before(attempt, jitter()))

    def _fail(self, number: int, error: BaseException, attempt: int) -> None:
        reason = Reason.EXCEPTION
        if isinstance(error, InvalidOutput):
            reason = Reason.INVALID_OUTPUT
        elif isinstance(error, TimedOut):
            reason = Reason.TIMEOUT
        self._numbers.append(number)
        self._collector.fail(error, attempt, reason)
        if self.error is None:
            self.error = error
            if reason is Reason.TIMEOUT and not self._tolerated:
                self.status = (ended_for_time(self._work.settings.on_timeout), reason)

    def cells(self) -> tuple[list[Any], list[int]]:
        """All cells in their order, and the numbers of those that have failed."""
        found: list[Any] = [None] * self._portion.plan.count
        for number, cell in zip(self._numbers, self._collector.cells, strict=True):
            found[number] = cell
        for number, mark in self._portion.marks.items():
            found[number] = mark
        return found, [number for number, cell in enumerate(found) if type(cell) is Failed]


async def _limited(work: Work, awaited: Any) -> Any:
    """Await a call, as long as it may take. Raises TimedOut."""
    seconds = work.settings.timeout
    if not seconds or work.settings.on_timeout is OnTimeout.WARNING:
        return await awaited
    task = asyncio.ensure_future(awaited)
    done, _ = await asyncio.wait({task}, timeout=seconds)
    if done:
        return task.result()
    task.cancel()
    await asyncio.wait({task}, timeout=work.settings.grace or 0.0)
    raise TimedOut(f"it took longer than its timeout of {seconds:g} s, and was ended")

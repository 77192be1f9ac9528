"""A mapped block in the driver's own thread: its elements in order, one at a time."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Callable, Mapping
from itertools import islice
from typing import Any

from runstone.core import events as ev
from runstone.core.arrays import mapped_array
from runstone.core.calls import CallPlan
from runstone.core.failed import Failed
from runstone.core.outcome import block_end
from runstone.core.reasons import Reason
from runstone.core.settings import OnError
from runstone.core.statuses import BlockStatus
from runstone.engine import collect, context
from runstone.engine.collect import Collector
from runstone.engine.errors import InvalidOutput, check_several, ended_by
from runstone.engine.failures import describe
from runstone.engine.work import BlockEnd, Work
from runstone.errors import InputError


def run_mapped(work: Work, plan: CallPlan) -> BlockEnd | None:
    """Execute all elements; None if it was asked to stop before. Raises FolderError and KeyboardInterrupt."""
    name, recorder = work.block.name, work.recorder
    blocked = plan.blocked()
    numbers: range | list[int] = range(plan.count)
    if blocked:
        numbers = [number for number in numbers if number not in blocked]
    recorder.event(ev.BlockStarted, block=name, shape=list(plan.shape))
    recorder.flush()
    collector = Collector(work, plan, numbers)
    marks = collector.record_blocked(blocked) if blocked else {}
    before = context.enter(context.Place(recorder, name, collector.current))
    recorder.on_tick = collector.tick
    try:
        first_error = _compute(work, plan, collector)
    finally:
        recorder.on_tick = None
        context.enter(before)
        collector.close()
    if first_error is None:
        first_error = collector.refused
    tolerated = work.settings.on_error is OnError.CONTINUE
    if len(collector.cells) < len(numbers) and (first_error is None or tolerated):
        return None
    return _end(work, plan, collector, marks, first_error)


class _OnDemand:
    """Arguments made one call at a time: what cannot be made belongs to its element, not to the next one."""

    def __init__(self, plan: CallPlan, collector: Collector) -> None:
        self._plan = plan
        self._collector = collector

    def __iter__(self) -> _OnDemand:
        return self

    def __next__(self) -> tuple[Any, ...]:
        number = self._collector.current()
        if number is None:
            raise StopIteration
        return _arguments(self._plan, number)


def _arguments(plan: CallPlan, number: int) -> tuple[Any, ...]:
    return next(iter(plan.arguments((number,))))


def _function(work: Work, plan: CallPlan) -> Callable[..., Any]:
    outputs = work.block.outputs
    if len(outputs) == 1:
        return plan.function
    name, function = work.block.name, plan.function

    def checked(*arguments: Any) -> tuple[Any, ...]:
        result = function(*arguments)
        check_several(name, outputs, result)
        return tuple(result)

    return checked


def _compute(work: Work, plan: CallPlan, collector: Collector) -> BaseException | None:
    """Call the function for all elements, as far as failures and requests to stop let it; returns the first error."""
    tolerated = work.settings.on_error is OnError.CONTINUE
    arguments = iter(plan.arguments(collector.numbers) if plan.is_plain else _OnDemand(plan, collector))
    function = _function(work, plan)
    cells, control, total = collector.cells, work.control, len(collector.numbers)
    append = cells.append
    first_error: BaseException | None = None
    while len(cells) < total and not control.stopping:
        failure: BaseException | None = None
        before = len(cells)
        control.interruptible = True
        try:
            for each in islice(arguments, collect.BATCH):
                append(function(*each))
                if control.stopping:
                    break
            control.interruptible = False
        except KeyboardInterrupt:
            control.interruptible = False
            raise
        except BaseException as error:
            # handled outside of this clause, or the errors of later attempts would name this one as their context
            failure = error
            control.interruptible = False
        if failure is None and len(cells) == before:
            # A list that a block has shortened, say: there is nothing to call the rest with.
            failure = InputError(f"the arguments ended after {before:,} of {total:,} elements; was an input changed?")
        if failure is not None:
            final = _retried(work, plan, collector, function, failure)
            if first_error is None:
                first_error = final
            if final is not None and not tolerated:
                return first_error
        collector.close_if_full()
        if collector.refused is not None and not tolerated:
            return collector.refused
    return first_error


def _retried(
    work: Work, plan: CallPlan, collector: Collector, function: Callable[..., Any], error: BaseException
) -> BaseException | None:
    """Try the element that raised `error` again, as often as its settings say.

    Returns its last error, None if it came out well in the end or the run was asked to stop.
    """
    retries = work.settings.retries
    number = collector.current()
    assert retries is not None
    assert number is not None
    attempt = 1
    while attempt <= retries.count and retries.allows(error):
        collector.tried_again(error, attempt)
        attempt += 1
        if not work.control.pause(retries.wait_before(attempt, random.random())):
            return None
        work.control.interruptible = True
        try:
            result = function(*_arguments(plan, number))
        except KeyboardInterrupt:
            work.control.interruptible = False
            raise
        except BaseException as again:
            error = again
        else:
            work.control.interruptible = False
            collector.cells.append(result)
            return None
        work.control.interruptible = False
    collector.fail(error, attempt, Reason.INVALID_OUTPUT if isinstance(error, InvalidOutput) else Reason.EXCEPTION)
    return error


def _end(
    work: Work,
    plan: CallPlan,
    collector: Collector,
    marks: Mapping[int, Failed],
    first_error: BaseException | None,
) -> BlockEnd:
    state = work.recorder.state.blocks[work.block.name]
    tolerated = work.settings.on_error is OnError.CONTINUE
    status, reason = block_end(state.ok, state.failed, state.upstream_failed, tolerated=tolerated)
    message = ""
    if state.failed:
        first = describe(first_error, traceback=False).short if first_error is not None else ""
        message = f"{state.failed:,} of {plan.count:,} elements failed{'; the first: ' if first else ''}{first}"
    elif state.upstream_failed:
        message = f"{state.upstream_failed:,} of {plan.count:,} elements were not called, as others before them failed"
    if status in (BlockStatus.FAILED, BlockStatus.UPSTREAM_FAILED):
        if work.values.kept and state.ended == plan.count:
            with contextlib.suppress(Exception):
                _keep(work, plan, *collector.all_cells(marks))
        return BlockEnd(status=status, reason=reason, message=message, error=first_error)
    try:
        shapes = _keep(work, plan, *collector.all_cells(marks))
    except Exception as error:
        # cells that do not fit together; asking them may also run code of theirs
        return ended_by(work, error, Reason.INVALID_OUTPUT)
    return BlockEnd(status=status, reason=reason, message=message, inner_shapes=shapes, error=None)


def _keep(work: Work, plan: CallPlan, cells: list[Any], failed: list[int]) -> dict[str, list[int]]:
    """Hold the outputs for the blocks that need them; returns the lengths of axes that came out of the values."""
    mapspec = work.block.graph_block().mapspec
    assert mapspec is not None
    shapes: dict[str, list[int]] = {}
    several = len(work.block.outputs) > 1
    for position, name in enumerate(work.block.outputs):
        if not work.values.wanted(name) and not mapspec.internal_axes:
            continue
        own = [cell if type(cell) is Failed else cell[position] for cell in cells] if several else cells
        array = mapped_array(mapspec, name, plan.shape, own, failed)
        if mapspec.internal_axes:
            shapes[name] = [
                length for length, external in zip(array.shape, array.external, strict=True) if not external
            ]
        work.values.put(name, array)
    return shapes

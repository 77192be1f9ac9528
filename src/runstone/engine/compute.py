"""The loop that computes elements of a mapped block, one after the other, in the thread that runs it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

from runstone.core.calls import CallPlan
from runstone.core.reasons import Reason
from runstone.core.settings import OnError
from runstone.engine import collect, context
from runstone.engine.board import NOTHING, Board
from runstone.engine.collect import Collector
from runstone.engine.errors import InvalidOutput, check_several
from runstone.engine.jitter import jitter
from runstone.engine.work import Work
from runstone.errors import InputError


def compute_and_record(work: Work, plan: CallPlan, collector: Collector) -> BaseException | None:
    """`compute` in a thread of the driver: what is said has its place meanwhile, the pulse closes chunks in time."""
    before = context.enter(context.Place(work.recorder, work.block.name, collector.current, collector.attempt))
    work.recorder.ticks.append(collector.tick)
    try:
        error = compute(work, plan, collector)
    finally:
        work.recorder.ticks.remove(collector.tick)
        context.enter(before)
        collector.close()
    return error or collector.refused


class _OnDemand:
    """Arguments made one call at a time: what cannot be made belongs to its element, not to the next one."""

    def __init__(self, plan: CallPlan, collector: Collector, board: Board | None) -> None:
        self._plan = plan
        self._collector = collector
        self._board = board

    def __iter__(self) -> _OnDemand:
        return self

    def __next__(self) -> tuple[Any, ...]:
        number = self._collector.current()
        if number is None:
            raise StopIteration
        if self._board is not None:
            self._board.begin(number, 1 + self._collector.spent.get(number, 0))
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


def _announced(
    arguments: Iterator[tuple[Any, ...]], collector: Collector, board: Board, timed: bool
) -> Iterator[tuple[Any, ...]]:
    """The arguments, each shown on the board when its element begins."""
    if timed or collector.spent:
        for number, each in zip(collector.numbers, arguments, strict=False):
            board.begin(number, 1 + collector.spent.get(number, 0))
            yield each
    else:
        board.begin(NOTHING, 1)
        announce = board.announce
        for number, each in zip(collector.numbers, arguments, strict=False):
            announce(number)
            yield each


def compute(work: Work, plan: CallPlan, collector: Collector, board: Board | None = None) -> BaseException | None:
    """Call the function for all elements, as far as failures and requests to stop let it; returns the first error.

    board: where a worker shows which element it is on.
    """
    tolerated = work.settings.on_error is OnError.CONTINUE
    arguments = iter(plan.arguments(collector.numbers) if plan.is_plain else _OnDemand(plan, collector, board))
    if board is not None and plan.is_plain:
        arguments = _announced(arguments, collector, board, bool(work.settings.timeout))
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
            final = _retried(work, plan, collector, function, failure, board)
            if first_error is None:
                first_error = final
            if final is not None and not tolerated:
                return first_error
        collector.close_if_full()
        if collector.refused is not None and not tolerated:
            return collector.refused
    return first_error


def _retried(
    work: Work,
    plan: CallPlan,
    collector: Collector,
    function: Callable[..., Any],
    error: BaseException,
    board: Board | None,
) -> BaseException | None:
    """Try the element that raised `error` again, as often as its settings say.

    Returns its last error, None if it came out well in the end or the run was asked to stop.
    """
    retries = work.settings.retries
    number = collector.current()
    assert retries is not None
    assert number is not None
    attempt = 1 + collector.spent.get(number, 0)
    while attempt <= retries.count and retries.allows(error):
        collector.tried_again(error, attempt)
        attempt += 1
        if board is not None:
            board.end()
        if not work.control.pause(retries.wait_before(attempt, jitter())):
            return None
        if board is not None:
            board.begin(number, attempt)
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

"""Executing a block in the driver's own thread."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from runstone.core import events as ev
from runstone.core.arrays import MappedArray, form_of
from runstone.core.calls import CallPlan, plan_calls
from runstone.core.graph import Parameter
from runstone.core.reasons import Reason
from runstone.core.settings import OnError
from runstone.core.statuses import BlockStatus
from runstone.engine import context, mapped
from runstone.engine.board import Board
from runstone.engine.collect import Collector
from runstone.engine.compute import compute_and_record
from runstone.engine.errors import check_several, ended_by, raised, unstorable
from runstone.engine.jitter import jitter
from runstone.engine.work import BlockEnd, Work
from runstone.errors import NotStorable
from runstone.secrets.given import handed
from runstone.secrets.secret import Secret


def run(work: Work) -> BlockEnd | None:
    """Execute a block, from its condition to its end; None if it was asked to stop before it had ended.

    Raises FolderError and KeyboardInterrupt.
    """
    refusal = condition(work)
    if refusal is not None:
        return refusal
    if work.cache is not None and (reused := work.cache.take(work)) is not None:
        return reused
    plan = planned(work)
    if plan is None:
        return call(work)
    return plan if isinstance(plan, BlockEnd) else _elements(work, plan)


def _elements(work: Work, plan: CallPlan) -> BlockEnd | None:
    portion = mapped.begin(work, plan)
    collector = Collector(work, plan, portion.numbers)
    error = compute_and_record(work, plan, collector)
    tolerated = work.settings.on_error is OnError.CONTINUE
    if len(collector.cells) < len(portion.numbers) and (error is None or tolerated):
        return None
    return mapped.end(work, portion, cells=lambda: collector.all_cells(portion.marks), error=error)


def planned(work: Work) -> CallPlan | BlockEnd | None:
    """All calls of a mapped block, None for another; or how the block ends because they cannot be put together."""
    if not work.block.graph_block().is_mapped:
        return None
    try:
        return plan_of(work)
    except Exception as error:
        # asking values for it may run code of theirs
        return unplanned(work, error)


def unplanned(work: Work, error: BaseException) -> BlockEnd:
    """How a block ends whose arguments cannot be put together; asking values for it may also run code of theirs."""
    work.recorder.event(ev.BlockStarted, block=work.block.name)
    return ended_by(work, error, Reason.EXCEPTION)


def call(work: Work, attempt: int = 1, board: Board | None = None) -> BlockEnd | None:
    """Call a block that is not mapped, with its retries; None if it was asked to stop between two attempts.

    attempt: the first one that is left. board: where a worker shows that it computes.
    """
    try:
        arguments, keywords = arguments_of(work)
    except Exception as error:
        return unplanned(work, error)
    try:
        return _attempts(work, arguments, keywords, attempt, board)
    finally:
        if board is not None:
            board.end()


def plan_of(work: Work) -> CallPlan:
    """All calls of the block, in the form that errors and mapped blocks need."""
    return plan_calls(
        work.block.function,
        work.block.parameters,
        _sources(work),
        mapspec=work.block.mapspec if work.block.graph_block().is_mapped else None,
        missing=work.settings.missing,
        extras=work.extras,
    )


def arguments_of(work: Work) -> tuple[list[Any], dict[str, Any]]:
    """The arguments of a block that is called once; what mapped blocks made is put together for it."""
    arguments: list[Any] = []
    keywords = dict(work.extras)
    for parameter in work.block.parameters:
        value = work.values[parameter.name]
        if type(value) is MappedArray:
            value = value.whole(form_of(parameter.annotation), work.settings.missing)
        elif type(value) is Secret:
            value = handed(value, parameter.annotation)
        if parameter.keyword_only:
            keywords[parameter.python_name] = value
        else:
            arguments.append(value)
    return arguments, keywords


def _sources(work: Work) -> dict[str, Any]:
    return _given(work, work.block.parameters)


def _given(work: Work, parameters: Sequence[Parameter]) -> dict[str, Any]:
    return {each.name: handed(work.values[each.name], each.annotation) for each in parameters}


def condition(work: Work) -> BlockEnd | None:
    """How the block ends if its condition does not let it run."""
    when = work.settings.when
    if when is None:
        return None
    asked = work.block.graph_block().condition
    work.control.interruptible = True
    try:
        plan = plan_calls(
            when,
            asked,
            _given(work, asked),
            missing=work.settings.missing,
        )
        arguments = next(iter(plan.arguments(range(1))))
        if plan.function(*arguments):
            return None
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        work.control.interruptible = False
        return ended_by(work, error, Reason.CONDITION_ERROR)
    finally:
        work.control.interruptible = False
    return BlockEnd(
        status=BlockStatus.CONDITION_FAILED, reason=Reason.CONDITION_FALSE, message="its condition was false"
    )


def _attempts(
    work: Work, arguments: list[Any], keywords: dict[str, Any], attempt: int, board: Board | None
) -> BlockEnd | None:
    recorder, block, retries = work.recorder, work.block, work.settings.retries
    assert retries is not None
    while True:
        if board is not None:
            board.begin(0, attempt)
        recorder.event(ev.BlockStarted, block=block.name, attempt=attempt)
        recorder.flush()
        before = context.enter(context.Place(recorder, block.name, _no_element, lambda: attempt))  # noqa: B023  # which attempt it is when it is asked for
        work.control.interruptible = True
        try:
            result = block.function(*arguments, **keywords)
            work.control.interruptible = False
        except KeyboardInterrupt:
            work.control.interruptible = False
            raise
        except BaseException as error:
            work.control.interruptible = False
            again = attempt <= retries.count and retries.allows(error) and not work.control.stopping
            found = raised(work, plan_of(work), error, None, attempt, final=not again)
            if again:
                delay = retries.wait_before(attempt + 1, jitter())
                recorder.event(ev.BlockRetrying, block=block.name, attempt=attempt, delay=delay)
                recorder.flush()
                if work.control.pause(delay):
                    attempt += 1
                    continue
                return None
            return BlockEnd(status=BlockStatus.FAILED, reason=Reason.EXCEPTION, message=found.short, error=error)
        finally:
            context.enter(before)
        return store(work, result)


def _no_element() -> None:
    return None


def store(work: Work, result: Any) -> BlockEnd:
    """Store what a block gave, and say how it ended."""
    try:
        values = _by_output(work, result)
    except Exception as error:
        return ended_by(work, error, Reason.INVALID_OUTPUT)
    try:
        stored = work.recorder.values(work.block.name, values)
    except NotStorable as error:
        return ended_by(work, unstorable(work, result, error), Reason.OUTPUT_NOT_STORABLE)
    for name, value in values.items():
        work.values.put(name, value)
    return BlockEnd(status=BlockStatus.COMPLETED, values=stored)


def _by_output(work: Work, result: Any) -> dict[str, Any]:
    outputs = work.block.outputs
    if len(outputs) == 1:
        return {outputs[0]: result}
    check_several(work.block.name, outputs, result)
    return dict(zip(outputs, result, strict=True))

"""Executing a block in the driver's own thread."""

from __future__ import annotations

import random
from typing import Any

from runstone.core import events as ev
from runstone.core.arrays import MappedArray, form_of
from runstone.core.calls import CallPlan, plan_calls
from runstone.core.inputs import extra_inputs
from runstone.core.reasons import Reason
from runstone.core.statuses import BlockStatus
from runstone.engine import context
from runstone.engine.errors import check_several, ended_by, raised
from runstone.engine.mapped import run_mapped
from runstone.engine.work import BlockEnd, Work
from runstone.errors import NotStorable


def run(work: Work) -> BlockEnd | None:
    """Execute a block, from its condition to its end; None if it was asked to stop before it had ended.

    Raises FolderError and KeyboardInterrupt.
    """
    recorder, name = work.recorder, work.block.name
    refusal = _condition(work)
    if refusal is not None:
        return refusal
    try:
        if work.block.graph_block().is_mapped:
            plan = _plan(work)
        else:
            arguments, keywords = _arguments(work)
    except Exception as error:
        # values that cannot be put together; asking them may also run code of theirs
        recorder.event(ev.BlockStarted, block=name)
        return ended_by(work, error, Reason.EXCEPTION)
    if work.block.graph_block().is_mapped:
        return run_mapped(work, plan)
    return _run_once(work, arguments, keywords)


def _plan(work: Work) -> CallPlan:
    """All calls of the block, in the form that errors and mapped blocks need."""
    return plan_calls(
        work.block.function,
        work.block.parameters,
        _sources(work),
        mapspec=work.block.mapspec if work.block.graph_block().is_mapped else None,
        missing=work.settings.missing,
        extras=_extras(work),
    )


def _arguments(work: Work) -> tuple[list[Any], dict[str, Any]]:
    """The arguments of a block that is called once; what mapped blocks made is put together for it."""
    arguments: list[Any] = []
    keywords = _extras(work)
    for parameter in work.block.parameters:
        value = work.values[parameter.name]
        if type(value) is MappedArray:
            value = value.whole(form_of(parameter.annotation), work.settings.missing)
        if parameter.keyword_only:
            keywords[parameter.python_name] = value
        else:
            arguments.append(value)
    return arguments, keywords


def _sources(work: Work) -> dict[str, Any]:
    return {name: work.values[name] for name in work.graph.uses[work.block.name]}


def _extras(work: Work) -> dict[str, Any]:
    return extra_inputs(work.graph, work.values.params) if work.block.takes_extra else {}


def _condition(work: Work) -> BlockEnd | None:
    """How the block ends if its condition does not let it run."""
    when = work.settings.when
    if when is None:
        return None
    uses = work.graph.condition_uses[work.block.name]
    work.control.interruptible = True
    try:
        plan = plan_calls(
            when,
            work.block.graph_block().condition,
            {name: work.values[name] for name in uses},
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


def _run_once(work: Work, arguments: list[Any], keywords: dict[str, Any]) -> BlockEnd | None:
    """A block that is called once, with its retries."""
    recorder, block, retries = work.recorder, work.block, work.settings.retries
    assert retries is not None
    attempt = 1
    while True:
        recorder.event(ev.BlockStarted, block=block.name, attempt=attempt)
        recorder.flush()
        before = context.enter(context.Place(recorder, block.name, _no_element))
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
            found = raised(work, _plan(work), error, None, attempt, final=not again)
            if again:
                delay = retries.wait_before(attempt + 1, random.random())
                recorder.event(ev.BlockRetrying, block=block.name, attempt=attempt, delay=delay)
                recorder.flush()
                if work.control.pause(delay):
                    attempt += 1
                    continue
                return None
            return BlockEnd(status=BlockStatus.FAILED, reason=Reason.EXCEPTION, message=found.short, error=error)
        finally:
            context.enter(before)
        return _store(work, result)


def _no_element() -> None:
    return None


def _store(work: Work, result: Any) -> BlockEnd:
    try:
        values = _by_output(work, result)
    except Exception as error:
        return ended_by(work, error, Reason.INVALID_OUTPUT)
    try:
        stored = work.recorder.values(work.block.name, values)
    except NotStorable as error:
        return ended_by(work, error, Reason.OUTPUT_NOT_STORABLE)
    for name, value in values.items():
        work.values.put(name, value)
    return BlockEnd(status=BlockStatus.COMPLETED, values=stored)


def _by_output(work: Work, result: Any) -> dict[str, Any]:
    outputs = work.block.outputs
    if len(outputs) == 1:
        return {outputs[0]: result}
    check_several(work.block.name, outputs, result)
    return dict(zip(outputs, result, strict=True))

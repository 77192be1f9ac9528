"""A block mapped over elements: how it begins and ends, whoever computes them."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from runstone.core import events as ev
from runstone.core.arrays import MappedArray, mapped_array
from runstone.core.calls import CallPlan
from runstone.core.failed import Failed
from runstone.core.outcome import block_end
from runstone.core.ranges import missing_ranges
from runstone.core.ranges import numbers as all_numbers
from runstone.core.reasons import Reason
from runstone.core.settings import OnError
from runstone.core.statuses import BlockStatus
from runstone.engine.collect import record_blocked
from runstone.engine.errors import ended_by
from runstone.engine.failures import describe
from runstone.engine.record import Stored
from runstone.engine.work import BlockEnd, Work

Cells = Callable[[], tuple[list[Any], list[int]]]
"""Gives the cells of all elements in their order, and the numbers of those that have failed."""

_MADE = (BlockStatus.COMPLETED, BlockStatus.DEGRADED)


class Portion(msgspec.Struct, frozen=True, kw_only=True):
    """The elements of a block that are to be computed.

    numbers: which, in order. marks: those that are not called because an argument has failed. earlier: others were
    recorded before, by an earlier epoch or another run.
    """

    plan: CallPlan
    numbers: range | list[int]
    marks: Mapping[int, Failed]
    earlier: bool


def begin(work: Work, plan: CallPlan) -> Portion:
    """Record that the block begins, and which elements are never called."""
    name, recorder = work.block.name, work.recorder
    recorded = recorder.state.blocks[name].recorded
    blocked = plan.blocked()
    numbers: range | list[int] = range(plan.count)
    if recorded:
        numbers = list(all_numbers(missing_ranges(recorded, plan.count)))
        left = set(numbers)
        blocked = {number: cause for number, cause in blocked.items() if number in left}
    if blocked:
        numbers = [number for number in numbers if number not in blocked]
    earlier = bool(recorded)
    if recorder.state.blocks[name].failed and work.settings.on_error is not OnError.CONTINUE:
        # one of them has failed for good, before the driver of an earlier epoch died
        numbers = []
    recorder.event(ev.BlockStarted, block=name, shape=list(plan.shape))
    recorder.flush()
    marks = record_blocked(work, plan, blocked) if blocked else {}
    return Portion(plan=plan, numbers=numbers, marks=marks, earlier=earlier)


def _end_of(work: Work, count: int, first: str) -> tuple[BlockStatus, Reason | None, str]:
    """How a mapped block of so many elements ends, with a message. first: the first error, in one line."""
    state = work.recorder.state.blocks[work.block.name]
    tolerated = work.settings.on_error is OnError.CONTINUE
    status, reason = block_end(state.ok, state.failed, state.upstream_failed, tolerated=tolerated)
    message = ""
    if state.failed:
        message = f"{state.failed:,} of {count:,} elements failed{'; the first: ' if first else ''}{first}"
    elif state.upstream_failed:
        message = f"{state.upstream_failed:,} of {count:,} elements were not called, as others before them failed"
    return status, reason, message


def end(
    work: Work,
    portion: Portion,
    *,
    cells: Cells | None = None,
    failure: str = "",
    error: BaseException | None = None,
    status: tuple[BlockStatus, Reason] | None = None,
) -> BlockEnd:
    """How the block ends, all of its elements having ended or one of them having failed for good.

    cells: all of them, if they are in memory; else they are read where they are stored. failure: the first error in one
    line; error: the exception, if it is known. status: if that is not for the counts of elements to say.
    """
    plan = portion.plan
    if error is not None and not failure:
        failure = describe(error, traceback=False).short
    counted, reason, message = _end_of(work, plan.count, failure)
    if status is not None:
        counted, reason = status
    if counted not in _MADE:
        if work.values.kept:
            # perhaps not all of them are there
            with contextlib.suppress(Exception):
                _hand_on(work, portion, cells)
        return BlockEnd(status=counted, reason=reason, message=message, error=error)
    if (ended := work.recorder.state.blocks[work.block.name].ended) < plan.count:
        raise RuntimeError(f"{plan.count - ended:,} elements of block {work.block.name!r} were never computed")
    try:
        shapes = _hand_on(work, portion, cells)
    except Exception as found:
        # cells that do not fit together; asking them may also run code of theirs
        return ended_by(work, found, Reason.INVALID_OUTPUT)
    return BlockEnd(status=counted, reason=reason, message=message, inner_shapes=shapes)


def _hand_on(work: Work, portion: Portion, cells: Cells | None) -> dict[str, list[int]]:
    """Leave the outputs for the blocks that need them; returns the lengths of axes that came out of the values."""
    mapspec = work.block.graph_block().mapspec
    assert mapspec is not None
    wanted = [name for name in work.block.outputs if work.values.wanted(name) or mapspec.internal_axes]
    if not wanted:
        return {}
    gathered = None if cells is None or portion.earlier else cells()
    shapes: dict[str, list[int]] = {}
    for position, name in enumerate(work.block.outputs):
        if name not in wanted:
            continue
        made: Any
        if gathered is None:
            made = work.recorder.made(name, portion.plan.count)
            if type(made) is not Stored:
                made = mapped_array(mapspec, name, portion.plan.shape, made)
        else:
            own = gathered[0]
            if len(work.block.outputs) > 1:
                own = [cell if type(cell) is Failed else cell[position] for cell in own]
            made = mapped_array(mapspec, name, portion.plan.shape, own, gathered[1])
        if mapspec.internal_axes:
            array: MappedArray = made.load() if type(made) is Stored else made
            shapes[name] = _inner(array.shape, array.external)
        work.values.put(name, made)
    return shapes


def shapes_of(work: Work, plan: CallPlan) -> dict[str, list[int]]:
    """The lengths of axes that come out of the values, of a block all of whose elements are recorded."""
    mapspec = work.block.graph_block().mapspec
    assert mapspec is not None
    if not mapspec.internal_axes:
        return {}
    made = {name: work.recorder.made(name, plan.count).load() for name in work.block.outputs}
    return {name: _inner(array.shape, array.external) for name, array in made.items()}


def _inner(shape: Sequence[int], external: Sequence[bool]) -> list[int]:
    return [length for length, outer in zip(shape, external, strict=True) if not outer]

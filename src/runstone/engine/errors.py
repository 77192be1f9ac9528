"""How exceptions of user code become events."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from runstone.core import events as ev
from runstone.core.calls import CallPlan
from runstone.core.reasons import Reason
from runstone.core.statuses import BlockStatus
from runstone.engine import failures
from runstone.engine.work import BlockEnd, Work
from runstone.errors import InputError, NotStorable
from runstone.folder.journal import EventTooLong
from runstone.folder.preview import preview, type_name
from runstone.folder.values import find_unstorable

PARAMS_LIMIT = 16_000
"""Bytes of JSON for the arguments of a failed call, which must fit a line of the journal together with the error."""


class InvalidOutput(InputError):
    """A block returned something that does not fit its outputs."""


def raised(
    work: Work,
    plan: CallPlan | None,
    error: BaseException,
    element: int | None,
    attempt: int,
    *,
    final: bool,
    reason: Reason = Reason.EXCEPTION,
) -> failures.Failure:
    """Record an exception with the arguments it was raised for."""
    # what Runstone itself finds wrong with a result was raised nowhere in the user's code
    ours = reason is Reason.OUTPUT_NOT_STORABLE or isinstance(error, InvalidOutput)
    found = failures.describe(error, traceback=not ours)
    fields: dict[str, Any] = {
        "block": work.block.name,
        "element": element,
        "index": None if element is None or plan is None else list(plan.index_of(element)),
        "attempt": attempt,
        "final": final,
        "reason": reason,
    }
    try:
        work.recorder.event(
            ev.ErrorRaised,
            type=found.type,
            message=found.message,
            traceback=found.traceback,
            params=_previews(plan, element or 0),
            **fields,
        )
    except EventTooLong:
        # characters may take several bytes each
        work.recorder.event(
            ev.ErrorRaised,
            type=failures.cut(found.type, 500),
            message=failures.cut(found.message, 1_000),
            traceback=failures.cut(found.traceback, 4_000),
            **fields,
        )
    return found


def _previews(plan: CallPlan | None, element: int) -> dict[str, Any]:
    if plan is None:
        return {}
    try:
        arguments = plan.arguments_of(element)
    except Exception:
        # the arguments themselves were what could not be made
        return {}
    found: dict[str, Any] = {}
    room = PARAMS_LIMIT
    for name, value in list(arguments.items())[:20]:
        shown = preview(value)
        room -= len(msgspec.json.encode(shown))
        if room < 0:
            break
        found[name] = shown
    return found


def ended_by(work: Work, error: BaseException, reason: Reason, plan: CallPlan | None = None) -> BlockEnd:
    """Record an error that ends a block as a whole, and how it ends."""
    found = raised(work, plan, error, None, 1, final=True, reason=reason)
    return BlockEnd(status=BlockStatus.FAILED, reason=reason, message=found.short, error=error)


def unstorable(work: Work, result: Any, refusal: NotStorable) -> NotStorable:
    """What to tell the user about a result that no format can keep: which block made it, what it is, what to do."""
    outputs, refused, where = work.block.outputs, result, ""
    if len(outputs) > 1:
        for name, value in zip(outputs, result, strict=True):
            if find_unstorable([value]):
                refused, where = value, f" as {name!r}"
                break
    returned = f"block {work.block.name!r} returned a {type_name(refused)}{where}"
    if refusal.path:
        return NotStorable(f"{returned}, but {refusal.problem}; return it without that", refusal.path)
    # of the type, for a value may answer for itself, or raise
    if issubclass(type(refused), Iterator) and not issubclass(type(refused), io.IOBase):
        return NotStorable(f"{returned}, which cannot be stored; return list(...) of it")
    return NotStorable(f"{returned}, but {refusal.problem}; return what can be stored, such as the data it was made of")


def check_several(block: str, outputs: Sequence[str], result: Any) -> None:
    """Raise InvalidOutput unless `result` has one item for each of several outputs."""
    if not isinstance(result, (tuple, list)) or len(result) != len(outputs):
        many = isinstance(result, (tuple, list))
        given = f"{type(result).__name__} of length {len(result)}" if many else f"value of type {type(result).__name__}"
        raise InvalidOutput(
            f"block {block!r} has {len(outputs)} outputs ({', '.join(outputs)}) and must return a tuple of as many, "
            f"but it returned a {given}"
        )

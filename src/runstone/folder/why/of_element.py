"""Why one element of a mapped block is as it is."""

from __future__ import annotations

import msgspec

from runstone.core.failed import Failed
from runstone.core.ranges import within
from runstone.core.shapes import unravel
from runstone.core.statuses import Liveness
from runstone.errors import SettingError
from runstone.folder.error_detail import ErrorDetail, error_detail
from runstone.folder.look import Look
from runstone.folder.why import roots
from runstone.folder.why.chunks import computed_by, outcome_of
from runstone.folder.why.evidence import Evidence
from runstone.folder.why.explanation import Step
from runstone.folder.why.of_block import WAITING, block_sentence
from runstone.folder.why.reuse import missed_reasons, reuse_of, source_of
from runstone.folder.why.sentences import counted, named, place, raised, tries, whys


class ElementAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of an element; the fields are those of an explanation."""

    status: str
    reason: str | None = None
    answer: str
    chain: list[Step] = []
    error: ErrorDetail | None = None
    attempts: list[ErrorDetail] = []


def number_of(found: Evidence, block: str, element: int | tuple[int, ...]) -> tuple[int, list[int]]:
    """The flat number and the index of an element that is named by either.

    Raises SettingError if the block has no such element.
    """
    shape = found.state.blocks[block].shape
    if shape is None:
        if not found.blocks[block].is_mapped:
            raise SettingError(f"block {block!r} is not mapped, so it has no elements; leave {element} out")
        if isinstance(element, int):
            return element, [element]
        if len(element) == 1:
            return element[0], list(element)
        raise SettingError(f"block {block!r} has not started, so its axes are not known; ask for the block")
    if isinstance(element, int):
        total = found.state.blocks[block].total or 0
        if not 0 <= element < total:
            raise SettingError(f"block {block!r} has no element {element}: {_range(total)}")
        return element, list(unravel(element, shape))
    if len(element) != len(shape):
        given = ",".join(map(str, element))
        raise SettingError(
            f"block {block!r} has {counted(len(shape), 'axis', 'axes')}, so {given} is no element of it; "
            "give an index for each axis, or one flat number"
        )
    number = 0
    for at, length in zip(element, shape, strict=True):
        if not 0 <= at < length:
            lengths = " x ".join(map(str, shape))
            raise SettingError(f"block {block!r} has no element {','.join(map(str, element))}: it is {lengths}")
        number = number * length + at
    return number, list(element)


def _range(total: int) -> str:
    return f"it has {counted(total)}, 0 to {total - 1}" if total else "it has none"


def element_answer(found: Evidence, block: str, element: int, index: list[int]) -> ElementAnswer:
    """Why this element is as it is."""
    state = found.state.blocks[block]
    where = place(block, index)
    tried = [error_detail(event) for event in found.attempts(block, element)]
    if not within(state.recorded, element, element + 1):
        return _unrecorded(found, block, element, where, tried)
    if any(within(pack.elements, element, element + 1) for pack in state.adopted.values()):
        return _reused(found, block, element, where)
    with Look(found.path) as look:
        outcome = outcome_of(look, found.reading, block, element)
    if isinstance(outcome, Failed):
        if outcome.origin is not None:
            return _not_called(found, where, outcome, outcome.origin)
        return _failed(where, outcome, tried)
    if tried and _is_final(found, block, element):
        return _failed(where, None, tried)
    if not outcome:
        return ElementAnswer(
            status="missing",
            answer=f"{where} has ended; how can not be told, for what was recorded of it cannot be read",
            attempts=tried,
        )
    return _completed(found, block, element, where, tried)


def _reused(found: Evidence, block: str, element: int, where: str) -> ElementAnswer:
    state = found.state.blocks[block]
    run, by = state.adopted_from or "", ""
    why = whys(found.info.reuse.get(block, [])) if found.words[block] == "reused" else "it had come out well there"
    if state.cache is not None:
        with Look(found.path) as look:
            maker = computed_by(look, found.reading, block, element)
        if maker:
            run, by, why = maker, ", by the cache", "code and inputs are the same"
    because = f": {why}" if why else ""
    return ElementAnswer(status="reused", answer=f"{where} was reused from {named(run)}{by}{because}")


def _is_final(found: Evidence, block: str, element: int) -> bool:
    attempts = found.attempts(block, element)
    return bool(attempts) and attempts[-1].final


def _completed(found: Evidence, block: str, element: int, where: str, tried: list[ErrorDetail]) -> ElementAnswer:
    reuse = reuse_of(found, block)
    if tried:
        last = tried[-1]
        answer = f"{where} completed in attempt {last.attempt + 1}: before, {raised(last)}"
    elif reuse is None or not reuse.why:
        answer = f"{where} completed"
    elif reuse.from_cache and (missed := missed_reasons(found, block, element)) is not None:
        answer = f"{where} was computed, and not taken from the cache: {whys(missed)}"
    elif reuse.reused:
        answer = f"{where} was computed here, not reused from {source_of(reuse)} ({whys(reuse.why)})"
    else:
        answer = f"{where} was computed again: {whys(reuse.why)}"
    return ElementAnswer(status="completed", answer=answer, attempts=tried)


def _failed(where: str, failed: Failed | None, tried: list[ErrorDetail]) -> ElementAnswer:
    last = tried[-1] if tried else None
    if last is None:
        told = raised(failed) if failed is not None else "its error was only counted"
        return ElementAnswer(status="failed", answer=f"{where} failed: {told}")
    return ElementAnswer(
        status="failed",
        reason=last.reason,
        answer=f"{where} failed: {raised(last)}{tries(last)}",
        error=last,
        attempts=tried[:-1],
    )


def _not_called(found: Evidence, where: str, failed: Failed, origin: Failed) -> ElementAnswer:
    if not origin.block:
        return ElementAnswer(status="upstream_failed", answer=f"{where} was not called: something above it failed")
    above = place(origin.block, origin.index)
    error = roots.error_of(found, origin)
    return ElementAnswer(
        status="upstream_failed",
        reason="upstream_failed",
        answer=f"{where} was not called: {above} above it failed with {raised(origin)}",
        chain=[
            Step(place=where, status="upstream_failed", text="was not called"),
            Step(place=above, status="failed", text=raised(failed) + ("" if error is None else tries(error))),
        ],
        error=error,
    )


def _unrecorded(found: Evidence, block: str, element: int, where: str, tried: list[ErrorDetail]) -> ElementAnswer:
    word = found.words[block]
    last = tried[-1] if tried else None
    if last is not None and _is_final(found, block, element):
        # it failed for good, and the run ended before its chunk was recorded
        return _failed(where, None, tried)
    if last is not None and word in WAITING:
        answer = f"{where} is tried again: attempt {last.attempt} failed with {raised(last)}"
        return ElementAnswer(status="pending", answer=answer, attempts=tried)
    if word in WAITING and not found.state.done and found.seen.liveness is not Liveness.GONE:
        answer = f"{where} is not computed yet: {block_sentence(found, block)}"
        return ElementAnswer(status="pending", answer=answer, attempts=tried)
    chain = roots.down_from(found, block) if word in (*roots.BAD, "upstream_failed") else []
    return ElementAnswer(
        status="missing",
        answer=f"{where} was not computed: {block_sentence(found, block)}",
        chain=chain if len(chain) > 1 else [],
        error=roots.root_error(found, chain),
        attempts=tried,
    )

"""From what failed further down to what failed first."""

from __future__ import annotations

from runstone.core.failed import Failed
from runstone.core.statuses import BlockStatus
from runstone.folder.error_detail import ErrorDetail, error_detail
from runstone.folder.why.evidence import Evidence
from runstone.folder.why.explanation import Step
from runstone.folder.why.sentences import counted, place, raised, tries

BAD = ("failed", "timed_out", "crashed")


def culprit(found: Evidence, name: str) -> str | None:
    """The block above this one because of which it was not called or not called for all; None if none is to blame."""
    above = [other for other in found.blocks[name].upstream if other in found.words]
    for words in (BAD, ("upstream_failed",), ("degraded",)):
        for other in above:
            if found.words[other] in words:
                return other
    return None


def stopper(found: Evidence) -> str | None:
    """The block whose failure ended the run: nothing new was started from there on."""
    bad = [name for name, word in found.words.items() if word in BAD]
    return next((name for name in bad if not found.blocks[name].tolerated), None)


def down_from(found: Evidence, name: str | None) -> list[Step]:
    """The chain from a block to the root of its failure, itself first."""
    chain: list[Step] = []
    seen: set[str] = set()
    while name is not None and name not in seen:
        seen.add(name)
        word = found.words[name]
        chain.append(Step(place=name, status=word, text=failure(found, name)))
        name = culprit(found, name) if not found.state.blocks[name].failed else None
    return chain


def failure(found: Evidence, name: str) -> str:
    """What went wrong with a block, without its name."""
    block, word = found.state.blocks[name], found.words[name]
    first = first_error(found, name)
    if block.shape is not None and block.failed:
        of = f"{block.failed:,} of {counted(block.total or 0)} failed"
        return of if first is None else f"{of}, first {place(name, first.index)}: {raised(first)}"
    if block.shape is not None and block.upstream_failed:
        other = culprit(found, name)
        were = "was" if block.upstream_failed == 1 else "were"
        return (
            f"{block.upstream_failed:,} of {counted(block.total or 0)} {were} not called, as those of "
            f"{other or 'the block'} above failed"
        )
    if word == BlockStatus.UPSTREAM_FAILED:
        other = culprit(found, name)
        return "was not called: something above it failed" if other is None else f"was not called: {other} above failed"
    if first is not None:
        return f"{raised(first)}{tries(first)}"
    return block.message or word.replace("_", " ")


def first_error(found: Evidence, name: str) -> ErrorDetail | None:
    """The first error that ended a block or one of its elements."""
    event = found.errors.get(name)
    if event is not None:
        return error_detail(event)
    # the journal is gone, and a checkpoint or the packs speak
    kept = next((error for error in found.state.errors if error.block == name), None)
    if kept is None:
        return None
    return ErrorDetail(
        block=name,
        element=kept.element,
        index=kept.index,
        attempt=kept.attempt,
        type=kept.type,
        message=kept.message,
        reason=None if kept.reason is None else kept.reason.value,
        occurred_at=kept.at,
    )


def root_error(found: Evidence, chain: list[Step]) -> ErrorDetail | None:
    """The error at the end of a chain of blocks."""
    return first_error(found, chain[-1].place) if chain and chain[-1].place in found.blocks else None


def error_of(found: Evidence, failed: Failed) -> ErrorDetail | None:
    """The recorded error of a failed element or block, None if it was only counted."""
    if failed.block not in found.blocks:
        return None
    shape = found.state.blocks[failed.block].shape
    element: int | None = None
    if shape is not None:
        if len(failed.index) != len(shape):
            return None
        element = 0
        for at, length in zip(failed.index, shape, strict=True):
            element = element * length + at
    attempts = found.attempts(failed.block, element)
    return error_detail(attempts[-1]) if attempts else None

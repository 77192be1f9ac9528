"""The one fold: what the records of a run add up to.

`apply` takes records in the order of their numbers and keeps counts and ranges, never a record per element. It is
total: whatever a damaged or hostile journal says, it moves along the table of moves or not at all. Driver, folder
reader and ledger all show this fold.
"""

from __future__ import annotations

from collections.abc import Callable
from math import isfinite
from typing import Any

from runstone.core import events as ev
from runstone.core.moves import BLOCK_DONE, BLOCK_MOVES, BLOCK_REACHABLE, DONE, RUN_MOVES, RUN_REACHABLE
from runstone.core.ranges import add_range, add_ranges, contains, count, within
from runstone.core.run_state import (
    AT_KEPT,
    ERRORS_KEPT,
    MESSAGE_KEPT,
    TYPE_KEPT,
    WHYS_KEPT,
    AdoptedPack,
    ArtifactSummary,
    BlockState,
    ErrorSummary,
    LookUp,
    OutputState,
    RunState,
    can_be,
)
from runstone.core.statuses import BlockStatus, RunStatus

_LONGEST = 1e12
"""Seconds that nothing takes."""


def apply(state: RunState, record: ev.Record) -> None:
    """Take the next record into `state`, in place. Records of another number than `state.seq + 1` are not taken."""
    if record.seq != state.seq + 1:
        return
    state.seq = record.seq
    if state.status in DONE:
        # Terminal is terminal: whatever follows an end has no right to be there.
        state.refused += 1
        return
    state.updated_at = record.at
    taker = _TAKERS.get(type(record).__struct_config__.tag)
    # events of a newer version have none: they are counted in the sequence, and otherwise stepped over
    if taker is not None:
        taker(state, record)


def lose(state: RunState, last: int, *, told: bool = True) -> None:
    """Step over the records up to number `last`: they cannot be read any more and nobody will write them.

    told: a warning says so.
    """
    if last <= state.seq:
        return
    first, state.seq = state.seq + 1, last
    if state.status in DONE:
        return
    state.lost += last - first + 1
    if not told:
        return
    _warn(
        state,
        None,
        "bytes_lost",
        f"{f'record {first}' if first == last else f'records {first} to {last}'} cannot be read; "
        f"what {'it' if first == last else 'they'} held counts as missing",
        state.updated_at or "",
    )


def _move_run(state: RunState, to: RunStatus, at: str) -> bool:
    # Where records were lost, the moves between are lost with them: then any status that can be reached is taken.
    allowed = RUN_REACHABLE if state.lost else RUN_MOVES
    if to not in allowed[state.status]:
        state.refused += 1
        return False
    if to is not state.status:
        state.status, state.status_changed_at = to, at
    return True


def _move_block(state: RunState, name: str, to: BlockStatus) -> BlockState | None:
    block = state.blocks.get(name)
    if block is None:
        state.refused += 1
        return None
    allowed = BLOCK_REACHABLE if state.lost else BLOCK_MOVES
    if to not in allowed[block.status]:
        state.refused += 1
        return None
    block.status = to
    return block


def count_chunk(state: RunState, chunk: ev.Chunk) -> None:
    """Count the elements of a chunk, whatever its number; `apply` is for those who have the journal too."""
    block = state.blocks.get(chunk.block)
    if block is None or block.status in BLOCK_DONE:
        state.refused += 1
        return
    shape = block.shape
    if shape is None and chunk.shape is not None:
        _take_shape(block, chunk.shape)
        shape = block.shape
    total = 1 if shape is None else shape[0] if len(shape) == 1 else block.total or 0
    ok, failed = chunk.ok, chunk.failed
    new = asked = 0
    if len(chunk.elements) == 1:
        ((start, stop),) = chunk.elements
        if 0 <= start < stop <= total:
            asked, new = stop - start, add_range(block.recorded, start, stop)
    else:
        fitting = [one for one in chunk.elements if 0 <= one[0] < one[1] <= total]
        asked, new = count(fitting), add_ranges(block.recorded, fitting)
    if new != asked or new != ok + failed + chunk.upstream_failed or min(ok, failed, chunk.upstream_failed) < 0:
        # A frame whose counts do not fit its ranges, or that repeats elements: count no more than is new.
        state.refused += 1
        if not new:
            return
        ok = max(0, min(ok, new))
        failed = max(0, min(failed, new - ok))
    block.ok += ok
    block.failed += failed
    block.upstream_failed += new - ok - failed
    if chunk.retries > 0:
        block.retries += chunk.retries
    if 0.0 < chunk.cpu_seconds < _LONGEST:
        block.cpu_seconds += chunk.cpu_seconds
    outputs = block.outputs
    for column in chunk.columns:
        output = outputs.get(column.name)
        if output is None:
            output = outputs[column.name] = OutputState(type=column.type[:TYPE_KEPT])
        elif not output.type:
            # the first frame may hold nothing but elements that were never called
            output.type = column.type[:TYPE_KEPT]
        if column.count > 0:
            output.stored += column.count
            if output.stored > block.ok:
                output.stored = block.ok
        if column.bytes > 0:
            output.bytes += column.bytes


def _take_shape(block: BlockState, shape: list[int]) -> None:
    """Take the lengths of the mapped axes, once, if an array can have them; what was counted is never outgrown."""
    if block.shape is None and not block.recorded and can_be(shape):
        block.shape = shape


def _run_started(state: RunState, event: ev.RunStarted) -> None:
    if state.epoch == 0 and _move_run(state, RunStatus.RUNNING, event.at):
        state.epoch, state.driver, state.started_at = 1, event.driver, event.at


def _run_taken_over(state: RunState, event: ev.RunTakenOver) -> None:
    if event.epoch <= state.epoch:
        state.refused += 1
        return
    if state.status is RunStatus.PENDING:
        _move_run(state, RunStatus.RUNNING, event.at)
    state.epoch, state.driver = event.epoch, event.driver
    state.started_at = state.started_at or event.at


def _records_voided(state: RunState, event: ev.RecordsVoided) -> None:
    known = (1, event.seq)
    errors, artifacts = (
        sum(add_ranges(state.voided, within([known], start, stop)) for start, stop in told)
        for told in (event.errors, event.artifacts)
    )
    # more than there are can only be told by damage
    state.error_count = max(0, state.error_count - errors)
    state.artifact_count = max(0, state.artifact_count - artifacts)
    state.errors = [error for error in state.errors if not contains(state.voided, error.seq)][: state.error_count]
    kept = [artifact for artifact in state.artifacts if not contains(state.voided, artifact.seq)]
    state.artifacts = kept[: state.artifact_count]


def _run_cancelling(state: RunState, event: ev.RunCancelling) -> None:
    if _move_run(state, RunStatus.CANCELLING, event.at):
        state.reason, state.message = event.reason, event.message[:MESSAGE_KEPT]
        state.cancel_requested_at = state.cancel_requested_at or event.requested_at or event.at


def _run_ended(state: RunState, event: ev.RunEnded) -> None:
    if event.status not in DONE:
        state.refused += 1
    elif _move_run(state, event.status, event.at):
        state.finished_at = event.at
        state.reason, state.message = event.reason, event.message[:MESSAGE_KEPT]


def _block_started(state: RunState, event: ev.BlockStarted) -> None:
    block = _move_block(state, event.block, BlockStatus.RUNNING)
    if block is not None:
        block.attempt = max(block.attempt, event.attempt)
        block.started_at = block.started_at or event.at
        if event.shape is not None:
            _take_shape(block, event.shape)


def _block_retrying(state: RunState, event: ev.BlockRetrying) -> None:
    block = _move_block(state, event.block, BlockStatus.RETRYING)
    if block is not None:
        block.retries += 1


def _block_ended(state: RunState, event: ev.BlockEnded) -> None:
    if event.status not in BLOCK_DONE:
        state.refused += 1
        return
    block = _move_block(state, event.block, event.status)
    if block is None:
        return
    block.finished_at = event.at
    duration = event.duration
    block.duration = max(0.0, duration) if duration is not None and isfinite(duration) else None
    if event.cpu_seconds is not None and 0.0 < event.cpu_seconds < _LONGEST:
        block.cpu_seconds += event.cpu_seconds
    block.peak_memory = event.peak_memory if event.peak_memory is not None and event.peak_memory >= 0 else None
    block.reason, block.message = event.reason, event.message[:MESSAGE_KEPT]
    block.inner_shapes = event.inner_shapes
    if block.shape is None:
        for name, stored in event.values.items():
            block.outputs[name] = OutputState(type=stored.type[:TYPE_KEPT], stored=1, bytes=max(0, stored.bytes))
        if event.status in (BlockStatus.COMPLETED, BlockStatus.REUSED):
            block.ok, block.failed, block.upstream_failed = 1, 0, 0
        elif event.status in (BlockStatus.FAILED, BlockStatus.TIMED_OUT, BlockStatus.CRASHED):
            block.ok, block.failed, block.upstream_failed = 0, 1, 0
        elif event.status is BlockStatus.UPSTREAM_FAILED:
            block.ok, block.failed, block.upstream_failed = 0, 0, 1


def _block_adopted(state: RunState, event: ev.BlockAdopted) -> None:
    block = state.blocks.get(event.block)
    if block is None or block.status is not BlockStatus.PENDING:
        state.refused += 1
        return
    if event.shape is not None:
        _take_shape(block, event.shape)
    total = 1 if block.shape is None else block.total or 0
    for file in event.files:
        if not _is_pack(file.path, event.block) or file.bytes < 0:
            state.refused += 1
            continue
        fitting = [one for one in file.elements if 0 <= one[0] < one[1] <= total]
        new = add_ranges(block.recorded, fitting)
        if new != count(file.elements):
            # it names elements that there are not, or that were recorded already
            state.refused += 1
        block.ok += new
        pack = block.adopted.setdefault(file.path, AdoptedPack(bytes=file.bytes))
        add_ranges(pack.elements, fitting)
    for name, taken in event.outputs.items():
        output = block.outputs.setdefault(name, OutputState(type=taken.type[:TYPE_KEPT]))
        output.stored = min(block.ok, output.stored + max(0, taken.count))
        output.bytes += max(0, taken.bytes)
    block.adopted_from = event.from_run[:AT_KEPT]
    if event.whole:
        _reuse(state, block, event)


def _block_looked_up(state: RunState, event: ev.BlockLookedUp) -> None:
    block = state.blocks.get(event.block)
    if block is None or block.status in BLOCK_DONE or not 0 <= event.found <= event.wanted or event.from_runs < 0:
        state.refused += 1
        return
    why = [each for miss in event.misses for each in miss.why][:WHYS_KEPT]
    block.cache = LookUp(wanted=event.wanted, found=event.found, from_runs=event.from_runs, why=why)


def _is_pack(path: str, block: str) -> bool:
    """Whether a file can be a pack of this block: by its name a missing one is told."""
    folder, _, name = path.rpartition("/")
    return folder == "outputs" and name.startswith(f"{block}.")


def _reuse(state: RunState, block: BlockState, event: ev.BlockAdopted) -> None:
    """End a block whose results are all there."""
    if block.shape is not None and block.ended != block.total:
        state.refused += 1
        return
    if block.shape is None:
        block.ok, block.failed, block.upstream_failed = 1, 0, 0
        for name, stored in event.values.items():
            block.outputs[name] = OutputState(type=stored.type[:TYPE_KEPT], stored=1, bytes=max(0, stored.bytes))
    block.status, block.finished_at = BlockStatus.REUSED, event.at
    block.inner_shapes = event.inner_shapes


def _error_raised(state: RunState, event: ev.ErrorRaised) -> None:
    block = state.blocks.get(event.block)
    if block is None:
        state.refused += 1
        return
    block.errors += 1
    if not event.final:
        return
    state.error_count += 1
    if len(state.errors) < ERRORS_KEPT:
        state.errors.append(
            ErrorSummary(
                seq=event.seq,
                block=event.block,
                element=event.element,
                index=event.index[:32] if event.index else None,
                attempt=event.attempt,
                type=event.type[:MESSAGE_KEPT],
                message=event.message[:MESSAGE_KEPT],
                at=event.at[:AT_KEPT],
                reason=event.reason,
            )
        )


def _artifact_saved(state: RunState, event: ev.ArtifactSaved) -> None:
    state.artifact_count += 1
    if len(state.artifacts) < ERRORS_KEPT:
        state.artifacts.append(
            ArtifactSummary(seq=event.seq, artifact_id=event.artifact_id, path=event.path, size_bytes=event.size_bytes)
        )


def _warned(state: RunState, event: ev.Warned) -> None:
    _warn(state, event.block, event.code, event.message, event.at)


def _warn(state: RunState, block: str | None, code: str, message: str, at: str) -> None:
    if len(state.warnings) < ERRORS_KEPT:
        state.warnings.append(
            ErrorSummary(block=block, type=code[:TYPE_KEPT], message=message[:MESSAGE_KEPT], at=at[:AT_KEPT])
        )


# By the name of the event, for a reader may leave out of a record what is not asked for here. A chunk has none.
_TAKERS: dict[Any, Callable[[RunState, Any], None]] = {
    kind.__struct_config__.tag: taker
    for kind, taker in (
        (ev.Chunk, count_chunk),
        (ev.RunStarted, _run_started),
        (ev.RunTakenOver, _run_taken_over),
        (ev.RecordsVoided, _records_voided),
        (ev.RunCancelling, _run_cancelling),
        (ev.RunEnded, _run_ended),
        (ev.BlockStarted, _block_started),
        (ev.BlockRetrying, _block_retrying),
        (ev.BlockEnded, _block_ended),
        (ev.BlockAdopted, _block_adopted),
        (ev.BlockLookedUp, _block_looked_up),
        (ev.ErrorRaised, _error_raised),
        (ev.ArtifactSaved, _artifact_saved),
        (ev.Warned, _warned),
    )
}

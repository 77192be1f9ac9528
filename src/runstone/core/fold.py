"""The one fold: what the records of a run add up to.

`apply` takes records in the order of their numbers and keeps counts and ranges, never a record per element. It is
total: whatever a damaged or hostile journal says, it moves along the table of moves or not at all. Driver, folder
reader and ledger all show this fold.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from math import isfinite
from typing import Any

import msgspec

from runstone.core import events as ev
from runstone.core.moves import BLOCK_DONE, BLOCK_MOVES, BLOCK_REACHABLE, DONE, RUN_MOVES, RUN_REACHABLE
from runstone.core.ranges import Range, add_range, add_ranges, count
from runstone.core.reasons import Reason
from runstone.core.statuses import BlockStatus, RunStatus

ERRORS_KEPT = 50
"""How many errors and warnings the fold itself holds; the journal has more."""

MESSAGE_KEPT = 500
TYPE_KEPT = 200
AT_KEPT = 40

AXES = 64
ELEMENTS = 2**62
"""More of either no array has: a shape beyond is damage, and is not taken."""


_LONGEST = 1e12
"""Seconds that nothing takes."""


class OutputState(msgspec.Struct, kw_only=True, omit_defaults=True):
    """One named output. stored: how many of its values were recorded; bytes: what they take on disk."""

    type: str = ""
    stored: int = 0
    bytes: int = 0


class AdoptedPack(msgspec.Struct, kw_only=True, omit_defaults=True):
    """A pack of an earlier run that counts here: so many bytes of it, and of those only these elements."""

    bytes: int
    elements: list[Range] = []


class BlockState(msgspec.Struct, kw_only=True, omit_defaults=True):
    """One block run. shape: lengths of the mapped axes once known; None if it is not mapped or has not started.

    ok, failed, upstream_failed: elements by how they ended; a block that is not mapped has one.
    cpu_seconds: as far as it was measured; peak_memory: bytes, of the last attempt if it had a process of its own.
    recorded: which elements ended, as ranges. adopted: those of them that an earlier run has computed, by the pack they
    are in, relative to the folder; adopted_from: the id of that run.
    """

    status: BlockStatus = BlockStatus.PENDING
    attempt: int = 0
    shape: list[int] | None = None
    ok: int = 0
    failed: int = 0
    upstream_failed: int = 0
    retries: int = 0
    errors: int = 0
    recorded: list[Range] = []
    outputs: dict[str, OutputState] = {}
    inner_shapes: dict[str, list[int]] = {}
    adopted: dict[str, AdoptedPack] = {}
    adopted_from: str | None = None
    started_at: str | None = None
    finished_at: str | None = None
    duration: float | None = None
    cpu_seconds: float = 0.0
    peak_memory: int | None = None
    reason: Reason | None = None
    message: str = ""

    @property
    def total(self) -> int | None:
        """How many elements it has, None as long as that is unknown."""
        if self.shape is None:
            return None
        total = 1
        for length in self.shape:
            total *= length
        return total

    @property
    def ended(self) -> int:
        """How many elements ended, well or not."""
        return self.ok + self.failed + self.upstream_failed


class ErrorSummary(msgspec.Struct, kw_only=True, omit_defaults=True):
    """What the fold keeps of an error or a warning."""

    block: str | None
    type: str
    message: str
    at: str
    element: int | None = None
    index: list[int] | None = None
    attempt: int = 1
    reason: Reason | None = None

    @property
    def place(self) -> str:
        """Where it happened, as the user would write it: `parse[3]`."""
        if self.element is None:
            return self.block or ""
        return f"{self.block}[{', '.join(map(str, self.index or [self.element]))}]"


class ArtifactSummary(msgspec.Struct, kw_only=True, omit_defaults=True):
    """What the fold keeps of an artifact."""

    artifact_id: str
    path: str
    size_bytes: int


class RunState(msgspec.Struct, kw_only=True, omit_defaults=True):
    """What all records up to `seq` add up to."""

    seq: int = 0
    epoch: int = 0
    status: RunStatus = RunStatus.PENDING
    driver: ev.Driver | None = None
    started_at: str | None = None
    updated_at: str | None = None
    status_changed_at: str | None = None
    finished_at: str | None = None
    cancel_requested_at: str | None = None
    reason: Reason | None = None
    message: str = ""
    blocks: dict[str, BlockState] = {}
    errors: list[ErrorSummary] = []
    error_count: int = 0
    warnings: list[ErrorSummary] = []
    artifacts: list[ArtifactSummary] = []
    artifact_count: int = 0
    lost: int = 0
    refused: int = 0

    @property
    def done(self) -> bool:
        return self.status in DONE


def initial(blocks: Iterable[str]) -> RunState:
    """A run of these blocks before anything happened."""
    return RunState(blocks={name: BlockState() for name in blocks})


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


def is_sound(state: RunState) -> bool:
    """Whether the numbers in a state that was read fit together, as they do in every state that was folded."""
    return (
        min(state.seq, state.epoch, state.lost) >= 0
        and max(len(state.errors), len(state.warnings), len(state.artifacts)) <= ERRORS_KEPT
        and all(map(_is_sound, state.blocks.values()))
    )


def _is_sound(block: BlockState) -> bool:
    shape = block.shape
    if shape is not None and not _can_be(shape):
        return False
    total = 1 if shape is None else block.total or 0
    at = known = 0
    for start, stop in block.recorded:
        if not at <= start < stop <= total:
            return False
        at, known = stop, known + stop - start
    return (
        all(_is_sound_pack(pack, total) for pack in block.adopted.values())
        and min(block.ok, block.failed, block.upstream_failed, block.retries, block.errors) >= 0
        and (block.ended <= total if shape is None else block.ended == known)
        and all(0 <= output.stored <= total and output.bytes >= 0 for output in block.outputs.values())
    )


def _is_sound_pack(pack: AdoptedPack, total: int) -> bool:
    at = 0
    for start, stop in pack.elements:
        if not at <= start < stop <= total:
            return False
        at = stop
    return pack.bytes >= 0


def _can_be(shape: list[int]) -> bool:
    """Whether an array can have these lengths."""
    if len(shape) > AXES or min(shape, default=0) < 0:
        return False
    total = 1
    for length in shape:
        total *= length
    return total <= ELEMENTS


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
    if block.shape is None and not block.recorded and _can_be(shape):
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
            ArtifactSummary(artifact_id=event.artifact_id, path=event.path, size_bytes=event.size_bytes)
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
        (ev.RunCancelling, _run_cancelling),
        (ev.RunEnded, _run_ended),
        (ev.BlockStarted, _block_started),
        (ev.BlockRetrying, _block_retrying),
        (ev.BlockEnded, _block_ended),
        (ev.BlockAdopted, _block_adopted),
        (ev.ErrorRaised, _error_raised),
        (ev.ArtifactSaved, _artifact_saved),
        (ev.Warned, _warned),
    )
}

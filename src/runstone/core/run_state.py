"""What the records of a run add up to: counts and ranges, never a record per element; and whether they fit together."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise

import msgspec

from runstone.core import events as ev
from runstone.core.causes import Why
from runstone.core.moves import DONE
from runstone.core.ranges import Range
from runstone.core.reasons import Reason
from runstone.core.statuses import BlockStatus, RunStatus

ERRORS_KEPT = 50
"""How many errors and warnings the fold itself holds; the journal has more."""

WHYS_KEPT = 20
MESSAGE_KEPT = 500
TYPE_KEPT = 200
AT_KEPT = 40

AXES = 64
ELEMENTS = 2**62
"""More of either no array has: a shape beyond is damage, and is not taken."""


class OutputState(msgspec.Struct, kw_only=True, omit_defaults=True):
    """One named output. stored: how many of its values were recorded; bytes: what they take on disk."""

    type: str = ""
    stored: int = 0
    bytes: int = 0


class AdoptedPack(msgspec.Struct, kw_only=True, omit_defaults=True):
    """A pack of an earlier run that counts here: so many bytes of it, and of those only these elements."""

    bytes: int
    elements: list[Range] = []


class LookUp(msgspec.Struct, kw_only=True, omit_defaults=True):
    """What the cache had for a block: so many elements were looked for, and found, made by so many runs; why not the
    others."""

    wanted: int
    found: int = 0
    from_runs: int = 0
    why: list[Why] = []


class BlockState(msgspec.Struct, kw_only=True, omit_defaults=True):
    """One block run. shape: lengths of the mapped axes once known; None if it is not mapped or has not started.

    ok, failed, upstream_failed: elements by how they ended; a block that is not mapped has one.
    cpu_seconds: as far as it was measured; peak_memory: bytes, of the last attempt if it had a process of its own.
    recorded: which elements ended, as ranges. adopted: those of them that an earlier run has computed, by the pack they
    are in, relative to the folder; adopted_from: the id of that run. cache: None if nothing was looked for there.
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
    cache: LookUp | None = None
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

    def has_values(self, outputs: Iterable[str]) -> bool:
        """Whether it is not mapped, and all it gave was recorded before its end was."""
        return self.shape is None and self.ok > 0 and all(name in self.outputs for name in outputs)


class ErrorSummary(msgspec.Struct, kw_only=True, omit_defaults=True):
    """What the fold keeps of an error or a warning. seq: number of its event."""

    seq: int = 0
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
    """What the fold keeps of an artifact. seq: number of its event."""

    seq: int = 0
    artifact_id: str
    path: str
    size_bytes: int


class RunState(msgspec.Struct, kw_only=True, omit_defaults=True):
    """What all records up to `seq` add up to. voided: numbers of events that count no more."""

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
    voided: list[Range] = []
    lost: int = 0
    refused: int = 0

    @property
    def done(self) -> bool:
        return self.status in DONE


def initial(blocks: Iterable[str]) -> RunState:
    """A run of these blocks before anything happened."""
    return RunState(blocks={name: BlockState() for name in blocks})


def is_sound(state: RunState) -> bool:
    """Whether the numbers in a state that was read fit together, as they do in every state that was folded."""
    return (
        min(state.seq, state.epoch, state.lost) >= 0
        and max(len(state.errors), len(state.warnings), len(state.artifacts)) <= ERRORS_KEPT
        and all(start < stop for start, stop in state.voided)
        and all(stop <= start for (_, stop), (start, _) in pairwise(state.voided))
        and all(map(_is_sound, state.blocks.values()))
    )


def _is_sound(block: BlockState) -> bool:
    shape = block.shape
    if shape is not None and not can_be(shape):
        return False
    total = 1 if shape is None else block.total or 0
    at = known = 0
    for start, stop in block.recorded:
        if not at <= start < stop <= total:
            return False
        at, known = stop, known + stop - start
    return (
        all(_is_sound_pack(pack, total) for pack in block.adopted.values())
        and (block.cache is None or min(block.cache.wanted, block.cache.found, block.cache.from_runs) >= 0)
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


def can_be(shape: list[int]) -> bool:
    """Whether an array can have these lengths."""
    if len(shape) > AXES or min(shape, default=0) < 0:
        return False
    total = 1
    for length in shape:
        total *= length
    return total <= ELEMENTS

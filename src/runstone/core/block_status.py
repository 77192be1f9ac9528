"""One block of a run: the word to act on, and the record that is shown for a block alone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from runstone.core.moves import BLOCK_DONE
from runstone.core.records import BlockInfo
from runstone.core.run_state import BlockState
from runstone.core.statuses import BlockStatus

KEYS = (
    "name", "status", "recorded_status", "done", "reason", "message", "attempt", "retries", "started_at",
    "finished_at", "duration_seconds", "cpu_seconds", "peak_memory", "shape", "elements", "outputs",
)  # fmt: skip
"""Every key of the record, in order; all are always there."""

_UNDERWAY = (BlockStatus.QUEUED, BlockStatus.RUNNING, BlockStatus.RETRYING)
_ENDED = frozenset({*(status.value for status in BLOCK_DONE), "incomplete"})


def acting_block_status(block: BlockState, *, crashed: bool) -> str:
    """What is recorded; `crashed` for a block that was being executed when the driver of its run died."""
    return BlockStatus.CRASHED.value if crashed and block.status in _UNDERWAY else block.status.value


def inferred_block_status(outputs: Iterable[Mapping[str, Any]], stored: int) -> str:
    """The word for a block of which only what lies on disk speaks.

    outputs: their entries in the status object. stored: how many of their values are there.
    """
    if all(output["complete"] for output in outputs):
        return BlockStatus.COMPLETED.value
    return "incomplete" if stored else BlockStatus.PENDING.value


def has_ended(status: str) -> bool:
    """Whether a block with this word to act on will not change any more."""
    return status in _ENDED


def block_object(
    info: BlockInfo,
    state: BlockState,
    status: str,
    outputs: Mapping[str, dict[str, Any]],
    duration_seconds: float | None,
) -> dict[str, Any]:
    """The record of one block. status: the word to act on; outputs: those of the status object."""
    total = 1 if not info.is_mapped and state.shape is None else state.total
    return {
        "name": info.name,
        "status": status,
        "recorded_status": state.status.value,
        "done": state.status in BLOCK_DONE,
        "reason": None if state.reason is None else state.reason.value,
        "message": state.message,
        "attempt": state.attempt,
        "retries": state.retries,
        "started_at": state.started_at,
        "finished_at": state.finished_at,
        "duration_seconds": duration_seconds,
        "cpu_seconds": round(state.cpu_seconds, 6) or None,
        "peak_memory": state.peak_memory,
        "shape": state.shape,
        "elements": {
            "total": total,
            "ok": state.ok,
            "failed": state.failed,
            "upstream_failed": state.upstream_failed,
        },
        "outputs": {name: outputs[name] for name in info.outputs},
    }

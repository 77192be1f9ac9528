"""The words for how runs and blocks stand."""

from __future__ import annotations

from enum import StrEnum


class RunStatus(StrEnum):
    """How a run stands, as its journal says."""

    SCHEDULED = "scheduled"
    PENDING = "pending"
    RUNNING = "running"
    CANCELLING = "cancelling"
    COMPLETED = "completed"
    DEGRADED = "degraded"
    FAILED = "failed"
    TIMED_OUT = "timed_out"
    CANCELLED = "cancelled"
    CRASHED = "crashed"


class BlockStatus(StrEnum):
    """How a block run stands."""

    PENDING = "pending"
    QUEUED = "queued"
    RUNNING = "running"
    RETRYING = "retrying"
    COMPLETED = "completed"
    REUSED = "reused"
    DEGRADED = "degraded"
    FAILED = "failed"
    TIMED_OUT = "timed_out"
    CANCELLED = "cancelled"
    CRASHED = "crashed"
    UPSTREAM_FAILED = "upstream_failed"
    CONDITION_FAILED = "condition_failed"


class Liveness(StrEnum):
    """What an observer can prove about the driver of a run, now."""

    LIVE = "live"
    STALE = "stale"
    LOST = "lost"
    GONE = "gone"
    ENDED = "ended"


ALIASES: dict[str, RunStatus] = {
    "upcoming": RunStatus.SCHEDULED,
    "initial": RunStatus.PENDING,
    "queued": RunStatus.PENDING,
    "ready": RunStatus.PENDING,
    "in_progress": RunStatus.RUNNING,
    "succeeded": RunStatus.COMPLETED,
    "success": RunStatus.COMPLETED,
    "done": RunStatus.COMPLETED,
    "partial_success": RunStatus.DEGRADED,
    "error": RunStatus.FAILED,
    "canceled": RunStatus.CANCELLED,
    "aborted": RunStatus.CANCELLED,
}
"""Names other systems use, accepted in filters in any case."""


def parse_run_status(text: str) -> RunStatus:
    """Read a status or one of its aliases, in any case. Raises ValueError with the words that are known."""
    word = text.strip().lower()
    if word in ALIASES:
        return ALIASES[word]
    try:
        return RunStatus(word)
    except ValueError:
        known = ", ".join(status.value for status in RunStatus)
        raise ValueError(f"unknown status {text!r}; known are {known}") from None

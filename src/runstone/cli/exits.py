"""Which exit code tells how a run ended; `run` and `watch` agree."""

from __future__ import annotations


def code_for(status: str, *, strict: bool) -> int:
    """0 for completed, and for degraded unless strict; 1 for every other end; 2 as long as it has not ended."""
    if status == "completed" or (status == "degraded" and not strict):
        return 0
    ended = ("degraded", "failed", "timed_out", "cancelled", "crashed", "missing", "error")
    return 1 if status in ended else 2

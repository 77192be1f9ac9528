"""Which exit code tells how a run, or a block of it, ended; `run` and `watch` agree."""

from __future__ import annotations

_WELL = ("completed", "reused", "condition_failed")


def code_for(end: str | None, *, strict: bool) -> int:
    """0 for what ended well or was skipped by its condition, and for degraded unless strict; 1 for every other end.

    end: the word it ended with; None, which is 2, if it has not ended.
    """
    if end is None:
        return 2
    return 0 if end in _WELL or (end == "degraded" and not strict) else 1

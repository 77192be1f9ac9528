"""For how long a run has been going on: what people are shown where nothing is recorded yet."""

from __future__ import annotations

import time

from runstone.folder import clock

_GOES_ON = ("running", "retrying", "cancelling")


def elapsed(status: str, started_at: str | None, seconds: float | None) -> float | None:
    """How long a run took, in seconds; of one that goes on the time since its start, by the clock of this machine.

    seconds: what is recorded. None if the run has not begun, or nobody knows.
    """
    if seconds is not None or status not in _GOES_ON:
        return seconds
    began = clock.seconds(started_at)
    return None if began is None else max(0.0, time.time() - began)

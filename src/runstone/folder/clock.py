"""The clocks a run folder needs: the time of day for people, one that no suspend or correction touches for leases."""

from __future__ import annotations

import time
from datetime import UTC, datetime

# The last second that was asked for, and its text: one name, so that threads see both or neither.
_known = (-1, "")


def rfc3339(nanoseconds: int) -> str:
    """A time since 1970 as RFC 3339 in UTC, with microseconds."""
    global _known
    second, rest = divmod(nanoseconds, 1_000_000_000)
    known, prefix = _known
    if second != known:
        prefix = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))
        _known = second, prefix
    return f"{prefix}.{rest // 1000:06d}Z"


def now() -> str:
    """The time of day, RFC 3339 in UTC."""
    return rfc3339(time.time_ns())


def seconds(text: str | None) -> float | None:
    """Seconds since 1970 of an RFC 3339 time, None if it is none or says no zone."""
    if not text:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    if moment.tzinfo is None:
        return None
    try:
        return moment.astimezone(UTC).timestamp()
    except (OverflowError, ValueError):
        return None


if hasattr(time, "CLOCK_BOOTTIME"):

    def steady() -> float:
        """Seconds that also pass while the machine sleeps; equal for all processes of one boot."""
        return time.clock_gettime(time.CLOCK_BOOTTIME)

else:

    def steady() -> float:
        """Seconds of a clock that nobody sets."""
        return time.monotonic()

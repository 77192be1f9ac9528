"""The clocks a run folder needs: the time of day for people, one that no suspend or correction touches for leases."""

from __future__ import annotations

import time
from datetime import UTC, datetime

_second = -1
_prefix = ""


def rfc3339(nanoseconds: int) -> str:
    """A time since 1970 as RFC 3339 in UTC, with microseconds."""
    global _second, _prefix
    second, rest = divmod(nanoseconds, 1_000_000_000)
    prefix = _prefix
    if second != _second:
        prefix = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))
        _prefix, _second = prefix, second
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

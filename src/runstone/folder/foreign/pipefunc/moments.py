"""Times of files, as the status object tells times."""

from __future__ import annotations

from datetime import UTC, datetime

_LAST = 253_402_300_799.0


def rfc3339(seconds: float) -> str:
    """Seconds since 1970 as RFC 3339; what lies outside of what it can tell becomes the nearest that it can."""
    moment = datetime.fromtimestamp(min(max(seconds, 0.0), _LAST), UTC)
    return moment.isoformat(timespec="microseconds").replace("+00:00", "Z")

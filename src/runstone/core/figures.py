"""Numbers as people read them: durations, sizes, how long ago."""

from __future__ import annotations

_UNITS = ("kB", "MB", "GB", "TB", "PB", "EB")


def duration(seconds: float) -> str:
    """A duration in at most nine characters or so: `0.4 ms`, `12 ms`, `1.2 s`, `48 s`, `3 min 20 s`, `2 h 05 min`."""
    if seconds < 0.0095:
        return f"{max(0.0, seconds) * 1000:.1f} ms"
    if seconds < 0.9995:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02} s"
    if whole < 86_400:
        return f"{whole // 3600} h {whole % 3600 // 60:02} min"
    return f"{whole // 86_400} d {whole % 86_400 // 3600} h"


def coarse(seconds: float) -> str:
    """A duration that is only estimated: `20 s`, `3 min`, `2 h`, `4 d`."""
    if seconds < 10:
        return f"{max(1, round(seconds))} s"
    if seconds < 57.5:
        return f"{5 * round(seconds / 5)} s"
    if seconds < 3570:
        return f"{max(1, round(seconds / 60))} min"
    if seconds < 129_600:
        return f"{max(1, round(seconds / 3600))} h"
    return f"{round(seconds / 86_400)} d"


def ago(seconds: float) -> str:
    """How long ago something was."""
    return "just now" if seconds < 2 else f"{coarse(seconds)} ago"


def size(count: int) -> str:
    """Bytes, in powers of a thousand: `512 B`, `1.2 kB`, `340 MB`."""
    if count < 1000:
        return f"{count} B"
    amount = float(count)
    for unit in _UNITS:
        amount /= 1000
        if amount < 9.95:
            return f"{amount:.1f} {unit}"
        if amount < 999.5:
            return f"{amount:.0f} {unit}"
    return f"{amount:,.0f} {_UNITS[-1]}"

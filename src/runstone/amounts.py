"""Spans of time and amounts of room as people write them, in `runstone.toml` and on the command line."""

from __future__ import annotations

import re
from datetime import timedelta

_SPAN = re.compile(r"(\d+(?:\.\d+)?)\s*(s|min|h|d|w)")
_SECONDS = {"s": 1.0, "min": 60.0, "h": 3600.0, "d": 86_400.0, "w": 604_800.0}
_LONGEST = 200 * 365 * 86_400.0
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*(B|kB|MB|GB|TB)?")
_UNITS = {None: 1, "B": 1, "kB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}


def span(text: str) -> timedelta:
    """A span of time such as `30d`. Raises ValueError."""
    match = _SPAN.fullmatch(text.strip())
    seconds = float(match[1]) * _SECONDS[match[2]] if match else -1.0
    if not 0 <= seconds <= _LONGEST:
        raise ValueError(f"{text!r} is no span of time; write 90s, 30min, 12h, 30d or 8w")
    return timedelta(seconds=seconds)


def size(text: str) -> int:
    """A number of bytes such as `10 GB`, in powers of a thousand. Raises ValueError."""
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"{text!r} is no size; write 500 MB, 10 GB or 1 TB")
    return int(float(match[1]) * _UNITS[match[2]])

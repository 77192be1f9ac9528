"""How old results may be to be taken, and how much room they may have: `[cache]` of `runstone.toml`."""

from __future__ import annotations

import re

import msgspec

from runstone import config
from runstone.errors import SettingError
from runstone.ledger.cleanup import span

SIZE_LIMIT = 10_000_000_000
"""Bytes, where `max_size` says nothing."""

_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*(B|kB|MB|GB|TB)?")
_UNITS = {None: 1, "B": 1, "kB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """max_age: seconds since a result was computed, None for any. max_size: bytes of a workspace."""

    max_age: float | None = None
    max_size: int = SIZE_LIMIT


def configured() -> Limits:
    """What the project says. Raises SettingError."""
    found = config.section("cache")
    age, room = found.get("max_age"), found.get("max_size")
    try:
        return Limits(
            max_age=None if age is None else span(str(age)).total_seconds(),
            max_size=SIZE_LIMIT if room is None else size(str(room)),
        )
    except ValueError as error:
        raise SettingError(f"[cache] of {config.FILE}: {error}") from None


def size(text: str) -> int:
    """A number of bytes such as `10 GB`, in powers of a thousand. Raises ValueError."""
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"{text!r} is no size; write 500 MB, 10 GB or 1 TB")
    return int(float(match[1]) * _UNITS[match[2]])

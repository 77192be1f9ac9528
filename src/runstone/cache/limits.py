"""How old results may be to be taken, and how much room they may have: `[cache]` of `runstone.toml`."""

from __future__ import annotations

import msgspec

from runstone import config
from runstone.amounts import size, span

SIZE_LIMIT = 10_000_000_000
"""Bytes, where `max_size` says nothing."""


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """max_age: seconds since a result was computed, None for any. max_size: bytes of a workspace."""

    max_age: float | None = None
    max_size: int = SIZE_LIMIT


def configured() -> Limits:
    """What the project says. Raises SettingError."""
    found = config.section("cache")
    age, room = found.get("max_age"), found.get("max_size")
    return Limits(
        max_age=None if age is None else span(str(age)).total_seconds(),
        max_size=SIZE_LIMIT if room is None else size(str(room)),
    )

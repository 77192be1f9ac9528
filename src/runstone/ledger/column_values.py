"""Values as every store takes them: nothing is believed that a folder says beyond what a column can hold."""

from __future__ import annotations

import functools
import re
from datetime import UTC, datetime
from itertools import accumulate
from typing import Any

import msgspec

TEXT_KEPT = 500
PATH_KEPT = 4096
NO_TIME = "1970-01-01T00:00:00.000000Z"
SHA256 = re.compile(r"[0-9a-f]{64}")

_AS_STORED = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{6}Z")
_LARGEST = 2**63 - 1
_DEEPEST = 500
"""How deep JSON is nested at most: SQLite takes twice that."""

_STRING = re.compile(r'"(?:[^"\\]|\\.)*"')
_NUL = re.compile(r"(?<!\\)((?:\\\\)*)\\u0000")
_encode = msgspec.json.Encoder(decimal_format="string").encode


def json_text(value: Any) -> str:
    """As every store takes it; `{}` for what cannot be written so, or is nested without end."""
    try:
        said = _encode(value).decode()
    except (ValueError, TypeError, OverflowError, RecursionError):
        return "{}"
    if said.count("[") + said.count("{") > _DEEPEST and _depth(said) > _DEEPEST:
        return "{}"
    return _NUL.sub(r"\1\\ufffd", said) if "\\u0000" in said else said


def _depth(said: str) -> int:
    """How deep JSON is nested."""
    steps = {"[": 1, "{": 1, "]": -1, "}": -1}
    return max(accumulate(steps.get(sign, 0) for sign in _STRING.sub("", said)), default=0)


def text(said: str, most: int = TEXT_KEPT) -> str:
    """As every store takes it: no NUL, no half of a character, not too long."""
    if not said.isascii():
        said = said.encode(errors="backslashreplace").decode()
    return said.replace("\0", "�")[:most]


def text_or_none(said: str | None) -> str | None:
    """The same; None for nothing."""
    return None if said is None or said == "" else text(said)


def whole_number(value: int | None) -> int | None:
    """A number from 0 to what 64 bits hold: the nearest one."""
    return value if value is None or 0 <= value <= _LARGEST else max(0, min(value, _LARGEST))


@functools.lru_cache(512)
def time_text(said: str | None) -> str | None:
    """A time in the one form that sorts as a text; None for what is none, or says no zone."""
    if not said:
        return None
    try:
        moment = datetime.fromisoformat(said)
        if _AS_STORED.fullmatch(said):
            return said
        if moment.tzinfo is None:
            return None
        moment = moment.astimezone(UTC).replace(tzinfo=None)
    except (ValueError, OverflowError):
        return None
    return f"{moment.isoformat(timespec='microseconds')}Z"

"""Errors that pipefunc keeps as values, known and told by the text of their pickles.

With `error_handling="continue"` the value of an element that failed is a snapshot of the error, and that of an element
which was not called for an error above it a snapshot of this.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec

from runstone.folder import clock
from runstone.folder.foreign.pipefunc import pickles
from runstone.folder.foreign.pipefunc.moments import rfc3339

HEAD = 80
"""Bytes at the beginning of a pickle that tell whether it is a snapshot."""

SMALLEST = 100
"""A pickle that has fewer bytes is none."""

LARGEST = 512 * 1024
"""Of a larger one, which holds large arguments, it is not told which error it is."""

_MODULE = "pipefunc.exceptions"
_FAILED, _NOT_CALLED = "ErrorSnapshot", "PropagatedErrorSnapshot"
_BEGINNING = re.compile(
    rb"\x80[\x04\x05](?:\x95.{8})?\x8c\x13pipefunc\.exceptions\x94\x8c.(ErrorSnapshot|PropagatedErrorSnapshot)\x94\x93",
    re.DOTALL,
)
_NEARBY = ("builtins", "__main__", "__mp_main__")
_LONGEST = 500
_LONGEST_TRACEBACK = 20_000


class Snapshot(msgspec.Struct, frozen=True, kw_only=True):
    """One value that is an error. called: the function raised it; else it was not called. at: RFC 3339."""

    called: bool
    type: str = ""
    message: str = ""
    at: str = ""
    traceback: str = ""


def glance(head: bytes) -> Snapshot | None:
    """Whether a pickle that begins like this is a snapshot; it says no more than of which kind."""
    found = _BEGINNING.match(head)
    if found is None:
        return None
    return Snapshot(called=found[1] == _FAILED.encode(), type=_FAILED, message="it is too large to be told")


def tell(data: bytes) -> Snapshot | None:
    """The snapshot in a whole pickle, None if it is another value or cannot be read."""
    try:
        return of(pickles.read(data))
    except pickles.Unreadable:
        return None


def of(value: Any) -> Snapshot | None:
    """The snapshot that a value is, by its form; None if it is another value."""
    if not isinstance(value, pickles.Made) or not isinstance(value.by, pickles.Name) or value.by.module != _MODULE:
        return None
    if value.by.name == _NOT_CALLED:
        return Snapshot(called=False)
    if value.by.name != _FAILED:
        return None
    state = value.state.entries if isinstance(value.state, pickles.Pairs) else []
    known = {key: part for key, part in state if isinstance(key, str)}
    traceback = _text(known.get("traceback"), _LONGEST_TRACEBACK)
    kind = _kind(known.get("exception"))
    return Snapshot(
        called=True,
        type=kind,
        message=_message(kind, traceback),
        at=_moment(_text(known.get("timestamp"), 40)),
        traceback=traceback,
    )


def _text(value: Any, longest: int) -> str:
    """The text, or its end if it is too long; what is no Unicode in it is shown as escapes."""
    return value[-longest:].encode(errors="backslashreplace").decode() if isinstance(value, str) else ""


def _moment(told: str) -> str:
    """A time as the status object tells times; "" if it is none."""
    seconds = clock.seconds(told)
    return "" if seconds is None else rfc3339(seconds)


def _kind(error: Any) -> str:
    """The name of the class of an exception, as it stands before the message in a traceback."""
    by = error.by if isinstance(error, pickles.Made) else None
    if not isinstance(by, pickles.Name):
        return ""
    name = by.name if by.module in _NEARBY else f"{by.module}.{by.name}"
    return _text(name, _LONGEST)


def _message(kind: str, traceback: str) -> str:
    """What the error said: all that follows its name at the end of the traceback, which may be many lines."""
    lines = traceback.rstrip("\n").split("\n")
    for number in range(len(lines) - 1, -1, -1):
        before, found, after = lines[number].partition(":")
        if found and before.rpartition(".")[2] == kind.rpartition(".")[2] and not before.startswith(" "):
            return "\n".join([after.lstrip(), *lines[number + 1 :]])[:_LONGEST]
    return ""

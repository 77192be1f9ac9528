"""Where a list of runs goes on: a text that only the query it was made for takes back."""

from __future__ import annotations

import base64
import binascii
import hashlib

import msgspec

from runstone.core.query import Query
from runstone.errors import CursorError
from runstone.folder import clock

_FORMAT = "r1"
_CHECKED = 9
"""Bytes of the checksum."""
_LONGEST = 400


class Position(msgspec.Struct, frozen=True, order=True, array_like=True):
    """A place in the order of all runs, which is that of their creation; run_key decides between equal times."""

    created_at: str
    run_key: int


BEFORE_ALL = Position("", 0)


def encode(position: Position, query: Query, workspace: str | None) -> str:
    """A cursor: text that can stand in an address."""
    body = msgspec.json.encode(position)
    return base64.urlsafe_b64encode(_checksum(body, query, workspace) + body).decode().rstrip("=")


def decode(cursor: str, query: Query, workspace: str | None) -> Position:
    """The place that a cursor names. Raises CursorError if it was changed, or made for another query or workspace."""
    try:
        if len(cursor) > _LONGEST:
            raise ValueError
        data = base64.b64decode(cursor.encode("ascii") + b"=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        position = msgspec.json.decode(data[_CHECKED:], type=Position)
    except (ValueError, binascii.Error, msgspec.DecodeError):
        raise CursorError("this is no cursor: take it as a list has given it, whole, or begin without one") from None
    if data[:_CHECKED] != _checksum(data[_CHECKED:], query, workspace) or clock.seconds(position.created_at) is None:
        raise CursorError("this cursor belongs to another query or workspace, or was changed; begin without one")
    return position


def _checksum(body: bytes, query: Query, workspace: str | None) -> bytes:
    meant = msgspec.json.encode([_FORMAT, workspace, query])
    return hashlib.blake2b(meant + body, digest_size=_CHECKED).digest()

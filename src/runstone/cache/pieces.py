"""A piece of the cache: results that were recorded together, in bytes that certify themselves.

    piece := digest (16) header_length (u32) header keys payload

The digest is BLAKE2b over all that follows it. The header is JSON; the keys, 16 bytes each, say in which order of which
calls the values are: a row of the database that points to the wrong place is found out. The payload holds the columns.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Sequence
from typing import Any

import msgspec

from runstone.core.events import ColumnMeta, StoredValue
from runstone.errors import FolderError
from runstone.folder.values import decode_column

KEY_BYTES = 16
_DIGEST = 16
_LENGTH = struct.Struct("<I")
_encode = msgspec.json.Encoder().encode


class Header(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is in a piece. count: of its results; columns: an output each, in the order of the block's outputs.

    values: instead of a column, outputs that live in an event (of a block that is not mapped).
    """

    count: int
    outputs: list[str]
    columns: list[ColumnMeta] = []
    values: dict[str, StoredValue] = {}


_decode = msgspec.json.Decoder(Header).decode


class Piece(msgspec.Struct, frozen=True):
    """A piece that was read and verified. payload: of all columns."""

    header: Header
    keys: bytes
    payload: memoryview

    def is_at(self, key: bytes, position: int) -> bool:
        """Whether the result for this key is at this position."""
        return self.keys[position * KEY_BYTES : (position + 1) * KEY_BYTES] == key and position < self.header.count

    def column(self, name: str) -> tuple[ColumnMeta, memoryview] | None:
        """How a column is stored, and its bytes; None if there is none of this name."""
        at = 0
        for column in self.header.columns:
            if column.name == name:
                return column, self.payload[at : at + column.bytes]
            at += column.bytes
        return None

    def cells(self, name: str) -> list[Any]:
        """The values of an output; pickles are opened. Raises FolderError."""
        found = self.column(name)
        if found is None:
            raise FolderError(f"a piece of the cache has no output {name!r}")
        column, data = found
        return decode_column(column.meta, data, column.count, trust=True)


def written(header: Header, keys: bytes, payload: Sequence[bytes | memoryview]) -> bytes:
    """A piece as bytes."""
    text = _encode(header)
    body = b"".join((_LENGTH.pack(len(text)), text, keys, *payload))
    return hashlib.blake2b(body, digest_size=_DIGEST).digest() + body


def read(data: bytes) -> Piece | None:
    """A piece from its bytes, None if they are not those that were written."""
    body = memoryview(data)[_DIGEST:]
    if len(body) < _LENGTH.size or hashlib.blake2b(body, digest_size=_DIGEST).digest() != data[:_DIGEST]:
        return None
    behind = _LENGTH.size + int(_LENGTH.unpack_from(body)[0])
    try:
        header = _decode(body[_LENGTH.size : behind])
    except (msgspec.DecodeError, RecursionError):
        return None
    keys = behind + KEY_BYTES * header.count
    return Piece(header, bytes(body[behind:keys]), body[keys:])

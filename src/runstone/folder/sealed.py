"""JSON objects that carry a checksum of their own bytes.

The last field of the object is `"crc":"<8 hex digits>"`: the CRC-32 of the object without that field. So it is plain
JSON to everybody, and one that is torn, zero-filled or changed is known as such.
"""

from __future__ import annotations

from zlib import crc32

_TAIL = len(b',"crc":"00000000"}')


def seal(body: bytes) -> bytes:
    """Add the checksum to an object that has at least one field."""
    return b'%b,"crc":"%08x"}' % (body[:-1], crc32(body))


def unseal(data: bytes) -> bytes | None:
    """The object without its checksum, None if it does not fit."""
    if len(data) <= _TAIL or data[-_TAIL : -_TAIL + 8] != b',"crc":"' or data[-2:] != b'"}':
        return None
    body = data[:-_TAIL] + b"}"
    return body if data[-10:-2] == b"%08x" % crc32(body) else None

"""Values small enough to live in a journal event or among the parameters of a run, as JSON.

Tagged JSON where that is exact; else an object with one of the keys "$npy" (an array), "$scalar" (a numpy scalar) or
"$pickle", each with base64.
"""

from __future__ import annotations

from binascii import a2b_base64, b2a_base64

import msgspec

from runstone.errors import FolderError
from runstone.folder.values import arrays, pickled, tables, tagged

LIMIT = 4096
"""Bytes of JSON that fit an event."""


def encode_small(value: object, limit: int = LIMIT) -> msgspec.Raw | None:
    """Write a value as JSON of at most `limit` bytes, ready to be put into a record that msgspec.json writes.

    None: it belongs into a pack, because it is larger, or a table. (The value None is `Raw(b"null")`.)
    Raises NotStorable with the path to the culprit.
    """
    if type(value) in (str, bytes) and len(value) > limit:  # type: ignore[arg-type]
        return None
    try:
        # Each item takes at least two bytes of JSON, so this many cannot fit.
        plain = tagged.to_tagged(value, max_items=limit)
        if plain is tagged.NOT_PLAIN:
            return _encode_binary(value, limit)
    except (tagged.TooLong, pickled.TooLong):
        return None
    encoded = msgspec.json.encode(plain)
    return msgspec.Raw(encoded) if len(encoded) <= limit else None


def decode_small(stored: object, *, trust: bool) -> object:
    """Read back what `encode_small` wrote.

    stored: the msgspec.Raw, or the object that JSON parses to.
    Raises Untrusted for a pickle unless trust, FolderError for anything malformed.
    """
    if isinstance(stored, msgspec.Raw):
        try:
            stored = msgspec.json.decode(stored)
        except (ValueError, RecursionError) as error:
            raise FolderError(f"a stored value is not JSON: {str(error)[:200]}") from None
    if isinstance(stored, dict) and len(stored) == 1:
        ((tag, body),) = stored.items()
        if tag == "$pickle":
            return pickled.unpickle_value(_bytes(tag, body), trust=trust)
        if tag == "$npy":
            return arrays.decode_array(_bytes(tag, body))
        if tag == "$scalar":
            return arrays.decode_scalar(_bytes(tag, body))
    return tagged.from_tagged(stored)


def _encode_binary(value: object, limit: int) -> msgspec.Raw | None:
    room = limit * 3 // 4
    if tables.library_of(value) is not None or arrays.nbytes(value) > room:
        return None
    npy = arrays.encode_array(value)
    if npy is not None:
        return _tagged("$npy", b"".join(npy), limit)
    npy = arrays.encode_scalar(value)
    if npy is not None:
        return _tagged("$scalar", b"".join(npy), limit)
    return _tagged("$pickle", pickled.pickle_value(value, room), limit)


def _tagged(tag: str, data: bytes, limit: int) -> msgspec.Raw | None:
    encoded = b'{"%s":"%s"}' % (tag.encode(), b2a_base64(data, newline=False))
    return msgspec.Raw(encoded) if len(encoded) <= limit else None


def _bytes(tag: str, body: object) -> bytes:
    try:
        return a2b_base64(body, strict_mode=True)  # type: ignore[arg-type]
    except (ValueError, TypeError):
        raise FolderError(f"a stored value has a malformed {tag}") from None

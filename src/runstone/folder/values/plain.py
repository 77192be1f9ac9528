"""Columns whose values all have exactly one type among None, bool, int, float, str and bytes.

Any language can read them. The layouts, by kind:

    none    one zero bit a value, filled up to a byte; so that no header can claim more values than it has bytes for
    bool    one byte a value, 0 or 1
    int     the narrowest width of `integers` that holds all values
    float   IEEE 754 binary64, little-endian, every bit kept
    str     the lengths in bytes (`integers`), then the UTF-8 of all values; `surrogates` tells that lone surrogates
            are written in it, as if they were characters (CESU style, three bytes each)
    bytes   the lengths, then the bytes of all values
"""

from __future__ import annotations

import sys
from array import array
from collections.abc import Sequence
from itertools import accumulate, pairwise
from typing import cast

from runstone.errors import FolderError
from runstone.folder.values import integers

Meta = dict[str, object]
PLAIN_TYPES = frozenset({type(None), bool, int, float, str, bytes})
PLAIN_KINDS = frozenset({"none", "bool", "int", "float", "str", "bytes"})
_BOOLS = (False, True)


def encode_plain(values: Sequence[object], exact: type) -> tuple[Meta, list[bytes]] | None:
    """Write values that are all known to be exactly of type `exact`, one of PLAIN_TYPES.

    Returns what decoding needs to know and the buffers; None for ints beyond 64 bits.
    """
    if exact is int:
        numbers = cast("Sequence[int]", values)
        width = integers.narrowest(min(numbers), max(numbers))
        return None if width is None else ({"kind": "int", "width": width}, [integers.pack(numbers, width)])
    if exact is float:
        doubles = array("d", cast("Sequence[float]", values))
        if sys.byteorder == "big":
            doubles.byteswap()
        return {"kind": "float"}, [doubles.tobytes()]
    if exact is str:
        return _encode_str(cast("Sequence[str]", values))
    if exact is bytes:
        blobs = cast("Sequence[bytes]", values)
        width, lengths = integers.pack_lengths(list(map(len, blobs)))
        return {"kind": "bytes", "width": width}, [lengths, b"".join(blobs)]
    if exact is bool:
        return {"kind": "bool"}, [bytes(cast("Sequence[int]", values))]
    return {"kind": "none"}, [bytes(_none_size(len(values)))]


def decode_plain(meta: Meta, data: memoryview, count: int) -> list[object]:
    """Read a plain column; raises FolderError if the bytes do not fit the claims."""
    kind = meta["kind"]
    if kind == "int":
        return list(integers.unpack(data, meta.get("width"), count))
    if kind == "float":
        return list(_doubles(data, count))
    if kind == "str":
        lengths, payload = integers.unpack_lengths(data, meta.get("width"), count)
        return _decode_str(bytes(payload), lengths, _error_handler(meta))
    if kind == "bytes":
        lengths, payload = integers.unpack_lengths(data, meta.get("width"), count)
        return [bytes(payload[start:end]) for start, end in pairwise(accumulate(lengths, initial=0))]
    if kind == "bool":
        _expect(len(data) == count, "bool", count, data)
        try:
            return list(map(_BOOLS.__getitem__, data))
        except IndexError:
            raise FolderError("a column of bools has a byte that is neither 0 nor 1") from None
    _expect(len(data) == _none_size(count), "none", count, data)
    return [None] * count


def decode_plain_cell(meta: Meta, data: memoryview, count: int, index: int) -> object:
    """Read one value of a plain column without building the others."""
    kind = meta["kind"]
    if kind == "int":
        size = integers.size_of(meta.get("width"))
        _expect(len(data) == count * size, "int", count, data)
        return integers.unpack(data[index * size : (index + 1) * size], meta.get("width"), 1)[0]
    if kind == "float":
        _expect(len(data) == count * 8, "float", count, data)
        return _doubles(data[index * 8 : (index + 1) * 8], 1)[0]
    if kind in ("str", "bytes"):
        lengths, payload = integers.unpack_lengths(data, meta.get("width"), count)
        start = sum(lengths[:index])
        blob = bytes(payload[start : start + lengths[index]])
        return blob if kind == "bytes" else _decode_str(blob, [len(blob)], _error_handler(meta))[0]
    if kind == "bool":
        _expect(len(data) == count, "bool", count, data)
        return decode_plain(meta, data[index : index + 1], 1)[0]
    _expect(len(data) == _none_size(count), "none", count, data)
    return None


def _encode_str(values: Sequence[str]) -> tuple[Meta, list[bytes]]:
    joined = "".join(values)
    if joined.isascii():
        width, lengths = integers.pack_lengths(list(map(len, values)))
        return {"kind": "str", "width": width}, [lengths, joined.encode("ascii")]
    meta: Meta = {"kind": "str"}
    try:
        encoded = [value.encode() for value in values]
    except UnicodeEncodeError:
        encoded = [value.encode("utf-8", "surrogatepass") for value in values]
        meta["surrogates"] = True
    meta["width"], lengths = integers.pack_lengths(list(map(len, encoded)))
    return meta, [lengths, b"".join(encoded)]


def _decode_str(payload: bytes, lengths: Sequence[int], on_error: str) -> list[object]:
    spans = pairwise(accumulate(lengths, initial=0))
    if payload.isascii():
        text = payload.decode("ascii")
        return [text[start:end] for start, end in spans]
    try:
        return [payload[start:end].decode("utf-8", on_error) for start, end in spans]
    except UnicodeDecodeError as error:
        raise FolderError(f"a column of text is not UTF-8: {error.reason}") from None


def _error_handler(meta: Meta) -> str:
    return "surrogatepass" if meta.get("surrogates") is True else "strict"


def _doubles(data: memoryview, count: int) -> array[float]:
    _expect(len(data) == count * 8, "float", count, data)
    doubles = array("d")
    doubles.frombytes(data)
    if sys.byteorder == "big":
        doubles.byteswap()
    return doubles


def _none_size(count: int) -> int:
    return (count + 7) // 8


def _expect(fits: bool, kind: str, count: int, data: memoryview) -> None:
    if not fits:
        raise FolderError(f"a column claims {count} values of kind {kind}, and its {len(data)} bytes do not fit that")

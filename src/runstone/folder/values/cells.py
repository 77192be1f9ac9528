"""Columns of values that are not all of one plain type: each cell says how it is stored, and can be read alone.

Layout: one letter a cell, the lengths of the cells (`integers`), the cells. The letters:

    j  tagged JSON          a  numpy array, npy        n  numpy scalar, npy without dimensions
    s  list, u  tuple of many values of one plain type: length of its description (u32), the description, a column
    t  pyarrow Table        d  pandas DataFrame        l  polars DataFrame, all three Parquet
    p  pickle: the only one that can run code when it is loaded
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from itertools import accumulate, pairwise
from typing import Any

import msgspec

from runstone.errors import FolderError, NotStorable
from runstone.folder.values import arrays, integers, plain, tables
from runstone.folder.values.pickled import pickle_value, unpickle_value
from runstone.folder.values.tagged import NOT_PLAIN, from_tagged, to_tagged

Buffer = bytes | memoryview
Instead = Callable[[int, memoryview], object]
"""Gives what stands for a pickle that is not opened, from the number of its cell and its bytes."""

JSON, ARRAY, SCALAR, PICKLE = b"j", b"a", b"n", b"p"
_SEQUENCES: dict[type, bytes] = {list: b"s", tuple: b"u"}
# From this length on a column is smaller and faster than JSON.
_LONG = 64
_LENGTH = struct.Struct("<I")
_TABLES: dict[tables.Library, bytes] = {"pyarrow": b"t", "pandas": b"d", "polars": b"l"}
_LIBRARIES: dict[bytes, tables.Library] = {letter: library for library, letter in _TABLES.items()}

# Smaller buffers are copied together: the kernel takes about a thousand at a time.
_SMALL = 64 * 1024


def encode_cell(value: object) -> tuple[bytes, list[Buffer]]:
    """Write one value in the safest form that gives it back exactly; returns the letter and the buffers.

    Raises NotStorable with the path to the culprit.
    """
    if (letter := _SEQUENCES.get(type(value))) is not None and (column := _encode_sequence(value)) is not None:
        return letter, column
    tagged = to_tagged(value)
    if tagged is not NOT_PLAIN:
        return JSON, [msgspec.json.encode(tagged)]
    npy = arrays.encode_array(value)
    if npy is not None:
        return ARRAY, [*npy]
    npy = arrays.encode_scalar(value)
    if npy is not None:
        return SCALAR, [*npy]
    library = tables.library_of(value)
    if library is not None and (parquet := tables.encode_table(value, library)) is not None:
        return _TABLES[library], [parquet]
    return PICKLE, [pickle_value(value)]


def decode_cell(letter: bytes, data: memoryview, *, trust: bool) -> object:
    """Read one value; raises Untrusted for a pickle without trust, FolderError for bytes that make no sense."""
    if letter == JSON:
        return _decode_json(bytes(data))
    if letter == ARRAY:
        return arrays.decode_array(data)
    if letter == SCALAR:
        return arrays.decode_scalar(data)
    if letter == PICKLE:
        return unpickle_value(data, trust=trust)
    if letter in _SEQUENCES.values():
        items = _decode_sequence(data)
        return items if letter == _SEQUENCES[list] else tuple(items)
    if (library := _LIBRARIES.get(letter)) is not None:
        return tables.decode_table(data, library, trust=trust)
    raise FolderError(f"a cell is stored in an unknown way ({letter!r}); was it written by a newer version?")


def encode_cells(values: Sequence[object]) -> tuple[dict[str, object], list[Buffer], bool]:
    """Write a column; returns what decoding needs to know, the buffers, and whether no cell is a pickle."""
    letters: list[bytes] = []
    lengths: list[int] = []
    payload = _Payload()
    for index, value in enumerate(values):
        try:
            letter, buffers = encode_cell(value)
        except NotStorable as refusal:
            refusal.add_note(f"value {index} of {len(values)} that were to be stored together")
            raise
        letters.append(letter)
        lengths.append(sum(map(_nbytes, buffers)))
        for buffer in buffers:
            payload.add(buffer)
    width, packed = integers.pack_lengths(lengths)
    return {"kind": "cells", "width": width}, [b"".join(letters) + packed, *payload.close()], PICKLE not in letters


def decode_cells(
    meta: dict[str, object], data: memoryview, count: int, *, trust: bool, instead: Instead | None = None
) -> list[object]:
    """Read a whole column; raises what `decode_cell` raises for the first cell that cannot be read.

    instead: pickled cells stay closed, and this is asked what stands for them.
    """
    letters, lengths, payload = _parse(meta, data, count)
    spans = pairwise(accumulate(lengths, initial=0))
    return [
        decode_cell(letter, payload[start:end], trust=trust)
        if instead is None or letter != PICKLE
        else instead(index, payload[start:end])
        for index, (start, end) in enumerate(spans)
        for letter in (letters[index : index + 1],)
    ]


def decode_one_of_cells(meta: dict[str, object], data: memoryview, count: int, index: int, *, trust: bool) -> object:
    """Read one cell of a column; the others may be as broken as they like."""
    letters, lengths, payload = _parse(meta, data, count)
    start = sum(lengths[:index])
    return decode_cell(letters[index : index + 1], payload[start : start + lengths[index]], trust=trust)


def _encode_sequence(value: Any) -> list[Buffer] | None:
    if len(value) < _LONG:
        return None
    kinds = set(map(type, value))
    exact = kinds.pop()
    encoded = plain.encode_plain(value, exact) if not kinds and exact in plain.PLAIN_TYPES else None
    if encoded is None:
        return None
    description = msgspec.json.encode({"count": len(value), **encoded[0]})
    return [_LENGTH.pack(len(description)) + description, *encoded[1]]


def _decode_sequence(data: memoryview) -> list[object]:
    if len(data) < _LENGTH.size:
        raise FolderError("a stored list has no description")
    behind = _LENGTH.size + int(_LENGTH.unpack_from(data)[0])
    try:
        description = msgspec.json.decode(data[_LENGTH.size : behind], type=dict[str, Any])
    except (ValueError, RecursionError) as error:
        raise FolderError(f"the description of a stored list is not JSON: {str(error)[:200]}") from None
    count = description.get("count")
    if type(count) is not int or count < 0 or description.get("kind") not in plain.PLAIN_KINDS:
        raise FolderError("the description of a stored list makes no sense")
    return plain.decode_plain(description, data[behind:], count)


def _decode_json(data: bytes) -> object:
    try:
        parsed = msgspec.json.decode(data)
    except (ValueError, RecursionError) as error:
        raise FolderError(f"a stored value is not JSON: {str(error)[:200]}") from None
    # Without the start of a tag's key there is nothing to turn back.
    return from_tagged(parsed) if b'"$' in data else parsed


def _parse(meta: dict[str, object], data: memoryview, count: int) -> tuple[bytes, Sequence[int], memoryview]:
    if len(data) < count:
        raise FolderError(f"a column claims {count} cells and has {len(data)} bytes")
    lengths, payload = integers.unpack_lengths(data[count:], meta.get("width"), count)
    return bytes(data[:count]), lengths, payload


def _nbytes(buffer: Buffer) -> int:
    return buffer.nbytes if isinstance(buffer, memoryview) else len(buffer)


class _Payload:
    """Collects buffers, small ones copied together."""

    def __init__(self) -> None:
        self._done: list[Buffer] = []
        self._small: list[Buffer] = []

    def add(self, buffer: Buffer) -> None:
        if _nbytes(buffer) < _SMALL:
            self._small.append(buffer)
        else:
            self._flush()
            self._done.append(buffer)

    def close(self) -> list[Buffer]:
        self._flush()
        return self._done

    def _flush(self) -> None:
        if self._small:
            self._done.append(b"".join(self._small))
            self._small = []

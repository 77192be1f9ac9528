"""Columns of values that are not all of one plain type: each cell says how it is stored, and can be read alone.

Layout: one letter a cell, the lengths of the cells (`integers`), the cells. The letters:

    j  tagged JSON          a  numpy array, npy        n  numpy scalar, npy without dimensions
    t  pyarrow Table        d  pandas DataFrame        l  polars DataFrame, all three Parquet
    p  pickle: the only one that can run code when it is loaded
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate, pairwise

import msgspec

from runstone.errors import FolderError, NotStorable
from runstone.folder.values import arrays, integers, tables
from runstone.folder.values.pickled import pickle_value, unpickle_value
from runstone.folder.values.tagged import NOT_PLAIN, from_tagged, to_tagged

Buffer = bytes | memoryview
JSON, ARRAY, SCALAR, PICKLE = b"j", b"a", b"n", b"p"
_TABLES: dict[tables.Library, bytes] = {"pyarrow": b"t", "pandas": b"d", "polars": b"l"}
_LIBRARIES: dict[bytes, tables.Library] = {letter: library for library, letter in _TABLES.items()}

# Smaller buffers are copied together: the kernel takes about a thousand at a time.
_SMALL = 64 * 1024


def encode_cell(value: object) -> tuple[bytes, list[Buffer]]:
    """Write one value in the safest form that gives it back exactly; returns the letter and the buffers.

    Raises NotStorable with the path to the culprit.
    """
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
    if (library := _LIBRARIES.get(letter)) is not None:
        return tables.decode_table(data, library)
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


def decode_cells(meta: dict[str, object], data: memoryview, count: int, *, trust: bool) -> list[object]:
    """Read a whole column; raises what `decode_cell` raises for the first cell that cannot be read."""
    letters, lengths, payload = _parse(meta, data, count)
    spans = pairwise(accumulate(lengths, initial=0))
    return [
        decode_cell(letters[index : index + 1], payload[start:end], trust=trust)
        for index, (start, end) in enumerate(spans)
    ]


def decode_one_of_cells(meta: dict[str, object], data: memoryview, count: int, index: int, *, trust: bool) -> object:
    """Read one cell of a column; the others may be as broken as they like."""
    letters, lengths, payload = _parse(meta, data, count)
    start = sum(lengths[:index])
    return decode_cell(letters[index : index + 1], payload[start : start + lengths[index]], trust=trust)


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

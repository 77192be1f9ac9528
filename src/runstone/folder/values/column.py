"""The door: how the values of one output in one chunk become bytes, and how they come back.

Everything that is read is untrusted: lengths, counts, dtypes and shapes that do not fit the bytes raise FolderError
before anything of the claimed size is allocated. Nothing but a pickle can run code, and pickles are not opened
without trust.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from runstone.errors import FolderError, NotStorable
from runstone.folder.values import arrays, cells, plain

Buffer = bytes | memoryview


class Column(msgspec.Struct, frozen=True, kw_only=True):
    """Values as bytes.

    kind: none, bool, int, float, str, bytes (plain, see `plain`), numpy (scalars, one npy) or cells (see `cells`).
    meta: JSON-able, holds the kind too; all that decoding needs beside the bytes and the count.
    data: buffers to be written one after the other.
    safe: nothing in it is a pickle.
    """

    kind: str
    meta: dict[str, object]
    data: list[Buffer]
    safe: bool

    @property
    def size(self) -> int:
        """Bytes in all."""
        return sum(buffer.nbytes if isinstance(buffer, memoryview) else len(buffer) for buffer in self.data)


def encode_column(values: Sequence[object]) -> Column:
    """Write values; raises NotStorable for the first one that no format can keep (see `find_unstorable`)."""
    kinds = set(map(type, values))
    if len(kinds) <= 1:
        exact = kinds.pop() if kinds else type(None)
        if exact in plain.PLAIN_TYPES:
            encoded = plain.encode_plain(values, exact)
            if encoded is not None:
                return _column(encoded[0], [*encoded[1]], True)
        else:
            npy = arrays.encode_scalars(values, exact)
            if npy is not None:
                return _column({"kind": "numpy"}, [*npy], True)
    return _column(*cells.encode_cells(values))


def decode_column(
    meta: object, data: Buffer, count: int, *, trust: bool, instead: cells.Instead | None = None
) -> list[object]:
    """Read all values of a column.

    meta: as `Column.meta`, parsed from JSON. instead: gives what stands for a pickled cell that stays closed.
    Raises Untrusted at the first pickled cell unless trust or instead, FolderError for anything that does not fit.
    """
    known, view = _checked(meta, data, count)
    if known["kind"] == "cells":
        return cells.decode_cells(known, view, count, trust=trust, instead=instead)
    if known["kind"] == "numpy":
        return arrays.decode_scalars(view, count)
    return plain.decode_plain(known, view, count)


def decode_cell(meta: object, data: Buffer, count: int, index: int, *, trust: bool) -> object:
    """Read one value of a column, whatever its neighbours are; raises as `decode_column`."""
    known, view = _checked(meta, data, count)
    if not 0 <= index < count:
        raise FolderError(f"a column of {count} values has no value {index}")
    if known["kind"] == "cells":
        return cells.decode_one_of_cells(known, view, count, index, trust=trust)
    if known["kind"] == "numpy":
        return arrays.decode_one_of_scalars(view, count, index)
    return plain.decode_plain_cell(known, view, count, index)


def find_unstorable(values: Sequence[object]) -> dict[int, NotStorable]:
    """Tell which of the values cannot be stored, and why; for when `encode_column` has refused them together."""
    refused: dict[int, NotStorable] = {}
    for index, value in enumerate(values):
        try:
            cells.encode_cell(value)
        except NotStorable as refusal:
            refused[index] = refusal
    return refused


def _column(meta: dict[str, object], data: list[Buffer], safe: bool) -> Column:
    return Column(kind=str(meta["kind"]), meta=meta, data=data, safe=safe)


def _checked(meta: object, data: Buffer, count: int) -> tuple[dict[str, object], memoryview]:
    if not isinstance(meta, dict):
        raise FolderError("a column has no description of how it is stored")
    kind = meta.get("kind")
    if not isinstance(kind, str) or kind not in plain.PLAIN_KINDS | {"numpy", "cells"}:
        raise FolderError(
            f"a column is stored in an unknown way ({str(kind)[:40]!r}); was it written by a newer version?"
        )
    if type(count) is not int or count < 0:
        raise FolderError("a column claims a count that is not a whole number from 0")
    return meta, memoryview(data).cast("B")

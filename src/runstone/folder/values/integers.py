"""Whole numbers in the narrowest width that holds them all, little-endian, one after the other."""

from __future__ import annotations

import sys
from array import array
from collections.abc import Iterable

from runstone.errors import FolderError

# width: (type code of `array`, bytes each, lowest, highest), narrowest first. Unsigned wins a tie.
WIDTHS: dict[str, tuple[str, int, int, int]] = {
    "u1": ("B", 1, 0, 2**8 - 1),
    "i1": ("b", 1, -(2**7), 2**7 - 1),
    "u2": ("H", 2, 0, 2**16 - 1),
    "i2": ("h", 2, -(2**15), 2**15 - 1),
    "u4": ("I", 4, 0, 2**32 - 1),
    "i4": ("i", 4, -(2**31), 2**31 - 1),
    "i8": ("q", 8, -(2**63), 2**63 - 1),
    "u8": ("Q", 8, 0, 2**64 - 1),
}


def narrowest(low: int, high: int) -> str | None:
    """Name the narrowest width that holds low to high; None if that takes more than 64 bits."""
    for width, (_, _, lowest, highest) in WIDTHS.items():
        if lowest <= low and high <= highest:
            return width
    return None


def pack(values: Iterable[int], width: str) -> bytes:
    """Write whole numbers that are known to fit `width`."""
    packed = array(WIDTHS[width][0], values)
    if sys.byteorder == "big":
        packed.byteswap()
    return packed.tobytes()


def pack_lengths(lengths: list[int]) -> tuple[str, bytes]:
    """Write lengths in the narrowest width; returns the width and the bytes."""
    width = narrowest(0, max(lengths, default=0))
    if width is None:
        raise OverflowError("a length does not fit 64 bits")
    return width, pack(lengths, width)


def size_of(width: object) -> int:
    """Bytes of one number of this width; raises FolderError for a width that does not exist."""
    known = WIDTHS.get(width) if isinstance(width, str) else None
    if known is None:
        raise FolderError(f"a column claims numbers of width {_shown(width)}; known are {', '.join(WIDTHS)}")
    return known[1]


def unpack(data: bytes | memoryview, width: object, count: int) -> array[int]:
    """Read exactly `count` whole numbers; raises FolderError if the bytes do not fit that."""
    size = size_of(width)
    if len(data) != count * size:
        raise FolderError(f"a column claims {count} numbers of {size} bytes and has {len(data)} bytes")
    unpacked = array(WIDTHS[str(width)][0])
    unpacked.frombytes(data)
    if sys.byteorder == "big":
        unpacked.byteswap()
    return unpacked


def unpack_lengths(data: memoryview, width: object, count: int) -> tuple[array[int], memoryview]:
    """Read `count` lengths at the start of data; returns them and the payload behind, which has exactly their sum."""
    size = size_of(width)
    if not str(width).startswith("u"):
        raise FolderError("a column claims lengths that may be negative")
    if len(data) < count * size:
        raise FolderError(f"a column claims {count} lengths of {size} bytes and has {len(data)} bytes")
    lengths = unpack(data[: count * size], width, count)
    payload = data[count * size :]
    if (total := sum(lengths)) != len(payload):
        raise FolderError(f"a column claims values of {total} bytes in all and has {len(payload)} bytes of them")
    return lengths, payload


def _shown(claim: object) -> str:
    return repr(claim)[:40] if isinstance(claim, str | int | None) else f"a {type(claim).__name__}"

"""Packs: the chunks of a block, a frame each.

    frame   := magic (4) header_length (u32) payload_length (u64) header_crc (u32) payload_crc (u32) header payload

All numbers little-endian; checksums CRC-32; header_crc covers the lengths and the header. The header is the JSON of
`core.events.Chunk`; the payload holds, in this order, outcomes and failures if there are any, then the columns.
A reader that only counts steps from header to header; one that found a broken frame looks for the next magic.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from zlib import crc32

import msgspec

from runstone.core.events import Chunk, ColumnMeta
from runstone.folder.outline import decode_chunk

MAGIC = b"RSf1"
_FIXED = struct.Struct("<4sIQII")
PREFIX = _FIXED.size
HEADER_LIMIT = 8 * 1024 * 1024

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Chunk).decode
_lengths = struct.Struct("<IQ")


class Frame(msgspec.Struct, frozen=True, gc=False):
    """Where a frame lies in its pack. start: of the frame; payload: of the values; stop: behind it; all in bytes."""

    chunk: Chunk
    start: int
    payload: int
    stop: int
    payload_crc: int


def encode_frame(chunk: Chunk, payload: list[bytes | memoryview]) -> list[bytes | memoryview]:
    """The buffers to append for a chunk, in order."""
    header = _encode(chunk)
    if len(header) > HEADER_LIMIT:
        raise ValueError(f"a frame's header of {len(header):,} bytes; readers take at most {HEADER_LIMIT:,}")
    length = checksum = 0
    for part in payload:
        length += len(part)
        checksum = crc32(part, checksum)
    lengths = _lengths.pack(len(header), length)
    fixed = _FIXED.pack(MAGIC, len(header), length, crc32(header, crc32(lengths)), checksum)
    return [fixed + header, *payload]


def decode_frame(data: bytes, at: int, base: int, size: int, *, whole: bool = True) -> Frame | int | None:
    """The frame that starts at `data[at]`, where `data[0]` is byte `base` of a pack of `size` bytes.

    None if there is no valid header; the number of bytes wanted from `at` if `data` is too short to tell. A frame whose
    `stop` lies beyond `size` is torn: its values are not, or not yet, all there.
    whole: with all that loading its values needs; else only what the fold asks for.
    """
    if at + PREFIX > len(data):
        return PREFIX if base + at + PREFIX <= size else None
    magic, header_length, payload_length, header_crc, payload_crc = _FIXED.unpack_from(data, at)
    stop = base + at + PREFIX + header_length + payload_length
    if magic != MAGIC or header_length > HEADER_LIMIT or base + at + PREFIX + header_length > size:
        return None
    if at + PREFIX + header_length > len(data):
        return PREFIX + int(header_length)
    header = data[at + PREFIX : at + PREFIX + header_length]
    if crc32(header, crc32(data[at + 4 : at + 16])) != header_crc:
        return None
    try:
        chunk = _decode(header) if whole else decode_chunk(header)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    if chunk.seq <= 0:
        return None
    start = base + at
    return Frame(chunk, start, start + PREFIX + header_length, stop, payload_crc)


def parts(chunk: Chunk) -> Iterator[tuple[ColumnMeta, int]]:
    """Every column in the payload with its offset there, in order."""
    offset = 0
    for column in (chunk.outcomes, chunk.failures, *chunk.columns):
        if column is not None:
            yield column, offset
            offset += column.bytes

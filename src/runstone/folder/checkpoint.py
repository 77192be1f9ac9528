"""`status.json`: the fold as it stood at a moment, and the sign of life of the driver.

It saves a reader from folding everything again, and is trusted only where its own checksum fits, and where it agrees
with the files it speaks of.
"""

from __future__ import annotations

import os
from zlib import crc32

import msgspec

from runstone.core.events import FORMAT
from runstone.core.run_state import RunState, is_sound
from runstone.errors import FolderError
from runstone.folder.look import Look, read_at
from runstone.folder.sealed import seal, unseal

MARK_BYTES = 64
LIMIT = 64 * 1024 * 1024


class FileMark(msgspec.Struct, frozen=True, kw_only=True):
    """How far a file was read. crc: CRC-32 of the up to 64 bytes just before `offset`."""

    path: str
    offset: int
    crc: int


class Checkpoint(msgspec.Struct, frozen=True, kw_only=True):
    """at: time of day of the sign of life; steady: the same on the clock of boot `boot_id`, in seconds."""

    format: int = FORMAT
    run_id: str
    at: str
    steady: float
    boot_id: str
    lease_seconds: float
    state: RunState
    files: list[FileMark]


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Checkpoint).decode


def encode(checkpoint: Checkpoint) -> bytes:
    """The content of `status.json`."""
    return seal(_encode(checkpoint))


def decode(data: bytes | None) -> Checkpoint | None:
    """The checkpoint in these bytes, None if they are none that this version understands, or none that can be."""
    body = unseal(data) if data else None
    if body is None:
        return None
    try:
        found = _decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return found if found.format <= FORMAT and is_sound(found.state) else None


def mark(tail: bytes) -> int:
    """The checksum for a file whose last bytes before the offset are `tail`."""
    return crc32(tail[-MARK_BYTES:])


def agrees(checkpoint: Checkpoint, look: Look, limits: dict[str, int], newest: int) -> bool:
    """Whether every file the checkpoint speaks of still has what it was made from.

    limits: how much counts of the files of epochs before `newest`, as the last takeover says; a driver that was taken
    over may have written a checkpoint since, which counts on more.
    """
    if len({known.path for known in checkpoint.files}) < len(checkpoint.files):
        return False
    for known in checkpoint.files:
        limit = limits.get(known.path, known.offset if checkpoint.state.epoch == newest else 0)
        if not 0 <= known.offset <= limit:
            return False
        try:
            descriptor = look.open(known.path)
        except FolderError:
            return False
        if descriptor is None:
            return False
        try:
            if os.fstat(descriptor).st_size < known.offset:
                return False
            start = max(0, known.offset - MARK_BYTES)
            if crc32(read_at(descriptor, start, known.offset - start)) != known.crc:
                return False
        except OSError:
            return False
        finally:
            os.close(descriptor)
    return True

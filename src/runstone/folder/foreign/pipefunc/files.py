"""Beginnings and ends of stored values, by which a whole file is told from one that is cut off."""

from __future__ import annotations

import os

from runstone.errors import FolderError
from runstone.folder.look import Look, read_at


def ends_whole(look: Look, path: str, size: int) -> bool:
    """Whether a value was written to its end: a pickle stops with a dot, a table with the name of its format."""
    if size == 0:
        return False
    end = _part(look, path, max(0, size - 4), 4)
    return end.endswith(b".") or end == b"PAR1"


def first_bytes(look: Look, path: str, count: int) -> bytes:
    """The beginning of a file, empty if it cannot be read."""
    return _part(look, path, 0, count)


def whole_file(look: Look, path: str, limit: int) -> bytes:
    """All of a file, empty if it cannot be read or is longer than `limit`."""
    try:
        return look.read(path, limit) or b""
    except FolderError:
        return b""


def _part(look: Look, path: str, offset: int, count: int) -> bytes:
    descriptor = look.open(path)
    if descriptor is None:
        return b""
    try:
        return read_at(descriptor, offset, count)
    except OSError:
        return b""
    finally:
        os.close(descriptor)

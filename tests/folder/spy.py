"""Proof of what looking at a folder does: what changes in it, and what is opened beside it."""

from __future__ import annotations

import ctypes
import hashlib
import os
import stat
import struct
from pathlib import Path
from types import TracebackType

_IN_ACCESS, _IN_OPEN, _IN_NONBLOCK = 0x1, 0x20, 0o4000
_EVENT = struct.Struct("iIII")

Picture = dict[bytes, tuple[object, ...]]


def picture(folder: Path) -> Picture:
    """Everything below a folder: kind, size, times and content, links not followed; content by its digest."""
    found: Picture = {}
    stack = [os.fsencode(folder)]
    while stack:
        path = stack.pop()
        seen = os.lstat(path)
        content: object = None
        if stat.S_ISDIR(seen.st_mode):
            stack.extend(os.path.join(path, name) for name in os.listdir(path))
        elif stat.S_ISLNK(seen.st_mode):
            content = os.readlink(path)
        elif stat.S_ISREG(seen.st_mode) and seen.st_size < 64 * 1024 * 1024:
            content = hashlib.sha256(Path(os.fsdecode(path)).read_bytes()).digest()
        found[path] = (seen.st_mode, seen.st_ino, seen.st_size, seen.st_mtime_ns, seen.st_ctime_ns, content)
    return found


class Spy:
    """Tells whether anything in a folder was opened or read meanwhile, by inotify (Linux)."""

    def __init__(self, folder: Path) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._descriptor = self._libc.inotify_init1(_IN_NONBLOCK)
        watched = self._libc.inotify_add_watch(self._descriptor, os.fsencode(folder), _IN_ACCESS | _IN_OPEN)
        assert self._descriptor >= 0
        assert watched >= 0, os.strerror(ctypes.get_errno())

    def __enter__(self) -> Spy:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        os.close(self._descriptor)

    def seen(self) -> list[str]:
        """The names of what was opened or read since the last call."""
        try:
            data = os.read(self._descriptor, 65536)
        except BlockingIOError:
            return []
        names, at = [], 0
        while at < len(data):
            length = _EVENT.unpack_from(data, at)[3]
            at += _EVENT.size + length
            names.append(data[at - length : at].rstrip(b"\0").decode() or ".")
        return names

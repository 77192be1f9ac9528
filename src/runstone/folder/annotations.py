"""`annotations.jsonl`: what people say about a run, beside what it says about itself.

Anybody who may write the folder appends to it, also after the run ended; the journal is not touched. Nothing is ever
changed in it: a tag is taken away by a later line. What is read is not believed beyond what it can hold.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable

import msgspec

from runstone.core.annotated import KINDS, TEXT_MOST, Annotation
from runstone.errors import FolderError, StorageError
from runstone.folder import clock, disk, layout
from runstone.folder.look import Look

FILE_LIMIT = 4 * 1024 * 1024
"""Bytes of the file that are read at most, and that are written."""

_TRIES = 5


class _Line(msgspec.Struct, frozen=True, kw_only=True):
    version: int = 0
    kind: str
    text: str
    said_at: str
    said_by: str = ""


_decode = msgspec.json.Decoder(_Line).decode
_encode = msgspec.json.Encoder().encode


def read(look: Look) -> list[Annotation]:
    """What was said about the run in a folder, in order; nothing for what cannot be read. Never raises.

    Two writers may have taken the same number: of what stands later in the file the number is then higher. Lines are
    only ever added, so a number that was told once stays.
    """
    try:
        data = look.read(layout.ANNOTATIONS, FILE_LIMIT)
    except (FolderError, OSError):
        return []
    return _numbered(data or b"")


def read_from(folder: str) -> list[Annotation]:
    """The same for a folder by its path."""
    try:
        with Look(folder) as look:
            return read(look)
    except OSError:
        return []


def say(folder: str, kind: str, text: str, *, by: str, after: int = 0) -> Annotation:
    """Add a line about the run in a folder; it is on the disk when this returns.

    kind: tag, untag or note. after: its number is to be higher than this one.
    Raises StorageError if the folder takes no more.
    """
    path = f"{folder}/{layout.ANNOTATIONS}"
    if os.path.lexists(path) and not stat.S_ISREG(os.lstat(path).st_mode):
        raise StorageError(f"cannot write {path}: something else has that name; remove it")
    known = read_from(folder)
    version = max(after, known[-1].version if known else 0) + 1
    line = _encode(_Line(kind=kind, text=text, said_at=clock.now(), said_by=by, version=version))
    descriptor = disk.open_to_append(path)
    try:
        for _ in range(_TRIES):
            size = os.fstat(descriptor).st_size
            if size + len(line) + 2 > FILE_LIMIT:
                raise StorageError(f"cannot write {path}: it has {size:,} bytes, and at most {FILE_LIMIT:,} are read")
            disk.append(descriptor, line + b"\n", path)
            disk.sync(descriptor, path)
            # Half a line of a writer that was killed takes the next one with it; and on a network, where appending is
            # not one step, two writers may have written to the same place.
            found = _find(folder, line)
            if found is not None:
                disk.sync_folder(folder)
                return found
    finally:
        os.close(descriptor)
    raise StorageError(f"cannot write {path}: others write there at the same time; try again")


def _find(folder: str, line: bytes) -> Annotation | None:
    wanted = _decode(line)
    for found in reversed(read_from(folder)):
        if (found.kind, found.text, found.said_at, found.said_by) == (
            wanted.kind,
            wanted.text,
            wanted.said_at,
            wanted.said_by,
        ):
            return found
    return None


def _numbered(data: bytes) -> list[Annotation]:
    found: list[Annotation] = []
    last = 0
    for line in _whole_lines(data):
        try:
            said = _decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            continue
        if said.kind not in KINDS or not said.text or len(said.text) > TEXT_MOST or clock.seconds(said.said_at) is None:
            continue
        # a number that leaves no room for others was not given by us
        last = max(said.version if said.version <= last + _LEAP else 0, last + 1)
        found.append(
            Annotation(version=last, kind=said.kind, text=said.text, said_at=said.said_at, said_by=said.said_by[:200])
        )
    return found


_LEAP = 1_000_000


def _whole_lines(data: bytes) -> Iterable[bytes]:
    return (line for line in data.split(b"\n")[:-1] if line)

"""`runstone archive`: a run folder as one file, a ZIP with a list of what is in it and the SHA-256 of each.

The same folder gives the same bytes. Of a run that goes on, if that is wanted, it holds what a reader could have seen
at one moment.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import stat
import zipfile
from collections.abc import Iterator
from typing import BinaryIO

import msgspec

from runstone.core.archived import (
    ARCHIVE_FORMAT,
    FILES_MOST,
    INSIDE,
    LIST,
    ArchivedFile,
    ArchiveList,
    problem_with_path,
)
from runstone.core.status import acting_status
from runstone.errors import FolderError, StorageError
from runstone.folder import disk, layout
from runstone.folder.look import Look, read_at
from runstone.folder.observe import observation
from runstone.folder.read import Reading, read_look
from runstone.version import VERSION

_PIECE = 1024 * 1024
_DEEP = 12
_LINES = (f"{layout.LOGS}/", layout.ANNOTATIONS)
_OF_THE_END = (layout.CHECKPOINT, layout.MANIFEST, layout.VALUES_PACK)
_LONGEST_LINE = 128 * 1024
_ADOPTED = ".adopted-"


class Archived(msgspec.Struct, frozen=True, kw_only=True):
    """What was archived. bytes: of the file; content: of what is in it. left_out: what a run of its own has not."""

    file: str
    run_id: str
    bytes: int
    content: int
    files: int
    ended: bool
    left_out: list[str]


def archive(folder: str, file: str, *, as_it_is: bool = False) -> Archived:
    """Write the run in a folder into one new file, which appears once it is whole and on the disk.

    as_it_is: also of a run that goes on, or whose process is not proven dead.
    Raises FileNotFoundError if there is no run, FolderError, StorageError if the file is there or cannot be written.
    """
    path = _free(file)
    with Look(folder) as look:
        reading = read_look(look, bounded=False)
        if not (reading.state.done or reading.gone or as_it_is):
            raise FolderError(
                f"run {reading.info.id[:8]} is {reading.state.status.value}, and its process is not proven dead; "
                "wait for its end, or archive it --as-it-is"
            )
        whole = reading.state.done or reading.gone is True
        private = f"{os.path.dirname(path)}/.{os.path.basename(path)}.{secrets.token_hex(4)}.tmp"
        try:
            with open(private, "xb") as to:
                listed, left_out = _write(look, reading, to, whole=whole)
                to.flush()
                disk.sync(to.fileno(), path)
                size = os.fstat(to.fileno()).st_size
            _publish(private, path, file)
        except OSError as error:
            raise StorageError(f"{file} cannot be written: {(error.strerror or str(error)).lower()}") from error
        finally:
            disk.remove(private)
    disk.sync_folder(os.path.dirname(path))
    return Archived(
        file=path,
        run_id=listed.run_id,
        bytes=size,
        content=listed.bytes,
        files=len(listed.files),
        ended=listed.ended,
        left_out=left_out,
    )


def _free(file: str) -> str:
    """The absolute path of a file that can be there and is not. Raises StorageError."""
    path = os.path.abspath(file)
    if not file or os.path.isdir(path) or not os.path.basename(file):
        raise StorageError(f"{file} is a folder: name a file in it" if file else "name a file to write")
    if os.path.lexists(path):
        raise StorageError(f"{file} is there already, and nothing is overwritten; name another file")
    if not os.path.isdir(os.path.dirname(path)):
        raise StorageError(f"{file} cannot be written: there is no folder {os.path.dirname(file)}; make it")
    return path


def digests(look: Look) -> list[ArchivedFile]:
    """The files of a folder as an archive of it would list them. Raises FolderError for one that cannot be read."""
    return [
        ArchivedFile(path=path, bytes=size, sha256=_digest(look, path, size))
        for path, size in _contents(look, None)
        if problem_with_path(path) is None
    ]


def _write(look: Look, reading: Reading, to: BinaryIO, *, whole: bool) -> tuple[ArchiveList, list[str]]:
    """whole: nobody writes to the folder any more."""
    files: list[ArchivedFile] = []
    left_out: list[str] = []
    with zipfile.ZipFile(to, "w", zipfile.ZIP_DEFLATED) as made:
        for path, size in _contents(look, None if whole else reading):
            if problem_with_path(path) is not None or len(files) == FILES_MOST:
                left_out.append(path)
            else:
                files.append(_add(made, look, path, size))
        info, seen = reading.info, observation(reading, look.path)
        listed = ArchiveList(
            archive=ARCHIVE_FORMAT,
            format=info.format,
            run_id=info.id,
            workspace=info.workspace,
            pipeline=info.pipeline.name,
            status=acting_status(reading.state, seen),
            created_at=info.created_at,
            ended=reading.state.done,
            runstone=VERSION,
            files=files,
        )
        made.writestr(_member(LIST, 0), msgspec.json.format(msgspec.json.encode(listed), indent=1))
    return listed, left_out


def _contents(look: Look, going_on: Reading | None) -> Iterator[tuple[str, int]]:
    """Every file of the run, sorted, and how many of its bytes belong to it.

    going_on: of a run whose driver may still write: nothing counts that came after it was read.
    """
    found = sorted((path, known.st_size) for path, known in look.files(FILES_MOST, deep=_DEEP))
    for path, size in found:
        if _is_private(path):
            continue
        if going_on is None:
            yield path, size
        elif path not in _OF_THE_END:
            counts = _counts(look, path, size, going_on)
            if counts:
                yield path, counts


def _is_private(path: str) -> bool:
    """On its way to its name, or said to a driver that is not where the archive is opened."""
    if path.startswith((f"{layout.REQUESTS}/", ".")):
        return True
    return "/." in path and not path.startswith(f"{layout.ARTIFACTS}/")


def _counts(look: Look, path: str, size: int, reading: Reading) -> int:
    if path.startswith(_LINES):
        return _whole_lines(look, path, size)
    is_record = path.startswith((f"{layout.JOURNAL}/", f"{layout.OUTPUTS}/")) and _ADOPTED not in path
    return min(size, reading.ends.get(path, 0)) if is_record else size


def _whole_lines(look: Look, path: str, size: int) -> int:
    """Up to the end of the last line that is whole."""
    descriptor = look.open(path)
    if descriptor is None:
        return 0
    try:
        start = max(0, size - _LONGEST_LINE)
        return start + read_at(descriptor, start, size - start).rfind(b"\n") + 1
    finally:
        os.close(descriptor)


def _member(name: str, size: int) -> zipfile.ZipInfo:
    """The same whenever and wherever it is written."""
    member = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
    member.create_system = 3
    member.external_attr = (stat.S_IFREG | 0o644) << 16
    member.compress_type = zipfile.ZIP_DEFLATED
    # known before it is written, so that the sizes have room in its head
    member.file_size = size
    return member


def _add(made: zipfile.ZipFile, look: Look, path: str, size: int) -> ArchivedFile:
    digest = hashlib.sha256()
    with made.open(_member(INSIDE + path, size), "w") as to:
        for data in _pieces(look, path, size):
            digest.update(data)
            to.write(data)
    return ArchivedFile(path=path, bytes=size, sha256=digest.hexdigest())


def _digest(look: Look, path: str, size: int) -> str:
    digest = hashlib.sha256()
    for data in _pieces(look, path, size):
        digest.update(data)
    return digest.hexdigest()


def _pieces(look: Look, path: str, size: int) -> Iterator[bytes]:
    """The first `size` bytes of a file. Raises FolderError if it has fewer."""
    descriptor = look.open(path)
    if descriptor is None:
        raise FolderError(f"{path} was removed while it was read; try again")
    try:
        at = 0
        while at < size:
            data = read_at(descriptor, at, min(_PIECE, size - at))
            if not data:
                raise FolderError(f"{path} became shorter while it was read; try again")
            yield data
            at += len(data)
    finally:
        os.close(descriptor)


def _publish(private: str, path: str, file: str) -> None:
    given = disk.publish(private, path)
    if given is None and not os.path.lexists(path):
        disk.move(private, path)
        given = True
    if not given:
        raise StorageError(f"{file} is there since a moment, and nothing is overwritten; name another file")

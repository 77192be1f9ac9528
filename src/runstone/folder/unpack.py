"""Opening an archive that anybody may have made: everything is checked before anything of it has its place.

What is written goes into a private folder; no name, size or checksum is believed before it was seen to be so. Nothing
is unpickled, and no more is written than was announced and fits the disk.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager

import msgspec

from runstone.core.archived import (
    ARCHIVE_FORMAT,
    FILES_MOST,
    INSIDE,
    LIST,
    LIST_LIMIT,
    ArchivedFile,
    ArchiveList,
    essence,
    problem_with_list,
    replaced,
)
from runstone.core.events import FORMAT
from runstone.errors import FolderError, FormatTooNew
from runstone.folder import disk, layout
from runstone.folder.checkpoint import LIMIT as CHECKPOINT_LIMIT
from runstone.folder.look import Look
from runstone.folder.read import read_look
from runstone.folder.sealed import seal, unseal

_PIECE = 1024 * 1024
_KEPT_FREE = 64 * 1024 * 1024
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_ENCRYPTED = 0x1
_WRONG = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    EOFError,
    OSError,
    NotImplementedError,
    RuntimeError,
    ValueError,
)
"""What is raised for bytes that are no archive, or not one of ours."""

_MANIFEST_LIMIT = 64 * 1024 * 1024


class Opened:
    """An archive that is open. listed: what it says is in it; content: the essence of the run."""

    def __init__(self, file: str, opened: zipfile.ZipFile) -> None:
        self.file = file
        self._zip = opened
        self._members = self._checked_members()
        self.listed = self._checked_list()
        self._run_json = self._read(f"{INSIDE}{layout.RUN}", layout.RUN_LIMIT)
        try:
            self.content = essence(self.listed.files, self._run_json)
        except ValueError as error:
            raise self._refusal(f"its {layout.RUN} is {error}") from None

    def _refusal(self, problem: str) -> FolderError:
        return FolderError(f"{self.file} was not imported: {problem}")

    def _checked_members(self) -> dict[str, zipfile.ZipInfo]:
        members: dict[str, zipfile.ZipInfo] = {}
        if len(self._zip.filelist) > FILES_MOST + 1:
            raise self._refusal(f"it has {len(self._zip.filelist):,} files, at most {FILES_MOST:,} are taken")
        for member in self._zip.filelist:
            name = member.filename
            kind = stat.S_IFMT(member.external_attr >> 16)
            if kind not in (0, stat.S_IFREG) or name.endswith("/"):
                raise self._refusal(f"{name!r} in it is no file, but a link, a folder or a device")
            if member.orig_filename != name or name in members:
                raise self._refusal(f"it has {name!r} twice, or under a hidden name")
            if member.compress_type not in _METHODS or member.flag_bits & _ENCRYPTED:
                raise self._refusal(f"{name!r} in it is encrypted, or compressed in a way that is not taken")
            members[name] = member
        return members

    def _checked_list(self) -> ArchiveList:
        if LIST not in self._members:
            raise self._refusal(f"it is no archive of a run: {LIST} is not in it")
        data = self._read(LIST, LIST_LIMIT)
        try:
            listed = msgspec.json.decode(data, type=ArchiveList)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise self._refusal(f"its {LIST} is damaged: {error}") from None
        if listed.archive > ARCHIVE_FORMAT or listed.format > FORMAT:
            raise FormatTooNew(
                f"{self.file} was not imported: it is in a newer format than this version reads; install a newer "
                "Runstone"
            )
        problem = problem_with_list(listed)
        if problem is not None:
            raise self._refusal(problem)
        wanted = {f"{INSIDE}{file.path}": file.bytes for file in listed.files}
        there = {name: member.file_size for name, member in self._members.items() if name != LIST}
        if wanted != there:
            differing = sorted(name for name in wanted.keys() | there.keys() if wanted.get(name) != there.get(name))
            raise self._refusal(f"{differing[0]!r} in it is not what {LIST} lists, or not listed there")
        return listed

    def _read(self, name: str, limit: int) -> bytes:
        """A small member, whole."""
        if self._members[name].file_size > limit:
            raise self._refusal(
                f"{name!r} in it has {self._members[name].file_size:,} bytes, at most {limit:,} are read"
            )
        return b"".join(self._pieces(name, self._members[name].file_size))

    def _pieces(self, name: str, size: int) -> Iterator[bytes]:
        """A member. Raises FolderError if it has another size; no more than that is ever unpacked."""
        left = size
        try:
            with self._zip.open(self._members[name]) as reader:
                # it ends where the size ends that the archive's directory tells, which is the one announced
                while data := reader.read(_PIECE):
                    left -= len(data)
                    yield data
        except _WRONG as error:
            raise self._refusal(f"{name!r} in it is damaged: {error}") from None
        if left:
            raise self._refusal(f"{name!r} in it has not the {size:,} bytes that are announced")

    def unpack(self, folder: str, *, run_id: str, workspace: str) -> None:
        """Write all of it into an empty folder, as the run `run_id` of a workspace, synced; then see that it is a run.

        Raises FolderError, StorageError; then the folder is to be thrown away.
        """
        room = shutil.disk_usage(folder).free - _KEPT_FREE
        if self.listed.bytes > room:
            raise self._refusal(f"it takes {self.listed.bytes:,} bytes, and {max(0, room):,} are free in {folder}")
        made = {folder}
        for listed in self.listed.files:
            self._place(folder, listed, made)
        self._rename(folder, run_id, workspace)
        for each in sorted(made, reverse=True):
            disk.sync_folder(each)
        self._check_run(folder, run_id)

    def _place(self, folder: str, listed: ArchivedFile, made: set[str]) -> None:
        path = f"{folder}/{listed.path}"
        above = os.path.dirname(path)
        if above not in made:
            disk.make_folder(above, parents=True)
            while above not in made:
                made.add(above)
                above = os.path.dirname(above)
        digest = hashlib.sha256()
        try:
            descriptor = disk.create(path)
        except FileExistsError:
            raise self._refusal(
                f"{listed.path!r} in it is for this system another name of another file in it"
            ) from None
        try:
            for data in self._pieces(f"{INSIDE}{listed.path}", listed.bytes):
                digest.update(data)
                disk.append(descriptor, data, path)
            disk.sync(descriptor, path)
        finally:
            disk.close(descriptor)
        if digest.hexdigest() != listed.sha256:
            raise self._refusal(f"{listed.path!r} in it is damaged: its SHA-256 is not the one listed")

    def _rename(self, folder: str, run_id: str, workspace: str) -> None:
        """Let the folder say what it is now. All else in these files stays as it was."""
        try:
            original = msgspec.json.decode(self._run_json)
            # what was imported before keeps the id it had where it was made
            origin = original.get("imported_from") or self.listed.run_id
            if original.get("id") != self.listed.run_id:
                raise self._refusal(f"its {layout.RUN} and its {LIST} name different runs")
            own = {"id": run_id, "workspace": workspace, "ledger": None, "imported_from": origin}
            disk.replace(f"{folder}/{layout.RUN}", replaced(self._run_json, own))
            disk.sync_path(f"{folder}/{layout.RUN}")
            with Look(folder) as look:
                checkpoint = unseal(look.read(layout.CHECKPOINT, CHECKPOINT_LIMIT) or b"")
                manifest = look.read(layout.MANIFEST, _MANIFEST_LIMIT)
            if checkpoint is not None:
                disk.replace(f"{folder}/{layout.CHECKPOINT}", seal(replaced(checkpoint, {"run_id": run_id})))
            if manifest is not None:
                told = {"run_id": run_id, "workspace_id": workspace}
                disk.replace(f"{folder}/{layout.MANIFEST}", replaced(manifest, told))
        except (ValueError, RecursionError, msgspec.DecodeError) as error:
            raise self._refusal(f"{layout.RUN} or {layout.MANIFEST} in it is damaged: {error}") from None

    def _check_run(self, folder: str, run_id: str) -> None:
        try:
            with Look(folder) as look:
                reading = read_look(look, bounded=False)
        except (OSError, FolderError) as error:
            raise self._refusal(f"what is in it is no run that can be read: {error}") from None
        if reading.info.id != run_id or reading.state.done != self.listed.ended:
            raise self._refusal(f"what is in it is not the run that {LIST} describes")


@contextmanager
def opened(file: str) -> Iterator[Opened]:
    """Open an archive. Raises FolderError if it is none, or none that may be opened; OSError if it cannot be read."""
    with open(file, "rb") as raw:
        try:
            found = zipfile.ZipFile(raw)
        except _WRONG as error:
            raise FolderError(f"{file} was not imported: it is no archive of a run: {error}") from None
        with found:
            yield Opened(file, found)

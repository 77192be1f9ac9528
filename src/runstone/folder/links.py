"""Giving files of an earlier run names in the folder of a new one, without copying them where that can be."""

from __future__ import annotations

import os
import secrets

from runstone.errors import FolderError
from runstone.folder import disk, layout
from runstone.folder.artifacts import fresh
from runstone.folder.look import Look, read_at

_PIECE = 1024 * 1024


class Links:
    """Gives files of an earlier run names in the new folder. copied: how many bytes had to be copied."""

    def __init__(self, folder: str, look: Look) -> None:
        """folder: of the new run. look: at the earlier one."""
        self._folder = folder
        self._look = look
        self._changed: dict[str, None] = {}
        self.copied = 0

    def give(self, path: str, length: int, block: str) -> tuple[str, bool]:
        """A pack; returns its new name, and whether it is a copy. Raises FolderError if it is not as long any more."""
        descriptor = self._look.open(path)
        if descriptor is None or os.fstat(descriptor).st_size < length:
            if descriptor is not None:
                os.close(descriptor)
            raise FolderError(f"{self._look.path}/{path} was changed or removed while it was taken over; try again")
        try:
            self._make(layout.OUTPUTS)
            while True:
                name = layout.adopted_pack(block, secrets.token_hex(4))
                try:
                    return name, self._place(descriptor, path, length, f"{self._folder}/{name}")
                except FileExistsError:
                    continue
        finally:
            os.close(descriptor)

    def give_artifact(self, path: str, length: int) -> str | None:
        """A file that was saved on purpose; None if it is gone, or not what was saved."""
        if not path.startswith(f"{layout.ARTIFACTS}/"):
            return None
        descriptor = self._look.open(path)
        if descriptor is None:
            return None
        try:
            if os.fstat(descriptor).st_size != length:
                return None
            self._make(layout.ARTIFACTS)
            for name in fresh(os.path.basename(path)):
                try:
                    self._place(descriptor, path, length, f"{self._folder}/{layout.ARTIFACTS}/{name}")
                except FileExistsError:
                    continue
                return f"{layout.ARTIFACTS}/{name}"
        finally:
            os.close(descriptor)
        return None

    def _make(self, folder: str) -> None:
        if folder not in self._changed:
            disk.make_folder(f"{self._folder}/{folder}")
            self._changed[folder] = None

    def _place(self, descriptor: int, path: str, length: int, target: str) -> bool:
        """Link a file that is open, or copy what counts of it; returns whether it was copied. Synced when it returns.

        Raises FileExistsError.
        """
        source = os.path.join(self._look.path, path)
        try:
            linked = disk.link(source, target)
        except FileNotFoundError:
            linked = False
        if linked:
            if os.path.samestat(os.lstat(target), os.fstat(descriptor)):
                # the one who wrote it may have died before its last bytes were synced
                disk.sync(descriptor, target)
                return False
            # somebody has put another file in its place meanwhile
            disk.remove(target)
        self._copy(descriptor, length, target)
        return True

    def _copy(self, descriptor: int, length: int, target: str) -> None:
        writing = disk.create(target)
        try:
            at = 0
            while at < length and (data := read_at(descriptor, at, min(_PIECE, length - at))):
                disk.append(writing, data, target)
                at += len(data)
            disk.sync(writing, target)
        finally:
            os.close(writing)
        self.copied += length

    def sync(self) -> None:
        """Bring the new names to the disk."""
        for folder in self._changed:
            disk.sync_folder(f"{self._folder}/{folder}")
        if self._changed:
            disk.sync_folder(self._folder)

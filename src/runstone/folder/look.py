"""Looking into a run folder without trusting it: nothing is written, no link is followed, nothing blocks.

A folder may be half-written, damaged or made by someone hostile. Every file is opened below the folder's own
descriptor, must be a regular file, and is read up to a limit that the caller names.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from itertools import islice
from types import TracebackType

from runstone.errors import FolderError

_FOLLOWS_NOTHING = getattr(os, "O_NOFOLLOW", 0)
_FOLDER = os.O_RDONLY | getattr(os, "O_DIRECTORY", 0) | getattr(os, "O_CLOEXEC", 0)
_FILE = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
_BELOW = os.open in os.supports_dir_fd and os.stat in os.supports_dir_fd and os.listdir in os.supports_fd

NAMES_LIMIT = 50_000

_TROUBLES = frozenset({errno.EMFILE, errno.ENFILE, errno.EIO, errno.ENOMEM, errno.ESTALE})
"""Of the machine, or of this process: they say nothing about whether a file is there."""


class Look:
    """A folder that is being looked at; close it or use it as a context manager.

    descriptor: the folder, if it is open already; it is closed with this.
    Raises FileNotFoundError or NotADirectoryError if there is no folder.
    """

    def __init__(self, path: str, descriptor: int | None = None) -> None:
        self.path = path
        self._folders: dict[str, int | None] = {}
        if _BELOW:
            self._folders[""] = os.open(path, _FOLDER) if descriptor is None else descriptor
        elif not os.path.isdir(path):
            raise FileNotFoundError(path)

    def __enter__(self) -> Look:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Give the descriptors back."""
        for descriptor in self._folders.values():
            if descriptor is not None:
                os.close(descriptor)
        self._folders.clear()

    def _folder(self, name: str) -> int | None:
        if name not in self._folders:
            above, _, last = name.rpartition("/")
            parent = self._folder(above)
            try:
                # what a folder claims may hold "..", which is no link and leads out all the same
                self._folders[name] = (
                    None
                    if parent is None or last in ("", ".", "..")
                    else os.open(last, _FOLDER | _FOLLOWS_NOTHING, dir_fd=parent)
                )
            except OSError as error:
                _raise_unless_absent(error, name)
                self._folders[name] = None
        return self._folders[name]

    def _outside(self, relative: str) -> bool:
        path = self.path
        for part in relative.split("/"):
            path = os.path.join(path, part)
            if part in ("", ".", "..") or os.path.islink(path):
                return True
        return False

    def stat(self, relative: str) -> os.stat_result | None:
        """What the system says about a regular file, None if it is absent or anything else."""
        try:
            if _BELOW:
                folder, _, name = relative.rpartition("/")
                descriptor = self._folder(folder)
                if descriptor is None:
                    return None
                found = os.stat(name, dir_fd=descriptor, follow_symlinks=False)
            else:
                if self._outside(relative):
                    return None
                found = os.stat(os.path.join(self.path, relative))
        except (OSError, ValueError):
            return None
        return found if stat.S_ISREG(found.st_mode) else None

    def open(self, relative: str) -> int | None:
        """A descriptor for a regular file, which the caller closes; None if it is absent or anything else.

        Raises FolderError if it is there and this user may not read it.
        """
        try:
            if _BELOW:
                folder, _, name = relative.rpartition("/")
                parent = self._folder(folder)
                if parent is None:
                    return None
                descriptor = os.open(name, _FILE | _FOLLOWS_NOTHING, dir_fd=parent)
            else:
                if self._outside(relative):
                    return None
                descriptor = os.open(os.path.join(self.path, relative), _FILE)
        except OSError as error:
            _raise_unless_absent(error, relative)
            return None
        except ValueError:
            return None
        if stat.S_ISREG(os.fstat(descriptor).st_mode):
            return descriptor
        os.close(descriptor)
        return None

    def read(self, relative: str, limit: int) -> bytes | None:
        """A whole file, None if it is absent. Raises FolderError if it cannot be read or is longer than `limit`."""
        descriptor = self.open(relative)
        if descriptor is None:
            return None
        try:
            size = os.fstat(descriptor).st_size
            if size > limit:
                raise FolderError(f"{relative} has {size:,} bytes; at most {limit:,} are read")
            return read_at(descriptor, 0, size)
        except OSError as error:
            raise FolderError(f"{relative} cannot be read: {error.strerror}") from error
        finally:
            os.close(descriptor)

    def inside(self, folder: str) -> Look | None:
        """A folder of the run, to be looked at by itself and closed; None if it is absent or not a folder.

        For runs with more folders than a process may have open: what is opened here is given back when it is closed.
        """
        above, _, last = folder.rpartition("/")
        if not _BELOW:
            path = os.path.join(self.path, folder)
            return None if self._outside(folder) or not os.path.isdir(path) else Look(path)
        try:
            parent = self._folder(above)
            if parent is None or last in ("", ".", ".."):
                return None
            descriptor = os.open(last, _FOLDER | _FOLLOWS_NOTHING, dir_fd=parent)
        except OSError as error:
            _raise_unless_absent(error, folder)
            return None
        except ValueError:
            return None
        return Look(os.path.join(self.path, folder), descriptor)

    def files(self, limit: int, deep: int = 0) -> Iterator[tuple[str, os.stat_result]]:
        """Every regular file in this folder with its name, in any order; at most `limit` entries are looked at.

        deep: so many levels of folders below it are entered; a file there is named by its path from here.
        """
        folders = []
        try:
            with os.scandir(self._folders[""] if _BELOW else self.path) as entries:
                for entry in islice(entries, limit):
                    limit -= 1
                    try:
                        found = entry.stat(follow_symlinks=False)
                    except OSError:
                        # gone since it was listed
                        continue
                    if stat.S_ISREG(found.st_mode):
                        yield entry.name, found
                    elif deep and stat.S_ISDIR(found.st_mode):
                        folders.append(entry.name)
        except OSError:
            return
        for folder in folders:
            inner = self.inside(folder) if limit > 0 else None
            if inner is None:
                continue
            with inner:
                for name, found in inner.files(limit, deep - 1):
                    limit -= 1
                    yield f"{folder}/{name}", found

    def names(self, folder: str) -> list[str]:
        """The names in a folder of the run, sorted, at most `NAMES_LIMIT`; none if it is absent or not a folder."""
        try:
            if _BELOW:
                descriptor = self._folder(folder)
                if descriptor is None:
                    return []
                with os.scandir(descriptor) as entries:
                    return sorted(entry.name for entry in islice(entries, NAMES_LIMIT))
            if self._outside(folder):
                return []
            with os.scandir(os.path.join(self.path, folder)) as entries:
                return sorted(entry.name for entry in islice(entries, NAMES_LIMIT))
        except OSError:
            return []


def _raise_unless_absent(error: OSError, relative: str) -> None:
    if isinstance(error, PermissionError):
        raise FolderError(f"{relative} cannot be read: permission denied") from error
    if error.errno in _TROUBLES:
        raise FolderError(f"{relative} cannot be read: {(error.strerror or str(error)).lower()}") from error


if hasattr(os, "pread"):

    def read_at(descriptor: int, offset: int, length: int) -> bytes:
        """Up to `length` bytes from `offset` on; fewer at the end of the file."""
        data = os.pread(descriptor, length, offset)
        if len(data) == length or not data:
            return data
        pieces = [data]
        got = len(data)
        while got < length and (data := os.pread(descriptor, length - got, offset + got)):
            pieces.append(data)
            got += len(data)
        return b"".join(pieces)

else:

    def read_at(descriptor: int, offset: int, length: int) -> bytes:
        """Up to `length` bytes from `offset` on; fewer at the end of the file."""
        os.lseek(descriptor, offset, os.SEEK_SET)
        pieces = []
        while length > 0 and (data := os.read(descriptor, length)):
            pieces.append(data)
            length -= len(data)
        return b"".join(pieces)

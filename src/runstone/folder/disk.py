"""Every way in which a run folder is changed; nothing else writes to one.

The disk's refusals become `StorageError` here, once. Paths are absolute.
"""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Sequence

from runstone.errors import StorageError

_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
_ADD = os.O_WRONLY | os.O_CREAT | os.O_APPEND | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NOFOLLOW", 0)
_HIGH = 512
_BUFFERS = min(getattr(os, "IOV_MAX", 1024), 1024)

_ADVICE = {
    errno.ENOSPC: "the disk is full: free space, then run again; what was recorded before is kept",
    errno.EDQUOT: "the disk quota is used up: free space, then run again; what was recorded before is kept",
    errno.EROFS: "the file system is read-only: choose another run_folder",
    errno.EACCES: "permission denied: choose a run_folder that this user may write to",
    errno.EPERM: "permission denied: choose a run_folder that this user may write to",
    errno.ENOENT: "the folder is gone: it was moved or deleted during the run",
    errno.EIO: "the disk reports an input/output error",
    errno.ENAMETOOLONG: "the name is too long for this file system: choose a shorter run_folder",
    errno.ENOTDIR: "a part of the path is a file, not a folder",
}


def refused(error: OSError, path: str) -> StorageError:
    """The error to raise for what the system answered about `path`."""
    advice = _ADVICE.get(error.errno or 0, (error.strerror or str(error)).lower())
    return StorageError(f"cannot write {path}: {advice}")


def make_folder(path: str, *, parents: bool = False, new: bool = False) -> None:
    """Make a folder. new: raise FileExistsError if it is there already."""
    try:
        os.mkdir(path)
    except FileExistsError:
        if new or not os.path.isdir(path):
            raise
    except FileNotFoundError as error:
        parent = os.path.dirname(path)
        if not os.path.isdir(parent):
            if not parents:
                raise refused(error, path) from error
            make_folder(parent, parents=True)
        _make_inside(parent, path, new=new)
    except OSError as error:
        raise refused(error, path) from error


def _make_inside(parent: str, path: str, *, new: bool) -> None:
    """Make a folder whose parent is there by now: somebody else may have made it just before us."""
    try:
        os.mkdir(path)
    except FileExistsError:
        if new or not os.path.isdir(path):
            raise
    except FileNotFoundError as error:
        # as /proc answers
        raise StorageError(
            f"cannot write {path}: the system lets nothing be made in {parent}; choose another run_folder"
        ) from error
    except OSError as error:
        raise refused(error, path) from error


def create(path: str) -> int:
    """Create a file that is not there yet, for appending; returns its descriptor. Raises FileExistsError."""
    try:
        return _out_of_the_way(os.open(path, _CREATE, 0o666))
    except FileExistsError:
        raise
    except OSError as error:
        raise refused(error, path) from error


def open_to_append(path: str) -> int:
    """Open a file that several processes append to, or create it; returns its descriptor."""
    try:
        return _out_of_the_way(os.open(path, _ADD | getattr(os, "O_BINARY", 0), 0o666))
    except OSError as error:
        raise refused(error, path) from error


def _out_of_the_way(descriptor: int) -> int:
    # Code that closes what it did not open closes small numbers, and gives them to the next file it opens: records must
    # then fail, not go there.
    try:
        import fcntl

        high = fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, _HIGH)
    except (ImportError, OSError):
        return descriptor
    os.close(descriptor)
    return high


def append(descriptor: int, data: bytes | memoryview, path: str) -> None:
    """Hand bytes to the kernel: once this returns they survive the death of any process."""
    try:
        written = os.write(descriptor, data)
        while written < len(data):
            written += os.write(descriptor, memoryview(data)[written:])
    except OSError as error:
        raise refused(error, path) from error


def append_all(descriptor: int, buffers: Sequence[bytes | memoryview], path: str) -> None:
    """`append` for several buffers that belong together, without joining them first."""
    if len(buffers) == 1 or not hasattr(os, "writev"):
        append(descriptor, b"".join(buffers), path)
        return
    try:
        for first in range(0, len(buffers), _BUFFERS):
            part = buffers[first : first + _BUFFERS]
            expected = sum(len(memoryview(buffer).cast("B")) if buffer else 0 for buffer in part)
            written = os.writev(descriptor, part)
            if written < expected:
                append(descriptor, b"".join(part)[written:], path)
    except OSError as error:
        raise refused(error, path) from error


def close(descriptor: int) -> None:
    """Let go of a file; user code may have done so already."""
    try:
        os.close(descriptor)
    except OSError:
        return


def cut(descriptor: int, length: int, path: str) -> None:
    """Take a half-written record off the end of a file that only this process writes."""
    try:
        os.ftruncate(descriptor, length)
    except OSError as error:
        raise refused(error, path) from error


def sync(descriptor: int, path: str) -> None:
    """Bring the content of a file to the disk: it survives the death of the machine."""
    try:
        os.fsync(descriptor)
    except OSError as error:
        raise refused(error, path) from error


def sync_path(path: str) -> None:
    """`sync` for a file that is not open."""
    try:
        descriptor = os.open(path, os.O_RDWR | getattr(os, "O_CLOEXEC", 0))
    except OSError as error:
        raise refused(error, path) from error
    try:
        sync(descriptor, path)
    finally:
        os.close(descriptor)


def hasten(path: str, descriptor: int | None = None) -> None:
    """Let the kernel begin to write a file that is about to be synced; nothing is promised."""
    if not hasattr(os, "posix_fadvise"):
        return
    try:
        opened = os.open(path, os.O_RDWR | os.O_CLOEXEC) if descriptor is None else descriptor
        try:
            os.posix_fadvise(opened, 0, 0, os.POSIX_FADV_DONTNEED)
        finally:
            if descriptor is None:
                os.close(opened)
    except OSError:
        # the sync itself will say what is wrong
        return


def sync_folder(path: str) -> None:
    """Bring the names in a folder to the disk."""
    if sys.platform == "win32":
        return
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise refused(error, path) from error
    try:
        os.fsync(descriptor)
    except OSError as error:
        # some network file systems do not sync folders; they also do not need it
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise refused(error, path) from error
    finally:
        os.close(descriptor)


def replace(path: str, data: bytes) -> None:
    """Put a whole file in place of what is there, so that a reader sees the old or the new one, never a part."""
    beside = f"{os.path.dirname(path)}/.{os.path.basename(path)}.{os.getpid()}.tmp"
    try:
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | getattr(os, "O_CLOEXEC", 0), 0o666)
        try:
            append(descriptor, data, path)
        finally:
            os.close(descriptor)
        os.replace(beside, path)
    except StorageError:
        remove(beside)
        raise
    except OSError as error:
        remove(beside)
        raise refused(error, path) from error


def publish(private: str, path: str) -> bool | None:
    """Give a complete private file its public name, unless that name is taken; tells whether it was given.

    Of any number of contenders exactly one gets True. None where the file system has no links.
    """
    try:
        os.link(private, path)
    except FileExistsError:
        return False
    except OSError as error:
        if error.errno in (errno.EPERM, errno.ENOTSUP, errno.ENOSYS, errno.EOPNOTSUPP, errno.EMLINK):
            return None
        raise refused(error, path) from error
    return True


def link(source: str, path: str) -> bool:
    """Give a file a second name, which must be new; False where the system refuses links between the two."""
    try:
        os.link(source, path, follow_symlinks=os.link not in os.supports_follow_symlinks)
    except (FileExistsError, FileNotFoundError):
        raise
    except (OSError, NotImplementedError):
        # another file system, another owner, too many links: whatever it is, the bytes can be copied
        return False
    return True


def move(source: str, path: str) -> None:
    """Give a folder another name in the same file system."""
    try:
        os.rename(source, path)
    except OSError as error:
        raise refused(error, path) from error


def remove_folder(path: str) -> None:
    """Remove a folder of our own if it is there and nothing is in it."""
    try:
        os.rmdir(path)
    except OSError:
        return


def remove(path: str) -> None:
    """Remove a file of our own if it is there."""
    try:
        os.unlink(path)
    except OSError:
        return

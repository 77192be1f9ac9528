"""A sign that one of us is writing in a ledger, for those who cannot tell by the ledger itself: it is merely locked.

Where a system has no such locks nobody sees it, and a ledger in use may be taken for one that is held.
"""

from __future__ import annotations

import contextlib
import os
import sys

if sys.platform != "win32":
    import fcntl


class Sign:
    """Put up at a folder, within `with`; it goes with the process that has put it up. Never raises, nor waits."""

    def __init__(self, folder: str) -> None:
        self._descriptor: int | None = None
        if sys.platform != "win32":
            with contextlib.suppress(OSError):
                self._descriptor = os.open(folder or ".", os.O_RDONLY | os.O_CLOEXEC)

    def __enter__(self) -> None:
        if sys.platform != "win32":
            # Shared: each writer of each ledger in the folder has its own. Somebody may have locked the folder for
            # something else: the ledger is not to be held until they are done.
            self._lock(fcntl.LOCK_SH | fcntl.LOCK_NB)

    def __exit__(self, *exception: object) -> None:
        self._take_down()

    def is_up(self) -> bool:
        """Whether anybody else has it up just now."""
        if sys.platform != "win32" and self._descriptor is not None:
            try:
                fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return True
            except OSError:
                return False
            self._take_down()
        return False

    def close(self) -> None:
        """It is not needed any more."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            with contextlib.suppress(OSError):
                os.close(descriptor)

    def _take_down(self) -> None:
        if sys.platform != "win32":
            self._lock(fcntl.LOCK_UN)

    def _lock(self, how: int) -> None:
        if sys.platform != "win32" and self._descriptor is not None:
            with contextlib.suppress(OSError):
                fcntl.flock(self._descriptor, how)

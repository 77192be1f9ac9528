"""A sign that one of us is writing in a ledger, for those who cannot tell by the ledger itself: it is merely locked."""

from __future__ import annotations

import contextlib
import fcntl
import os


class Sign:
    """Put up at a folder, within `with`; it goes with the process that has put it up. Never raises."""

    def __init__(self, folder: str) -> None:
        self._descriptor: int | None = None
        with contextlib.suppress(OSError):
            self._descriptor = os.open(folder or ".", os.O_RDONLY | os.O_CLOEXEC)

    def __enter__(self) -> None:
        # shared: each writer of each ledger in the folder has its own
        self._lock(fcntl.LOCK_SH)

    def __exit__(self, *exception: object) -> None:
        self._lock(fcntl.LOCK_UN)

    def is_up(self) -> bool:
        """Whether anybody else has it up just now."""
        if self._descriptor is None:
            return False
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        except OSError:
            return False
        self._lock(fcntl.LOCK_UN)
        return False

    def close(self) -> None:
        """It is not needed any more."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            with contextlib.suppress(OSError):
                os.close(descriptor)

    def _lock(self, how: int) -> None:
        if self._descriptor is not None:
            with contextlib.suppress(OSError):
                fcntl.flock(self._descriptor, how)

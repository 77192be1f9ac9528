"""What Linux can do for a guard and Python has no name for: adoption, death with the parent, names of processes."""

from __future__ import annotations

import ctypes
import functools
import os
import signal
from collections.abc import Callable

_SET_DEATH_SIGNAL = 1
_SET_NAME = 15
_SET_CHILD_SUBREAPER = 36


@functools.cache
def _prctl() -> Callable[..., int]:
    function: Callable[..., int] = ctypes.CDLL(None, use_errno=True).prctl
    return function


def _call(option: int, argument: object) -> None:
    zero = ctypes.c_ulong(0)
    if _prctl()(option, argument, zero, zero, zero):
        number = ctypes.get_errno()
        raise OSError(number, f"prctl({option}): {os.strerror(number)}")


def adopt_orphans() -> None:
    """From now on whoever loses its parent, anywhere below this process, becomes a child of this one."""
    _call(_SET_CHILD_SUBREAPER, ctypes.c_ulong(1))


def die_with(parent: int) -> None:
    """Be killed as soon as the thread that has forked this process ends; at once if `parent` is no longer there."""
    _call(_SET_DEATH_SIGNAL, ctypes.c_ulong(signal.SIGKILL))
    if os.getppid() != parent:
        os.kill(os.getpid(), signal.SIGKILL)


def set_name(name: str) -> None:
    """Name this process in listings, in at most 15 bytes."""
    _call(_SET_NAME, ctypes.c_char_p(name.encode()[:15]))

"""Starting a guard: a new interpreter with the settings of this one, in a session of its own."""

from __future__ import annotations

import fcntl
import marshal
import os
import signal
import socket
import sys
from collections.abc import Sequence

from runstone.engine.guard import trees
from runstone.errors import RunstoneError

# The only descriptor besides 0, 1 and 2 that the guard is given.
_CONTROL = 3
_PROGRAM = (
    "import gc, os, sys, marshal; gc.disable(); "
    f"sys.path[:], sys.argv[:], given = marshal.loads(os.read({_CONTROL}, 1 << 20)); "
    "from runstone.engine.guard.entry import main; main(*given)"
)


def start(control: socket.socket, theirs: socket.socket, token: str, preload: Sequence[str]) -> int:
    """Start a guard that listens on `theirs`; returns its pid at once, before it is ready.

    The terminal's signals do not reach it, nor its workers. Raises RunstoneError where there is no interpreter to
    start, OSError where there is no room for a process.
    """
    if not sys.executable:
        raise RunstoneError("this Python does not know its own executable, so no worker processes can be started")
    given = (_CONTROL, os.getpid(), token, list(preload))
    control.send(marshal.dumps((paths(), list(sys.argv), given)))
    # out of the way of the descriptors that are set below, which a driver may have closed
    high = fcntl.fcntl(theirs, fcntl.F_DUPFD_CLOEXEC, 10)
    actions: list[tuple[int, int, str, int, int] | tuple[int, int, int]] = [
        (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
        (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0),
        (os.POSIX_SPAWN_DUP2, high, _CONTROL),
    ]
    if not is_open(2):
        actions.append((os.POSIX_SPAWN_OPEN, 2, os.devnull, os.O_WRONLY, 0))
    try:
        return os.posix_spawn(
            sys.executable,
            [sys.executable, *interpreter_flags(), "-c", _PROGRAM],
            trees.with_mark(token, dict(os.environ)),
            file_actions=actions,
            setsid=True,
            setsigmask=(),
            setsigdef=(signal.SIGCHLD, signal.SIGPIPE, signal.SIGALRM),
        )
    finally:
        os.close(high)


def paths() -> list[str]:
    """Where this interpreter finds modules."""
    return [str(path) for path in sys.path if isinstance(path, str)]


def is_open(descriptor: int) -> bool:
    """Whether there is such a descriptor."""
    try:
        os.fstat(descriptor)
    except OSError:
        return False
    return True


def interpreter_flags() -> list[str]:
    """The command-line flags with which another interpreter behaves as this one."""
    flags = sys.flags
    letters = {
        "d": flags.debug,
        "I": flags.isolated,
        "E": flags.ignore_environment and not flags.isolated,
        "s": flags.no_user_site and not flags.isolated,
        "P": flags.safe_path and not flags.isolated,
        "B": flags.dont_write_bytecode,
        "S": flags.no_site,
        "O": flags.optimize,
        "b": flags.bytes_warning,
    }
    given = ["-" + letter * int(count) for letter, count in letters.items() if count]
    given += [f"-W{option}" for option in sys.warnoptions]
    for name, value in sys._xoptions.items():
        given += ["-X", name if value is True else f"{name}={value}"]
    return given

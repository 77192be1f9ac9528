"""What a worker process says, down to its file descriptors.

From Python: recorded by the worker itself, a line as soon as it is complete, and echoed to the driver, which shows it.
Everything else that comes out of descriptors 1 and 2 (C code, processes that a block starts, the interpreter as it
crashes) goes through pipes whose other ends the driver holds; see `engine.worker_output`.
"""

from __future__ import annotations

import fcntl
import logging
import os
import sys
import termios
import time

from runstone.engine import capture, echo, log_relay

_pipes: list[int] = []
_LINE_BUFFERED = 1
"""_IOLBF of the C library."""


def install(stdout: int, stderr: int, echoes: int) -> None:
    """Let everything this process says go to its driver from now on; called once, before any code of a user.

    The three are descriptors handed over by the driver: `WorkerOutput.theirs`; they stay open. What is recorded, and
    for which block, is up to `capture.Recording`, entered for each block run.
    """
    capture.forget()
    for ours, number in ((stdout, 1), (stderr, 2)):
        os.dup2(ours, number)
        os.set_inheritable(ours, False)
    _pipes[:] = stdout, stderr
    os.set_inheritable(echoes, False)
    _write_lines_at_once()
    sys.stdout = echo.echo_stream(echoes, "stdout")
    sys.stderr = echo.echo_stream(echoes, "stderr")

    def unfinished(stream: str) -> None:
        echo.send(echoes, echo.KEPT[stream])

    def relay(logger: logging.Logger, record: logging.LogRecord) -> bool:
        # A block that sets up handlers of its own wants those.
        data = None if log_relay.has_own_handlers(logger) else log_relay.packed(record)
        if data is not None:
            echo.send(echoes, echo.Kind.RECORD, data)
        return data is not None

    capture.stay(unfinished, relay)


def settle(seconds: float = 0.05) -> None:
    """Wait until the driver has read what came out of the descriptors so far, but not longer than this.

    To be called before the element changes that such output is attributed to: two calls of the system, 1 us, if there
    is none.
    """
    deadline = 0.0
    for pipe in _pipes:
        while _unread(pipe):
            now = time.monotonic()
            deadline = deadline or now + seconds
            if now >= deadline:
                return
            time.sleep(0.0002)


def _unread(pipe: int) -> int:
    try:
        length = fcntl.ioctl(pipe, termios.FIONREAD, b"\0\0\0\0")
    except OSError:
        # code that closes what it did not open
        return 0
    return int.from_bytes(length, sys.byteorder)


def _write_lines_at_once() -> None:
    """Let C code that prints a line have written it, as it would to a terminal, and not 4 KB later or never."""
    try:
        import ctypes

        library = ctypes.CDLL(None)
        library.setvbuf(ctypes.c_void_p.in_dll(library, "stdout"), None, _LINE_BUFFERED, 0)
    except (ImportError, OSError, AttributeError, TypeError, ValueError):
        # a C library of another kind: its lines come when its buffer is full, or the worker ends
        return

"""The processes of this machine as /proc tells them. Linux only.

A pid alone is no identity: it is used again. A process is known by its pid and the ticks at which it started.
"""

from __future__ import annotations

import functools
import os
import signal
from collections.abc import Iterator
from typing import NamedTuple


class Process(NamedTuple):
    """A process at one moment. started: ticks since boot; alive: it can still run code, so no zombie."""

    pid: int
    parent: int
    session: int
    started: int
    alive: bool

    @property
    def identity(self) -> tuple[int, int]:
        """What no other process has until the machine starts again."""
        return self.pid, self.started


def look(pid: int) -> Process | None:
    """A process as it is now, None if there is none. Raises OSError where that cannot be told, lacking descriptors."""
    try:
        with open(f"/proc/{pid}/stat", "rb", buffering=0) as file:
            content = file.read(4096)
    except (FileNotFoundError, ProcessLookupError):
        return None
    # the name in parentheses may hold anything, so count the fields from its end
    fields = content[content.rfind(b")") + 2 :].split()
    if len(fields) < 20:
        return None
    # a leader that has called pthread_exit looks like a zombie, and its other threads go on working
    dead = fields[0] in (b"Z", b"X", b"x") and int(fields[17]) <= 1
    return Process(pid, int(fields[1]), int(fields[3]), int(fields[19]), not dead)


def everyone() -> Iterator[Process]:
    """All processes that this one can see, those with the highest pids first, which are mostly the newest."""
    for name in reversed(os.listdir("/proc")):
        if name.isdigit() and (process := look(int(name))):
            yield process


@functools.cache
def _kernel_lists_children() -> bool:
    return os.path.exists(f"/proc/self/task/{os.getpid()}/children")


def children(pid: int) -> list[int]:
    """The pids of a process's children, dead ones that nobody has waited for included; [] if it is gone.

    While children come and go, one may be missed; the next look finds it.
    """
    if not _kernel_lists_children():
        return [process.pid for process in everyone() if process.parent == pid]
    found: list[int] = []
    try:
        for thread in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{thread}/children", "rb") as file:
                found += map(int, file.read().split())
    except (FileNotFoundError, ProcessLookupError):
        pass
    return found


def command_line(pid: int) -> str:
    """What a process was started with, at most 160 characters; the name the kernel knows where there is none."""
    for file in ("cmdline", "comm"):
        try:
            with open(f"/proc/{pid}/{file}", "rb", buffering=0) as content:
                text = content.read(640).replace(b"\0", b" ").decode(errors="replace").strip()
        except OSError:
            continue
        if text:
            return text if len(text) <= 160 else text[:159] + "…"
    return ""


def environment(pid: int) -> bytes:
    """The environment a process was started with, `NAME=value` ended by NUL each; b"" if it may not be read."""
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:
            return file.read()
    except OSError:
        return b""


def send(process: Process, number: signal.Signals) -> bool:
    """Signal this very process, and never another one that got its pid. False if it was not reached."""
    try:
        handle = os.pidfd_open(process.pid)
    except ProcessLookupError:
        return False
    except (OSError, AttributeError):
        # an old kernel, or no descriptor left: what remains is a moment between the look and the signal
        return _send_by_pid(process, number)
    try:
        # with the handle in hand the pid can be given away, but the handle stays with whom we see now
        if not _is_same(process):
            return False
        signal.pidfd_send_signal(handle, number)
    except OSError:
        return False
    finally:
        os.close(handle)
    return True


def _is_same(process: Process) -> bool:
    now = look(process.pid)
    return now is not None and now.started == process.started


def _send_by_pid(process: Process, number: signal.Signals) -> bool:
    if not _is_same(process):
        return False
    try:
        os.kill(process.pid, number)
    except OSError:
        return False
    return True

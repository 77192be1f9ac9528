"""The driver's side of the guard: ask for workers, ask for their end, hear how they died."""

from __future__ import annotations

import errno
import math
import os
import select
import signal
import socket
import sys
import time
from collections.abc import Sequence

from runstone.core.receipts import Receipt
from runstone.engine.guard import processes, start, trees, wire
from runstone.engine.guard.changes import Change, Died, Ended, GuardLost

# What a worker needs before it can do anything.
PRELOAD = ("msgspec", "cloudpickle", "runstone.engine.worker")
# Seconds after which a guard that does not do what it was asked for is taken for dead.
PATIENCE = 5.0


class Child:
    """A worker. pid: None until `poll` has heard that it was forked; channel: this end of the line to it, which
    whoever uses it closes."""

    def __init__(self, number: int, label: str, channel: socket.socket) -> None:
        self.number = number
        self.label = label
        self.channel = channel
        self.pid: int | None = None

    def __repr__(self) -> str:
        return f"<Child {self.label!r}, pid {self.pid}>"


class Guard:
    """A process that forks workers for this one, and ends them, and all they have started, when this one dies.

    Starts it, and does not wait until it is ready. Nothing here waits, except where it says so. To be used by one
    thread of the process that made it.

    preload: modules that the guard imports once for all workers; without effect those that cannot be imported.
    pid: the guard's. token: the mark of all processes under it; should this process and the guard be killed in one
    moment, `trees.end_marked` ends by it what their workers had started.
    """

    def __init__(self, preload: Sequence[str] = PRELOAD) -> None:
        self.token = os.urandom(12).hex()
        # for a process that has no descriptor left when it must look for what a dead guard has left behind
        self._spare: tuple[int, ...] = os.pipe2(os.O_CLOEXEC)
        try:
            self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        except OSError:
            self._give_spare()
            raise
        try:
            self.pid = start.start(self._control, theirs, self.token, preload)
        except BaseException:
            self._control.close()
            self._give_spare()
            raise
        finally:
            theirs.close()
        # its start tells it from a later process of the same pid
        self._process = processes.look(self.pid)
        self._control.setblocking(False)
        self._owner = os.getpid()
        self._numbers = 0
        self._children: dict[int, Child] = {}
        self._overdue_at: dict[int, float] = {}
        self._told: tuple[dict[str, str], list[str], list[str]] | None = None
        self._is_silent = False
        self._is_over = False

    def fileno(self) -> int:
        """Readable when `poll` has something to tell."""
        return self._control.fileno()

    @property
    def look_at(self) -> float | None:
        """When to call `poll` even if there is nothing to read, by time.monotonic(): a guard that was stopped says
        nothing, and is then replaced by this process. None: no need."""
        if self._is_over:
            return None
        return time.monotonic() if self._is_silent else min(self._overdue_at.values(), default=None)

    def spawn(self, main: str, label: str, *, extra_fds: Sequence[int] = ()) -> Child:
        """Fork a worker that calls `main`, "module:function", as `function(channel, *extra_fds)`.

        It has this process's environment, directory, outputs, sys.path and sys.argv of now, and no descriptor but
        those. It ignores SIGINT. label: what it is called in listings and receipts. If it cannot be forked, `poll`
        tells a `Died` with a problem. Raises OSError when this process has no descriptor left.
        """
        here, there = socket.socketpair()
        child = Child(self._numbers, label, here)
        opened = [there.detach()]
        try:
            for output in (1, 2):
                if start.is_open(output):
                    opened.append(os.dup(output))
                else:
                    opened.append(os.open(os.devnull, os.O_WRONLY))
            directory = _current_directory()
            opened += directory
            surroundings = (dict(os.environ), start.paths(), list(sys.argv))
            news = [new if self._told is None or new != self._told[i] else None for i, new in enumerate(surroundings)]
            order = wire.Spawn(
                number=child.number,
                main=main,
                label=label,
                has_directory=bool(directory),
                environ=surroundings[0] if news[0] is not None else None,
                path=surroundings[1] if news[1] is not None else None,
                arguments=surroundings[2] if news[2] is not None else None,
            )
            self._send(order, [*opened, *extra_fds])
        except BaseException:
            here.close()
            raise
        finally:
            wire.close(opened)
        self._told = surroundings
        self._numbers += 1
        self._children[child.number] = child
        return child

    def end(self, child: Child, *, grace: float, reason: str = "") -> None:
        """End a worker and all it has started: SIGTERM now, SIGKILL after `grace` seconds, at once if that is 0.

        Asked again, the shorter time counts. `poll` tells `Died` and then `Ended` when nothing of it lives, also if it
        was dead before; `Ended` with an unfinished receipt if 5 s of SIGKILL were in vain.
        """
        self._send(wire.End(number=child.number, grace=grace, reason=reason), [])
        self._children[child.number] = child
        overdue_at = time.monotonic() + grace + 2 * PATIENCE
        self._overdue_at[child.number] = min(overdue_at, self._overdue_at.get(child.number, overdue_at))

    def poll(self) -> list[Change]:
        """What has happened since it was last asked. After a `GuardLost` there is nothing more.

        Waits, for 2 s at most, only in order to kill what a dead guard has left behind.
        """
        changes: list[Change] = []
        while not self._is_over:
            try:
                packet, _, _ = wire.receive(self._control)
            except BlockingIOError:
                break
            except OSError:
                packet = b""
            if not packet:
                self._is_silent = True
                break
            changes += self._heard(wire.received_by_driver(packet))
        if not self._is_over and (self._is_silent or (self.look_at or math.inf) < time.monotonic()):
            changes.append(GuardLost(receipt=self._replace_guard("the guard is dead")))
        return changes

    def close(self, grace: float = 0.0) -> None:
        """End all workers and the guard: SIGTERM, after `grace` seconds SIGKILL. Waits for that, 5 s longer at most.

        May be called twice. In a forked copy of this process it only lets go.
        """
        if os.getpid() == self._owner and not self._is_over:
            self._send(wire.Leave(grace=grace), [])
            if self._is_silent or not self._guard_exits(grace + PATIENCE):
                self._replace_guard("the pool is closed")
            else:
                self._wait_for_guard()
        self._is_over = True
        self._control.close()
        self._give_spare()

    def _heard(self, message: wire.Started | wire.Dead | wire.Finished) -> list[Change]:
        child = self._children[message.number]
        if isinstance(message, wire.Started):
            child.pid = message.pid
            return []
        if isinstance(message, wire.Finished):
            self._overdue_at.pop(message.number, None)
            self._children.pop(message.number, None)
            return [Ended(child=child, receipt=message.receipt)]
        if message.number not in self._overdue_at:
            del self._children[message.number]
        return [
            Died(
                child=child,
                at=message.at,
                exit_code=message.exit_code,
                signal=message.signal,
                peak_memory=message.peak_memory,
                cpu_seconds=message.cpu_seconds,
                out_of_memory=message.out_of_memory,
                problem=message.problem,
            )
        ]

    def _send(self, message: wire.Spawn | wire.End | wire.Leave, descriptors: list[int]) -> None:
        """Tell the guard; waits only while the kernel has no room for more. A guard that is dead shows in `poll`."""
        packet = wire.pack(message)
        give_up_at = time.monotonic() + PATIENCE
        while not self._is_silent and not self._is_over:
            try:
                wire.send(self._control, packet, descriptors)
                return
            except OSError as error:
                if error.errno in (errno.EPIPE, errno.ECONNRESET) or time.monotonic() > give_up_at:
                    self._is_silent = True
                elif error.errno not in (errno.EAGAIN, errno.ETOOMANYREFS, errno.ENOBUFS):
                    raise
                else:
                    time.sleep(0.001)

    def _guard_exits(self, timeout: float) -> bool:
        """Whether it ends by itself within that time."""
        poll = select.poll()
        poll.register(self._control, select.POLLHUP)
        return bool(poll.poll(timeout * 1000))

    def _replace_guard(self, reason: str) -> Receipt:
        """Do what the guard would do: kill everything that it or its workers have started."""
        self._give_spare()
        if self._process is not None:
            processes.send(self._process, signal.SIGKILL)
        # not waited for before, so that its pid, which names the session, stays its own
        receipt = trees.end_marked(self.token, session=self.pid, reason=reason)
        self._wait_for_guard()
        self._overdue_at.clear()
        self._is_over = True
        return receipt

    def _give_spare(self) -> None:
        spare, self._spare = self._spare, ()
        wire.close([*spare])

    def _wait_for_guard(self) -> None:
        try:
            os.waitpid(self.pid, 0)
        except ChildProcessError:
            # somebody in this process waits for every child
            pass


def _current_directory() -> list[int]:
    """A descriptor of where this process is, also if that was deleted; none if it may not be looked at."""
    try:
        return [os.open(".", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)]
    except (PermissionError, FileNotFoundError):
        return []

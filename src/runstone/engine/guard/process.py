"""The guard: forks workers, tells of their deaths, and lets nothing outlive the driver.

It has one thread and does nothing that blocks. While it lives it is the parent that orphans below it are given to, so
a child of it that is not a worker is something that a dead worker has left behind. When it is killed itself, the
kernel kills its workers, and the driver looks for the rest by their mark.
"""

from __future__ import annotations

import os
import resource
import select
import signal
import socket
import sys
import time

from runstone.engine.guard import endings, processes, trees, wire
from runstone.engine.guard.memory import KillCounter
from runstone.engine.guard.worker import Job
from runstone.folder import clock

# Seconds between SIGTERM and SIGKILL when the driver is dead.
LAST_GRACE = 0.3
# How long news are kept back, in seconds, because something that a dead worker had started still lives.
MOST_DELAY = 1.0
# Seconds between looks at the counter of kills for lack of memory.
LOOK_EVERY = 10.0
# Stands among the numbers of workers for all of them.
EVERYBODY = -1


class _Worker:
    def __init__(self, number: int, label: str, process: processes.Process) -> None:
        self.number = number
        self.label = label
        self.process = process
        self.endings: list[endings.Ending] = []


class GuardProcess:
    """State and loop of the guard. driver: the pid whose death is the end of everything."""

    def __init__(self, control: socket.socket, driver: int) -> None:
        self._control = control
        self._workers: dict[int, _Worker] = {}
        self._endings: dict[int, endings.Ending] = {}
        self._leftovers: endings.Ending | None = None
        self._kept_back: list[tuple[float, wire.Dead | wire.Finished]] = []
        self._outbox: list[bytes] = []
        self._leaving = False
        self._driver_is_dead = False
        self._counter = KillCounter()
        self._looked_at = time.monotonic()
        self._wake, wake = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._wake_ends = (self._wake, wake)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
        self._driver = driver
        self._driver_handle = _handle(driver)

    def serve(self) -> Job | None:
        """Work until nothing is left to do: None in the guard; in a forked worker, at once, what it is to do."""
        while True:
            pause = self._advance()
            if self._leaving and not self._workers and not self._endings and not self._leftovers:
                return None
            ready = self._wait(pause)
            if self._wake in ready:
                _drain(self._wake)
            if not self._driver_is_dead and (self._driver_handle in ready or os.getppid() != self._driver):
                self._driver_is_dead = True
                self._leave(LAST_GRACE)
            elif self._control.fileno() in ready:
                self._flush()
                job = self._listen()
                if job is not None:
                    return job

    def _wait(self, pause: float | None) -> set[int]:
        """The descriptors that have something to tell; none after `pause` seconds."""
        poll = select.poll()
        poll.register(self._wake, select.POLLIN)
        if not self._driver_is_dead:
            if self._driver_handle is not None:
                poll.register(self._driver_handle, select.POLLIN)
            if not self._leaving:
                poll.register(self._control, select.POLLIN | (select.POLLOUT if self._outbox else 0))
        return {number for number, _ in poll.poll(None if pause is None else pause * 1000)}

    def _advance(self) -> float | None:
        """Do what is due; returns after how many seconds something will be, None if only news can bring it."""
        self._reap()
        pauses = []
        for number, ending in list(self._endings.items()):
            pause = ending.step()
            if pause is not None:
                pauses.append(pause)
                continue
            # its death comes before its ending
            self._reap()
            del self._endings[number]
            if number != EVERYBODY:
                self._keep_back(wire.Finished(number=number, receipt=ending.receipt()))
        pauses += self._clear_leftovers()
        self._tell_what_is_true()
        if self._workers:
            if time.monotonic() - self._looked_at > LOOK_EVERY:
                self._counter.look()
                self._looked_at = time.monotonic()
            pauses.append(LOOK_EVERY)
        if self._driver_handle is None:
            pauses.append(0.25)
        return min(pauses, default=None)

    # --- what the driver asks for

    def _listen(self) -> Job | None:
        """Do the next thing the driver asks for. One at a time: what a dead driver still has asked for is not done."""
        try:
            packet, descriptors, lost = wire.receive(self._control)
        except BlockingIOError:
            return None
        except OSError:
            packet, descriptors, lost = b"", [], False
        if not packet:
            self._leave(LAST_GRACE)
            return None
        message = wire.received_by_guard(packet)
        if isinstance(message, wire.Spawn):
            return self._spawn(message, descriptors, lost)
        elif isinstance(message, wire.End):
            self._end(message)
        else:
            self._leave(message.grace)
        return None

    def _spawn(self, order: wire.Spawn, descriptors: list[int], lost: bool) -> Job | None:
        """Fork; in the worker, what it is to do."""
        _accept_surroundings(order)
        if lost:
            wire.close(descriptors)
            self._refuse(order, "the guard has no file descriptor left")
            return None
        guard = os.getpid()
        # a SIGTERM that comes before the worker has its own ways must neither be lost nor meet the guard's
        signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGTERM, signal.SIGHUP))
        try:
            pid = os.fork()
        except OSError as error:
            wire.close(descriptors)
            self._refuse(order, f"a process could not be forked: {error.strerror}")
            return None
        finally:
            if os.getpid() == guard:
                signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGTERM, signal.SIGHUP))
        if pid == 0:
            self._forget()
            return Job(order, descriptors, guard)
        wire.close(descriptors)
        process = processes.look(pid)
        assert process is not None, "nobody else waits for the guard's children"
        self._workers[pid] = _Worker(order.number, order.label, process)
        self._tell(wire.Started(number=order.number, pid=pid))
        return None

    def _refuse(self, order: wire.Spawn, problem: str) -> None:
        self._tell(wire.Dead(number=order.number, at=clock.now(), problem=problem))

    def _forget(self) -> None:
        """In a worker: let go of what belongs to the guard."""
        signal.set_wakeup_fd(-1)
        self._control.close()
        wire.close([*self._wake_ends, *([] if self._driver_handle is None else [self._driver_handle])])

    def _end(self, order: wire.End) -> None:
        running = self._endings.get(order.number)
        if running is not None:
            running.hasten(order.grace)
            return
        ours = [worker for worker in self._workers.values() if worker.number == order.number]
        # one that is dead already has nothing left that deserves time
        self._endings[order.number] = self._ending(ours, order.grace if ours else 0.0, order.reason)

    def _ending(self, workers: list[_Worker], grace: float, reason: str) -> endings.Ending:
        names = {worker.process.pid: worker.label for worker in workers}

        def orphans() -> list[int]:
            # until then what loses its parent is either known to the ending, or killed as a leftover
            return self._orphans() if ending.is_killing and not names.keys() & self._workers.keys() else []

        ending = endings.Ending(names, grace=grace, reason=reason, names=names, others=orphans)
        for worker in workers:
            worker.endings.append(ending)
        return ending

    def _leave(self, grace: float) -> None:
        """End everything, then leave."""
        self._leaving = True
        for ending in self._endings.values():
            ending.hasten(grace)
        everybody = list(self._workers.values())
        self._endings[EVERYBODY] = self._ending(everybody, grace, "the driver has ended")

    # --- what happens by itself

    def _reap(self) -> None:
        """Wait for the children that are dead; tell of the workers among them."""
        while True:
            try:
                pid, status, usage = os.wait4(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            worker = self._workers.pop(pid, None)
            if worker is not None:
                self._keep_back(self._obituary(worker, status, usage))

    def _obituary(self, worker: _Worker, status: int, usage: resource.struct_rusage) -> wire.Dead:
        code = os.waitstatus_to_exitcode(status)
        peak = usage.ru_maxrss * 1024
        is_our_kill = any(ending.has_killed(worker.process.identity) for ending in worker.endings)
        return wire.Dead(
            number=worker.number,
            at=clock.now(),
            exit_code=code if code >= 0 else None,
            signal=-code if code < 0 else None,
            peak_memory=peak,
            cpu_seconds=round(usage.ru_utime + usage.ru_stime, 6),
            out_of_memory=self._counter.explain(peak) if code == -signal.SIGKILL and not is_our_kill else None,
        )

    def _orphans(self) -> list[int]:
        """Children that are no workers: what dead workers have left behind."""
        return [pid for pid in processes.children(os.getpid()) if pid not in self._workers]

    def _strays(self) -> list[int]:
        """The orphans that no ending knows."""
        found = [process for process in map(processes.look, self._orphans()) if process and process.alive]
        return [
            process.pid for process in found if not any(process.identity in ending for ending in self._endings.values())
        ]

    def _clear_leftovers(self) -> list[float]:
        """Kill what dead workers have left behind and no ending takes care of."""
        if self._leftovers is None and self._strays():
            self._leftovers = endings.Ending([], grace=0.0, others=self._strays)
        if self._leftovers is None:
            return []
        pause = self._leftovers.step()
        if pause is None:
            self._leftovers = None
            return []
        return [pause]

    # --- what the driver is told

    def _keep_back(self, news: wire.Dead | wire.Finished) -> None:
        self._kept_back.append((time.monotonic(), news))

    def _tell_what_is_true(self) -> None:
        """Tell of deaths and endings that nothing is left of, or that have waited for too long."""
        now = time.monotonic()
        for entry in list(self._kept_back):
            since, news = entry
            if news.number not in self._endings and (self._leftovers is None or now - since > MOST_DELAY):
                self._kept_back.remove(entry)
                self._tell(news)

    def _tell(self, message: wire.Started | wire.Dead | wire.Finished) -> None:
        self._outbox.append(wire.pack(message))
        self._flush()

    def _flush(self) -> None:
        while self._outbox and not self._leaving:
            try:
                self._control.send(self._outbox[0], socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)
            except BlockingIOError:
                return
            except OSError:
                # nobody listens any more; that is noticed where the driver is listened to
                return
            del self._outbox[0]


def _handle(pid: int) -> int | None:
    """A descriptor that is readable once the process is dead; None on old kernels."""
    try:
        return os.pidfd_open(pid)
    except OSError:
        return None


def _drain(pipe: int) -> None:
    try:
        while os.read(pipe, 4096):
            pass
    except BlockingIOError:
        pass


def _accept_surroundings(order: wire.Spawn) -> None:
    """Be in the driver's place, as far as workers inherit it."""
    if order.environ is not None:
        mark = os.environ[trees.MARK]
        os.environ.clear()
        os.environ.update({**order.environ, trees.MARK: mark})
    if order.path is not None:
        sys.path[:] = order.path
    if order.arguments is not None:
        sys.argv[:] = order.arguments

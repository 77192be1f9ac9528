"""The worker processes of this process: started when first needed, kept for the next run, all under one guard.

One thread owns them. It hands parts of jobs to workers that wait, takes what they send, ends those that are to be
ended, and starts a new guard should one be lost. Whoever has a job waits for it in `execute`.
"""

from __future__ import annotations

import atexit
import contextlib
import itertools
import os
import selectors
import socket
import threading
import time

from runstone.core.receipts import Receipt
from runstone.engine.channel import Asked, Ended, Forget, Happened, Refused, Said
from runstone.engine.cores import cores
from runstone.engine.executors.job import CANCEL, TIMEOUT, Job, WorkerRefused
from runstone.engine.guard import changes
from runstone.engine.guard.client import Guard
from runstone.engine.pool_worker import Worker
from runstone.engine.worker_output import WorkerOutput

LIMIT = 512
"""Workers of one process at most."""

_LOOK = 0.02
_IDLE_SECONDS = 300.0
_DOUBT_SECONDS = 1.0


class Pool:
    """All workers of this process. `execute` may be called from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._new: list[Job] = []
        self._jobs: list[Job] = []
        self._workers: dict[int, Worker] = {}
        self._by_child: dict[int, Worker] = {}
        self._guard: Guard | None = None
        self._thread: threading.Thread | None = None
        self._wake, self._waker = socket.socketpair()
        self._wake.setblocking(False)
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._wake, selectors.EVENT_READ, self)
        self._closing = False
        self._owner = os.getpid()

    def execute(self, job: Job) -> None:
        """Do a job; returns when nothing of it goes on any more. Raises what made it impossible to go on."""
        with self._lock:
            self._new.append(job)
            if self._thread is None:
                self._closing = False
                self._thread = threading.Thread(target=self._serve, name="runstone-workers", daemon=True)
                self._thread.start()
        self._waker.send(b"+")
        job.over.wait()
        if job.failed is not None:
            raise job.failed

    def close(self) -> None:
        """End all workers; jobs that go on are ended with them."""
        if os.getpid() != self._owner:
            return
        self._closing = True
        with contextlib.suppress(OSError):
            self._waker.send(b"-")
        thread = self._thread
        if thread is not None:
            thread.join(10)

    # the thread

    def _serve(self) -> None:
        while True:
            try:
                self._do_jobs()
            except BaseException as error:
                # whoever waits for a job would wait for ever
                for job in self._jobs:
                    job.failed = job.failed or error
            with self._lock:
                # before anybody starts the next thread: these workers are of this one
                self._shut()
                if self._closing or not self._new:
                    self._thread = None
                    return

    def _do_jobs(self) -> None:
        """Serve until the pool is closed, or has had nothing to do for long."""
        idle_since = time.monotonic()
        while True:
            # jobs are looked at now and then: somebody may have asked them to stop, and time limits run out
            for key, _ in self._selector.select(_LOOK if self._jobs or self._guard_is_due else 1.0):
                if key.data is self:
                    with contextlib.suppress(BlockingIOError):
                        self._wake.recv(1024)
                elif isinstance(key.data, Worker):
                    self._hear(key.data)
                elif isinstance(key.data, WorkerOutput) and not key.data.read_ready():
                    self._selector.unregister(key.data)
            self._take_changes()
            with self._lock:
                self._jobs += self._new
                self._new.clear()
            now = time.monotonic()
            idle_since = now if self._jobs else idle_since
            if self._closing or now - idle_since > _IDLE_SECONDS:
                return
            for worker in list(self._workers.values()):
                self._doubt(worker, now)
            # who has fewest workers chooses first, so that a short run does not wait for a long one
            for job in sorted(self._jobs, key=lambda job: len(self._busy(job))):
                self._attend(job, now)

    @property
    def _guard_is_due(self) -> bool:
        return self._guard is not None and self._guard.look_at is not None

    def _busy(self, job: Job) -> list[Worker]:
        return [worker for worker in self._workers.values() if worker.job is job]

    def _attend(self, job: Job, now: float) -> None:
        """Stop a job that is to be stopped, hand out its work, and let go of it when it is over."""
        busy = self._busy(job)
        if job.failed is not None:
            for worker in busy:
                self._end(worker, 0.0, CANCEL)
        elif job.stopping:
            self._stop(job, busy, now)
        else:
            for worker in busy:
                if worker.ended_for is None and job.overdue(worker.number, worker.board):
                    self._end(worker, job.grace, TIMEOUT)
            self._hand_out(job, len(busy), now)
        if not self._busy(job) and (job.failed is not None or job.stopping or job.finished):
            self._jobs.remove(job)
            for worker in self._workers.values():
                if job.task in worker.knows:
                    worker.knows.discard(job.task)
                    self._tell(worker, Forget(task=job.task))
            job.over.set()

    def _stop(self, job: Job, busy: list[Worker], now: float) -> None:
        """Ask its workers to stop, and end those that do not within half of the grace, with the other half."""
        if job.asked_to_stop_at is None:
            job.asked_to_stop_at = now
            for worker in busy:
                worker.board.ask_to_stop()
        if job.may_be_ended and now - job.asked_to_stop_at >= job.grace / 2:
            for worker in busy:
                self._end(worker, job.grace / 2, CANCEL)

    def _hand_out(self, job: Job, busy: int, now: float) -> None:
        waiting = [worker for worker in self._workers.values() if worker.waits and not self._is_stale(worker, job)]
        # those that know the job already need not learn it
        waiting.sort(key=lambda worker: job.task not in worker.knows)
        while busy < job.limit:
            if not waiting:
                # twice as many where a job has none at all, as the elements of others may take hours
                most = max(job.limit, cores()) * (1 if busy else 2)
                if not job.wants_more(now) or len(self._workers) >= most:
                    return
                try:
                    started = self._start()
                except Exception as error:
                    # no descriptor or process is left for it; those that work for the job already go on
                    job.failed = None if busy else error
                    return
                if started is None:
                    return
                waiting.append(started)
            worker = waiting.pop(0)
            message = job.next(worker.number, now)
            if message is None:
                return
            worker.job = job
            busy += 1
            if job.task not in worker.knows:
                worker.knows.add(job.task)
                if job.code is not None:
                    worker.imported.setdefault(*job.code)
                self._tell(worker, job.learn, job.packed)
            self._tell(worker, message)

    def _is_stale(self, worker: Worker, job: Job) -> bool:
        """Whether it has imported the block with other code, which was reloaded here since; then it is ended."""
        if job.code is None or worker.imported.get(job.code[0], job.code[1]) == job.code[1]:
            return False
        self._end(worker, 0.0, "stale")
        return True

    def _tell(self, worker: Worker, message: Asked, payload: bytes = b"") -> None:
        try:
            worker.channel.send(message, [payload] if payload else ())
        except OSError:
            # it is dead, and the guard will say so
            self._hung_up(worker)

    def _hung_up(self, worker: Worker) -> None:
        if worker.hung_up_at is None:
            worker.hung_up_at = time.monotonic()
            self._selector.unregister(worker.channel.socket)

    def _doubt(self, worker: Worker, now: float) -> None:
        """End a worker that lives on but cannot be talked to: code in it may have closed what it did not open."""
        if worker.hung_up_at is not None and now - worker.hung_up_at > _DOUBT_SECONDS and self._guard is not None:
            worker.hung_up_at = now
            self._guard.end(worker.child, grace=0.0, reason="it closed its connection")

    def _hear(self, worker: Worker) -> None:
        came, alive = worker.channel.arrived()
        for message, payload in came:
            self._received(worker, message, payload)
        if not alive:
            self._hung_up(worker)

    def _received(self, worker: Worker, message: Said, payload: memoryview) -> None:
        job = worker.job
        if job is None:
            return
        try:
            if isinstance(message, (Happened, Ended)):
                job.take_record(worker.number, message, payload)
            elif isinstance(message, Refused):
                worker.job = None
                job.failed = job.failed or WorkerRefused(message)
            elif job.received(worker.number, message, payload):
                worker.output.end_lines()
                worker.job = None
        except BaseException as error:
            # it cannot be recorded, say: whoever waits for the job hears of it
            job.failed = job.failed or error
            if not isinstance(message, (Happened, Ended)):
                worker.job = None

    # workers

    def _start(self) -> Worker | None:
        if len(self._workers) >= LIMIT:
            return None
        if self._guard is None:
            self._guard = Guard()
            self._selector.register(self._guard, selectors.EVENT_READ, None)
        number = next(each for each in itertools.count() if each not in self._workers)
        worker = self._workers[number] = Worker(self._guard, number)
        self._by_child[worker.child.number] = worker
        self._selector.register(worker.output, selectors.EVENT_READ, worker.output)
        self._selector.register(worker.channel.socket, selectors.EVENT_READ, worker)
        return worker

    def _end(self, worker: Worker, grace: float, why: str) -> None:
        if worker.ended_for is None and self._guard is not None:
            worker.ended_for = why
            self._guard.end(worker.child, grace=grace, reason=why)

    def _take_changes(self) -> None:
        guard = self._guard
        if guard is None:
            return
        for change in guard.poll():
            if isinstance(change, changes.GuardLost):
                self._guard_is_lost(change.receipt)
                return
            worker = self._by_child.get(change.child.number)
            if worker is None:
                continue
            if isinstance(change, changes.Died):
                # what it sent before it died still counts
                if worker.hung_up_at is None:
                    self._hear(worker)
                worker.death = change
                if worker.ended_for is None:
                    self._bury(worker, None)
            else:
                self._bury(worker, change.receipt)

    def _bury(self, worker: Worker, receipt: Receipt | None) -> None:
        """A worker is dead, and all it had started: tell the job it computed for."""
        del self._workers[worker.number]
        self._by_child.pop(worker.child.number, None)
        self._hung_up(worker)
        worker.channel.close()
        self._drop_output(worker.output)
        job, worker.job = worker.job, None
        if job is None:
            return
        if receipt is not None:
            job.receipts.append(receipt)
        try:
            job.lost(worker.number, worker.board.element, worker.board.attempt, worker.how_it_died())
        except BaseException as error:
            job.failed = job.failed or error

    def _drop_output(self, output: WorkerOutput) -> None:
        with contextlib.suppress(KeyError):
            self._selector.unregister(output)
        output.finish()

    def _guard_is_lost(self, receipt: Receipt) -> None:
        """All workers are dead with it; the next one that is needed gets a new guard."""
        guard, self._guard = self._guard, None
        if guard is not None:
            self._selector.unregister(guard)
            guard.close()
        for worker in list(self._workers.values()):
            if worker.hung_up_at is None:
                self._hear(worker)
            self._bury(worker, receipt if worker.ended_for is not None else None)

    def _shut(self) -> None:
        """End all workers and the guard."""
        ended = self._jobs + (self._new if self._closing else [])
        for job in ended:
            job.failed = job.failed or RuntimeError("the worker processes were ended while the run went on")
        self._jobs = []
        self._new = [job for job in self._new if job not in ended]
        for worker in self._workers.values():
            self._hung_up(worker)
            worker.channel.close()
            self._drop_output(worker.output)
        self._workers.clear()
        self._by_child.clear()
        if self._guard is not None:
            self._selector.unregister(self._guard)
            self._guard.close()
            self._guard = None
        for job in ended:
            job.over.set()


_shared: Pool | None = None
_making = threading.Lock()


def shared() -> Pool:
    """The pool of this process."""
    global _shared
    with _making:
        if _shared is None:
            _shared = Pool()
            atexit.register(_leave, _shared)
        return _shared


def _leave(pool: Pool) -> None:
    pool.close()
    if pool is _shared:
        # loaded at the end, by those who had workers; not by a fork of them
        from runstone.engine.track import of_workers

        of_workers.bring()


def _after_fork() -> None:
    # the workers are the parent's
    global _shared, _making
    _shared, _making = None, threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)

"""An `Executor` of somebody else: a pool of the standard library, or a cluster behind Dask's `get_executor()`.

What it runs comes back as a whole, so a part that is lost with its process is done again. An element that kills the
process it is computed in is found by halving the part it is in.
"""

from __future__ import annotations

import itertools
import pickle
import time
from concurrent import futures
from typing import Any

import msgspec

from runstone.engine import remote
from runstone.engine.channel import Call, Compute, Ended, Happened, Refused, Said
from runstone.engine.executors.elements import ElementsJob
from runstone.engine.executors.job import Death, Job, WorkerRefused
from runstone.engine.executors.packed import Packed, packed
from runstone.engine.executors.processes import OnWorkers
from runstone.engine.work import BlockEnd, Values, Work

_decode = msgspec.json.Decoder(Said).decode
_encode = msgspec.json.Encoder().encode
_LOOK = 0.05
_AT_ONCE = 16
_TRUE_TO_THEIR_WORD = (futures.ThreadPoolExecutor, futures.ProcessPoolExecutor)
_NOT_PORTABLE = (pickle.PickleError, ImportError, AttributeError, TypeError)


def prepare(work: Work, values: Values) -> BlockEnd | OnExecutor:
    """Everything that is done before the executor is asked; to be called in the driver's own thread."""
    found = packed(work, values)
    return found if isinstance(found, BlockEnd) else OnExecutor(found, work.settings.executor)


class OnExecutor(OnWorkers):
    """A block run that the executor can be asked to do."""

    def __init__(self, task: Packed, executor: futures.Executor) -> None:
        super().__init__(task)
        self._max_parallel = task.work.settings.max_parallel
        self._executor = executor

    def limit(self) -> int:
        # twice as many parts as there are processes keep all of them busy
        return self._max_parallel or 2 * (getattr(self._executor, "_max_workers", None) or _AT_ONCE // 2)

    def do(self, job: Job) -> None:
        submitter = _Submitter(self._executor, job, self.limit())
        try:
            submitter.run()
        finally:
            submitter.close()


class _Submitter:
    """Does a job on an executor."""

    def __init__(self, executor: futures.Executor, job: Job, limit: int) -> None:
        self._executor = executor
        self._renewed: futures.Executor | None = None
        self._job = job
        self._limit = limit
        self._numbers = itertools.count()
        self._pending: dict[futures.Future[remote.Answer], tuple[int, Compute | Call]] = {}
        # parts in which there may be an element that kills: each is submitted alone
        self._suspects: list[list[int]] = []
        self._examining = False
        # whether there was more than one part since the last time there was none
        self._beside = False

    def run(self) -> None:
        """Submit and take in, until nothing more is to be done. Raises what makes the job impossible."""
        job = self._job
        while job.failed is None and (self._pending or not (job.stopping or (job.finished and not self._suspects))):
            if job.stopping:
                self._cancel_all()
            else:
                self._submit_all()
            if not self._pending:
                time.sleep(_LOOK)
            for future in futures.wait(self._pending, _LOOK, futures.FIRST_COMPLETED).done:
                self._take(future, *self._pending.pop(future))
        if job.failed is not None:
            raise job.failed

    def close(self) -> None:
        """Let go of an executor of our own making."""
        if self._renewed is not None:
            self._renewed.shutdown(wait=False, cancel_futures=True)

    def _cancel_all(self) -> None:
        """Take back what has not begun."""
        # others may say so of what goes on all the same: Dask lets go of the future, and not of the task
        if isinstance(self._executor, _TRUE_TO_THEIR_WORD):
            for future in self._pending:
                future.cancel()

    def _submit_all(self) -> None:
        if not self._pending:
            self._examining = bool(self._suspects)
        if self._suspects or self._examining:
            if not self._pending and isinstance(self._job, ElementsJob):
                number = next(self._numbers)
                self._submit(number, self._job.give(number, self._suspects.pop()))
            return
        while len(self._pending) < self._limit:
            number = next(self._numbers)
            message = self._job.next(number, time.monotonic())
            if message is None:
                return
            self._submit(number, message)

    def _submit(self, number: int, message: Compute | Call) -> None:
        try:
            future = self._send(message)
        except futures.BrokenExecutor as error:
            if self._pending:
                future = futures.Future()
                future.set_exception(error)
            else:
                # it broke over what it was given before
                self._renew(error)
                if self._job.failed is not None:
                    return
                future = self._send(message)
        self._beside = bool(self._pending)
        self._pending[future] = number, message

    def _send(self, message: Compute | Call) -> futures.Future[remote.Answer]:
        data, path = self._job.packed, self._job.learn.path
        if isinstance(message, Compute):
            return self._executor.submit(remote.compute, data, path, _encode(message))
        return self._executor.submit(remote.call, data, path, message.attempt)

    def _take(self, future: futures.Future[remote.Answer], number: int, message: Compute | Call) -> None:
        try:
            answer = future.result()
        except futures.CancelledError:
            if not self._job.stopping:
                self._job.failed = WorkerRefused(Refused(type="Cancelled", message="the executor was shut down"))
        except _NOT_PORTABLE as error:
            self._job.failed = WorkerRefused(Refused(type=type(error).__name__, message=str(error)))
        except Exception as error:
            self._died(number, message, error)
        else:
            for text, payload in answer:
                self._received(number, _decode(text), memoryview(payload))

    def _received(self, number: int, said: Any, payload: memoryview) -> None:
        if isinstance(said, (Happened, Ended)):
            self._job.take_record(number, said, payload)
        elif isinstance(said, Refused):
            self._job.failed = self._job.failed or WorkerRefused(said)
        else:
            self._job.received(number, said, payload)

    def _died(self, number: int, message: Compute | Call, error: Exception) -> None:
        """The process that had this part is gone; whether by its fault shows when nothing else was going on."""
        broken = isinstance(error, futures.BrokenExecutor)
        # a pool breaks for all that it was given, and which of them is seen first says nothing
        alone = not broken or not self._beside
        if broken and not self._pending:
            self._renew(error)
        death = Death("a process of the executor", f"died: {type(error).__name__}: {error}".rstrip(": "))
        if not isinstance(self._job, ElementsJob):
            self._job.lost(number, 0, 0, death)
            return
        if alone and isinstance(message, Compute) and _size(message) == 1:
            self._job.lost(number, message.elements[0][0], 0, death)
            return
        part = self._job.take_back(number)
        middle = (len(part) + 1) // 2
        self._suspects += [half for half in ((part[:middle], part[middle:]) if alone else (part,)) if half]

    def _renew(self, error: Exception) -> None:
        """A pool of the standard library is of no use once a process of it has died: go on with one like it."""
        old = self._executor
        if type(old) is not futures.ProcessPoolExecutor:
            self._job.failed = error
            return
        self.close()
        known = vars(old)
        self._executor = self._renewed = futures.ProcessPoolExecutor(
            known["_max_workers"], known["_mp_context"], known["_initializer"], known["_initargs"]
        )


def _size(message: Compute) -> int:
    return sum(stop - start for start, stop in message.elements)

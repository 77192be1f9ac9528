"""A worker: a process that computes blocks, or elements of them, and sends what they give to the driver."""

from __future__ import annotations

import contextlib
import os
import socket
import time
from collections.abc import Callable, Iterator

from runstone.core.calls import CallPlan
from runstone.core.ranges import numbers
from runstone.engine import capture_fd, context, inline, resources
from runstone.engine.board import Board
from runstone.engine.capture import Recording
from runstone.engine.channel import Asked, Called, Channel, Compute, Computed, Forget, Learn, Refused
from runstone.engine.collect import Collector, Told
from runstone.engine.compute import compute
from runstone.engine.control import Control
from runstone.engine.failures import describe
from runstone.engine.guard.trees import MARK
from runstone.engine.log_relay import take_setup
from runstone.engine.portable import Received, unpack, work_of
from runstone.engine.record_channel import ChannelRecorder, Says
from runstone.engine.work import Work
from runstone.folder import pulse

ERROR_LIMIT = 64 * 1024
"""Bytes of a pickled exception that a driver is sent; it only serves to be chained to the error of the run."""


def main(end: socket.socket, board: int, stdout: int, stderr: int, echoes: int) -> None:
    """Serve a driver until it hangs up.

    end: of the socket to it. The others are descriptors: of the shared numbers, and of pipes for what is said.
    """
    capture_fd.install(stdout, stderr, echoes)
    channel = Channel(end, Asked)
    try:
        Worker(channel, Board(board)).serve()
    finally:
        # who runs with warnings on is not to read of a socket that was left open
        channel.close()


class Worker:
    """What one process knows of the block runs it works for."""

    def __init__(self, channel: Channel, board: Board) -> None:
        self._channel = channel
        self._board = board
        self._received: dict[int, tuple[memoryview, list[str]]] = {}
        self._learnt: dict[int, Learn] = {}
        self._last: int | None = None
        self._runs: dict[int, PortableRun] = {}

    def serve(self) -> None:
        """Do what is asked, one thing after the other, until nobody asks any more."""
        while (came := self._channel.receive()) is not None:
            message, payload = came
            try:
                self._do(message, payload)
            except BaseException as error:
                found = describe(error)
                try:
                    self._channel.send(Refused(type=found.type, message=found.message, traceback=found.traceback))
                except OSError:
                    # the driver is gone, and the guard will see to the rest
                    return
            finally:
                self._board.clear()

    def _do(self, message: Asked, payload: memoryview) -> None:
        if isinstance(message, Learn):
            self._received[message.task] = payload, message.path
            self._learnt[message.task] = message
        elif isinstance(message, Forget):
            self._received.pop(message.task, None)
            self._runs.pop(message.task, None)
            self._learnt.pop(message.task, None)
        elif isinstance(message, Compute):
            self._run(message.task).compute(self._channel, message)
        else:
            self._run(message.task).call(self._channel, message.attempt)

    def _run(self, task: int) -> PortableRun:
        if task != self._last:
            self._last = task
            _move_to(self._learnt[task])
        run = self._runs.get(task)
        if run is None:
            data, path = self._received.pop(task)
            run = self._runs[task] = PortableRun(data, path, self._board)
        return run


def _move_to(place: Learn) -> None:
    """Be where the driver was when the block run began: workers outlive the runs for which they were started."""
    # all but the mark by which the guard finds what it is to end
    mark = MARK.encode()
    environ = {name: value for name, value in place.environ if name != mark}
    here = {name: value for name, value in os.environb.items() if name != mark}
    if environ and environ != here:
        for name in here.keys() - environ.keys():
            del os.environb[name]
        os.environb.update(environ)
    if place.directory is not None:
        try:
            os.chdir(place.directory)
        except OSError:
            # it was deleted since
            pass


class _Stop(Control):
    """Learns from the board that it should stop."""

    __slots__ = ("_board",)

    def __init__(self, board: Board | None) -> None:
        super().__init__()
        self._board = board

    def look(self) -> None:
        if self._board is not None and self._board.should_stop:
            self.cancel()


class PortableRun:
    """One block run that was unpacked here. Once asked to stop, it is over in this process.

    board: where this process shows what it computes, and is asked to stop.
    """

    def __init__(self, data: memoryview, path: list[str], board: Board | None = None) -> None:
        self._task = unpack(data, path)
        self._board = board
        self._control = _Stop(board)
        self._values = Received(dict(self._task.sources))
        self._plan: CallPlan | None = None

    def _work(self, says: Says) -> Work:
        recorder = ChannelRecorder(says, self._task.folder, self._task.run_id)
        return work_of(self._task, self._values, recorder, self._control)

    @contextlib.contextmanager
    def _watched(self, work: Work, tick: Callable[[float], None]) -> Iterator[None]:
        """While entered, what is said is kept, and the pulse looks whether to stop, and sends what has waited."""
        recorder, logs = work.recorder, self._task.logs
        if self._board is not None:
            # the process of somebody else's pool has a set-up of its own
            take_setup(self._task.setup)

        def both(now: float) -> None:
            self._control.look()
            tick(now)

        recorder.ticks.append(both)
        pulse.join(recorder.heart)
        try:
            with Recording(recorder, logs, work.block.name):
                yield
        finally:
            pulse.leave(recorder.heart)
            recorder.ticks.clear()
            if logs is not None:
                # a worker serves many block runs, and must not keep a file open for each
                logs.close()

    def compute(self, says: Says, asked: Compute) -> None:
        """Compute elements and say what they give."""
        work = self._work(says)
        if self._plan is None:
            self._plan = inline.plan_of(work)
        elements = asked.elements
        which = range(*elements[0]) if len(elements) == 1 else list(numbers(elements))
        collector = Collector(work, self._plan, which, asked.spent, Told(*asked.told))
        begun, cpu = time.perf_counter(), time.process_time()
        place = context.Place(work.recorder, work.block.name, collector.current, collector.attempt)
        before = context.enter(place)
        try:
            with self._watched(work, collector.tick):
                error = compute(work, self._plan, collector, self._board)
        finally:
            context.enter(before)
            if self._board is not None:
                # while the board still tells whose it is
                capture_fd.settle()
                self._board.end()
        collector.close()
        error = error or collector.refused
        says.send(
            Computed(
                count=len(collector.cells),
                seconds=time.perf_counter() - begun,
                cpu=time.process_time() - cpu,
                failure=None if error is None else describe(error, traceback=False).short,
            ),
            _pickled(error),
        )

    def call(self, says: Says, attempt: int) -> None:
        """Call the block and say what it gives."""
        work = self._work(says)
        resources.forget_peak()
        cpu = time.process_time()
        with self._watched(work, _nothing):
            end = inline.call(work, attempt, self._board)
        capture_fd.settle()
        cpu, peak = time.process_time() - cpu, resources.peak()
        if end is None:
            says.send(Called(status=None, cpu=cpu, peak_memory=peak))
            return
        called = Called(
            status=end.status, reason=end.reason, message=end.message, values=end.values, cpu=cpu, peak_memory=peak
        )
        says.send(called, _pickled(end.error))


def _nothing(now: float) -> None:
    return None


def _pickled(error: BaseException | None) -> list[bytes]:
    if error is None:
        return []
    import cloudpickle

    try:
        data: bytes = cloudpickle.dumps(error)
    except Exception:
        # it is described in words anyway
        return []
    return [data] if len(data) <= ERROR_LIMIT else []

"""A worker process as its pool knows it."""

from __future__ import annotations

import os
import signal

from runstone.engine.board import Board
from runstone.engine.capture import Speaker
from runstone.engine.channel import Channel, Said
from runstone.engine.executors.job import Death, Job
from runstone.engine.guard import changes
from runstone.engine.guard.client import Child, Guard
from runstone.engine.worker_output import WorkerOutput

MAIN = "runstone.engine.worker:main"


class Worker:
    """One worker.

    job: for which it computes now. knows: the tasks it has learned. imported: which code it found under which name.
    ended_for: why it is being ended. death: what the guard said of it. hung_up_at: when its line went dead, by
    time.monotonic().
    """

    def __init__(self, guard: Guard, number: int) -> None:
        """Fork it. Raises OSError if this process has no descriptor left."""
        self.number = number
        self.job: Job | None = None
        self.knows: set[int] = set()
        self.imported: dict[str, str] = {}
        self.ended_for: str | None = None
        self.death: changes.Died | None = None
        self.hung_up_at: float | None = None
        self._child: Child | None = None
        self.board, descriptor = Board.make()
        try:
            self.output = WorkerOutput(self.speaker, lambda: self.pid)
            try:
                self._child = guard.spawn(MAIN, f"worker {number}", extra_fds=[descriptor, *self.output.theirs])
            except BaseException:
                self.output.close()
                raise
        finally:
            os.close(descriptor)
        self.output.handed_over()
        self.channel = Channel(self._child.channel, Said)

    @property
    def child(self) -> Child:
        """Its name for the guard."""
        assert self._child is not None
        return self._child

    @property
    def pid(self) -> int:
        """Its process; 0 as long as that is unknown."""
        return (self._child.pid if self._child is not None else None) or 0

    @property
    def waits(self) -> bool:
        """Whether it can be given something to do."""
        return self.job is None and self.ended_for is None and self.hung_up_at is None

    def speaker(self) -> Speaker | None:
        """For whom it computes at the moment."""
        job = self.job
        logs = None if job is None else job.recorder.logs
        if job is None or logs is None:
            return None
        block = job.work.block
        element = self.board.element if block.graph_block().is_mapped else None
        return Speaker(logs, block.name, element, max(1, self.board.attempt))

    def how_it_died(self) -> Death:
        """Its death, in the words that a job needs."""
        died = self.death
        who = f"worker process {self.pid}" if self.pid else "a worker process"
        if died is None:
            how = "died with the process that guards it"
        elif died.problem:
            how = f"could not be started: {died.problem}"
        elif died.signal is not None:
            how = f"died by {_signal_name(died.signal)}"
        else:
            how = f"ended by itself with exit code {died.exit_code}"
        return Death(
            who,
            how,
            out_of_memory=None if died is None else died.out_of_memory,
            ended_for=self.ended_for,
            is_innocent=died is None,
        )


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"

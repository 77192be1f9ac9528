"""What a pool of workers is asked to do: a block run that hands out parts of its work, and takes what comes of them."""

from __future__ import annotations

import itertools
import os
import threading
from abc import ABC, abstractmethod

from runstone.core.receipts import OutOfMemory, Receipt
from runstone.engine.board import Board
from runstone.engine.channel import Call, Compute, Ended, Happened, Learn, Refused, Said
from runstone.engine.record import Encoded, Recorder
from runstone.engine.work import Work

_tasks = itertools.count(1)


class Death:
    """How a worker ended while it computed.

    who: for messages. ended_for: why it was ended from outside, if it was. is_innocent: nothing that it computed can
    have been the cause, as all workers died at once.
    """

    def __init__(
        self,
        who: str,
        how: str,
        *,
        out_of_memory: OutOfMemory | None = None,
        ended_for: str | None = None,
        is_innocent: bool = False,
    ) -> None:
        self.who = who
        self.how = how
        self.out_of_memory = out_of_memory
        self.ended_for = ended_for
        self.is_innocent = is_innocent


INNOCENT_DEATHS = 10
"""So many of one job are forgiven; code may end its guard on purpose, and would do so for ever."""
TIMEOUT = "timeout"
CANCEL = "cancel"


class Job(ABC):
    """One block run on a pool. All methods are called in the pool's thread.

    packed: the pickled block run. limit: how many workers it may have at once. code: see `_reference`.
    failed: why it cannot go on (a record that could not be written, say); raised in the thread that waits for it.
    """

    def __init__(self, work: Work, packed: bytes, path: list[str], limit: int) -> None:
        self.task = next(_tasks)
        self.work = work
        self.packed = packed
        self.learn = Learn(task=self.task, path=path, directory=_directory(), environ=list(os.environb.items()))
        self.limit = limit
        self.code = _reference(work)
        self.failed: BaseException | None = None
        self.over = threading.Event()
        self.receipts: list[Receipt] = []
        self.asked_to_stop_at: float | None = None
        self._forgiven = 0

    @property
    def recorder(self) -> Recorder:
        """Where what comes back is recorded."""
        return self.work.recorder

    @property
    def grace(self) -> float:
        """Seconds that whoever is ended has for ending by itself."""
        return self.work.settings.grace or 0.0

    @property
    def may_be_ended(self) -> bool:
        """Whether workers that do not stop by themselves are ended."""
        return self.work.control.stopping

    @property
    @abstractmethod
    def finished(self) -> bool:
        """Nothing more is to be computed."""

    @property
    def stopping(self) -> bool:
        """Nothing more is handed out; those who compute are asked to stop."""
        return self.work.control.stopping

    @abstractmethod
    def wants_more(self, now: float) -> bool:
        """Whether there is a part for one more worker now."""

    @abstractmethod
    def next(self, worker: int, now: float) -> Compute | Call | None:
        """The next part of the work for this worker, None if there is none now."""

    @abstractmethod
    def received(self, worker: int, message: Said, payload: memoryview) -> bool:
        """Take what a worker says; tells whether it waits for its next part now."""

    @abstractmethod
    def lost(self, worker: int, element: int | None, attempt: int, death: Death) -> None:
        """A worker has died, or was ended, while it computed for this job.

        element: what it was on, None if nothing; attempt: which one of it, 0 if that is not known.
        """

    def forgives(self, death: Death) -> bool:
        """Whether this death costs no attempt."""
        if not death.is_innocent:
            return False
        self._forgiven += 1
        return self._forgiven <= INNOCENT_DEATHS * self.limit

    def overdue(self, worker: int, board: Board) -> bool:
        """Whether this worker has computed one attempt for too long and is to be ended."""
        return False

    def take_record(self, worker: int, message: Happened | Ended, payload: memoryview) -> None:
        """Record what a worker has sent for that."""
        if isinstance(message, Ended):
            self.recorder.chunk(Encoded(header=message.header, payload=[payload]))
        else:
            event = message.event
            fields = {name: getattr(event, name) for name in event.__struct_fields__ if name not in ("seq", "at")}
            self.recorder.event(type(event), **fields)
            self.recorder.flush()

    def exception(self, payload: memoryview) -> BaseException | None:
        """The exception that a worker has sent, to be chained to the error of the run."""
        if not len(payload):
            return None
        import pickle

        try:
            found = pickle.loads(payload)
        except Exception:
            # an exception may not survive the journey; it is described in words anyway
            return None
        return found if isinstance(found, BaseException) else None


def _reference(work: Work) -> tuple[str, str] | None:
    """Under which name another process imports the block, and which code it finds there; None if it travels whole."""
    reduced = work.block.__reduce__()
    if not isinstance(reduced, str):
        return None
    return f"{getattr(work.block, '__module__', '')}:{reduced}", str(sorted(work.code.items()))


def _directory() -> bytes | None:
    try:
        return os.getcwdb()
    except OSError:
        return None


class WorkerRefused(Exception):
    """A worker could not do what it was asked: what it was sent does not unpickle there, say."""

    def __init__(self, refusal: Refused) -> None:
        self.refusal = refusal
        super().__init__(f"{refusal.type}: {refusal.message}")

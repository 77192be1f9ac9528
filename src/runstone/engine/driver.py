"""The driver: takes a run from its start to its end, block by block.

What may run, and what follows from how a block ended, is decided by `core.outcome`; how a block is executed, by an
executor. The driver carries values from block to block, and records.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from runstone.blocks import Block
from runstone.core import events as ev
from runstone.core.graph import Graph
from runstone.core.moves import BLOCK_DONE
from runstone.core.outcome import Policy, consequences, ready, run_end, stops
from runstone.core.reasons import Reason
from runstone.core.receipts import shortened
from runstone.core.run_state import BlockState
from runstone.core.settings import OnError, Settings
from runstone.core.statuses import BlockStatus, RunStatus
from runstone.engine import executors, inline
from runstone.engine.cancelling import Cancelling
from runstone.engine.control import Control
from runstone.engine.cores import cores
from runstone.engine.failures import describe
from runstone.engine.interrupts import KEYBOARD, Interrupts, raise_again
from runstone.engine.record import Recorder
from runstone.engine.work import BlockEnd, Values, Work
from runstone.errors import FolderError, StorageError

GAIN_SECONDS = 5.0
"""A block that was shorter is not worth a word about where it ran."""

if TYPE_CHECKING:
    from runstone.engine.caching.run_cache import RunCache
    from runstone.engine.side_by_side import SideBySide

_MADE = (BlockStatus.COMPLETED, BlockStatus.REUSED, BlockStatus.DEGRADED)
_BAD_ENDS = BLOCK_DONE - {BlockStatus.COMPLETED, BlockStatus.REUSED}
_UNENDED = (BlockStatus.QUEUED, BlockStatus.RUNNING, BlockStatus.RETRYING)


class Task(msgspec.Struct, frozen=True, kw_only=True):
    """All a driver needs to execute a run.

    settings: resolved, for each block; codes: the identity of the code of each. run_settings: for the run as a whole.
    params: every parameter, with defaults.
    """

    graph: Graph
    blocks: Mapping[str, Block[..., Any]]
    settings: Mapping[str, Settings]
    run_settings: Settings
    codes: Mapping[str, dict[str, str]]
    stop_on_failure: bool
    params: Mapping[str, Any]

    def policy(self) -> Policy:
        """What the ends of blocks lead to."""
        return Policy(
            upstream=self.graph.upstream,
            tolerated=frozenset(
                name for name, block in self.graph.blocks.items() if block.on_error is OnError.CONTINUE
            ),
            stop_on_failure=self.stop_on_failure,
        )


class Driver:
    """Executes one run in the calling thread.

    error: the exception of the user's code that ended the run, if any, for the caller to chain to.
    """

    def __init__(self, task: Task, recorder: Recorder, control: Control, cache: RunCache | None = None) -> None:
        self.task = task
        self.cache = cache
        self.recorder = recorder
        self.control = control
        self.values = Values(task.graph, task.params)
        self.error: BaseException | None = None
        self._policy = task.policy()
        self._bad_ends = any(block.status in _BAD_ENDS for block in recorder.state.blocks.values())
        # begun in an earlier epoch, whose driver died
        self._unended = {name for name, block in recorder.state.blocks.items() if block.status in _UNENDED}
        # handed to an executor, which may not have begun with them
        self._elsewhere: set[str] = set()
        self._cancelling = Cancelling(recorder, control, task.run_settings)

    def execute(self) -> None:
        """Run all blocks and record the end.

        Raises StorageError or Superseded if the run cannot be recorded any more, and KeyboardInterrupt, or SystemExit
        for SIGTERM, after it was recorded as cancelled. User code's own exceptions are recorded, not raised.
        """
        interrupted: KeyboardInterrupt | None = None
        with Interrupts(self.control), self._cancelling:
            try:
                try:
                    self._blocks()
                except KeyboardInterrupt as error:
                    self.control.cancel(by=KEYBOARD, message="interrupted from the keyboard")
                    interrupted = error
                self._cancelling.close()
                if self.control.broken is not None:
                    raise self.control.broken
                self._end()
            except StorageError as error:
                # Perhaps there is room to say just that; else the death of this process says it.
                self.recorder.abandon(str(error), Reason.STORAGE)
                raise
            except FolderError:
                raise
            except BaseException as error:
                # A fault of ours, or a value that is stranger than we thought: this process lives on, and the run
                # must not look as if it did.
                why = f"the driver stopped at {describe(error, traceback=False).short}"
                self.recorder.abandon(why, Reason.DRIVER_GONE)
                raise
        if interrupted is not None and self.control.requested_by == KEYBOARD:
            raise interrupted
        raise_again(self.control)

    def _blocks(self) -> None:
        """Execute all blocks that are to be executed."""
        self._consequences()
        if self._unended:
            self._end_what_is_recorded()
            self._end_without_a_call()
        if all(executors.is_inline(block, self.task.settings[name]) for name, block in self.task.blocks.items()):
            for name in self.task.graph.blocks:
                if self.control.stopping:
                    return
                if name in self._unended or self.recorder.state.blocks[name].status is BlockStatus.PENDING:
                    self._here(name)
        else:
            self._beside_each_other()

    def _end_what_is_recorded(self) -> None:
        """End the blocks of an earlier epoch whose values were recorded, all of them, before its driver died."""
        for name in sorted(self._unended):
            state, block = self.recorder.state.blocks[name], self.task.blocks[name]
            if state.status is BlockStatus.RUNNING and state.has_values(block.outputs):
                self._unended.discard(name)
                self.recorder.event(ev.BlockEnded, block=name, status=BlockStatus.COMPLETED)
                for output in block.outputs:
                    self.values.put(output, self.recorder.made(output, None))

    def _end_without_a_call(self) -> None:
        """End the blocks of an earlier epoch for which nothing is to be computed any more, as something has failed."""
        for name, block in self.recorder.state.blocks.items():
            if name in self._unended and block.failed and self.task.settings[name].on_error is not OnError.CONTINUE:
                # one of its elements has failed for good, so it calls none
                self._here(name)
        if stops(self._policy, self._statuses()):
            for name in sorted(self._unended):
                self._record_end(name, BlockEnd(status=BlockStatus.CANCELLED, reason=Reason.RUN_ENDED), 0.0)
            self._unended.clear()

    def _here(self, name: str) -> None:
        """Execute a block in this thread."""
        self._unended.discard(name)
        begun = time.perf_counter()
        self._ended(name, inline.run(self._work(name)), time.perf_counter() - begun)

    def offer_what_is_made(self) -> None:
        """Let blocks find what earlier epochs have made, or what was taken over from another run."""
        for name, block in self.recorder.state.blocks.items():
            if block.status in _MADE:
                for output in self.task.blocks[name].outputs:
                    self.values.put(output, self.recorder.made(output, None))

    def gains(self) -> str | None:
        """In one line, which block would have ended sooner in several processes; None if none would, by much."""
        found: tuple[float, str] | None = None
        for name, block in self.recorder.state.blocks.items():
            seconds = block.duration or 0.0
            is_here = executors.is_inline(self.task.blocks[name], self.task.settings[name])
            if is_here and (block.total or 0) > 1 and seconds >= GAIN_SECONDS and block.cpu_seconds > seconds / 2:
                found = max(found or (0.0, ""), (seconds, name))
        if found is None or (several := cores()) == 1:
            return None
        seconds, name = found
        return f"block {name!r} took {seconds:,.0f} s on one core; executor='processes' would use {several}"

    def _beside_each_other(self) -> None:
        """Execute all blocks, those with an executor of their own beside each other."""
        # loaded by those who need it, like the executors
        from runstone.engine.side_by_side import SideBySide

        side_by_side = SideBySide(self.control)
        self._elsewhere = side_by_side.running
        try:
            while not self.control.stopping:
                here = self._start_what_is_ready(side_by_side)
                if here is not None:
                    # it may read in the folder what blocks before it have made elsewhere
                    self.recorder.flush()
                    self._here(here)
                elif not side_by_side.running:
                    return
                for name, end, seconds in side_by_side.ended(wait=here is None):
                    self._ended(name, end, seconds)
        except Exception as error:
            # what is being executed elsewhere stops too, though nobody asked for it
            self.control.break_off(error)
            raise
        finally:
            for name, end, seconds in side_by_side.all_ended():
                self._ended(name, end, seconds)

    def _start_what_is_ready(self, side_by_side: SideBySide) -> str | None:
        """Begin all blocks that may start and are executed elsewhere; returns one that is to be executed here."""
        while not self.control.stopping:
            here = None
            for name in ready(self._policy, self._statuses() | dict.fromkeys(self._unended, BlockStatus.PENDING)):
                if name in side_by_side.running:
                    continue
                if executors.is_inline(self.task.blocks[name], self.task.settings[name]):
                    here = here or name
                elif not self._start(name, side_by_side):
                    # others may start now that it has ended, or none
                    break
            else:
                return here
        return None

    def _consequences(self) -> None:
        """Record what follows for blocks that have not started from how others ended."""
        for name, (status, reason) in consequences(self._policy, self._statuses()).items():
            if name in self._elsewhere:
                continue
            self.recorder.event(ev.BlockEnded, block=name, status=status, reason=reason)

    def _work(self, name: str) -> Work:
        block = self.task.blocks[name]
        return Work(
            block=block,
            settings=self.task.settings[name],
            recorder=self.recorder,
            control=self.control,
            values=self.values,
            extras=self.values.extras(block),
            code=self.task.codes.get(name, {}),
            cache=self.cache if self.task.settings[name].cache else None,
        )

    def _start(self, name: str, side_by_side: SideBySide) -> bool:
        """Begin a block that is executed elsewhere; False if it has ended at once, as one does that is reused."""
        self._unended.discard(name)
        begun = time.perf_counter()
        prepared = executors.prepare(self._work(name), self.values)
        if isinstance(prepared, BlockEnd):
            self._ended(name, prepared, time.perf_counter() - begun)
            return False
        side_by_side.start(name, prepared)
        return True

    def _ended(self, name: str, end: BlockEnd | None, seconds: float) -> None:
        """Record how a block ended, and what follows; nothing if it was asked to stop before."""
        if end is None:
            return
        if end.error is not None and self.error is None:
            self.error = end.error
        self._record_end(name, end, seconds)
        self.values.release(name)
        if end.status is BlockStatus.CANCELLED:
            # a time limit that is set to end so
            self.control.cancel(by="timeout", message=end.message, reason=end.reason or Reason.TIMEOUT)
        # what follows from a failure may show only when the last of several blocks above has ended
        self._bad_ends = self._bad_ends or end.status in _BAD_ENDS
        if self._bad_ends:
            self._consequences()

    def _record_end(self, name: str, end: BlockEnd, seconds: float) -> None:
        self.recorder.close_block(name)
        if end.status is BlockStatus.REUSED:
            # by whom, is recorded
            return
        self.recorder.event(
            ev.BlockEnded,
            block=name,
            status=end.status,
            reason=end.reason,
            message=end.message,
            duration=round(seconds, 6),
            values=end.values,
            inner_shapes=end.inner_shapes,
            cpu_seconds=None if end.cpu_seconds is None else round(end.cpu_seconds, 6),
            peak_memory=end.peak_memory,
            receipts=shortened(end.receipts),
        )
        if self.cache is not None:
            self.cache.ended(name, end)

    def _statuses(self) -> dict[str, BlockStatus]:
        return {name: block.status for name, block in self.recorder.state.blocks.items()}

    def _end(self) -> None:
        """Record the end of the run; every block that has not ended, ends here."""
        state = self.recorder.state
        if state.done:
            return
        if self.control.stopping and any(map(_was_stopped, state.blocks.values())):
            self._cancelled()
            return
        status, reason = run_end(self._policy, self._statuses())
        message = self._end_message(status)
        if state.status is RunStatus.CANCELLING and reason is None:
            reason, message = Reason.TOO_LATE, "it was asked to stop, but all its work came to its end first"
        self.recorder.end(status, reason, message)

    def _cancelled(self) -> None:
        control = self.control
        self._cancelling.announce()
        for name, status in self._statuses().items():
            if status not in BLOCK_DONE:
                self.recorder.close_block(name)
                self.recorder.event(ev.BlockEnded, block=name, status=BlockStatus.CANCELLED, reason=control.reason)
        self.recorder.end(control.end_as, control.reason, control.message, receipts=shortened(control.receipts))

    def _end_message(self, status: RunStatus) -> str:
        if status is RunStatus.COMPLETED:
            return ""
        found = []
        for name, block in self.recorder.state.blocks.items():
            if block.failed and block.shape is not None:
                found.append(f"{name}: {block.failed:,} of {block.total:,} elements failed")
            elif block.status is BlockStatus.FAILED:
                found.append(f"{name}: {block.message or 'failed'}")
        return "; ".join(found[:5])


def _was_stopped(block: BlockState) -> bool:
    """Whether a block of a run that was asked to stop had not come to its own end."""
    return block.status not in BLOCK_DONE or (block.status is BlockStatus.CANCELLED and block.reason is Reason.TIMEOUT)

"""`executor="processes"`: the calls of a block are made by worker processes of ours."""

from __future__ import annotations

import msgspec

from runstone.core import events as ev
from runstone.core.calls import CallPlan
from runstone.core.reasons import Reason
from runstone.core.statuses import BlockStatus
from runstone.engine import mapped, pool
from runstone.engine.cores import cores
from runstone.engine.executors.called import CallJob
from runstone.engine.executors.elements import ElementsJob
from runstone.engine.executors.job import Job, WorkerRefused
from runstone.engine.executors.packed import Packed, packed
from runstone.engine.guard.start import paths
from runstone.engine.work import BlockEnd, Values, Work


def prepare(work: Work, values: Values) -> BlockEnd | OnWorkers:
    """Everything that is done before workers are asked; to be called in the driver's own thread."""
    found = packed(work, values)
    return found if isinstance(found, BlockEnd) else OnWorkers(found)


class OnWorkers:
    """A block run that workers can be asked to do. do: has a job done, and waits for it."""

    def __init__(self, task: Packed) -> None:
        self._task = task

    def run(self) -> BlockEnd | None:
        """Execute it; None if it was asked to stop before it had ended. Raises FolderError."""
        try:
            if self._task.plan is None:
                return self._call()
            return self._elements(self._task.plan)
        except WorkerRefused as refused:
            return _refused(self._task.work, refused)

    def limit(self) -> int:
        """How many compute at once."""
        return self._task.work.settings.max_parallel or cores()

    def do(self, job: Job) -> None:
        """Have a job done. Raises what makes it impossible."""
        pool.shared().execute(job)

    def _call(self) -> BlockEnd | None:
        work = self._task.work
        job = CallJob(work, self._task.data, paths())
        self.do(job)
        if job.end is not None and job.end.status is BlockStatus.COMPLETED:
            for output in work.block.outputs:
                if work.values.wanted(output):
                    work.values.put(output, work.recorder.made(output, None))
        return self._with_receipts(job, job.end)

    def _elements(self, plan: CallPlan) -> BlockEnd | None:
        work = self._task.work
        portion = mapped.begin(work, plan)
        job = ElementsJob(work, plan, portion.numbers, self._task.data, paths(), self.limit())
        if portion.numbers:
            self.do(job)
        if work.control.stopping and not job.finished:
            return self._with_receipts(job, None)
        end = mapped.end(work, portion, failure=job.failure or "", error=job.error, status=job.status)
        return self._with_receipts(job, end)

    def _with_receipts(self, job: Job, end: BlockEnd | None) -> BlockEnd | None:
        if end is None:
            self._task.work.control.receipts += job.receipts
            return None
        return msgspec.structs.replace(end, receipts=job.receipts)


def _refused(work: Work, refused: WorkerRefused) -> BlockEnd:
    said = refused.refusal
    work.recorder.event(
        ev.ErrorRaised,
        block=work.block.name,
        type=said.type,
        message=said.message,
        traceback=said.traceback,
        reason=Reason.NOT_PORTABLE,
    )
    return BlockEnd(status=BlockStatus.FAILED, reason=Reason.NOT_PORTABLE, message=f"{said.type}: {said.message}"[:400])

"""`executor="auto"`: worker processes where they save time, this process where they do not.

What an element costs is known from the last run of the block, in this process or as the ledger has it, or found out by
computing the first ones here. From then on the block stays where it is.
"""

from __future__ import annotations

import time
import weakref
from typing import Any

from runstone.blocks import Block
from runstone.core.calls import CallPlan
from runstone.engine import inline, mapped, pool
from runstone.engine.cores import cores
from runstone.engine.executors.elements import ElementsJob
from runstone.engine.executors.recorded_cost import recorded_cost
from runstone.engine.executors.team import Team
from runstone.engine.guard.start import paths
from runstone.engine.portable import pack
from runstone.engine.work import BlockEnd, Values, Work
from runstone.errors import NotPortable

MEASURED_SECONDS = 0.05
"""How long the first elements are computed here, if nothing is known of their cost."""

WORTH_SECONDS = 0.5
"""What is left must take longer than that here, to be worth sending it to other processes."""

_costs: weakref.WeakKeyDictionary[Block[..., Any], float] = weakref.WeakKeyDictionary()


def prepare(work: Work, values: Values) -> BlockEnd | Auto:
    """Everything that is done before the first element is computed; to be called in the driver's own thread."""
    plan = inline.planned(work)
    assert plan is not None, "a block that is not mapped is executed inline"
    return plan if isinstance(plan, BlockEnd) else Auto(work, values, plan)


class Auto:
    """A mapped block that is executed where it is done sooner."""

    def __init__(self, work: Work, values: Values, plan: CallPlan) -> None:
        self._work = work
        self._values = values
        self._plan = plan

    def run(self) -> BlockEnd | None:
        """Execute it; None if it was asked to stop before it had ended."""
        work = self._work
        portion = mapped.begin(work, self._plan)
        here = Team(work, portion, 1)
        begun = time.perf_counter()
        cost = _costs.get(work.block) or self._recorded()
        if cost is None:
            here.run(seconds=MEASURED_SECONDS)
            done = here.done
            cost = (time.perf_counter() - begun) / done if done else 0.0
            _costs[work.block] = cost
        if here.goes_on and self._is_worth(here.left * cost):
            data = self._packed()
            if data is not None:
                return self._elsewhere(portion, here, data)
        here.run()
        _costs[work.block] = (time.perf_counter() - begun) / max(1, here.done)
        return here.end()

    def _recorded(self) -> float | None:
        folder = self._work.recorder.folder
        return None if folder is None else recorded_cost(folder, self._work.block.name)

    def _packed(self) -> bytes | None:
        """What other processes unpack; None for what cannot be sent there, and for runs that are not kept."""
        folder = self._work.recorder.folder
        if folder is None:
            return None
        try:
            return pack(self._work, self._values, folder)
        except NotPortable:
            return None

    def _is_worth(self, seconds: float) -> bool:
        return cores() > 1 and seconds > WORTH_SECONDS

    def _elsewhere(self, portion: mapped.Portion, here: Team, data: bytes) -> BlockEnd | None:
        work = self._work
        limit = work.settings.max_parallel or cores()
        job = ElementsJob(work, self._plan, here.rest(), data, paths(), limit)
        job.told = here.told
        pool.shared().execute(job)
        if work.control.stopping and not job.finished:
            work.control.receipts += job.receipts
            return None
        failure = here.failure or job.failure or ""
        return mapped.end(work, portion, failure=failure, error=here.error or job.error, status=job.status)

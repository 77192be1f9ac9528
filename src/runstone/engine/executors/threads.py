"""`executor="threads"`: the calls of a block are made by threads of this process."""

from __future__ import annotations

from runstone.core.calls import CallPlan
from runstone.engine import inline, mapped
from runstone.engine.cores import cores
from runstone.engine.executors.team import Team
from runstone.engine.work import BlockEnd, Work


def prepare(work: Work) -> BlockEnd | Prepared:
    """Everything that is done before threads are started; to be called in the driver's own thread."""
    plan = inline.planned(work)
    return plan if isinstance(plan, BlockEnd) else Prepared(work, plan)


class Prepared:
    """A block run that threads can be asked to do."""

    def __init__(self, work: Work, plan: CallPlan | None) -> None:
        self._work = work
        self._plan = plan

    def run(self) -> BlockEnd | None:
        """Execute it, beginning with this thread; None if it was asked to stop before it had ended."""
        if self._plan is None:
            return inline.call(self._work)
        work = self._work
        portion = mapped.begin(work, self._plan)
        team = Team(work, portion, work.settings.max_parallel or min(32, cores() + 4))
        team.run()
        return team.end()

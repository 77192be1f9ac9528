"""A block run made ready for another process, in the driver's own thread."""

from __future__ import annotations

import msgspec

from runstone.core import events as ev
from runstone.core.calls import CallPlan
from runstone.core.reasons import Reason
from runstone.engine import inline
from runstone.engine.errors import ended_by
from runstone.engine.portable import pack
from runstone.engine.work import BlockEnd, Values, Work
from runstone.errors import NotPortable


class Packed(msgspec.Struct, frozen=True, kw_only=True):
    """plan: None if the block is not mapped. data: what another process unpacks."""

    work: Work
    plan: CallPlan | None
    data: bytes


def packed(work: Work, values: Values) -> BlockEnd | Packed:
    """Put together what another process needs; or how the block ends because that cannot be done."""
    plan = inline.planned(work)
    if isinstance(plan, BlockEnd):
        return plan
    try:
        return Packed(work=work, plan=plan, data=pack(work, values, work.recorder.folder))
    except NotPortable as error:
        work.recorder.event(ev.BlockStarted, block=work.block.name)
        return ended_by(work, error, Reason.NOT_PORTABLE)

"""How a run ends: one truth table over the ends of its blocks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from runstone.core.moves import BLOCK_DONE
from runstone.core.reasons import Reason
from runstone.core.statuses import BlockStatus, RunStatus

_B = BlockStatus
_BAD = frozenset({_B.FAILED, _B.TIMED_OUT, _B.CRASHED})


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """What the ends of blocks lead to.

    upstream: for every block, in an order in which they can run, the blocks it depends on. tolerated: the blocks with
    `on_error="continue"`. stop_on_failure: the run's own `on_error` is `"fail"`.
    """

    upstream: Mapping[str, Sequence[str]]
    tolerated: frozenset[str] = frozenset()
    stop_on_failure: bool = True


def block_end(ok: int, failed: int, upstream_failed: int, *, tolerated: bool) -> tuple[BlockStatus, Reason | None]:
    """How a mapped block ends whose elements have ended like this."""
    if failed == 0 and upstream_failed == 0:
        return _B.COMPLETED, None
    if failed and not tolerated:
        return _B.FAILED, Reason.ELEMENTS_FAILED
    if ok:
        return _B.DEGRADED, Reason.ELEMENTS_FAILED if failed else Reason.UPSTREAM_FAILED
    if failed:
        return _B.FAILED, Reason.ALL_ELEMENTS_FAILED
    return _B.UPSTREAM_FAILED, Reason.UPSTREAM_FAILED


def stops(policy: Policy, statuses: Mapping[str, BlockStatus]) -> bool:
    """Whether a block's failure means that nothing new may start."""
    return policy.stop_on_failure and any(
        status in _BAD and name not in policy.tolerated for name, status in statuses.items()
    )


def consequences(policy: Policy, statuses: Mapping[str, BlockStatus]) -> dict[str, tuple[BlockStatus, Reason]]:
    """Blocks that will not run because of how others ended, with their own end; in order, chains included.

    A block above which something was skipped is skipped, whatever else failed above it; so that the order in which
    blocks ended decides nothing, it is called `upstream_failed` only when all above it have ended or will not start.
    """
    known = dict(statuses)
    stopped = stops(policy, known)
    found: dict[str, tuple[BlockStatus, Reason]] = {}
    for name, upstream in policy.upstream.items():
        if known[name] is not _B.PENDING:
            continue
        above = {known[other] for other in upstream}
        if _B.CONDITION_FAILED in above:
            found[name] = (_B.CONDITION_FAILED, Reason.CONDITION_FALSE)
        elif above & (_BAD | {_B.UPSTREAM_FAILED}) and (stopped or above <= BLOCK_DONE):
            found[name] = (_B.UPSTREAM_FAILED, Reason.UPSTREAM_FAILED)
        if name in found:
            known[name] = found[name][0]
    if stopped:
        for name, status in known.items():
            if status in (_B.PENDING, _B.QUEUED):
                found[name] = (_B.CANCELLED, Reason.RUN_ENDED)
    return found


def ready(policy: Policy, statuses: Mapping[str, BlockStatus]) -> list[str]:
    """Blocks that may start now, in order."""
    if stops(policy, statuses):
        return []
    good = (_B.COMPLETED, _B.REUSED, _B.DEGRADED)
    return [
        name
        for name, upstream in policy.upstream.items()
        if statuses[name] is _B.PENDING and all(statuses[other] in good for other in upstream)
    ]


def run_end(policy: Policy, statuses: Mapping[str, BlockStatus]) -> tuple[RunStatus, Reason | None]:
    """How the run ends once every block has ended (not for runs that were cancelled or timed out).

    Raises ValueError if a block has not ended: no block of a done run is pending, queued or running.
    """
    open_blocks = [name for name, status in statuses.items() if status not in BLOCK_DONE]
    if open_blocks:
        raise ValueError(f"blocks have not ended: {', '.join(open_blocks)}")
    degraded = any(status is _B.DEGRADED for status in statuses.values())
    for name, status in statuses.items():
        if status not in _BAD:
            continue
        needed = any(
            name in upstream and statuses[other] is not _B.CONDITION_FAILED
            for other, upstream in policy.upstream.items()
        )
        if name not in policy.tolerated or needed:
            return RunStatus.FAILED, Reason.BLOCK_FAILED
        degraded = True
    if degraded:
        return RunStatus.DEGRADED, Reason.ELEMENTS_FAILED
    return RunStatus.COMPLETED, None

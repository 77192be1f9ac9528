"""The one table of moves: from which status a run or a block may go to which.

Nothing else knows the rules. What is final and what is active is computed from the tables, and so is the picture in
the documents.
"""

from __future__ import annotations

from enum import Enum
from typing import TypeVar

from runstone.core.statuses import BlockStatus, RunStatus

Status = TypeVar("Status", bound=Enum)
Moves = dict[Status, frozenset[Status]]

_R = RunStatus
_B = BlockStatus

RUN_MOVES: Moves[RunStatus] = {
    _R.SCHEDULED: frozenset({_R.PENDING, _R.CANCELLED}),
    _R.PENDING: frozenset({_R.RUNNING, _R.CANCELLED, _R.TIMED_OUT, _R.FAILED}),
    # running to running, and cancelling to cancelling, is a takeover: the next epoch of the same run
    _R.RUNNING: frozenset({_R.RUNNING, _R.CANCELLING, _R.COMPLETED, _R.DEGRADED, _R.FAILED, _R.TIMED_OUT, _R.CRASHED}),
    _R.CANCELLING: frozenset({_R.CANCELLING, _R.CANCELLED, _R.TIMED_OUT, _R.COMPLETED, _R.DEGRADED, _R.FAILED}),
    _R.COMPLETED: frozenset(),
    _R.DEGRADED: frozenset(),
    _R.FAILED: frozenset(),
    _R.TIMED_OUT: frozenset(),
    _R.CANCELLED: frozenset(),
    _R.CRASHED: frozenset(),
}

BLOCK_MOVES: Moves[BlockStatus] = {
    _B.PENDING: frozenset(
        {_B.QUEUED, _B.RUNNING, _B.REUSED, _B.FAILED, _B.UPSTREAM_FAILED, _B.CONDITION_FAILED, _B.CANCELLED}
    ),
    _B.QUEUED: frozenset({_B.RUNNING, _B.CANCELLED, _B.UPSTREAM_FAILED}),
    # running to running: the next epoch starts the block again, with what was recorded before
    _B.RUNNING: frozenset(
        {_B.RUNNING, _B.RETRYING, _B.COMPLETED, _B.DEGRADED, _B.FAILED, _B.TIMED_OUT, _B.CANCELLED, _B.CRASHED}
        | {_B.UPSTREAM_FAILED}
    ),
    _B.RETRYING: frozenset({_B.RUNNING, _B.FAILED, _B.TIMED_OUT, _B.CANCELLED, _B.CRASHED}),
    _B.COMPLETED: frozenset(),
    _B.REUSED: frozenset(),
    _B.DEGRADED: frozenset(),
    _B.FAILED: frozenset(),
    _B.TIMED_OUT: frozenset(),
    _B.CANCELLED: frozenset(),
    _B.CRASHED: frozenset(),
    _B.UPSTREAM_FAILED: frozenset(),
    _B.CONDITION_FAILED: frozenset(),
}


def final(moves: Moves[Status]) -> frozenset[Status]:
    """The statuses that nothing leaves."""
    return frozenset(status for status, to in moves.items() if not to)


def reachable(moves: Moves[Status]) -> Moves[Status]:
    """For every status, all that can be reached in one or more moves."""
    found: Moves[Status] = {}
    for start in moves:
        seen: set[Status] = set()
        front = set(moves[start])
        while front:
            seen |= front
            front = {to for status in front for to in moves[status]} - seen
        found[start] = frozenset(seen)
    return found


DONE: frozenset[RunStatus] = final(RUN_MOVES)
BLOCK_DONE: frozenset[BlockStatus] = final(BLOCK_MOVES)
RUN_REACHABLE: Moves[RunStatus] = reachable(RUN_MOVES)
BLOCK_REACHABLE: Moves[BlockStatus] = reachable(BLOCK_MOVES)

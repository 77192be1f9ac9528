"""What a guard tells its driver."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from runstone.core.receipts import OutOfMemory, Receipt

if TYPE_CHECKING:
    from runstone.engine.guard.client import Child


class Died(msgspec.Struct, frozen=True, kw_only=True):
    """A worker is dead, and so is everything it had started.

    exit_code or signal says how; both are None if it was never started, and `problem` says why. at: RFC 3339 in UTC.
    peak_memory: bytes it had in memory at most, or a child of it that it has waited for. cpu_seconds: its own, and of
    those children. out_of_memory: the system killed it for that.
    """

    child: Child
    at: str
    exit_code: int | None = None
    signal: int | None = None
    peak_memory: int = 0
    cpu_seconds: float = 0.0
    out_of_memory: OutOfMemory | None = None
    problem: str = ""


class Ended(msgspec.Struct, frozen=True, kw_only=True):
    """What `Guard.end` was asked for is over; comes after the worker's `Died`. receipt: what was done."""

    child: Child
    receipt: Receipt


class GuardLost(msgspec.Struct, frozen=True, kw_only=True):
    """The guard itself is dead, and by now so are its workers and all they had started. receipt: what was left."""

    receipt: Receipt


Change = Died | Ended | GuardLost

"""What the death of a worker means for the attempt it was on."""

from __future__ import annotations

from runstone.core.reasons import Reason
from runstone.core.settings import Retries
from runstone.engine.executors.job import TIMEOUT, Death
from runstone.errors import OutOfMemory, RunstoneError, TimedOut, WorkerDied


def error_of(death: Death, seconds: float | None) -> tuple[RunstoneError, Reason]:
    """The error that an attempt failed with when its worker died. seconds: the timeout of the block."""
    if death.ended_for == TIMEOUT:
        return TimedOut(f"it took longer than its timeout of {seconds or 0:g} s, and was ended"), Reason.TIMEOUT
    memory = death.out_of_memory
    if memory is not None:
        limit = "" if memory.limit is None else f" of {_megabytes(memory.limit)} allowed"
        return (
            OutOfMemory(
                f"{death.who} was killed because memory ran out: it had {_megabytes(memory.peak)}{limit} "
                f"({memory.known_by})"
            ),
            Reason.OUT_OF_MEMORY,
        )
    return WorkerDied(f"{death.who} {death.how}"), Reason.WORKER_DIED


def may_try_again(retries: Retries, attempt: int, error: RunstoneError) -> bool:
    """Whether another attempt follows. A death of the process is nobody's exception: it only spends a retry."""
    return attempt <= retries.count and (isinstance(error, WorkerDied) or retries.allows(error))


def _megabytes(size: int) -> str:
    return f"{size / 1e6:,.0f} MB"

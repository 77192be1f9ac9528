"""The closed list of reasons: one machine word for why something failed, stopped or was not done."""

from __future__ import annotations

from enum import StrEnum


class Reason(StrEnum):
    """Why. `retryable` tells infrastructure (try again) from logic (mend first)."""

    BLOCK_FAILED = "block_failed"
    ALL_ELEMENTS_FAILED = "all_elements_failed"
    ELEMENTS_FAILED = "elements_failed"
    EXCEPTION = "exception"
    CONDITION_ERROR = "condition_error"
    CONDITION_FALSE = "condition_false"
    OUTPUT_NOT_STORABLE = "output_not_storable"
    INVALID_OUTPUT = "invalid_output"
    NOT_PORTABLE = "not_portable"
    UPSTREAM_FAILED = "upstream_failed"
    RUN_ENDED = "run_ended"
    CANCEL_REQUESTED = "cancel_requested"
    CANCEL_UNCONFIRMED = "cancel_unconfirmed"
    NOT_KILLABLE = "not_killable"
    TOO_LATE = "too_late"
    REUSED = "reused"
    TIMEOUT = "timeout"
    DRIVER_GONE = "driver_gone"
    WORKER_DIED = "worker_died"
    OUT_OF_MEMORY = "out_of_memory"
    STORAGE = "storage"

    @property
    def retryable(self) -> bool:
        return self in _INFRASTRUCTURE


_INFRASTRUCTURE = frozenset({Reason.DRIVER_GONE, Reason.WORKER_DIED, Reason.OUT_OF_MEMORY, Reason.STORAGE})

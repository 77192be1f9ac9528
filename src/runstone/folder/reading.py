"""What a reader has found out about a run."""

from __future__ import annotations

import msgspec

from runstone.core.records import RunInfo
from runstone.core.run_state import RunState
from runstone.core.statuses import Liveness, RunStatus


class Reading(msgspec.Struct, kw_only=True):
    """A run as it was found on disk.

    source: heartbeat, journal or disk_heuristic. ends: for every file that was folded, relative to the folder, how
    much of it the fold has taken in. gone: whether the driver was proven dead before the records were read. heuristic:
    the status to show when only `outputs/` speaks. notes: what a reader should be told.
    """

    info: RunInfo
    state: RunState
    source: str
    liveness: Liveness
    epochs: list[int]
    ends: dict[str, int]
    gone: bool | None = None
    copied: bool = False
    heartbeat_at: str | None = None
    heartbeat_age: float | None = None
    heuristic: RunStatus | str | None = None
    notes: list[str] = []
    missing: list[str] = []

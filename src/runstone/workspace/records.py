"""What workspaces answer, the same for both twins."""

from __future__ import annotations

from typing import Any, Generic, SupportsIndex, TypeVar

import msgspec

from runstone.core.moves import DONE
from runstone.core.statuses import RunStatus
from runstone.ledger.history import Group, History
from runstone.ledger.workspaces import WorkspaceRow

R = TypeVar("R")


class WorkspaceRecord:
    """What a workspace tells of itself: the base of both twins.

    id is the name, under which runs know it; created_at: RFC 3339 in UTC, None before the ledger has heard of it.
    """

    def __init__(self, row: WorkspaceRow) -> None:
        self._row = row
        self.name: str = row.name
        self.id: str = row.name
        self.description: str = row.description
        self.created_at: str | None = row.created_at

    def __repr__(self) -> str:
        return f"<workspace {self.name!r}>"


class Runs(list[R], Generic[R]):
    """Runs, newest first. cursor: what to give `list_runs` to go on; None at the end."""

    def __init__(self, runs: list[R], cursor: str | None) -> None:
        super().__init__(runs)
        self.cursor = cursor

    def __reduce_ex__(self, _: SupportsIndex) -> tuple[Any, ...]:
        return type(self), (list(self), self.cursor)


class RunHistory(msgspec.Struct, frozen=True, kw_only=True):
    """How the runs of a workspace went. active: those that have not ended; statuses: how many runs have each.

    success_rate: of those that ended by themselves, from 0 to 1 (degraded counts as a success); None if none did.
    Durations are seconds, of runs that have ended; None if none has. pipelines: the same for each, most runs first.
    """

    total_runs: int
    completed: int
    degraded: int
    failed: int
    timed_out: int
    cancelled: int
    crashed: int
    active: int
    statuses: dict[str, int]
    success_rate: float | None
    avg_duration_seconds: float | None
    p50_duration_seconds: float | None
    p95_duration_seconds: float | None
    pipelines: list[Group]


def history_of(found: History) -> RunHistory:
    """The figures of a ledger under the names that are read here. found: by pipeline."""
    total = found.total
    ended = {status.value: total.statuses.get(status.value, 0) for status in DONE}
    return RunHistory(
        total_runs=total.runs,
        active=sum(total.statuses.get(status.value, 0) for status in RunStatus if status not in DONE),
        statuses=total.statuses,
        success_rate=total.success_rate,
        avg_duration_seconds=total.average_seconds,
        p50_duration_seconds=total.p50_seconds,
        p95_duration_seconds=total.p95_seconds,
        pipelines=found.groups,
        **ended,
    )

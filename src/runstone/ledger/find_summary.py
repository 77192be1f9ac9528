"""What lists of runs show of each: a row of the ledger, and where it has no end yet, what is seen of the run now."""

from __future__ import annotations

from typing import Any

import msgspec

from runstone.ledger import acting
from runstone.ledger.find_cursor import Position
from runstone.ledger.port import Row


class RunSummary(msgspec.Struct, frozen=True, kw_only=True):
    """One run. status: the word to act on; recorded_status: what its row says.

    Times RFC 3339 in UTC; progress counts elements, total None if unknown. run_folder: an absolute path.
    """

    run_id: str
    workspace: str
    pipeline_name: str
    pipeline_version: str | None
    kind: str
    status: str
    recorded_status: str
    reason: str | None
    message: str
    error: str | None
    created_at: str
    started_at: str | None
    finished_at: str | None
    updated_at: str | None
    duration_seconds: float | None
    rows_in: int | None
    rows_out: int | None
    progress_done: int
    progress_total: int | None
    progress_failed: int
    error_count: int
    artifact_count: int
    trigger: str
    host: str | None
    retry_of: str | None
    parent_id: str | None
    trace_id: str | None
    tags: list[str]
    run_folder: str | None


_PLAIN = (
    "run_id", "workspace", "pipeline_name", "pipeline_version", "kind", "reason", "message", "error", "created_at",
    "started_at", "finished_at", "updated_at", "duration_seconds", "rows_in", "rows_out", "progress_done",
    "progress_total", "progress_failed", "error_count", "artifact_count", "host", "retry_of", "parent_id", "trace_id",
    "run_folder",
)  # fmt: skip
_TAGS = {
    "sqlite": "(SELECT json_group_array(t.tag) FROM tag t WHERE t.run_key = r.run_key)",
    "postgres": "(SELECT CAST(coalesce(jsonb_agg(t.tag), '[]') AS TEXT) FROM tag t WHERE t.run_key = r.run_key)",
}
_decode_tags = msgspec.json.Decoder(list[str]).decode


def columns(dialect: str) -> str:
    """What to select for `summary`."""
    plain = ", ".join(f"r.{name}" for name in _PLAIN)
    return f"r.run_key, r.status, r.trigger_kind, CAST(r.driver AS TEXT), {_TAGS[dialect]}, {plain}"


def position(row: Row) -> Position:
    """The place of a row in the order of all runs."""
    return Position(row[5 + _PLAIN.index("created_at")], row[0])


def summary(row: Row) -> RunSummary:
    """A row as it is shown; the run of one that has no end is looked at."""
    key, status, trigger, driver, tags, *plain = row
    said = dict(zip(_PLAIN, plain, strict=True))
    seen = None
    if status in acting.UNFINISHED:
        seen = acting.look(acting.Claim(key, said["run_id"], status, driver, said["run_folder"]))
    if seen is not None:
        said["started_at"] = seen.started_at or said["started_at"]
        said["finished_at"] = seen.finished_at
        said["duration_seconds"] = seen.duration_seconds
        if seen.progress is not None:
            said["progress_done"], said["progress_total"], said["progress_failed"] = seen.progress
    return RunSummary(
        status=status if seen is None else seen.status,
        recorded_status=status,
        trigger=trigger,
        tags=sorted(_decode_tags(tags)),
        **said,
    )


def of_status(status: dict[str, Any]) -> RunSummary:
    """A run of which only the status object is known, as lists show it."""
    error = status["errors"][0] if status["errors"] else None
    driver = status["driver"]
    return RunSummary(
        run_id=status["id"],
        workspace=status["workspace"],
        pipeline_name=status["pipeline"]["name"],
        pipeline_version=status["pipeline"]["version"],
        kind="pipeline",
        status=status["status"],
        recorded_status=status["recorded_status"],
        reason=status["reason"],
        message=status["message"],
        error=None if error is None else f"{error['block']}: {error['type']}: {error['message']}",
        created_at=status["created_at"],
        started_at=status["started_at"],
        finished_at=status["finished_at"],
        updated_at=status["updated_at"],
        duration_seconds=status["duration_seconds"],
        rows_in=None,
        rows_out=None,
        progress_done=status["progress"]["done"],
        progress_total=status["progress"]["total"],
        progress_failed=status["progress"]["failed"],
        error_count=len(status["errors"]),
        artifact_count=0,
        trigger=status["trigger"],
        host=None if driver is None else driver["host"],
        retry_of=status["retry_of"],
        parent_id=status["parent_id"],
        trace_id=status["trace_id"],
        tags=status["tags"],
        run_folder=status["run_folder"],
    )

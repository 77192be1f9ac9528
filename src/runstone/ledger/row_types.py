"""What stands in the tables of the ledger about a run: a record for each kind of row."""

from __future__ import annotations

import msgspec

from runstone.core.ranges import Range


class RunRow(msgspec.Struct, frozen=True, kw_only=True):
    """A row of `pipeline_run`, as far as it follows from the run itself. rows_in to metrics: of tracked runs."""

    run_id: str
    workspace: str
    kind: str = "pipeline"
    pipeline_id: str
    pipeline_name: str
    pipeline_version: str | None
    status: str
    reason: str | None
    message: str
    error: str | None
    variables: str
    trigger_kind: str
    job_id: str | None
    retry_of: str | None
    replay_of: str | None = None
    parent_id: str | None
    imported_from: str | None
    trace_id: str | None
    created_at: str
    started_at: str | None
    updated_at: str | None
    finished_at: str | None
    cancel_requested_at: str | None
    duration_seconds: float | None
    host: str | None
    driver: str | None
    lease_seconds: float
    progress_done: int
    progress_total: int | None
    progress_failed: int
    error_count: int
    artifact_count: int
    rows_in: int | None = None
    rows_out: int | None = None
    llm_calls: int | None = None
    tokens: int | None = None
    metrics: str = "{}"
    input_fingerprint: str | None
    code_ref: str | None
    config_hash: str | None
    run_folder: str | None
    epoch: int
    seq: int


class BlockRow(msgspec.Struct, frozen=True, kw_only=True):
    """A row of `block_run`."""

    position: int
    block: str
    status: str
    attempt: int
    reason: str | None
    message: str
    started_at: str | None
    finished_at: str | None
    duration_seconds: float | None
    total: int | None
    ok: int
    failed: int
    upstream_failed: int
    retries: int
    error_count: int
    bytes: int
    cpu_seconds: float
    peak_memory: int | None
    adopted_from: str | None


class EventRow(msgspec.Struct, frozen=True, kw_only=True):
    """A row of `event`."""

    seq: int
    epoch: int
    at: str
    kind: str
    block: str | None
    body: str


class AttemptRow(msgspec.Struct, frozen=True, kw_only=True):
    """A row of `attempt`: of a block when it starts, of an element when it failed."""

    seq: int
    block: str
    element: int | None
    attempt: int
    status: str
    reason: str | None = None
    type: str | None = None
    message: str | None = None
    started_at: str | None = None
    finished_at: str | None = None


class AttemptEnd(msgspec.Struct, frozen=True, kw_only=True):
    """How the attempt of a block ended that was still open after the records before; None: of every block."""

    block: str | None
    status: str
    reason: str | None = None
    type: str | None = None
    message: str | None = None
    finished_at: str


class ErrorRow(msgspec.Struct, frozen=True, kw_only=True):
    """A row of `error`: one that no attempt followed."""

    seq: int
    block: str
    element: int | None
    attempt: int
    reason: str | None
    type: str
    message: str
    traceback: str
    at: str


class ArtifactRow(msgspec.Struct, frozen=True, kw_only=True):
    """A row of `artifact`."""

    seq: int
    artifact_id: str
    path: str
    name: str
    artifact_type: str
    content_type: str
    size_bytes: int
    sha256: str
    block: str | None
    element: int | None
    metadata: str
    created_at: str


class Rows(msgspec.Struct, kw_only=True):
    """What is to be in the ledger about a run after its record number `run.seq`.

    since: events, attempts, errors and artifacts are those of the records after this one; the run and its blocks are as
    they stand. attempt_ends: they come before all `attempts`. voided: numbers of records that count no more.
    """

    run: RunRow
    blocks: list[BlockRow]
    tags: list[str]
    since: int = 0
    events: list[EventRow] = []
    attempt_ends: list[AttemptEnd] = []
    attempts: list[AttemptRow] = []
    errors: list[ErrorRow] = []
    artifacts: list[ArtifactRow] = []
    voided: list[Range] = []

    def __len__(self) -> int:
        """How many rows there are."""
        parts = (self.blocks, self.events, self.attempts, self.errors, self.artifacts)
        return 1 + sum(len(part) for part in parts)

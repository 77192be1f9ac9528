"""All that the ledger knows of one run, for whoever shows it."""

from __future__ import annotations

from typing import Any

import msgspec

from runstone.core.annotated import Annotation, notes
from runstone.core.statuses import RunStatus
from runstone.errors import RunNotFound
from runstone.ledger import acting
from runstone.ledger.annotations import of_run
from runstone.ledger.find import get
from runstone.ledger.find_summary import RunSummary
from runstone.ledger.port import Params, Store

ERRORS, RELATED, ARTIFACTS = 20, 20, 50
"""How many are told; how many there are is always told."""

_UNDERWAY = ("queued", "running", "retrying")


class BlockRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One block run. status: the word to act on. total, ok, failed: elements; total None if it is not mapped."""

    block: str
    status: str
    recorded_status: str
    attempt: int
    started_at: str | None
    finished_at: str | None
    duration_seconds: float | None
    total: int | None
    ok: int
    failed: int
    upstream_failed: int
    retries: int
    bytes: int
    cpu_seconds: float
    peak_memory: int | None
    adopted_from: str | None
    message: str


class ErrorRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One error that was final. traceback: its end; "" if nothing was kept of it."""

    block: str
    element: int | None
    attempt: int
    reason: str | None
    type: str
    message: str
    traceback: str
    at: str


class ArtifactRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One file that the run saved on purpose; path is below the run folder."""

    artifact_id: str
    name: str
    path: str
    artifact_type: str
    size_bytes: int
    sha256: str
    block: str | None


class Related(msgspec.Struct, frozen=True, kw_only=True):
    """Another run. how: what it is to this one: retry_of, retried_by, replay_of, replayed_by, parent, child,
    same_input. status: the word to act on."""

    how: str
    run_id: str
    pipeline_name: str | None = None
    status: str | None = None
    created_at: str | None = None


class RunDetail(msgspec.Struct, frozen=True, kw_only=True):
    """run: as lists show it. params: plain values as they are, others as their preview. fingerprints: SHA-256 in hex.

    children: how many runs it has started. notes: what people noted about it, in order. errors and artifacts are the
    first of as many as `run` says.
    """

    run: RunSummary
    params: dict[str, Any]
    job_id: str | None
    imported_from: str | None
    replay_of: str | None
    scheduled_at: str | None
    cancel_requested_at: str | None
    llm_calls: int | None
    tokens: int | None
    input_fingerprint: str | None
    code_ref: str | None
    config_hash: str | None
    metrics: dict[str, int | float | str]
    blocks: list[BlockRecord]
    errors: list[ErrorRecord]
    artifacts: list[ArtifactRecord]
    related: list[Related]
    children: int
    notes: list[Annotation]


_ROW = """
SELECT run_key, CAST(variables AS TEXT), CAST(metrics AS TEXT), job_id, imported_from, replay_of,
    scheduled_at, cancel_requested_at, llm_calls, tokens, input_fingerprint, code_ref, config_hash
FROM pipeline_run WHERE run_id = :run_id
"""
_CHILDREN = "SELECT count(*) FROM pipeline_run WHERE parent_id = :run_id AND workspace = :workspace"
_OTHER = "SELECT run_id, pipeline_name, created_at, run_key, status, CAST(driver AS TEXT), run_folder FROM pipeline_run"
_NAMED = f"{_OTHER} WHERE run_id = :run_id"
# all of them follow the order of an index, from its newest end
_RELATED = {
    "retried_by": "retry_of = :run_id",
    "replayed_by": "replay_of = :run_id",
    "child": "parent_id = :run_id",
    "same_input": "input_fingerprint = :fingerprint AND run_id <> :run_id AND pipeline_name = :pipeline",
}
_SAME_INPUT = 5


def detail(store: Store, run: str, *, workspace: str | None) -> RunDetail:
    """What the ledger knows of the run with this id, or the only one whose id begins like this.

    Raises RunNotFound, RunAmbiguous.
    """
    summary = get(store, run, workspace=workspace)
    found = store.rows(_ROW, {"run_id": summary.run_id})
    if not found:
        raise RunNotFound(f"run {summary.run_id} has just been deleted")
    key, variables, metrics, *rest = found[0]
    names = RunDetail.__struct_fields__[2:12]
    said = dict(zip(names, rest, strict=True))
    return RunDetail(
        run=summary,
        params=msgspec.json.decode(variables),
        metrics=msgspec.json.decode(metrics),
        blocks=_blocks(store, key, crashed=summary.status == RunStatus.CRASHED.value),
        errors=_records(store, ErrorRecord, "error", "seq", key, ERRORS),
        artifacts=_records(store, ArtifactRecord, "artifact", "seq", key, ARTIFACTS),
        related=_related(store, summary, said["replay_of"], said["input_fingerprint"]),
        notes=notes(of_run(store, summary.run_id)),
        children=_count(store, _CHILDREN, {"run_id": summary.run_id, "workspace": summary.workspace}),
        **said,
    )


def _blocks(store: Store, key: int, *, crashed: bool) -> list[BlockRecord]:
    names = [name for name in BlockRecord.__struct_fields__ if name not in ("status", "recorded_status")]
    rows = store.rows(
        f"SELECT status, {', '.join(names)} FROM block_run WHERE run_key = :key ORDER BY position", {"key": key}
    )
    return [
        BlockRecord(
            status=RunStatus.CRASHED.value if crashed and status in _UNDERWAY else status,
            recorded_status=status,
            **dict(zip(names, rest, strict=True)),
        )
        for status, *rest in rows
    ]


def _records(store: Store, record: type[Any], table: str, order: str, key: int, most: int) -> list[Any]:
    names = record.__struct_fields__
    rows = store.rows(
        f"SELECT {', '.join(names)} FROM {table} WHERE run_key = :key ORDER BY {order} LIMIT {most}", {"key": key}
    )
    return [record(**dict(zip(names, row, strict=True))) for row in rows]


def _related(store: Store, run: RunSummary, replay_of: str | None, fingerprint: str | None) -> list[Related]:
    found = []
    for how, other in (("retry_of", run.retry_of), ("replay_of", replay_of), ("parent", run.parent_id)):
        if other is not None:
            rows = store.rows(_NAMED, {"run_id": other})
            found += _told(how, rows) or [Related(how=how, run_id=other)]
    params = {
        "run_id": run.run_id,
        "workspace": run.workspace,
        "fingerprint": fingerprint,
        "pipeline": run.pipeline_name,
    }
    for how, condition in _RELATED.items():
        if how == "same_input" and fingerprint is None:
            continue
        most = _SAME_INPUT if how == "same_input" else RELATED
        rows = store.rows(
            f"{_OTHER} WHERE {condition} AND workspace = :workspace"
            f" ORDER BY created_at DESC, run_key DESC LIMIT {most}",
            params,
        )
        found += _told(how, rows)
    return found


def _told(how: str, rows: list[Any]) -> list[Related]:
    return [
        Related(how=how, run_id=run_id, pipeline_name=name, status=_acting(run_id, *claim), created_at=created_at)
        for run_id, name, created_at, *claim in rows
    ]


def _acting(run_id: str, run_key: int, status: str, driver: str | None, run_folder: str | None) -> str:
    """The word to act on."""
    if status not in acting.UNFINISHED:
        return status
    seen = acting.look(acting.Claim(run_key, run_id, status, driver, run_folder))
    return status if seen is None else seen.status


def _count(store: Store, sql: str, params: Params) -> int:
    return int(store.rows(sql, params)[0][0])

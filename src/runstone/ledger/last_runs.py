"""The newest run of every pipeline, found without going through all runs."""

from __future__ import annotations

import msgspec

from runstone.core.statuses import RunStatus
from runstone.ledger import acting
from runstone.ledger.port import Store

BADLY = frozenset({RunStatus.FAILED.value, RunStatus.CRASHED.value, RunStatus.TIMED_OUT.value})
"""How the newest run of a pipeline has ended if that counts as failed."""

# Both stores go from one name to the next along run_by_pipeline, however many runs are between them.
_NEWEST = """
WITH RECURSIVE pipeline (name) AS (
    SELECT min(pipeline_name) FROM pipeline_run WHERE workspace = :workspace
    UNION ALL
    SELECT (SELECT min(r.pipeline_name) FROM pipeline_run r
            WHERE r.workspace = :workspace AND r.pipeline_name > pipeline.name)
    FROM pipeline WHERE pipeline.name IS NOT NULL
)
SELECT r.pipeline_name, r.pipeline_id, r.run_key, r.run_id, r.status, CAST(r.driver AS TEXT), r.run_folder
FROM pipeline JOIN pipeline_run r ON r.run_key = (
    SELECT n.run_key FROM pipeline_run n WHERE n.workspace = :workspace AND n.pipeline_name = pipeline.name
    ORDER BY n.created_at DESC, n.run_key DESC LIMIT 1
)
"""


class LastRun(msgspec.Struct, frozen=True, kw_only=True):
    """status: of the newest run of a pipeline, to act on."""

    workspace: str
    pipeline_name: str
    pipeline_id: str
    status: str


def last_runs(store: Store, workspace: str) -> list[LastRun]:
    """Every pipeline of a workspace with the status of its newest run."""
    found = []
    for name, identity, *said in store.rows(_NEWEST, {"workspace": workspace}):
        claim = acting.Claim(*said)
        seen = acting.look(claim) if claim.status in acting.UNFINISHED else None
        found.append(
            LastRun(
                workspace=workspace,
                pipeline_name=name,
                pipeline_id=identity,
                status=claim.status if seen is None else seen.status,
            )
        )
    return found


def failing(store: Store, workspaces: list[str]) -> list[LastRun]:
    """The pipelines whose newest run in their workspace ended failed, crashed or timed_out."""
    return [last for workspace in workspaces for last in last_runs(store, workspace) if last.status in BADLY]

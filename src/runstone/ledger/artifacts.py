"""The files that a run has saved, as the ledger knows them."""

from __future__ import annotations

import msgspec

from runstone.core.events import ArtifactSaved
from runstone.ledger.port import Store

_NAMES = (
    "seq", "artifact_id", "path", "name", "artifact_type", "content_type", "size_bytes", "sha256", "block", "element",
)  # fmt: skip
_SELECT = (
    f"SELECT created_at, CAST(metadata AS TEXT), {', '.join(_NAMES)} FROM artifact"
    " WHERE run_key = (SELECT run_key FROM pipeline_run WHERE run_id = :run_id AND workspace = :workspace) ORDER BY seq"
)


def artifacts(store: Store, run_id: str, *, workspace: str) -> list[ArtifactSaved]:
    """All of a run, in the order in which they were saved. Raises LedgerError."""
    return [
        ArtifactSaved(at=at, metadata=msgspec.json.decode(metadata), **dict(zip(_NAMES, rest, strict=True)))
        for at, metadata, *rest in store.rows(_SELECT, {"run_id": run_id, "workspace": workspace})
    ]

"""What an element of a block has cost the last time, as the ledger has it."""

from __future__ import annotations

from runstone.errors import FolderError, LedgerError, SettingError
from runstone.folder.look import Look
from runstone.folder.read import read_info
from runstone.ledger import opening, place

_PATIENCE = 0.2
_LAST = """
SELECT block_run.duration_seconds, block_run.cpu_seconds, block_run.ok + block_run.failed
FROM pipeline_run JOIN block_run ON block_run.run_key = pipeline_run.run_key
WHERE pipeline_run.workspace = :workspace AND pipeline_run.pipeline_name = :pipeline AND block_run.block = :block
    AND block_run.status IN ('completed', 'degraded') AND block_run.ok + block_run.failed > 1
    AND block_run.adopted_from IS NULL
ORDER BY pipeline_run.created_at DESC, pipeline_run.run_key DESC LIMIT 1
"""


def recorded_cost(folder: str, block: str) -> float | None:
    """Seconds of an element of a block in the newest run of the same pipeline; None if none is known.

    folder: of the run that asks.
    """
    try:
        found = place.find()
        with Look(folder) as look:
            info = read_info(look)
        store = None if found is None else opening.open_for_reading(found, patience=_PATIENCE, at_once=True)
        if store is None:
            return None
        try:
            rows = store.rows(_LAST, {"workspace": info.workspace, "pipeline": info.pipeline.name, "block": block})
        finally:
            store.close()
    except (LedgerError, FolderError, SettingError, OSError):
        # it is found out by computing the first elements
        return None
    if not rows:
        return None
    seconds, cpu, count = rows[0]
    # elsewhere several were computed at a time: then what the processors did says more
    return float(max(seconds or 0.0, cpu) / count)

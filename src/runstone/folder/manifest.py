"""`manifest.json`: the run in the shape its readers know, derived from the record and written at its end."""

from __future__ import annotations

import contextlib
from typing import Any

import msgspec

from runstone.core.block_status import acting_block_status
from runstone.core.records import RunInfo
from runstone.core.run_state import ErrorSummary, RunState
from runstone.core.statuses import RunStatus
from runstone.errors import FolderError
from runstone.folder import disk, layout
from runstone.folder.observe import block_seconds, run_seconds


def build(info: RunInfo, state: RunState, status: str) -> dict[str, Any]:
    """The manifest of a run. status: the word to act on."""
    crashed = status == RunStatus.CRASHED.value and not state.done
    return {
        "run_id": info.id,
        "workspace_id": info.workspace,
        "job_id": info.job_id,
        "graph_name": info.pipeline.name,
        "status": status,
        "created_at": info.created_at,
        "completed_at": state.finished_at,
        "duration_seconds": run_seconds(state, crashed=crashed),
        "params": {name: param.preview for name, param in info.params.items()},
        "outputs": {
            name: {"type": output.type, "bytes": output.bytes, "values": output.stored}
            for block in state.blocks.values()
            for name, output in block.outputs.items()
        },
        "artifacts": [artifact.artifact_id for artifact in state.artifacts],
        "error": first_error(state),
        "stages": [
            {
                "name": name,
                "status": (word := acting_block_status(block, crashed=crashed)),
                "duration_seconds": block_seconds(block, state.updated_at) if word == "crashed" else block.duration,
            }
            for name, block in state.blocks.items()
        ],
    }


def first_error(state: RunState) -> str | None:
    """What went wrong first, in one line; None if nothing did."""
    error = decisive(state)
    if error is not None:
        said = _on_one_line(error.message)
        return f"{error.place}: {error.type}: {said}" if said else f"{error.place}: {error.type}"
    ended_badly = state.done and state.status.value not in ("completed", "degraded")
    return _on_one_line(state.message) or None if ended_badly else None


def decisive(state: RunState) -> ErrorSummary | None:
    """The first error that ended a block, or if all were tolerated the first of those; None if there is none."""
    bad = ("failed", "crashed", "timed_out")
    ended_by = {name for name, block in state.blocks.items() if block.status.value in bad}
    return min(state.errors, key=lambda error: error.block not in ended_by, default=None)


def _on_one_line(text: str) -> str:
    return " ".join(line.strip() for line in text.splitlines() if line.strip())


def save(folder: str, info: RunInfo, state: RunState) -> None:
    """Write the manifest. It is derived: if the disk refuses, it is built again when somebody asks."""
    data = msgspec.json.encode(build(info, state, state.status.value))
    with contextlib.suppress(FolderError):
        disk.replace(f"{folder}/{layout.MANIFEST}", data)

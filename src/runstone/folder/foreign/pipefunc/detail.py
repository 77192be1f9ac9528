"""A run of pipefunc in some detail, for `runstone show`."""

from __future__ import annotations

import time
from typing import Any

from runstone.core.records import StartedBy
from runstone.errors import FolderError
from runstone.folder import clock
from runstone.folder.error_detail import ErrorDetail, ErrorGroups
from runstone.folder.foreign.pipefunc.answer import index_of, status_object
from runstone.folder.foreign.pipefunc.blocks import Block
from runstone.folder.foreign.pipefunc.findings import Findings, look_at
from runstone.folder.overview import ERRORS, BlockDetail, OutputDetail, Overview


def overview(path: str, block: str | None = None) -> Overview:
    """Look at the run in a folder, or at one block of it. Raises FileNotFoundError, NotADirectoryError, FolderError."""
    findings = look_at(path)
    wanted = [each for each in findings.blocks if block in (None, each.info.name)]
    if block is not None and not wanted:
        raise FolderError(f"the run in {path} has no block {block!r}")
    status = status_object(findings, path)
    errors = [
        ErrorDetail(
            block=of.info.name,
            element=element,
            index=index_of(output, element),
            attempt=1,
            type=snapshot.type,
            message=snapshot.message,
            reason="exception",
            occurred_at=snapshot.at,
            traceback=snapshot.traceback,
        )
        for of, output, element, snapshot in findings.errors
        if of in wanted
    ]
    start = clock.seconds(status["started_at"])
    live = status["liveness"] == "live"
    seconds = status["duration_seconds"]
    if seconds is None and start is not None:
        last = time.time() if live else clock.seconds(status["updated_at"])
        seconds = None if last is None else max(0.0, last - start)
    return Overview(
        status=status,
        description=f"pipefunc {findings.info.version}",
        started_by=StartedBy(),
        seconds=seconds,
        blocks=[_block(each, findings, status) for each in wanted],
        params=[],
        errors=errors[:ERRORS],
        error_count=sum(each.state.failed for each in wanted),
        error_groups=ErrorGroups(errors).groups(),
        artifacts=[],
        artifact_count=0,
        foreign=True,
    )


def _block(block: Block, findings: Findings, status: dict[str, Any]) -> BlockDetail:
    stored = findings.evidence.stored
    state = block.state
    return BlockDetail(
        name=block.info.name,
        status=state.status.value,
        acting_status=block.word,
        shape=state.shape,
        total=state.total,
        ok=state.ok,
        failed=state.failed,
        upstream_failed=state.upstream_failed,
        attempt=0,
        retries=0,
        started_at=None,
        finished_at=None,
        duration_seconds=None,
        seconds=None,
        reason=None if state.reason is None else state.reason.value,
        message="",
        mapspec=block.info.mapspec,
        upstream=block.info.upstream,
        doc="",
        loader=None,
        code={},
        outputs=[
            OutputDetail(
                name=output.name,
                type=status["outputs"][output.name]["type"],
                values=stored[output.name].there or 0,
                bytes=stored[output.name].bytes,
                complete=status["outputs"][output.name]["complete"],
            )
            for output in block.outputs
        ],
    )

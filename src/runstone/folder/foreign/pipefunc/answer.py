"""The status object of a run of pipefunc: the same keys, with the same meanings, as for our own runs."""

from __future__ import annotations

import os
from collections import Counter
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from runstone.core.arrays import unravel
from runstone.core.block_status import block_object
from runstone.core.reasons import Reason
from runstone.core.status import KEYS
from runstone.core.statuses import Liveness
from runstone.errors import FolderError
from runstone.folder.foreign.pipefunc.findings import Findings, look_at, progress
from runstone.folder.foreign.pipefunc.moments import rfc3339
from runstone.folder.foreign.pipefunc.run_info import Output, raw
from runstone.folder.foreign.pipefunc.verdict import is_whole
from runstone.folder.look import Look

_REASONS = {
    "failed": Reason.BLOCK_FAILED,
    "degraded": Reason.ELEMENTS_FAILED,
    "cancelled": Reason.CANCEL_REQUESTED,
}
_ERRORS = 50


def status(path: str, block: str | None = None) -> dict[str, Any]:
    """The status object of the run in a folder. block: add `block`, the record of this one.

    Raises FileNotFoundError, NotADirectoryError, FolderError.
    """
    findings = look_at(path)
    answer = status_object(findings, path)
    if block is not None:
        found = next((each for each in findings.blocks if each.info.name == block), None)
        if found is None:
            raise FolderError(f"the run in {path} has no block {block!r}")
        answer["block"] = block_object(found.info, found.state, found.word, answer["outputs"], None)
    return answer


def blocks(path: str) -> list[str]:
    """The names of the run's blocks. Raises as `status` does."""
    return [block.info.name for block in look_at(path).blocks]


def run_info(path: str) -> Any:
    """The content of run_info.json as pipefunc shows it; None if it cannot be read."""
    try:
        with Look(path) as look:
            return raw(look)
    except OSError:
        return None


def status_object(findings: Findings, path: str) -> dict[str, Any]:
    """All of it. What pipefunc does not record is null, as where it is unknown for a run of ours."""
    evidence, verdict = findings.evidence, findings.verdict
    beat = evidence.heartbeat
    folder = _printable(os.path.abspath(path))
    outputs = {output.name: _output(output, findings) for output in evidence.info.outputs.values()}
    fractions = [found["progress"] for found in outputs.values() if found["progress"] is not None]
    complete = sum(found["complete"] for found in outputs.values())
    started, updated = rfc3339(evidence.started), rfc3339(evidence.newest)
    ended = None if verdict.ended_at is None else rfc3339(verdict.ended_at)
    answer: dict[str, Any] = dict.fromkeys(KEYS)
    answer.update(
        id=str(uuid5(NAMESPACE_URL, f"pipefunc:{evidence.info.place}")),
        workspace="default",
        pipeline={"name": os.path.basename(folder) or folder, "version": None, "code_ref": None},
        status=verdict.status,
        recorded_status=verdict.recorded,
        done=verdict.done,
        resumable=False,
        reason=reason.value if (reason := _REASONS.get(verdict.status)) else None,
        message="; ".join([*verdict.notes, *findings.notes]),
        status_source=verdict.source,
        liveness=verdict.liveness.value,
        stale=verdict.liveness is Liveness.LOST,
        seq=0,
        epoch=0,
        created_at=started,
        started_at=started,
        updated_at=updated,
        status_changed_at=ended or started,
        finished_at=ended,
        duration_seconds=_seconds(evidence.started, verdict.ended_at),
        progress_fraction=sum(fractions) / len(fractions) if fractions else None,
        progress=_elements(findings),
        blocks=dict(Counter(block.word for block in findings.blocks)),
        outputs=outputs,
        errors=_errors(findings),
        warnings=[],
        params=dict.fromkeys(evidence.info.inputs),
        tags=[],
        trigger="script",
        output_ref=folder if verdict.done and complete else None,
        run_folder=folder,
        links={},
        all_complete=complete == len(outputs),
        n_outputs=len(outputs),
        n_outputs_completed=complete,
        last_modified=rfc3339(evidence.described) if beat is None else beat.told_at,
    )
    return answer


def _output(output: Output, findings: Findings) -> dict[str, Any]:
    stored = findings.evidence.stored[output.name]
    return {
        "type": "pickle" if stored.there else None,
        "progress": progress(output, stored, findings.evidence, findings.verdict),
        "complete": is_whole(output, stored) and not stored.failed and not stored.not_called,
        "bytes": stored.bytes,
    }


def _elements(findings: Findings) -> dict[str, Any]:
    totals = [block.total for block in findings.blocks]
    return {
        "done": sum(block.ended for block in findings.blocks),
        "total": None if None in totals else sum(total for total in totals if total is not None),
        "failed": sum(block.state.failed for block in findings.blocks),
        "unit": "elements",
    }


def _errors(findings: Findings) -> list[dict[str, Any]]:
    return [
        {
            "block": block.info.name,
            "element": element,
            "index": index_of(output, element),
            "attempt": 1,
            "type": snapshot.type,
            "message": snapshot.message,
            "reason": Reason.EXCEPTION.value,
            "retryable": False,
            "occurred_at": snapshot.at,
        }
        for block, output, element, snapshot in findings.errors[:_ERRORS]
    ]


def index_of(output: Output, element: int | None) -> list[int] | None:
    """The place of an element along each axis, None if the output is not mapped or its shape is unknown."""
    shape = [length or 0 for length in output.shape]
    return None if element is None or 0 in shape else list(unravel(element, shape))


def _seconds(start: float, end: float | None) -> float | None:
    return None if end is None else round(max(0.0, end - start), 6)


def _printable(text: str) -> str:
    return text.encode(errors="backslashreplace").decode()

"""The status object: the one JSON shape in which every surface shows a run.

Built from the fold and from what an observer found; pure, so that equal facts give equal objects.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import msgspec

from runstone.core.block_status import acting_block_status, inferred_block_status
from runstone.core.moves import BLOCK_DONE
from runstone.core.reasons import Reason
from runstone.core.records import RunInfo
from runstone.core.run_state import BlockState, ErrorSummary, RunState
from runstone.core.statuses import BlockStatus, Liveness, RunStatus

KEYS = (
    "id", "workspace", "pipeline", "status", "recorded_status", "done", "resumable", "reason", "message",
    "status_source", "liveness", "stale", "seq", "epoch", "job_id", "retry_of", "retried_by", "parent_id", "driver",
    "created_at", "scheduled_at", "priority", "started_at", "updated_at", "status_changed_at", "finished_at",
    "duration_seconds", "deadline_at", "sla", "cancel_requested_at", "progress_fraction", "progress", "blocks",
    "outputs", "errors", "warnings", "waiting_for", "params", "tags", "trigger", "trace_id", "output_ref",
    "run_folder", "links", "all_complete", "n_outputs", "n_outputs_completed", "last_modified",
)  # fmt: skip
"""Every key of the object, in order; all are always there."""

_MADE = (BlockStatus.COMPLETED, BlockStatus.REUSED, BlockStatus.DEGRADED)


class Observation(msgspec.Struct, frozen=True, kw_only=True):
    """What the observer adds to the fold.

    source: heartbeat, journal, disk_heuristic or ledger. heuristic: the status to show when there is no fold.
    alive: the driver's process is proven to be there, however silent. copied: it writes to another folder than this.
    missing: files that the fold counts on and that are not on disk as it says. notes: sentences for the message.
    duration_seconds: from start to end, or to the last record of a driver that is proven dead; else None.
    cancel_requested_at: of a request that lies in the folder, for as long as the driver has not answered it.
    """

    liveness: Liveness
    source: str
    run_folder: str | None
    heuristic: str | None = None
    alive: bool = False
    copied: bool = False
    missing: list[str] = []
    notes: list[str] = []
    duration_seconds: float | None = None
    cancel_requested_at: str | None = None


_NOBODY = Observation(liveness=Liveness.LIVE, source="journal", run_folder=None)


def acting_status(state: RunState, observation: Observation) -> str:
    """The word to act on: what is recorded, unless the driver is proven dead before it could record an end."""
    if observation.heuristic is not None:
        return observation.heuristic
    if has_crashed(state, observation):
        return RunStatus.CRASHED.value
    return state.status.value


def has_crashed(state: RunState, observation: Observation) -> bool:
    """Whether the driver is proven dead and has recorded no end."""
    return observation.liveness is Liveness.GONE and not state.done


def status_object(info: RunInfo, state: RunState, observation: Observation) -> dict[str, Any]:
    """The status object of a run. Times RFC 3339 in UTC, durations in seconds, sizes in bytes."""
    status = acting_status(state, observation)
    crashed = has_crashed(state, observation)
    done = state.done or observation.heuristic == RunStatus.COMPLETED.value
    outputs, expected, complete, fractions = _outputs(info, state, observation)
    all_complete = expected == complete
    finished = state.finished_at
    return {
        "id": info.id,
        "workspace": info.workspace,
        "pipeline": {"name": info.pipeline.name, "version": info.pipeline.version, "code_ref": info.pipeline.code_ref},
        "status": status,
        "recorded_status": state.status.value,
        "done": done,
        "resumable": info.recoverable
        and (crashed or status in ("failed", "timed_out", "cancelled", "crashed", "degraded")),
        "reason": Reason.DRIVER_GONE.value if crashed else _value(state.reason),
        "message": _message(info, state, observation, outputs, crashed=crashed),
        "status_source": observation.source,
        "liveness": observation.liveness.value,
        "stale": not done and observation.liveness in (Liveness.STALE, Liveness.LOST),
        "seq": state.seq,
        "epoch": state.epoch,
        "job_id": info.job_id,
        "retry_of": info.retry_of,
        "retried_by": None,
        "parent_id": info.parent_id,
        "driver": _driver(state),
        "created_at": info.created_at,
        "scheduled_at": None,
        "priority": None,
        "started_at": state.started_at,
        "updated_at": state.updated_at or info.created_at,
        "status_changed_at": state.status_changed_at or info.created_at,
        "finished_at": finished,
        "duration_seconds": observation.duration_seconds,
        "deadline_at": None,
        "sla": None,
        "cancel_requested_at": state.cancel_requested_at or observation.cancel_requested_at,
        "progress_fraction": sum(fractions) / len(fractions) if fractions else None,
        "progress": progress(info, state),
        "blocks": dict(Counter(block_statuses(info, state, observation, outputs).values())),
        "outputs": outputs,
        "errors": [_error(error) for error in state.errors],
        "warnings": [_warning(warning) for warning in state.warnings],
        "waiting_for": None,
        "params": {name: _param(param) for name, param in info.params.items()},
        "tags": info.tags,
        "trigger": info.trigger,
        "trace_id": info.trace_id,
        "output_ref": observation.run_folder if done and complete else None,
        "run_folder": observation.run_folder,
        "links": {},
        "all_complete": all_complete,
        "n_outputs": expected,
        "n_outputs_completed": complete,
        "last_modified": state.updated_at or info.created_at,
    }


def block_statuses(
    info: RunInfo, state: RunState, observation: Observation, outputs: dict[str, dict[str, Any]]
) -> dict[str, str]:
    """The word to act on for every block. outputs: those of the status object."""
    if observation.heuristic is None:
        crashed = has_crashed(state, observation)
        return {name: acting_block_status(block, crashed=crashed) for name, block in state.blocks.items()}
    return {
        block.name: inferred_block_status(
            [outputs[name] for name in block.outputs],
            sum(output.stored for output in state.blocks[block.name].outputs.values()),
        )
        for block in info.blocks
    }


def progress_fraction(info: RunInfo, state: RunState) -> float | None:
    """The mean progress of all outputs that are expected, from 0 to 1; None if there is none."""
    fractions = _outputs(info, state, _NOBODY)[3]
    return sum(fractions) / len(fractions) if fractions else None


def _value(reason: Reason | None) -> str | None:
    return None if reason is None else reason.value


def _driver(state: RunState) -> dict[str, Any] | None:
    driver = state.driver
    if driver is None:
        return None
    return {"worker": driver.worker, "host": driver.host, "pid": driver.pid, "executor": driver.executor}


def _outputs(
    info: RunInfo, state: RunState, observation: Observation
) -> tuple[dict[str, dict[str, Any]], int, int, list[float]]:
    """Every output; how many are expected, how many are complete, and the progress of those where it is known.

    An output whose block was skipped by a condition is listed and not expected.
    """
    outputs: dict[str, dict[str, Any]] = {}
    expected = complete = 0
    fractions: list[float] = []
    broken = {name.rpartition("/")[2].rpartition(".")[0].rpartition(".")[0] for name in observation.missing}
    for block in info.blocks:
        block_state = state.blocks[block.name]
        skipped = block_state.status is BlockStatus.CONDITION_FAILED
        for name in block.outputs:
            stored = block_state.outputs.get(name)
            there = 0 if stored is None else stored.stored
            total = _expected_values(block_state)
            whole = total is not None and there >= total and block.name not in broken and _ended(block_state, there)
            progress = _output_progress(block_state, there, total, heuristic=observation.heuristic is not None)
            outputs[name] = {
                "type": None if stored is None else stored.type or None,
                "progress": progress,
                "complete": whole,
                "bytes": 0 if stored is None or block.name in broken else stored.bytes,
            }
            if skipped:
                outputs[name]["progress"] = None
                continue
            expected += 1
            complete += whole
            if progress is not None:
                fractions.append(progress)
    return outputs, expected, complete, fractions


def _expected_values(block: BlockState) -> int | None:
    if block.shape is not None:
        return block.total
    return 1


def _ended(block: BlockState, there: int) -> bool:
    # An empty map has nothing stored; only its end tells that nothing is missing.
    return there > 0 or block.status in _MADE


def _output_progress(block: BlockState, there: int, total: int | None, *, heuristic: bool) -> float | None:
    if heuristic and not there:
        return None if block.shape is None and not block.recorded else 0.0
    if total == 0:
        return 1.0 if block.status in BLOCK_DONE else 0.0
    if total is None:
        return 0.0
    ended = block.ended if block.shape is not None else max(there, block.ended if block.status in _MADE else 0)
    return min(1.0, ended / total)


def progress(info: RunInfo, state: RunState) -> dict[str, Any]:
    done = failed = 0
    total: int | None = 0
    for described in info.blocks:
        block = state.blocks[described.name]
        # how many elements a mapped block has is known when it starts; one that never started counts as one
        unknown = block.shape is None and described.is_mapped and block.status not in BLOCK_DONE
        mine = None if unknown else block.total if block.shape is not None else 1
        if block.status in BLOCK_DONE and block.shape is None:
            done += 1
        else:
            done += block.ended
        failed += block.failed
        total = None if mine is None or total is None else total + mine
    return {"done": done, "total": total, "failed": failed, "unit": "elements"}


def _error(error: ErrorSummary) -> dict[str, Any]:
    return {
        "block": error.block,
        "element": error.element,
        "index": error.index,
        "attempt": error.attempt,
        "type": error.type,
        "message": error.message,
        "reason": _value(error.reason),
        "retryable": error.reason.retryable if error.reason else False,
        "occurred_at": error.at,
    }


def _warning(warning: ErrorSummary) -> dict[str, Any]:
    return {"code": warning.type, "block": warning.block, "message": warning.message, "occurred_at": warning.at}


def _param(param: Any) -> Any:
    return param.preview


def _message(
    info: RunInfo, state: RunState, observation: Observation, outputs: dict[str, dict[str, Any]], *, crashed: bool
) -> str:
    sentences: list[str] = []
    if crashed and state.driver is not None:
        sentences.append(
            f"the process that ran it (pid {state.driver.pid} on {state.driver.host}) is gone and wrote no end; "
            "what was recorded is kept"
        )
    elif observation.liveness is Liveness.LOST and not state.done and observation.heuristic is None:
        sentences.append(_silence(state, observation))
    if state.message:
        sentences.append(state.message)
    missing = _missing(info, state, observation, outputs)
    if missing:
        sentences.append(missing)
    sentences.extend(observation.notes)
    return "; ".join(sentences)


def _silence(state: RunState, observation: Observation) -> str:
    if observation.copied:
        return "this folder is a copy: the process that wrote the original does not write here"
    if observation.alive and state.driver is not None:
        return f"its process (pid {state.driver.pid}) is there, but has given no sign of life for a while"
    return "no sign of life from its process; whether it is dead cannot be proven from here"


def _missing(
    info: RunInfo, state: RunState, observation: Observation, outputs: dict[str, dict[str, Any]]
) -> str | None:
    """Name what was made once and is not on disk any more."""
    gone: list[str] = []
    for block in info.blocks:
        block_state = state.blocks[block.name]
        if block_state.status in _MADE:
            gone.extend(name for name in block.outputs if not _whole_for(block_state, name, outputs[name]))
    files = f" ({', '.join(observation.missing)})" if observation.missing else ""
    if not gone:
        return f"missing on disk: {files[2:-1]}" if files else None
    return f"missing on disk: {', '.join(gone)}{files}"


def _whole_for(block: BlockState, name: str, output: dict[str, Any]) -> bool:
    if block.status is not BlockStatus.DEGRADED:
        return bool(output["complete"])
    stored = block.outputs.get(name)
    return stored is not None and stored.stored >= block.ok

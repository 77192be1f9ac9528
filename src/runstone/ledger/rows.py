"""What the ledger holds of a run: rows made of its fold and its events, the same whoever makes them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any

import msgspec

from runstone.core import events as ev
from runstone.core.records import ParamInfo, RunInfo
from runstone.core.run_state import BlockState, RunState
from runstone.core.status import progress
from runstone.folder.manifest import first_error
from runstone.folder.observe import run_seconds
from runstone.ledger.column_values import (
    NO_TIME,
    PATH_KEPT,
    SHA256,
    json_text,
    text,
    text_or_none,
    time_text,
    whole_number,
)
from runstone.ledger.row_types import (
    ArtifactRow,
    AttemptEnd,
    AttemptRow,
    BlockRow,
    ErrorRow,
    EventRow,
    Rows,
    RunRow,
)

TRACEBACK_KEPT = 4000
_LONGEST_LEASE = 1e9
_encode = msgspec.json.Encoder().encode


def run_row(info: RunInfo, state: RunState, folder: str | None, fingerprint: str | None) -> RunRow:
    """The run as it stands. fingerprint: of its parameters."""
    counted = progress(info, state)
    driver = state.driver
    name = text(info.pipeline.name)
    created_at = time_text(info.created_at) or NO_TIME
    return RunRow(
        run_id=text(info.id),
        workspace=text(info.workspace),
        pipeline_id=pipeline_id(info.workspace, info.pipeline.name),
        pipeline_name=name,
        pipeline_version=text_or_none(info.pipeline.version),
        status=state.status.value,
        reason=None if state.reason is None else state.reason.value,
        message=text(state.message),
        error=text_or_none(first_error(state)),
        variables=variables(info.params),
        trigger_kind=text(info.trigger),
        job_id=text_or_none(info.job_id),
        retry_of=text_or_none(info.retry_of),
        replay_of=text_or_none(info.replay_of),
        parent_id=text_or_none(info.parent_id),
        imported_from=text_or_none(info.imported_from),
        trace_id=text_or_none(info.trace_id),
        created_at=created_at,
        started_at=time_text(state.started_at),
        updated_at=time_text(state.updated_at),
        finished_at=(time_text(state.finished_at) or created_at) if state.done else None,
        cancel_requested_at=time_text(state.cancel_requested_at),
        duration_seconds=run_seconds(state, crashed=False),
        host=None if driver is None else text(driver.host),
        driver=None if driver is None else json_text(driver),
        lease_seconds=info.lease_seconds if 0 < info.lease_seconds < _LONGEST_LEASE else _LONGEST_LEASE,
        progress_done=whole_number(counted["done"]) or 0,
        progress_total=whole_number(counted["total"]),
        progress_failed=whole_number(counted["failed"]) or 0,
        error_count=whole_number(state.error_count) or 0,
        artifact_count=whole_number(state.artifact_count) or 0,
        input_fingerprint=fingerprint,
        code_ref=text_or_none(info.started_by.commit or info.pipeline.code_ref),
        config_hash=info.config_hash if SHA256.fullmatch(info.config_hash or "") else None,
        run_folder=None if folder is None else text(folder, PATH_KEPT),
        epoch=whole_number(state.epoch) or 0,
        seq=whole_number(state.seq) or 0,
    )


def block_rows(state: RunState, only: Collection[str] | None = None) -> list[BlockRow]:
    """The blocks as they stand, in the order of the graph. only: those that may have changed; None for all."""
    return [
        _block_row(position, name, block)
        for position, (name, block) in enumerate(state.blocks.items())
        if only is None or name in only
    ]


def _block_row(position: int, name: str, block: BlockState) -> BlockRow:
    return BlockRow(
        position=position,
        block=text(name),
        status=block.status.value,
        attempt=whole_number(block.attempt) or 0,
        reason=None if block.reason is None else block.reason.value,
        message=text(block.message),
        started_at=time_text(block.started_at),
        finished_at=time_text(block.finished_at),
        duration_seconds=block.duration,
        total=whole_number(block.total),
        ok=whole_number(block.ok) or 0,
        failed=whole_number(block.failed) or 0,
        upstream_failed=whole_number(block.upstream_failed) or 0,
        retries=whole_number(block.retries) or 0,
        error_count=whole_number(block.errors) or 0,
        bytes=whole_number(sum(output.bytes for output in block.outputs.values())) or 0,
        cpu_seconds=block.cpu_seconds,
        peak_memory=whole_number(block.peak_memory),
        adopted_from=text_or_none(block.adopted_from),
    )


class Taker:
    """Puts what events say into rows. epoch: of the first of them."""

    def __init__(self, rows: Rows, epoch: int) -> None:
        self._rows = rows
        self._epoch = max(epoch, 1)
        # where in the rows the attempt of a block is that has not ended yet
        self._open: dict[str, int] = {}

    def take(self, events: Iterable[ev.Event]) -> None:
        """Events, in order."""
        for event in events:
            taker = _TAKERS.get(type(event))
            if taker is not None:
                taker(self, event)
            if not isinstance(event, ev.ErrorRaised | ev.ArtifactSaved):
                self._rows.events.append(_event_row(event, self._epoch))

    def _taken_over(self, event: ev.RunTakenOver) -> None:
        self._epoch = max(self._epoch, whole_number(event.epoch) or 0)
        at = time_text(event.at) or NO_TIME
        self._rows.attempt_ends.append(AttemptEnd(block=None, status="crashed", finished_at=at))
        for place in self._open.values():
            self._close(place, status="crashed", finished_at=at)
        self._open.clear()

    def _block_started(self, event: ev.BlockStarted) -> None:
        name = text(event.block)
        self._open[name] = len(self._rows.attempts)
        self._rows.attempts.append(
            AttemptRow(
                seq=event.seq,
                block=name,
                element=None,
                attempt=whole_number(event.attempt) or 0,
                status="running",
                started_at=time_text(event.at),
            )
        )

    def _block_ended(self, event: ev.BlockEnded) -> None:
        self._attempt_ended(
            text(event.block),
            status=event.status.value,
            reason=None if event.reason is None else event.reason.value,
            message=text_or_none(event.message),
            finished_at=time_text(event.at) or NO_TIME,
        )

    def _attempt_ended(self, block: str, **end: Any) -> None:
        place = self._open.pop(block, None)
        if place is None:
            self._rows.attempt_ends.append(AttemptEnd(block=block, **end))
        else:
            self._close(place, **end)

    def _close(self, place: int, **end: Any) -> None:
        self._rows.attempts[place] = msgspec.structs.replace(self._rows.attempts[place], **end)

    def _error(self, event: ev.ErrorRaised) -> None:
        block, element, attempt = text(event.block), whole_number(event.element), whole_number(event.attempt) or 0
        said = {"reason": event.reason.value, "type": text(event.type), "message": text(event.message)}
        at = time_text(event.at) or NO_TIME
        if element is None:
            self._attempt_ended(block, status="failed", finished_at=at, **said)
        else:
            self._rows.attempts.append(
                AttemptRow(
                    seq=event.seq,
                    block=block,
                    element=element,
                    attempt=attempt,
                    status="failed",
                    finished_at=at,
                    **said,
                )
            )
        if event.final:
            traceback = text(event.traceback[-TRACEBACK_KEPT:], TRACEBACK_KEPT)
            self._rows.errors.append(
                ErrorRow(
                    seq=event.seq, block=block, element=element, attempt=attempt, traceback=traceback, at=at, **said
                )
            )

    def _artifact(self, event: ev.ArtifactSaved) -> None:
        self._rows.artifacts.append(_artifact_row(event))

    def _voided(self, event: ev.RecordsVoided) -> None:
        # what comes later is not meant, whatever is said
        told = [(start, min(stop, event.seq)) for start, stop in (*event.errors, *event.artifacts)]
        self._rows.voided += [(start, stop) for start, stop in told if start < stop]


_TAKERS: dict[type[ev.Event], Callable[[Taker, Any], None]] = {
    ev.RunTakenOver: Taker._taken_over,
    ev.BlockStarted: Taker._block_started,
    ev.BlockEnded: Taker._block_ended,
    ev.ErrorRaised: Taker._error,
    ev.ArtifactSaved: Taker._artifact,
    ev.RecordsVoided: Taker._voided,
}


def _artifact_row(event: ev.ArtifactSaved) -> ArtifactRow:
    return ArtifactRow(
        seq=event.seq,
        artifact_id=text(event.artifact_id),
        path=text(event.path, PATH_KEPT),
        name=text(event.name),
        artifact_type=text(event.artifact_type),
        content_type=text(event.content_type),
        size_bytes=whole_number(event.size_bytes) or 0,
        sha256=text(event.sha256),
        block=text_or_none(event.block),
        element=whole_number(event.element),
        metadata=json_text(event.metadata),
        created_at=time_text(event.at) or NO_TIME,
    )


_NOTHING: tuple[Any, ...] = (None, "", [], {})
_TOLD: dict[type[ev.Event], list[str]] = {}
_HEAVY = frozenset(
    {"seq", "at", "block", "values", "traceback", "params", "files", "receipts", "driver", "inner_shapes", "outputs"}
)
"""What an event says that has a column of its own, or stays in the folder."""


def _event_row(event: ev.Event, epoch: int) -> EventRow:
    kind = type(event)
    told = _TOLD.get(kind)
    if told is None:
        told = _TOLD[kind] = [name for name in kind.__struct_fields__ if name not in _HEAVY]
    body = {name: value for name in told if (value := getattr(event, name)) not in _NOTHING}
    return EventRow(
        seq=event.seq,
        epoch=epoch,
        at=time_text(event.at) or NO_TIME,
        kind=str(kind.__struct_config__.tag),
        block=text_or_none(getattr(event, "block", None)),
        body=json_text(body) if body else "{}",
    )


def variables(params: Mapping[str, ParamInfo]) -> str:
    """The parameters as JSON that people can ask for: plain values as they are, others as their preview."""
    return json_text({text(name): _variable(param) for name, param in params.items()})


def _variable(param: ParamInfo) -> Any:
    if param.is_small and isinstance(param.value, None | bool | int | float | str):
        return param.value
    return param.preview


def fingerprint(digests: Mapping[str, str | None]) -> str | None:
    """SHA-256 over the digests of all parameters, in hex; None if one of them is not known."""
    if None in digests.values():
        return None
    return hashlib.sha256(_encode(sorted(digests.items()))).hexdigest()


def tags(info: RunInfo) -> list[str]:
    """What a run was tagged with when it began, each once."""
    return list(dict.fromkeys(text(tag) for tag in (*info.pipeline.tags, *info.tags) if tag))


def pipeline_id(workspace: str, name: str) -> str:
    """The same for all runs of a pipeline of that name in a workspace."""
    return hashlib.sha256(f"{workspace}/{name}".encode(errors="backslashreplace")).hexdigest()[:16]

"""What the ledger holds of a run: rows made of its fold and its events, the same whoever makes them.

Nothing here is believed that a folder says beyond what its columns can hold: texts are cut, times must be times.
"""

from __future__ import annotations

import functools
import hashlib
import re
from collections.abc import Callable, Collection, Iterable, Mapping
from datetime import UTC, datetime
from itertools import accumulate
from typing import Any

import msgspec

from runstone.core import events as ev
from runstone.core.ranges import Range
from runstone.core.records import ParamInfo, RunInfo
from runstone.core.run_state import BlockState, RunState
from runstone.core.status import progress
from runstone.folder.manifest import first_error
from runstone.folder.observe import run_seconds

TEXT_KEPT = 500
TRACEBACK_KEPT = 4000
PATH_KEPT = 4096
_LARGEST = 2**63 - 1
_LONGEST_LEASE = 1e9
NO_TIME = "1970-01-01T00:00:00.000000Z"
_DEEPEST = 500
"""How deep JSON is nested at most: SQLite takes twice that."""

SHA256 = re.compile(r"[0-9a-f]{64}")
_STRING = re.compile(r'"(?:[^"\\]|\\.)*"')
_NUL = re.compile(r"(?<!\\)((?:\\\\)*)\\u0000")
_encode = msgspec.json.Encoder(decimal_format="string").encode


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


def json_text(value: Any) -> str:
    """As every store takes it; `{}` for what cannot be written so, or is nested without end."""
    try:
        said = _encode(value).decode()
    except (ValueError, TypeError, OverflowError, RecursionError):
        return "{}"
    if said.count("[") + said.count("{") > _DEEPEST and _depth(said) > _DEEPEST:
        return "{}"
    return _NUL.sub(r"\1\\ufffd", said) if "\\u0000" in said else said


def _depth(said: str) -> int:
    """How deep JSON is nested."""
    steps = {"[": 1, "{": 1, "]": -1, "}": -1}
    return max(accumulate(steps.get(sign, 0) for sign in _STRING.sub("", said)), default=0)


def text(said: str, most: int = TEXT_KEPT) -> str:
    """As every store takes it: no NUL, no half of a character, not too long."""
    if not said.isascii():
        said = said.encode(errors="backslashreplace").decode()
    return said.replace("\0", "�")[:most]


def text_or_none(said: str | None) -> str | None:
    return None if said is None or said == "" else text(said)


def whole_number(value: int | None) -> int | None:
    return value if value is None or 0 <= value <= _LARGEST else max(0, min(value, _LARGEST))


@functools.lru_cache(512)
def time_text(said: str | None) -> str | None:
    """A time in the one form that sorts as a text; None for what is none, or says no zone."""
    if not said:
        return None
    try:
        moment = datetime.fromisoformat(said)
        if moment.tzinfo is None:
            return None
        moment = moment.astimezone(UTC).replace(tzinfo=None)
    except (ValueError, OverflowError):
        return None
    return f"{moment.isoformat(timespec='microseconds')}Z"

"""Tracked runs: what their journal lines say, and how a run stands after some of them.

A tracked run is code that was told to be one, without a pipeline and without a folder. Its lines are numbered from 1
(`seq`); they stand among those of other runs, in the journal of the process that wrote them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import msgspec

from runstone.core.events import Driver
from runstone.core.moves import DONE, RUN_REACHABLE
from runstone.core.statuses import RunStatus

FORMAT = 1
"""The format of these journals that this version writes, and the highest that it reads."""

LARGEST = 2**63 - 1
METRICS_KEPT = 200
"""So many different metrics has a run at most."""

ARTIFACTS_KEPT = 10_000
"""So many of the files that were saved with a run are known, those first that came first."""

NUMBERS = ("rows_in", "rows_out", "llm_calls", "tokens")
"""What is counted of every tracked run."""

Metric = int | float | str
"""A number; one that JSON does not have (`nan`, `inf`) as text."""


class Header(msgspec.Struct, frozen=True, kw_only=True):
    """The first line of a journal: the process that writes all others."""

    format: int = FORMAT
    at: str
    process: Driver


class Trouble(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What was raised, as text."""

    type: str
    message: str = ""
    traceback: str = ""

    @property
    def short(self) -> str:
        """In one line."""
        said = " ".join(line.strip() for line in self.message.splitlines() if line.strip())
        return f"{self.type}: {said}" if self.type and said else self.type or said


class TrackEvent(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="event"):
    """One line. run: the id of the run; at: when it was written, RFC 3339 in UTC."""

    run: str
    seq: int
    at: str


class TrackStarted(TrackEvent, frozen=True, kw_only=True, omit_defaults=True, tag="started"):
    """A run is there. started_at: if it is another time than `at`. params: previews. ledger: where it goes, if that is
    another ledger than the project's."""

    stage: str
    workspace: str
    status: RunStatus = RunStatus.RUNNING
    created_at: str | None = None
    started_at: str | None = None
    parent_id: str | None = None
    rows_in: int | None = None
    params: dict[str, Any] = {}
    tags: list[str] = []
    code_ref: str | None = None
    config_hash: str | None = None
    input_fingerprint: str | None = None
    trace_id: str | None = None
    ledger: str | None = None


class TrackUpdated(TrackEvent, frozen=True, kw_only=True, omit_defaults=True, tag="updated"):
    """Some values are others now; what is None is as it was.

    reused_from: the run whose result was taken from the cache.
    """

    status: RunStatus | None = None
    started_at: str | None = None
    rows_in: int | None = None
    rows_out: int | None = None
    llm_calls: int | None = None
    tokens: int | None = None
    metrics: dict[str, Metric] = {}
    message: str | None = None
    reused_from: str | None = None


class TrackSaved(TrackEvent, frozen=True, kw_only=True, omit_defaults=True, tag="saved"):
    """A file was saved with a run; its bytes are on the disk. path: from the folder of the project. sha256: in hex."""

    artifact_id: str
    path: str
    name: str
    artifact_type: str
    content_type: str
    size_bytes: int
    sha256: str
    metadata: dict[str, Any] = {}


class TrackEnded(TrackEvent, frozen=True, kw_only=True, omit_defaults=True, tag="ended"):
    """The end of a run. finished_at: if it is another time than `at`."""

    status: RunStatus
    finished_at: str | None = None
    duration_seconds: float | None = None
    rows_in: int | None = None
    rows_out: int | None = None
    llm_calls: int | None = None
    tokens: int | None = None
    metrics: dict[str, Metric] = {}
    message: str | None = None
    reused_from: str | None = None
    error: Trouble | None = None


class TrackDeleted(msgspec.Struct, frozen=True, kw_only=True, tag_field="event", tag="deleted"):
    """A run was deleted, whichever journal its lines are in: none of them counts any more."""

    run: str
    at: str


class TrackSurroundings(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="event", tag="found"):
    """What the process found around it, for all its runs that do not say otherwise: it was not known before."""

    at: str
    code_ref: str | None = None
    config_hash: str | None = None


TrackLine = TrackStarted | TrackUpdated | TrackSaved | TrackEnded | TrackDeleted | TrackSurroundings


class TrackedState(msgspec.Struct, kw_only=True):
    """How a run stands. refused: how many lines would have moved it where no run goes; error_seq: of its error."""

    run_id: str
    stage: str
    workspace: str
    status: RunStatus
    created_at: str
    started_at: str | None
    updated_at: str
    seq: int
    parent_id: str | None = None
    params: dict[str, Any] = {}
    tags: list[str] = []
    code_ref: str | None = None
    config_hash: str | None = None
    input_fingerprint: str | None = None
    trace_id: str | None = None
    ledger: str | None = None
    finished_at: str | None = None
    duration_seconds: float | None = None
    rows_in: int | None = None
    rows_out: int | None = None
    llm_calls: int | None = None
    tokens: int | None = None
    metrics: dict[str, Metric] = {}
    message: str = ""
    reused_from: str | None = None
    error: Trouble | None = None
    error_seq: int = 0
    artifacts: list[TrackSaved] = []
    refused: int = 0

    @property
    def done(self) -> bool:
        return self.status in DONE


def may_move(before: RunStatus, to: RunStatus) -> bool:
    """Whether a tracked run that stands so may stand so next. Steps that nobody saw, such as `cancelling`, are taken
    as having been."""
    return before not in DONE and (to is before or to in RUN_REACHABLE[before])


def apply(state: TrackedState | None, event: TrackEvent) -> TrackedState | None:
    """How a run stands after one more line; None as long as nobody has said what it is.

    A line that comes again, or late, changes nothing; neither does one that would leave an end.
    """
    if not 0 < event.seq <= LARGEST:
        return state
    if state is None:
        return _started(event) if isinstance(event, TrackStarted) else None
    if event.seq <= state.seq:
        return state
    if isinstance(event, TrackUpdated):
        _update(state, event)
    elif isinstance(event, TrackEnded):
        _end(state, event)
    elif isinstance(event, TrackSaved) and not state.done:
        _save(state, event)
    else:
        state.refused += 1
    return state


def _started(event: TrackStarted) -> TrackedState | None:
    if event.status in DONE:
        # an end has a line of its own
        return None
    return TrackedState(
        run_id=event.run,
        stage=event.stage,
        workspace=event.workspace,
        status=event.status,
        created_at=event.created_at or event.started_at or event.at,
        started_at=event.started_at or (event.at if event.status is RunStatus.RUNNING else None),
        updated_at=event.at,
        seq=event.seq,
        parent_id=event.parent_id,
        params=event.params,
        tags=event.tags,
        code_ref=event.code_ref,
        config_hash=event.config_hash,
        input_fingerprint=event.input_fingerprint,
        trace_id=event.trace_id,
        ledger=event.ledger,
        rows_in=_counted(event.rows_in),
    )


def _update(state: TrackedState, event: TrackUpdated) -> None:
    to = event.status or state.status
    if to in DONE or not may_move(state.status, to):
        state.refused += 1
        return
    if event.started_at is not None or (to is RunStatus.RUNNING and state.started_at is None):
        state.started_at = event.started_at or event.at
    state.status = to
    _take(state, event)


def _end(state: TrackedState, event: TrackEnded) -> None:
    if event.status not in DONE or not may_move(state.status, event.status):
        state.refused += 1
        return
    state.status = event.status
    state.finished_at = event.finished_at or event.at
    duration = event.duration_seconds
    # microseconds, as all durations: a clock tells more digits than it knows
    state.duration_seconds = round(duration, 6) if duration is not None and 0 <= duration < math.inf else None
    if event.error is not None:
        state.error, state.error_seq = event.error, event.seq
    _take(state, event)


def _save(state: TrackedState, event: TrackSaved) -> None:
    if len(state.artifacts) < ARTIFACTS_KEPT:
        state.artifacts.append(event)
    state.updated_at = event.at
    state.seq = event.seq


def _take(state: TrackedState, event: TrackUpdated | TrackEnded) -> None:
    for name in NUMBERS:
        value = _counted(getattr(event, name))
        if value is not None:
            setattr(state, name, value)
    if event.metrics:
        state.metrics = merged(state.metrics, event.metrics)
    if event.message is not None:
        state.message = event.message
    if event.reused_from is not None:
        state.reused_from = event.reused_from
    state.updated_at = event.at
    state.seq = event.seq


def merged(known: Mapping[str, Metric], new: Mapping[str, Metric]) -> dict[str, Metric]:
    """The metrics of a run after some were told; those that are too many are left out."""
    found = {**known, **new}
    return found if len(found) <= METRICS_KEPT else dict(list(found.items())[:METRICS_KEPT])


def _counted(value: int | None) -> int | None:
    return value if value is None or 0 <= value <= LARGEST else None

"""Runs that are recorded by telling what has happened, for code that `with track(...)` does not fit around."""

from __future__ import annotations

from typing import Any

from runstone.core.statuses import RunStatus
from runstone.core.tracked import NUMBERS, TrackStarted
from runstone.engine.launch import new_id
from runstone.engine.track import complaints, given, journals, surrounding
from runstone.engine.track.recording import Recording
from runstone.engine.track.tracked import live, parent
from runstone.errors import SettingError
from runstone.folder import clock, track_reading
from runstone.folder.track_journal import TrackJournal
from runstone.ledger import place

_KEPT = 10_000
"""So many runs are kept at hand; others are looked for in the journals."""

_recent: dict[str, Recording] = {}
_TIMES = ("created_at", "started_at", "finished_at")
_FIXED = (
    "stage", "parent_id", "tags", "params", "created_at", "conn", "trace_id", "code_ref", "config_hash",
    "input_fingerprint", "inputs",
)  # fmt: skip


def record(call: str, told: dict[str, Any]) -> str:
    """Record a run; returns its id, that of the call or a new one. A run that is known is updated."""
    said = told.pop("run_id", None)
    run_id = new_id() if said is None else given.run_id(said)
    if run_id is None:
        return given.as_text(said)
    asked = given.status(told.pop("status", None) or RunStatus.RUNNING)
    workspace = given.workspace(told.pop("workspace", None), told.pop("tenant_id", None))
    if workspace is None:
        return run_id
    if said is not None and _at_hand(run_id) is not None:
        for name in _FIXED:
            told.pop(name, None)
        update(call, run_id, told if asked is None else {"status": asked, **told})
        return run_id
    # one that nobody understands tells all the same that the run is there
    status = asked or RunStatus.RUNNING
    journal = journals.here()
    moments = {name: given.moment(name, told.pop(name, None)) for name in _TIMES}
    begins = RunStatus.RUNNING if given.is_done(status) else status
    inputs, params = told.pop("inputs", None), told.pop("params", None)
    said_digest = given.digest("input_fingerprint", told.pop("input_fingerprint", None))
    started = TrackStarted(
        run=run_id,
        seq=1,
        at=clock.now(),
        stage=given.text("stage", told.pop("stage", None)) or "unnamed",
        workspace=workspace,
        status=begins,
        created_at=moments["created_at"],
        started_at=moments["started_at"] or (moments["finished_at"] if given.is_done(status) else None),
        parent_id=told.pop("parent_id", None) or parent(),
        params=given.params(params),
        tags=given.tags(told.pop("tags", None)),
        ledger=_ledger(journal, told.pop("conn", None)),
        trace_id=given.text("trace_id", told.pop("trace_id", None), 100) or surrounding.trace_id(),
        code_ref=given.text("code_ref", told.pop("code_ref", None)),
        config_hash=given.digest("config_hash", told.pop("config_hash", None)),
        input_fingerprint=said_digest or given.fingerprint(inputs, params),
    )
    recording = Recording(journal, started)
    _take_values(recording, call, told)
    recording.begin()
    if given.is_done(status):
        _end(recording, status, moments["finished_at"], told.pop("error", None))
    _keep(recording)
    _tell_early_error(call, told)
    given.unknown(call, told)
    return run_id


def update(call: str, run_id: Any, told: dict[str, Any]) -> None:
    """Say what is new about a run; what would leave an end is refused."""
    run_id = given.run_id(run_id)
    if run_id is None:
        return
    told.pop("conn", None)
    recording = _known(journals.here(), run_id)
    if recording is None:
        complaints.once("no run", f"{call}: no journal of this project has a run {run_id}; record_run(...) makes one")
        return
    asked = told.pop("status", None)
    # of one that nobody understands the rest counts all the same
    status = (None if asked is None else given.status(asked)) or recording.status
    if given.is_done(recording.status):
        if status is not recording.status or any(told.get(name) is not None for name in NUMBERS):
            _refuse(call, recording, status)
        return
    moments = {name: given.moment(name, told.pop(name, None)) for name in _TIMES}
    _take_values(recording, call, told)
    if given.is_done(status):
        if not _end(recording, status, moments["finished_at"], told.pop("error", None)):
            _refuse(call, recording, status)
    elif (status is not recording.status or moments["started_at"]) and not recording.move(
        status, moments["started_at"]
    ):
        _refuse(call, recording, status)
    _tell_early_error(call, told)
    given.unknown(call, told)


def _tell_early_error(call: str, told: dict[str, Any]) -> None:
    if told.pop("error", None) is not None:
        complaints.once("error", f"{call}: error= is recorded with the end of a run: give its status too")


def _take_values(recording: Recording, call: str, told: dict[str, Any]) -> None:
    for name in NUMBERS:
        value = told.pop(name, None)
        if value is not None and (found := given.number(name, value)) is not None:
            recording.set(name, found)
    for metric in given.metrics(told.pop("metrics", None)).items():
        recording.metric(*metric)
    message = given.text("message", told.pop("message", None), given.MESSAGE_LIMIT)
    if message is not None:
        recording.set("message", message)


def _end(recording: Recording, status: RunStatus, finished_at: str | None, error: Any) -> bool:
    at = finished_at or clock.now()
    begin, end = clock.seconds(recording.started_at), clock.seconds(at)
    seconds = None if begin is None or end is None else max(0.0, round(end - begin, 6))
    return recording.end(status, error=given.trouble(error), finished_at=at, duration_seconds=seconds)


def _ledger(journal: TrackJournal, conn: Any) -> str | None:
    if conn is None:
        return None
    try:
        found = place.find(conn) if isinstance(conn, str) else None
    except SettingError as error:
        complaints.once("conn", f"conn: {error}; the run goes into the project's ledger")
        return None
    if found is None:
        complaints.once("conn", f"conn is a {type(conn).__name__}: give the path or the URL of a ledger")
        return None
    return journals.also_to(journal, found)


def _at_hand(run_id: str) -> Recording | None:
    """A run that this process has recorded, and still remembers."""
    found = live(run_id) or _recent.get(run_id)
    return None if found is None or found.journal.abandoned else found


def _known(journal: TrackJournal, run_id: str) -> Recording | None:
    """The same, or one that a journal of the project has."""
    at_hand = _at_hand(run_id)
    if at_hand is not None:
        return at_hand
    found = track_reading.find(journal.root, run_id)
    if found is None:
        return None
    recording = Recording.of(journal, found.state)
    _keep(recording)
    return recording


def _keep(recording: Recording) -> None:
    _recent[recording.run_id] = recording
    while len(_recent) > _KEPT:
        _recent.pop(next(iter(_recent)), None)


def _refuse(call: str, recording: Recording, status: RunStatus) -> None:
    complaints.once(
        "move", f"{call}: run {recording.run_id} is {recording.status.value}, and does not become {status.value}"
    )

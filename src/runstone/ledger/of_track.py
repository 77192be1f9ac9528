"""Rows of tracked runs, made of the journals of a project; and these on their way into a ledger, many at a time."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice

import msgspec

from runstone.core.reasons import Reason
from runstone.core.statuses import RunStatus
from runstone.core.tracked import TrackedState, TrackSaved, Trouble
from runstone.folder import clock, layout, track_files, track_reading
from runstone.folder.track_reading import Deletions, Found
from runstone.ledger.annotations import of_run, take_in_inside
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
from runstone.ledger.port import Store
from runstone.ledger.projection import Outcome, put_inside, put_plain
from runstone.ledger.row_types import ArtifactRow, ErrorRow, Rows, RunRow
from runstone.ledger.rows import pipeline_id
from runstone.ledger.tables import Kept, forget

KIND = "stage"
BATCH = 400
"""Runs that are brought in one transaction."""

_TRIES = 5
_ASIDE = 0.002
_LEASE = 30.0
_TRACEBACK = 30_000


class Known(msgspec.Struct, frozen=True, array_like=True):
    """What a ledger has of a run."""

    run_key: int
    run_id: str
    kind: str
    workspace: str
    seq: int


class Brought(msgspec.Struct):
    """What became of runs. refused: ids that the ledger knows for another run."""

    taken: int = 0
    known: int = 0
    refused: list[str] = []


def rows_of(found: Found) -> Rows:
    """All that the ledger should have of a run."""
    state = found.state
    name = text(state.stage)
    workspace = text(state.workspace, 100)
    created_at = time_text(state.created_at) or NO_TIME
    started_at = time_text(state.started_at)
    finished_at = (time_text(state.finished_at) or created_at) if state.done else None
    trouble = state.error
    saved = [row for each in state.artifacts if (row := _artifact_row(state, each)) is not None]
    run = RunRow(
        run_id=state.run_id,
        workspace=workspace,
        kind=KIND,
        pipeline_id=pipeline_id(workspace, name),
        pipeline_name=name,
        pipeline_version=None,
        status=state.status.value,
        reason=_reason(state),
        message=text(state.message),
        error=text_or_none(trouble.short if trouble is not None else ""),
        variables=json_text(state.params),
        trigger_kind="track",
        job_id=None,
        retry_of=None,
        parent_id=text_or_none(state.parent_id),
        imported_from=None,
        trace_id=text_or_none(state.trace_id),
        created_at=created_at,
        started_at=started_at,
        updated_at=time_text(state.updated_at),
        finished_at=finished_at,
        cancel_requested_at=None,
        duration_seconds=_seconds(state, started_at, finished_at),
        host=text(found.process.host),
        driver=json_text({**msgspec.to_builtins(found.process), "journal": found.path}),
        lease_seconds=_LEASE,
        progress_done=0,
        progress_total=None,
        progress_failed=0,
        error_count=0 if trouble is None else 1,
        artifact_count=len(saved),
        rows_in=whole_number(state.rows_in),
        rows_out=whole_number(state.rows_out),
        llm_calls=whole_number(state.llm_calls),
        tokens=whole_number(state.tokens),
        metrics=json_text(state.metrics),
        input_fingerprint=_digest(state.input_fingerprint),
        code_ref=text_or_none(state.code_ref),
        config_hash=_digest(state.config_hash),
        run_folder=None,
        epoch=1,
        seq=state.seq,
    )
    errors = [] if trouble is None else [_error_row(state, trouble, name)]
    return Rows(run=run, blocks=[], tags=[text(tag) for tag in state.tags], errors=errors, artifacts=saved)


def _reason(state: TrackedState) -> str | None:
    if state.error is not None:
        return "exception" if state.error.traceback else None
    return Reason.REUSED.value if state.reused_from and state.status is RunStatus.COMPLETED else None


def _seconds(state: TrackedState, started_at: str | None, finished_at: str | None) -> float | None:
    if not state.done or state.duration_seconds is not None:
        return state.duration_seconds
    begin, end = clock.seconds(started_at), clock.seconds(finished_at)
    return None if begin is None or end is None else max(0.0, round(end - begin, 6))


def _digest(said: str | None) -> str | None:
    return said if SHA256.fullmatch(said or "") else None


def _error_row(state: TrackedState, trouble: Trouble, stage: str) -> ErrorRow:
    return ErrorRow(
        seq=max(state.error_seq, 1),
        block=stage,
        element=None,
        attempt=1,
        reason="exception",
        type=text(trouble.type) or "error",
        message=text(trouble.message),
        # there is no folder that has the rest
        traceback=text(trouble.traceback, _TRACEBACK),
        at=time_text(state.finished_at) or NO_TIME,
    )


def _artifact_row(state: TrackedState, saved: TrackSaved) -> ArtifactRow | None:
    """None for a file that lies elsewhere than in the folder of its run."""
    folder = track_files.run_folder("", state.run_id)
    beneath = os.path.join(folder, layout.ARTIFACTS)
    if not folder or os.path.dirname(saved.path) != beneath or os.path.basename(saved.path) in ("", ".", ".."):
        return None
    return ArtifactRow(
        seq=saved.seq,
        artifact_id=text(saved.artifact_id),
        path=text(saved.path, PATH_KEPT),
        name=text(saved.name),
        artifact_type=text(saved.artifact_type),
        content_type=text(saved.content_type),
        size_bytes=whole_number(saved.size_bytes) or 0,
        sha256=text(saved.sha256),
        block=text(state.stage),
        element=None,
        metadata=json_text(saved.metadata),
        created_at=time_text(saved.at) or NO_TIME,
    )


def rows_of_journal(path: str, survey: Deletions | None = None) -> Iterator[Rows]:
    """The runs that this journal alone speaks of. survey: of all journals of the project.

    Raises FolderError, OSError.
    """
    for found in track_reading.runs(path, survey or Deletions()):
        if _can_be_told(found.state):
            yield rows_of(found)


def rows_of_project(
    survey: Deletions, ledger: str, unreadable: Callable[[str, str], None] | None = None
) -> Iterator[tuple[str, Rows]]:
    """All tracked runs of a project that belong into this ledger, each with the path of its journal.

    Journals whose processes are still finding out what all their runs share are left to them.
    """
    for path in sorted(path for path, settled in survey.settled.items() if settled):
        try:
            for found in track_reading.runs(path, survey):
                if belongs(found.state, ledger):
                    yield path, rows_of(found)
        except OSError as error:
            if unreadable is not None:
                unreadable(path, (error.strerror or str(error)).lower())
    for found in track_reading.shared_runs(survey):
        if belongs(found.state, ledger):
            yield found.path, rows_of(found)


def belongs(state: TrackedState, ledger: str, *, others: bool = True) -> bool:
    """Whether a run is to be in a ledger. others: it is the one for runs that name none."""
    meant = others if state.ledger is None else state.ledger == ledger
    return meant and _can_be_told(state)


def _can_be_told(state: TrackedState) -> bool:
    """Whether the ledger could tell this run, and its workspace, from others."""
    names = ((state.run_id, 200), (state.workspace, 100))
    return all(1 <= len(name) <= longest and text(name) == name for name, longest in names)


def bring(store: Store, runs: Iterable[Rows]) -> Brought:
    """Bring runs into a ledger, exactly once. Raises LedgerError; what was brought before stays."""
    brought = Brought()
    runs = iter(runs)
    while batch := list(islice(runs, BATCH)):
        if brought.taken:
            # others have waited meanwhile, and nobody makes a queue of them
            time.sleep(_ASIDE)
        # locks are taken in one order by all
        left = sorted(batch, key=lambda rows: rows.run.run_id)
        for _ in range(_TRIES):
            left = _bring(store, left, brought)
            if not left:
                break
    return brought


def _bring(store: Store, batch: list[Rows], brought: Brought) -> list[Rows]:
    """Returns those that somebody else has changed meanwhile."""
    left = []
    plain: list[Rows] = []
    outcome = Brought()
    with store.writing():
        known = known_runs(store, [rows.run.run_id for rows in batch])
        for rows in batch:
            there = known.get(rows.run.run_id)
            if there is not None and (there.kind, there.workspace) != (KIND, rows.run.workspace):
                outcome.refused.append(rows.run.run_id)
                continue
            since = 0 if there is None else there.seq
            if rows.run.seq <= since:
                outcome.known += 1
                continue
            rows.since = since
            if there is None and not (rows.tags or rows.errors or rows.artifacts):
                # most of them: many go in one statement
                plain.append(rows)
                continue
            new = msgspec.structs.replace(
                rows,
                errors=[error for error in rows.errors if error.seq > since],
                artifacts=[saved for saved in rows.artifacts if saved.seq > since],
            )
            if put_inside(store, new) is Outcome.GAP:
                left.append(rows)
            else:
                outcome.taken += 1
        put_plain(store, [rows.run for rows in plain])
        # somebody else may have been first, where several write at once
        lost = _overtaken(store, plain) if store.dialect == "postgres" else []
        outcome.taken += len(plain) - len(lost)
    left += lost
    brought.taken += outcome.taken
    brought.known += outcome.known
    brought.refused += outcome.refused
    return left


def _overtaken(store: Store, batch: Sequence[Rows]) -> list[Rows]:
    """Those of some runs that were to be new, and are in the ledger otherwise."""
    known = known_runs(store, [rows.run.run_id for rows in batch])
    return [
        rows
        for rows in batch
        if (there := known.get(rows.run.run_id)) is None
        or (there.kind, there.workspace, there.seq) != (KIND, rows.run.workspace, rows.run.seq)
    ]


def is_known(state: TrackedState, there: Known | None) -> bool:
    """Whether a ledger has nothing to learn of a run. there: what it has of it."""
    return there is not None and (
        there.kind != KIND or there.workspace != text(state.workspace, 100) or there.seq >= state.seq
    )


def known_runs(store: Store, run_ids: Sequence[str]) -> dict[str, Known]:
    """What the ledger has of these runs."""
    if not run_ids:
        return {}
    names = {f"id{number}": run_id for number, run_id in enumerate(run_ids)}
    rows = store.rows(
        "SELECT run_key, run_id, kind, workspace, seq FROM pipeline_run"
        f" WHERE run_id IN ({', '.join(f':{name}' for name in names)})",
        names,
    )
    return {row[1]: Known(*row) for row in rows}


def remake(store: Store, rows: Rows) -> bool:
    """Put all rows of a run in place of what the index has of it, inside of a transaction; False if another run has
    its id. What the ledger alone knows of it stays. Raises LedgerError."""
    run = rows.run
    there = known_runs(store, [run.run_id]).get(run.run_id)
    if there is not None and (there.kind, there.workspace) != (KIND, run.workspace):
        return False
    kept = Kept(store, run.run_id)
    if there is not None:
        forget(store, there.run_key)
    rows.since = 0
    put_inside(store, rows)
    kept.give_back(store)
    if of_run(store, run.run_id):
        take_in_inside(store, run.run_id, (), rows.tags)
    return True


def forget_deleted(store: Store, run_ids: Iterable[str]) -> int:
    """Take runs out of the ledger that were deleted; returns how many were there. Raises LedgerError."""
    gone = 0
    for stages in _stages(store, run_ids):
        if stages:
            with store.writing():
                for known in stages:
                    forget(store, known.run_key)
            gone += len(stages)
    return gone


def brought_back(store: Store, run_ids: Iterable[str]) -> Iterator[Known]:
    """Those of these deleted runs that a ledger has all the same. Raises LedgerError."""
    for stages in _stages(store, run_ids):
        yield from stages


def _stages(store: Store, run_ids: Iterable[str]) -> Iterator[list[Known]]:
    """What a ledger has of these tracked runs, some at a time."""
    runs = iter(sorted(run_ids))
    while batch := list(islice(runs, BATCH)):
        yield [known for known in known_runs(store, batch).values() if known.kind == KIND]

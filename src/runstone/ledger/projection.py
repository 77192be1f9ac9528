"""Bringing rows of a run into the ledger: each record exactly once, whoever else does the same at the same time."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from enum import Enum

import msgspec

from runstone.folder import clock
from runstone.ledger.insertion import Insertion
from runstone.ledger.port import Store
from runstone.ledger.row_types import ArtifactRow, AttemptRow, BlockRow, ErrorRow, EventRow, Rows, RunRow


class Outcome(Enum):
    """taken: the ledger has it now. known: it had it before, or something newer. gap: the rows do not begin where the
    ledger stands; ask it where that is, and make others."""

    TAKEN = "taken"
    KNOWN = "known"
    GAP = "gap"


def _columns(row: type[msgspec.Struct]) -> tuple[str, ...]:
    return row.__struct_fields__


def _insert(table: str, columns: Sequence[str]) -> str:
    return f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({', '.join(':' + name for name in columns)})"


def _of_run(table: str, row: type[msgspec.Struct], conflict: str = "") -> Insertion:
    """Rows that belong to a run, whose key comes first."""
    return Insertion(table, ("run_key", *_columns(row)), conflict)


def _update(columns: Iterable[str]) -> str:
    return f"UPDATE pipeline_run SET {', '.join(f'{name} = :{name}' for name in columns)} WHERE run_key = :run_key"


_FIXED = frozenset(
    {"run_id", "workspace", "kind", "pipeline_id", "pipeline_name", "pipeline_version", "variables", "trigger_kind"}
    | {"job_id", "retry_of", "replay_of", "parent_id", "imported_from", "trace_id", "created_at", "lease_seconds"}
    | {"input_fingerprint", "code_ref", "config_hash"}
)
"""What a run is from its beginning on; most of it is in indexes, which are left alone while the run goes on."""

_INSERT_RUN = f"{_insert('pipeline_run', _columns(RunRow))} ON CONFLICT (run_id) DO NOTHING RETURNING run_key"
_INTO_RUN = Insertion("pipeline_run", _columns(RunRow), "ON CONFLICT (run_id) DO NOTHING")
_UPDATE_RUN = _update(name for name in _columns(RunRow) if name != "run_id")
_MOVE_RUN = _update(name for name in _columns(RunRow) if name not in _FIXED)
_FIND_RUN = "SELECT run_key, epoch, seq FROM pipeline_run WHERE run_id = :run_id"
_INTO_BLOCK = _of_run(
    "block_run",
    BlockRow,
    "ON CONFLICT (run_key, position) DO UPDATE SET "
    + ", ".join(f"{name} = excluded.{name}" for name in _columns(BlockRow) if name != "position"),
)
_INTO_EVENT = _of_run("event", EventRow)
_INTO_ATTEMPT = _of_run("attempt", AttemptRow)
_INTO_ERROR = _of_run("error", ErrorRow)
_INTO_ARTIFACT = _of_run("artifact", ArtifactRow)
_END_ATTEMPT = (
    "UPDATE attempt SET status = :status, reason = :reason, type = coalesce(:type, type),"
    " message = coalesce(:message, message), finished_at = :finished_at"
    " WHERE run_key = :run_key AND block = coalesce(:block, block) AND element IS NULL AND finished_at IS NULL"
)
_INTO_TAG = Insertion("tag", ("workspace", "tag", "created_at", "run_key"), "ON CONFLICT DO NOTHING")
_INSERT_PLACE = "INSERT INTO place (run_key, path) VALUES (:run_key, :path) ON CONFLICT DO NOTHING"
_INSERT_WORKSPACE = "INSERT INTO workspace (name, created_at) VALUES (:name, :created_at) ON CONFLICT (name) DO NOTHING"
_DETAILS = ("event", "attempt", "error", "artifact")


def known(store: Store, run_id: str) -> tuple[int, int]:
    """Epoch and number of the last record of a run that the ledger has; (0, 0) if it has none."""
    found = store.rows(_FIND_RUN, {"run_id": run_id})
    return (found[0][1], found[0][2]) if found else (0, 0)


def put(store: Store, rows: Rows) -> Outcome:
    """Bring these rows into the ledger, in one transaction."""
    with store.writing():
        return put_inside(store, rows)


def put_inside(store: Store, rows: Rows) -> Outcome:
    """The same, inside of a transaction that somebody else has begun."""
    run = rows.run
    found = _find(store, run.run_id)
    if found is None:
        return _put_new(store, rows)
    key, epoch, seq = found
    if (run.epoch, run.seq) <= (epoch, seq):
        _tell_place(store, key, run)
        return Outcome.KNOWN
    if rows.since != (seq if run.epoch == epoch else 0):
        return Outcome.GAP
    columns = {**msgspec.structs.asdict(run), "run_key": key}
    if run.epoch == epoch:
        store.rows(_MOVE_RUN, columns)
    else:
        # the driver before may have told more than the one that took the run over has left to count
        _forget_details(store, key)
        _tell_workspace(store, run.workspace)
        store.rows(_UPDATE_RUN, columns)
    _put_details(store, key, rows)
    _tell_place(store, key, run)
    return Outcome.TAKEN


def _put_new(store: Store, rows: Rows) -> Outcome:
    run = rows.run
    if rows.since:
        return Outcome.GAP
    _tell_workspace(store, run.workspace)
    made = store.rows(_INSERT_RUN, msgspec.structs.asdict(run))
    if not made:
        # in PostgreSQL somebody else may have been first, just now
        return Outcome.GAP
    key = made[0][0]
    _put_details(store, key, rows)
    # later ones are annotations, and one that was taken away must not come back
    _put_tags(store, key, rows)
    _tell_place(store, key, run)
    return Outcome.TAKEN


def put_plain(store: Store, runs: Sequence[RunRow]) -> None:
    """Bring runs that have nothing but their rows, and no folder, inside of a transaction; those that are there stay.

    Which these are, whoever calls has to ask the ledger.
    """
    if not runs:
        return
    for workspace in sorted({run.workspace for run in runs}):
        _tell_workspace(store, workspace)
    store.insert(_INTO_RUN, [msgspec.structs.astuple(run) for run in runs])


def _find(store: Store, run_id: str) -> tuple[int, int, int] | None:
    found = store.rows(f"{_FIND_RUN}{_LOCKED[store.dialect]}", {"run_id": run_id})
    return (found[0][0], found[0][1], found[0][2]) if found else None


# whoever writes in SQLite is alone there; in PostgreSQL the row is what writers take turns at
_LOCKED = {"sqlite": "", "postgres": " FOR UPDATE"}


def _put_details(store: Store, key: int, rows: Rows) -> None:
    run = rows.run
    _put(store, _INTO_BLOCK, key, rows.blocks)
    _put(store, _INTO_EVENT, key, rows.events)
    if rows.attempt_ends:
        # of attempts that the ledger has already: before more of them begin
        store.many(_END_ATTEMPT, [{"run_key": key, **msgspec.structs.asdict(end)} for end in rows.attempt_ends])
    _put(store, _INTO_ATTEMPT, key, rows.attempts)
    _put(store, _INTO_ERROR, key, rows.errors)
    _put(store, _INTO_ARTIFACT, key, rows.artifacts)
    if rows.voided:
        void = [
            {"run_key": key, "start": min(start, run.seq), "stop": min(stop, run.seq)} for start, stop in rows.voided
        ]
        for table in ("error", "artifact"):
            store.many(f"DELETE FROM {table} WHERE run_key = :run_key AND seq >= :start AND seq < :stop", void)


def _put_tags(store: Store, key: int, rows: Rows) -> None:
    run = rows.run
    store.insert(_INTO_TAG, [(run.workspace, tag, run.created_at, key) for tag in dict.fromkeys(rows.tags)])


def _put(store: Store, into: Insertion, key: int, rows: Sequence[msgspec.Struct]) -> None:
    if rows:
        store.insert(into, [(key, *msgspec.structs.astuple(row)) for row in rows])


def _forget_details(store: Store, key: int) -> None:
    for table in _DETAILS:
        store.rows(f"DELETE FROM {table} WHERE run_key = :run_key", {"run_key": key})


def _tell_workspace(store: Store, name: str) -> None:
    store.rows(_INSERT_WORKSPACE, {"name": name, "created_at": clock.now()})


def _tell_place(store: Store, key: int, run: RunRow) -> None:
    if run.run_folder is not None:
        store.rows(_INSERT_PLACE, {"run_key": key, "path": run.run_folder})

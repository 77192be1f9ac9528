"""Runs with all that the ledger has of each on one row, to be taken elsewhere."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import msgspec

from runstone.core.query import Query
from runstone.ledger.find import MOST, find_inside
from runstone.ledger.find_conditions import Binder, text_list
from runstone.ledger.find_summary import RunSummary
from runstone.ledger.port import Store

_MORE = (
    "job_id", "imported_from", "scheduled_at", "cancel_requested_at", "priority", "llm_calls", "tokens",
    "input_fingerprint", "code_ref", "config_hash",
)  # fmt: skip
_LAST = ("run_folder", "tags")
PARAMS = "params"

FIELDS = (*(name for name in RunSummary.__struct_fields__ if name not in _LAST), *_MORE, *_LAST)
"""What is told of every run, in order, before its parameters."""

Exported = dict[str, Any]
"""A run: a value for each of FIELDS, and its parameters as JSON text under `params`."""


def runs(store: Store, query: Query, workspace: str | None) -> Iterator[list[Exported]]:
    """All runs that a query asks for, newest first, some at a time. workspace: None for all of them.

    Each part is read at one moment, so that a slow reader holds up nobody. Raises LedgerError.
    """
    now = datetime.now(UTC)
    cursor: str | None = None
    while True:
        with store.reading():
            page = find_inside(store, query, workspace=workspace, limit=MOST, cursor=cursor, now=now)
            more = _more(store, [run.run_id for run in page.runs])
        # a run may have been deleted between its two rows only where a store has no snapshots
        yield [_exported(run, more[run.run_id]) for run in page.runs if run.run_id in more]
        cursor = page.cursor
        if cursor is None:
            return


def _more(store: Store, ids: list[str]) -> dict[str, tuple[Any, ...]]:
    bind = Binder()
    rows = store.rows(
        f"SELECT run_id, CAST(variables AS TEXT), {', '.join(_MORE)} FROM pipeline_run"
        f" WHERE run_id IN {text_list(ids, store.dialect, bind)}",
        bind.params,
    )
    return {row[0]: row[1:] for row in rows}


def _exported(run: RunSummary, more: tuple[Any, ...]) -> Exported:
    params, *values = more
    said = msgspec.structs.asdict(run) | dict(zip(_MORE, values, strict=True))
    return {name: said[name] for name in FIELDS} | {PARAMS: params}

"""A ledger with as many runs as are asked for, as two years of work would leave it, written in large transactions."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any

from runstone.ledger.insertion import Insertion
from runstone.ledger.port import Store

PIPELINES = 200
STATUSES = ("completed",) * 88 + ("failed",) * 6 + ("degraded",) * 3 + ("cancelled",) * 2 + ("timed_out",)
FIRST = datetime(2024, 1, 1, tzinfo=UTC)
YEARS = 2
_AT_ONCE = 20_000
_COUNTED = 5
"""One in so many runs was tracked, and has counts and a metric."""


_COLUMNS = (
    *("run_id", "workspace", "pipeline_id", "pipeline_name", "status", "message", "error", "variables"),
    *("trigger_kind", "created_at", "started_at", "updated_at", "finished_at", "duration_seconds", "host"),
    *("progress_done", "progress_total", "error_count", "input_fingerprint", "code_ref", "config_hash", "run_folder"),
    *("epoch", "seq", "kind", "rows_in", "rows_out", "tokens", "metrics"),
)
_COMMIT = "0123456789abcdef0123456789abcdef01234567"
# the rows below are right by themselves: looking for what they refer to would take most of the time
_UNCHECKED = {"sqlite": "PRAGMA foreign_keys = 0", "postgres": "SET session_replication_role = replica"}
# sorted, so that the index grows at its end
_TAG = """
INSERT INTO tag (workspace, tag, created_at, run_key)
SELECT workspace, 'of-' || :every || '-' || CAST(run_key % CAST(:every AS INTEGER) AS TEXT), created_at, run_key
FROM pipeline_run ORDER BY 2, 3, 4
"""
_EVERY = (2, 3, 5, 7, 11, 997, 1009, 1013, 10_007, 10_009)
"""A run has a tag for each of these: some are on half of the runs, some on a ten-thousandth."""


def fill(store: Store, runs: int) -> None:
    """Make the rows. The first is the oldest; of every hundred, six failed."""
    if store.dialect == "postgres":
        store.script("SET statement_timeout = 0")
    store.script(_UNCHECKED[store.dialect])
    with store.writing():
        store.rows(
            "INSERT INTO workspace (name, created_at) VALUES ('default', :at) ON CONFLICT (name) DO NOTHING",
            {"at": _text(FIRST)},
        )
    into = Insertion("pipeline_run", _COLUMNS)
    rows = _rows(runs)
    while part := list(islice(rows, _AT_ONCE)):
        with store.writing():
            store.insert(into, part)
    for every in _EVERY:
        with store.writing():
            store.rows(_TAG, {"every": str(every)})
    if store.dialect == "postgres":
        # as its autovacuum would in time
        store.script("VACUUM (ANALYZE)")


def _rows(runs: int) -> Iterator[tuple[Any, ...]]:
    step = timedelta(days=365 * YEARS) / max(1, runs)
    for number in range(runs):
        digest = hashlib.md5(number.to_bytes(8, "little"), usedforsecurity=False).hexdigest()
        status = STATUSES[int(digest[:6], 16) % 100]
        name = f"pipeline-{int(digest[6:10], 16) % PIPELINES:03}"
        created = FIRST + step * number
        duration = 1 + int(digest[10:14], 16) / 100
        broken = status in ("failed", "timed_out")
        at, end = _text(created), _text(created + timedelta(seconds=duration))
        yield (
            *(f"{digest[:8]}-{digest[8:12]}-4{digest[13:16]}-8{digest[17:20]}-{digest[20:]}", "default"),
            *(digest[6:10] * 4, name, status, ""),
            f"train[{number % 97}]: RuntimeError: CUDA error {number}" if broken else None,
            f'{{"lr":{int(digest[:2], 16) / 1000},"seed":{number},"model":"resnet-{digest[3]}"}}',
            *("script", at, at, end, end, duration, f"node{number % 16}", 10, 10, int(broken), digest * 2, _COMMIT),
            *("0" * 64, f"/data/project/runs/{name}-{digest[:8]}", 1, 40),
            *(_counted(digest) if number % _COUNTED == 0 else ("pipeline", None, None, None, "{}")),
        )


def _counted(digest: str) -> tuple[Any, ...]:
    """What a tracked run counts: up to 65,535 rows, some of them, tokens, and a loss from 0 to 1."""
    rows = int(digest[16:20], 16)
    return "stage", rows, rows // 2, int(digest[20:25], 16), f'{{"loss":{int(digest[25:29], 16) / 65_536}}}'


def _text(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")

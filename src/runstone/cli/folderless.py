"""How a run without a folder stands, as one that was tracked: what the ledger tells, now and at every change."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

from runstone.errors import LedgerError, RunNotFound
from runstone.folder import observe
from runstone.folder.follow import end_of
from runstone.ledger.locating import FolderGone


def status_of(gone: FolderGone) -> dict[str, Any]:
    """Its status object; one that says `missing` if the ledger does not know it any more, or it was a block."""
    from runstone.engine.source_ledger import of_project

    try:
        if not gone.of_block:
            return of_project(gone.run_id).status()
        problem = str(gone)
    except (RunNotFound, LedgerError) as error:
        problem = str(error)
    return observe.failure(None, "missing", problem)


def follow(gone: FolderGone, *, interval: float, timeout: float | None) -> Iterator[dict[str, Any]]:
    """Yield its status object now and at every change; the last one is an end, or the last before `timeout` seconds."""
    deadline = None if timeout is None else time.monotonic() + timeout
    last: dict[str, Any] | None = None
    while True:
        status = status_of(gone)
        if status != last:
            yield status
            last = status
        left = interval if deadline is None else deadline - time.monotonic()
        if end_of(status) is not None or left <= 0:
            return
        time.sleep(min(interval, left))

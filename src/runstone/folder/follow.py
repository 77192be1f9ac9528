"""Following a run: its status object at every change, until it ends."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

from runstone.core.block_status import has_ended
from runstone.folder import layout, observe
from runstone.folder.look import Look

# A change of the journal is noticed this soon; everything else at the next interval.
_GLANCE_SECONDS = 0.02
_ENDS = frozenset({"completed", "degraded", "failed", "timed_out", "cancelled", "crashed", "missing", "error"})


def follow(
    folder: str, *, interval: float, timeout: float | None, block: str | None = None
) -> Iterator[dict[str, Any]]:
    """Yield the status object now and at every change; the last one is an end, or the last before `timeout` seconds.

    block: follow this block of the run to its end, and have its record in the status object.
    A run that crashed ends here, though somebody may still resume it.
    """
    deadline = None if timeout is None else time.monotonic() + timeout
    last: dict[str, Any] | None = None
    while True:
        # before the status: what is recorded after this is a change, also while the caller has it in hand
        before = _journals(folder)
        status = observe.status(folder, block)
        if status != last:
            yield status
            last = status
        if end_of(status) is not None:
            return
        if not _wait(folder, before, interval, deadline):
            return


def end_of(status: dict[str, Any]) -> str | None:
    """The word with which what a status object is about has ended; None as long as somebody may change it.

    That is the block if it has the record of one, else the run. Where nothing but outputs is left, and they have not
    been written to for a while, nobody is there who could still bring them to an end: they are `incomplete`.
    """
    block = status.get("block")
    if block is not None and has_ended(block["status"]):
        return str(block["status"])
    if status["status"] in _ENDS:
        return str(status["status"])
    if status["status"] == "incomplete":
        return "incomplete"
    only_outputs = status["status_source"] == "disk_heuristic" and status["liveness"] != "live"
    return "incomplete" if only_outputs and status["status"] != "running" else None


def _wait(folder: str, before: tuple[int, int], interval: float, deadline: float | None) -> bool:
    """Wait for the journals to be others than `before`, or the interval; False once the deadline has passed."""
    begun = time.monotonic()
    while True:
        now = time.monotonic()
        if deadline is not None and now >= deadline:
            return False
        if now - begun >= interval or _journals(folder) != before:
            return True
        pause = min(_GLANCE_SECONDS, interval - (now - begun))
        time.sleep(max(0.0, pause if deadline is None else min(pause, deadline - now)))


def _journals(folder: str) -> tuple[int, int]:
    """How long the newest journal is; changes with every event."""
    try:
        with Look(folder) as look:
            newest = max((layout.journal_epoch(name) or 0 for name in look.names(layout.JOURNAL)), default=0)
            found = look.stat(layout.journal(newest))
    except OSError:
        return 0, 0
    return newest, -1 if found is None else found.st_size

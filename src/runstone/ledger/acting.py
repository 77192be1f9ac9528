"""How runs stand whose rows have no end: the folder knows better, and dead drivers write no ends."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from runstone.core.events import Driver
from runstone.core.moves import DONE
from runstone.core.statuses import RunStatus
from runstone.folder import identity, observe, track_reading
from runstone.ledger.port import Store

UNFINISHED = tuple(status.value for status in RunStatus if status not in DONE)
UNFINISHED_SQL = f"status IN ({', '.join(repr(status) for status in UNFINISHED)})"
"""As the partial index of unfinished runs has it, word for word: otherwise it is not used."""

_STATUSES = frozenset(status.value for status in RunStatus)


class Claim(msgspec.Struct, frozen=True, array_like=True):
    """What the row of an unfinished run says, as far as it takes to check it. driver: JSON."""

    run_key: int
    run_id: str
    status: str
    driver: str | None
    run_folder: str | None


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """How an unfinished run really stands. progress: done, total, failed; None where only the row tells."""

    status: str
    started_at: str | None = None
    finished_at: str | None = None
    duration_seconds: float | None = None
    progress: tuple[int, int | None, int] | None = None


def look(claim: Claim) -> Seen | None:
    """How a run stands whose row has no end; None if nothing speaks against the row.

    Reads its folder if that is there, which takes some tenths of a millisecond; otherwise looks for its process.
    """
    if claim.run_folder is not None:
        # Whatever lies there now: it counts only if it is this run.
        found = observe.status(claim.run_folder)
        if found.get("id") == claim.run_id and found["status"] in _STATUSES:
            return _seen(found)
    driver = _driver(claim.driver)
    if driver is None or not identity.is_gone(driver):
        return None
    ended = track_reading.last_words(driver.journal, claim.run_id, driver) if driver.journal else None
    if ended is not None and ended.done:
        # a tracked run, whose process died before it could bring this
        return Seen(
            status=ended.status.value,
            started_at=ended.started_at,
            finished_at=ended.finished_at,
            duration_seconds=ended.duration_seconds,
        )
    return Seen(status=RunStatus.CRASHED.value)


def moved(store: Store, workspace: str | None) -> dict[int, str]:
    """The keys of all runs in a workspace whose rows are not what to act on, with the status that is."""
    scope = "" if workspace is None else " AND workspace = :workspace"
    claims = store.rows(
        "SELECT run_key, run_id, status, CAST(driver AS TEXT), run_folder FROM pipeline_run"
        f" WHERE {UNFINISHED_SQL}{scope} AND (driver IS NOT NULL OR run_folder IS NOT NULL)",
        {} if workspace is None else {"workspace": workspace},
    )
    return dict(_moves(Claim(*claim) for claim in claims))


def _moves(claims: Iterable[Claim]) -> Iterable[tuple[int, str]]:
    for claim in claims:
        seen = look(claim)
        if seen is not None and seen.status != claim.status:
            yield claim.run_key, seen.status


def _seen(found: dict[str, Any]) -> Seen:
    progress = found["progress"]
    return Seen(
        status=found["status"],
        started_at=found["started_at"],
        finished_at=found["finished_at"],
        duration_seconds=found["duration_seconds"],
        progress=(progress["done"], progress["total"], progress["failed"]),
    )


def journal_of(driver: str | None) -> str:
    """Where a tracked run is recorded, as the row says; "" for other runs."""
    found = _driver(driver)
    return "" if found is None else found.journal


class _Process(Driver, frozen=True, kw_only=True):
    """journal: where tracked runs of this process are recorded."""

    journal: str = ""


def _driver(said: str | None) -> _Process | None:
    try:
        return None if said is None else msgspec.json.decode(said, type=_Process)
    except msgspec.DecodeError:
        return None

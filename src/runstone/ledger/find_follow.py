"""Following a list of runs: those that are new, and those that have changed."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

from runstone.core.query import MOST_VALUES, Query, Term
from runstone.core.query_fields import EQUAL
from runstone.ledger.acting import UNFINISHED
from runstone.ledger.find import find
from runstone.ledger.find_summary import RunSummary
from runstone.ledger.port import Store

INTERVAL = 0.1
"""Seconds between two looks."""
_LOOKED_AT = 200
"""So many of the newest runs are looked at; of older ones, those that have not ended."""
_REMEMBERED = 20_000

Mark = tuple[str, str | None, str | None]


class Follower:
    """Looks at the newest runs that a query asks for, again and again, and tells what is different.

    open_store: gives the ledger, None as long as there is none; called again when it was deleted.
    """

    def __init__(self, open_store: Callable[[], Store | None], query: Query, workspace: str | None) -> None:
        self._open = open_store
        self._query = query
        self._workspace = workspace
        self._store: Store | None = None
        self._marks: dict[str, Mark] = {}
        self._underway: set[str] = set()

    def newest(self, count: int) -> list[RunSummary]:
        """The newest runs as they stand, oldest first; what comes later is told by `changes`."""
        found = self._look()
        shown = found[len(found) - min(count, len(found)) :]
        self._underway &= {run.run_id for run in shown}
        return shown

    def changes(self) -> Iterator[RunSummary]:
        """Every run that is new or has changed its status, as soon as that is seen; without an end."""
        while True:
            time.sleep(INTERVAL)
            yield from self._look()

    def close(self) -> None:
        if self._store is not None:
            self._store.close()
            self._store = None

    def _look(self) -> list[RunSummary]:
        """What is new or different since the last look, oldest first."""
        store = self._current()
        if store is None:
            return []
        found = find(store, self._query, workspace=self._workspace, limit=_LOOKED_AT).runs
        older = sorted(self._underway - {run.run_id for run in found})
        if older:
            # whatever the query says of them now: they were shown, and how they went on is worth knowing
            which = Query(terms=(Term(field="id", operator=EQUAL, values=tuple(older[:MOST_VALUES])),))
            found += find(store, which, workspace=self._workspace, limit=_LOOKED_AT).runs
        changed = [run for run in found if self._marks.get(run.run_id) != _mark(run)]
        for run in changed:
            self._marks[run.run_id] = _mark(run)
            (self._underway.add if run.status in UNFINISHED else self._underway.discard)(run.run_id)
        while len(self._marks) > _REMEMBERED:
            del self._marks[next(iter(self._marks))]
        return sorted(changed, key=lambda run: run.created_at)

    def _current(self) -> Store | None:
        if self._store is not None and not self._store.is_there():
            self.close()
        if self._store is None:
            self._store = self._open()
        return self._store


def _mark(run: RunSummary) -> Mark:
    return run.status, run.started_at, run.finished_at

"""Finding runs: pages of them, newest first, how many there are, and the one that an id or its beginning names."""

from __future__ import annotations

import contextlib
import heapq
from datetime import UTC, datetime

import msgspec

from runstone import config
from runstone.core.query import WORD, Query
from runstone.core.query_fields import EQUAL, MINIMUM_PREFIX
from runstone.errors import RunAmbiguous, RunNotFound
from runstone.ledger import find_cursor, find_plan, find_summary, find_walks
from runstone.ledger.find_conditions import Binder, key_list, prefix
from runstone.ledger.find_cursor import Position
from runstone.ledger.find_plan import Plan, Unfinished
from runstone.ledger.find_summary import RunSummary
from runstone.ledger.find_walks import Stretch, Walk
from runstone.ledger.port import Row, Store

MOST = 1000
"""Runs on a page."""
WINDOW = 10_000
"""Runs that are looked at for one page, where no index tells which are meant."""
_WINDOW_OF_TAGS = 2_000
"""The same where it takes all the tags of each of them."""
_WINDOW_OF_FIGURES = {"run_by_counts": 5_000, "run_by_metrics": 1_500}
"""The same along these indexes: so many are looked at within two milliseconds."""

_WINDOW_OF_UNFINISHED, _AT_ONCE, _LOOKS = 10_000, 50, 1_000
"""Runs without an end in their rows, for one page: so many rows are asked, so many read together, so many looked at."""

_NAMED = 10
_EVERYTHING = Query()


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """runs: newest first. cursor: where the list goes on; None at its end.

    A page with a cursor may have fewer runs than were asked for, or none, where they are hard to find: more may follow.
    """

    runs: list[RunSummary]
    cursor: str | None = None


def find(
    store: Store,
    query: Query = _EVERYTHING,
    *,
    workspace: str | None = config.DEFAULT_WORKSPACE,
    limit: int = 50,
    cursor: str | None = None,
    now: datetime | None = None,
) -> Page:
    """Runs that a query asks for.

    workspace: None for all of them. limit: from 1 to 1,000; another number counts as the nearest of these. cursor: of
    the page before. now: what `since:7d` counts from. Raises CursorError, LedgerError.
    """
    # a run that ends between the looks at runs with an end and at those without one would be in neither
    with store.reading() if query.about("status") else contextlib.nullcontext():
        return find_inside(store, query, workspace=workspace, limit=limit, cursor=cursor, now=now)


def find_inside(
    store: Store,
    query: Query,
    *,
    workspace: str | None,
    limit: int,
    cursor: str | None = None,
    now: datetime | None = None,
) -> Page:
    """The same, inside of a transaction that somebody else has begun."""
    limit = max(1, min(limit, MOST))
    after = None if cursor is None else find_cursor.decode(cursor, query, workspace)
    plan = find_plan.make(store, query, workspace, now or datetime.now(UTC), apart=True)
    if after is not None and (plan.stretch.below is None or after < plan.stretch.below):
        plan = msgspec.structs.replace(plan, stretch=msgspec.structs.replace(plan.stretch, below=after))
    cut = _cut(store, plan, _window(query, plan)) if plan.asked else None
    if cut is not None:
        plan = msgspec.structs.replace(plan, stretch=msgspec.structs.replace(plan.stretch, first=cut))
    rows = _rows(store, plan, limit + 1)
    met = {find_summary.position(row): row for row in rows}
    seen: dict[Position, RunSummary] = {}
    if plan.unfinished is not None:
        seen, stopped = _acting(store, plan.unfinished, plan.stretch, sorted(met, reverse=True), limit)
        cut = max((end for end in (cut, stopped) if end is not None), default=None)
    places = [place for place in sorted({*met, *seen}, reverse=True) if cut is None or place >= cut]
    goes_on = places[limit - 1] if len(places) > limit else cut
    return Page(
        runs=[seen.get(place) or find_summary.summary(met[place]) for place in places[:limit]],
        cursor=None if goes_on is None else find_cursor.encode(goes_on, query, workspace),
    )


def _acting(
    store: Store, unfinished: Unfinished, stretch: Stretch, settled: list[Position], limit: int
) -> tuple[dict[Position, RunSummary], Position | None]:
    """Runs without an end in their rows that have one of the statuses wanted, newest first, as far as a page needs.

    settled: the other runs for that page, newest first, one more than it has if there are as many.
    Returns where the looking stopped, too, None if it went to the end or the page is full before.
    """
    first = settled[limit] if len(settled) > limit else stretch.first
    stretch = msgspec.structs.replace(stretch, first=first)
    plan = msgspec.structs.replace(unfinished.plan, stretch=stretch)
    cut = _cut(store, plan, _WINDOW_OF_UNFINISHED)
    if cut is not None:
        plan = msgspec.structs.replace(plan, stretch=msgspec.structs.replace(stretch, first=cut))
    found: dict[Position, RunSummary] = {}
    looked_at = newer = 0
    while True:
        rows = _rows(store, plan, _AT_ONCE)
        for row in rows:
            place = find_summary.position(row)
            run = find_summary.summary(row)
            looked_at += 1
            if run.status in unfinished.wanted:
                found[place] = run
                while newer < len(settled) and settled[newer] > place:
                    newer += 1
                if len(found) + newer > limit:
                    return found, None
            if looked_at == _LOOKS:
                return found, place
        if len(rows) < _AT_ONCE:
            return found, cut
        below = find_summary.position(rows[-1])
        plan = msgspec.structs.replace(plan, stretch=msgspec.structs.replace(plan.stretch, below=below))


def count(
    store: Store,
    query: Query = _EVERYTHING,
    *,
    workspace: str | None = config.DEFAULT_WORKSPACE,
    now: datetime | None = None,
) -> int:
    """How many runs a query asks for, exactly. What no index answers is asked of every run, and takes its time."""
    plan = find_plan.make(store, query, workspace, now or datetime.now(UTC))
    bind = Binder()
    parts = [
        find_walks.met(
            walk, "r.run_key", plan.stretch, [said(bind) for said in (*plan.always, *plan.asked)], store.dialect, bind
        )
        if plan.always or plan.asked
        else find_walks.keys(walk, plan.stretch, store.dialect, bind)
        for walk in plan.walks
    ]
    if plan.keys:
        parts.append(find_plan.among(plan, "r.run_key", store.dialect, bind))
    if not parts:
        return 0
    # a run may have several of the tags that are asked for
    union = " UNION " if any(walk.by_tag for walk in plan.walks) else " UNION ALL "
    return int(store.rows(f"SELECT count(*) FROM ({union.join(parts)}) AS met", bind.params)[0][0])


def get(store: Store, run: str, *, workspace: str | None = config.DEFAULT_WORKSPACE) -> RunSummary:
    """The run with this id, or the only one whose id begins like this.

    Raises RunNotFound, and RunAmbiguous naming those that could be meant.
    """
    bind = Binder()
    scope = "" if workspace is None else f" AND r.workspace = {bind(workspace)}"
    select = f"SELECT {find_summary.columns(store.dialect)} FROM pipeline_run r WHERE"
    found = store.rows(f"{select} r.run_id = {bind(run)}{scope}", bind.params)
    if found:
        return find_summary.summary(found[0])
    if len(run) < MINIMUM_PREFIX:
        raise RunNotFound(f"no run {run!r} in the ledger; of an id give at least {MINIMUM_PREFIX} characters")
    found = store.rows(f"{select} {prefix('r.run_id', run, bind)}{scope} LIMIT {_NAMED + 1}", bind.params)
    if not found:
        where = "the ledger" if workspace is None else f"workspace {workspace!r} of the ledger"
        raise RunNotFound(f"no run {run!r} in {where}")
    if len(found) > 1:
        raise RunAmbiguous(_candidates(run, [find_summary.summary(row) for row in found]))
    return find_summary.summary(found[0])


def _candidates(run: str, found: list[RunSummary]) -> str:
    listed = ", ".join(f"{each.run_id} ({each.pipeline_name}, {each.status})" for each in found[:_NAMED])
    number = len(found) if len(found) <= _NAMED else f"more than {_NAMED}"
    return f"{run!r} fits {number} runs: {listed}; give more characters of the id"


def _window(query: Query, plan: Plan) -> int:
    if plan.walks and plan.walks[0].index in _WINDOW_OF_FIGURES:
        return min(WINDOW, _WINDOW_OF_FIGURES[plan.walks[0].index])
    through_tags = any(term.field == WORD or (term.field == "tag" and term.operator != EQUAL) for term in query.terms)
    return _WINDOW_OF_TAGS if through_tags else WINDOW


def _cut(store: Store, plan: Plan, window: int) -> Position | None:
    """Where to stop looking after so many runs; None if there are not so many on the walks."""
    # A constant number of steps along the index alone: this is no page, and does not grow with the number of pages.
    share = max(1, window // max(1, len(plan.walks)))
    ends = find_walks.reached(store, plan.walks, plan.stretch, share)
    return max((end for end in ends if end is not None), default=None)


def _rows(store: Store, plan: Plan, limit: int) -> list[Row]:
    """The newest runs on all walks and among the keys, each once, newest first."""
    bind = Binder()
    columns = find_summary.columns(store.dialect)
    if len(plan.walks) == 1 and not plan.keys:
        return store.rows(_newest(plan.walks[0], columns, plan, limit, store.dialect, bind), bind.params)
    parts = [_newest(walk, "r.created_at, r.run_key", plan, limit, store.dialect, bind) for walk in plan.walks]
    parts = [f"SELECT * FROM ({part}) AS walk_{number}" for number, part in enumerate(parts)]
    if plan.keys:
        parts.append(find_plan.among(plan, "r.created_at, r.run_key", store.dialect, bind))
    if not parts:
        return []
    places = {Position(*row) for row in store.rows(" UNION ALL ".join(parts), bind.params)}
    bind = Binder()
    keys = key_list([place.run_key for place in heapq.nlargest(limit, places)], store.dialect, bind)
    rows = store.rows(f"SELECT {columns} FROM pipeline_run r WHERE r.run_key IN {keys}", bind.params)
    return sorted(rows, key=find_summary.position, reverse=True)


def _newest(walk: Walk, select: str, plan: Plan, limit: int, dialect: str, bind: Binder) -> str:
    """A statement for the newest runs on a walk."""
    conditions = [said(bind) for said in (*plan.always, *plan.asked)]
    met = find_walks.met(walk, select, plan.stretch, conditions, dialect, bind)
    return f"{met}{find_walks.newest_first(walk)} LIMIT {limit}"

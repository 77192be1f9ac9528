"""How runs went over time: how many, how well, how long, by day, pipeline or status."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, time, timedelta, tzinfo
from enum import Enum

import msgspec

from runstone import config
from runstone.core.query import Query
from runstone.ledger import acting, find_plan, find_walks
from runstone.ledger.find_conditions import Binder, rfc3339
from runstone.ledger.find_cursor import Position
from runstone.ledger.find_plan import Plan
from runstone.ledger.find_walks import Stretch
from runstone.ledger.port import Row, Store

WELL = ("completed", "degraded")
"""Statuses that count as a success, as they do for exit codes."""
ENDED = ("completed", "degraded", "failed", "timed_out", "crashed")
"""Statuses that a success rate is of; who cancels a run says nothing about it."""

_AT_ONCE = 50_000


class By(Enum):
    """What runs are put together by."""

    DAY = "day"
    PIPELINE = "pipeline"
    STATUS = "status"


class Group(msgspec.Struct, frozen=True, kw_only=True):
    """Some runs. name: the day (2026-01-31), pipeline or status they share; "" for all together.

    success_rate: of those that ended by themselves, from 0 to 1; None if none did. Durations are seconds, of runs that
    have ended; p50 and p95 are those of the run that as many per cent were not slower than.
    """

    name: str
    runs: int
    statuses: dict[str, int]
    success_rate: float | None
    average_seconds: float | None
    p50_seconds: float | None
    p95_seconds: float | None


class History(msgspec.Struct, frozen=True, kw_only=True):
    """total: of all groups together. groups: days in their order, others by the number of their runs."""

    by: str
    total: Group
    groups: list[Group]


def history(
    store: Store,
    query: Query,
    by: By,
    *,
    workspace: str | None = config.DEFAULT_WORKSPACE,
    now: datetime | None = None,
    zone: tzinfo = UTC,
) -> History:
    """How the runs went that a query asks for. zone: in which a day begins and ends.

    Reads every one of them, a million in some seconds. Raises LedgerError.
    """
    pile: dict[str, _Pile] = {}
    for name, status, seconds in _runs(store, query, by, workspace, now or datetime.now(UTC), zone):
        pile.setdefault(name, _Pile()).add(status, seconds)
    groups = [each.group(name) for name, each in pile.items()]
    groups.sort(key=lambda group: (0 if by is By.DAY else -group.runs, group.name))
    everything = _Pile()
    for each in pile.values():
        everything.take(each)
    return History(by=by.value, total=everything.group(""), groups=groups)


class _Pile:
    """Runs that belong together, as they come."""

    def __init__(self) -> None:
        self.statuses: dict[str, int] = {}
        self.seconds: list[float] = []

    def add(self, status: str, seconds: float | None) -> None:
        self.statuses[status] = self.statuses.get(status, 0) + 1
        if seconds is not None:
            self.seconds.append(seconds)

    def take(self, other: _Pile) -> None:
        for status, count in other.statuses.items():
            self.statuses[status] = self.statuses.get(status, 0) + count
        self.seconds += other.seconds

    def group(self, name: str) -> Group:
        ended = sum(self.statuses.get(status, 0) for status in ENDED)
        well = sum(self.statuses.get(status, 0) for status in WELL)
        self.seconds.sort()
        return Group(
            name=name,
            runs=sum(self.statuses.values()),
            statuses=dict(sorted(self.statuses.items(), key=lambda item: (-item[1], item[0]))),
            success_rate=well / ended if ended else None,
            average_seconds=sum(self.seconds) / len(self.seconds) if self.seconds else None,
            p50_seconds=_percentile(self.seconds, 50),
            p95_seconds=_percentile(self.seconds, 95),
        )


def _percentile(ordered: list[float], percent: int) -> float | None:
    """The smallest value that so many per cent are not above: always one that there is."""
    return ordered[-(-len(ordered) * percent // 100) - 1] if ordered else None


def _runs(
    store: Store, query: Query, by: By, workspace: str | None, now: datetime, zone: tzinfo
) -> Iterator[tuple[str, str, float | None]]:
    """Name of the group, status to act on, and seconds of every run."""
    moved = acting.moved(store, workspace)
    days = _Days(zone)
    plan = find_plan.make(store, query, workspace, now)
    for key, recorded, seconds, created_at, pipeline in _once(_met(store, plan), plan):
        status: str = moved.get(key) or recorded
        yield {By.DAY: days.of(created_at), By.PIPELINE: pipeline, By.STATUS: status}[by], status, seconds


def _once(rows: Iterator[Row], plan: Plan) -> Iterator[Row]:
    """Each run once, also if it has several of the tags that are asked for."""
    if len(plan.walks) < 2 or not plan.walks[0].by_tag:
        yield from rows
        return
    seen: set[int] = set()
    for row in rows:
        if row[0] not in seen:
            seen.add(row[0])
            yield row


def _met(store: Store, plan: Plan) -> Iterator[Row]:
    """What is needed of every run, some thousands at a time: a million rows at once would take a lot of memory."""
    select = "r.run_key, r.status, r.duration_seconds, r.created_at, r.pipeline_name"
    for walk in plan.walks:
        stretch: Stretch | None = plan.stretch
        while stretch is not None:
            bind = Binder()
            conditions = [said(bind) for said in (*plan.always, *plan.asked)]
            sql = find_walks.met(walk, select, stretch, conditions, store.dialect, bind)
            rows = store.rows(f"{sql}{find_walks.newest_first(walk)} LIMIT {_AT_ONCE}", bind.params)
            yield from rows
            last = Position(rows[-1][3], rows[-1][0]) if len(rows) == _AT_ONCE else None
            stretch = None if last is None else msgspec.structs.replace(stretch, below=last)
    if plan.keys:
        bind = Binder()
        yield from store.rows(find_plan.among(plan, select, store.dialect, bind), bind.params)


class _Days:
    """The day of a moment in a zone."""

    def __init__(self, zone: tzinfo) -> None:
        self._zone = zone
        # for a day in UTC: when a day begins in the zone, the day before that, and the one after
        self._known: dict[str, tuple[str, str, str]] = {}

    def of(self, moment: str) -> str:
        date = moment[:10]
        if date not in self._known:
            self._known[date] = self._look_up(datetime.fromisoformat(f"{date}T00:00:00+00:00"))
        begin, before, after = self._known[date]
        return after if moment >= begin else before

    def _look_up(self, day: datetime) -> tuple[str, str, str]:
        before = day.astimezone(self._zone).date()
        after = (day + timedelta(days=1, microseconds=-1)).astimezone(self._zone).date()
        midnight = datetime.combine(after, time(), self._zone)
        return rfc3339(midnight), before.isoformat(), after.isoformat()


def days_between(first: str, last: str) -> list[str]:
    """Every day from one to another, as they are named in groups."""
    day, end = datetime.fromisoformat(first).date(), datetime.fromisoformat(last).date()
    return [(day + timedelta(days=number)).isoformat() for number in range((end - day).days + 1)]

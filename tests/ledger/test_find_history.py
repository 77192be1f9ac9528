"""How runs went: counts, rates and durations, the same as by hand and in both stores."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta, timezone, tzinfo

import pytest

from runstone.cli.local_time import LocalZone
from runstone.core.query import parse
from runstone.ledger import history as histories
from runstone.ledger.history import By, days_between, history
from runstone.ledger.port import Store
from tests.ledger import library
from tests.ledger.library import Book

NOW = datetime(2026, 1, 4, 12, 30, tzinfo=UTC)
BOOKS = library.books(400, seed=3)


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def shelf(request: pytest.FixtureRequest) -> Iterator[Store]:
    with library.opened(request, BOOKS) as store:
        yield store


KEYS: dict[By, Callable[[Book], str]] = {
    By.DAY: lambda book: book.created_at[:10],
    By.PIPELINE: lambda book: book.pipeline_name,
    By.STATUS: lambda book: book.status,
}
QUERIES: dict[str, Callable[[Book], bool]] = {
    "": lambda book: True,
    "status:failed,completed": lambda book: book.status in ("failed", "completed"),
    "tag:prod,draft": lambda book: bool({"prod", "draft"} & set(book.tags)),
    "error~CUDA": lambda book: "CUDA" in (book.error or ""),
    "tag:nobody": lambda book: False,
}


@pytest.mark.parametrize("at_once", [7, 50_000])
@pytest.mark.parametrize("query", QUERIES)
@pytest.mark.parametrize("by", By)
def test_groups_are_what_counting_by_hand_gives(
    shelf: Store, by: By, query: str, at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(histories, "_AT_ONCE", at_once)
    chosen = [book for book in BOOKS if book.workspace == "default" and QUERIES[query](book)]
    found = history(shelf, parse(query), by, now=NOW)
    assert {group.name: group.runs for group in found.groups} == Counter(map(KEYS[by], chosen))
    assert found.total.runs == len(chosen)
    for group in found.groups:
        mine = [book for book in chosen if KEYS[by](book) == group.name]
        assert group.statuses == Counter(book.status for book in mine)
        seconds = sorted(book.duration_seconds for book in mine if book.duration_seconds is not None)
        if not seconds:
            assert group.average_seconds is None
            continue
        assert group.average_seconds == pytest.approx(statistics.fmean(seconds))
        for percent, value in ((50, group.p50_seconds), (95, group.p95_seconds)):
            assert value in seconds
            assert sum(each <= value for each in seconds) / len(seconds) >= percent / 100
            assert sum(each < value for each in seconds) / len(seconds) < percent / 100


def test_a_success_is_what_ended_well_of_what_ended_by_itself(shelf: Store) -> None:
    total = history(shelf, parse(""), By.STATUS, now=NOW).total
    well = total.statuses["completed"] + total.statuses["degraded"]
    badly = sum(total.statuses[status] for status in ("failed", "timed_out", "crashed"))
    assert total.success_rate == pytest.approx(well / (well + badly))
    assert history(shelf, parse("status:cancelled,running"), By.STATUS, now=NOW).total.success_rate is None


def test_days_come_in_their_order_and_others_by_the_number_of_their_runs(shelf: Store) -> None:
    days = [group.name for group in history(shelf, parse(""), By.DAY, now=NOW).groups]
    assert days == sorted(days)
    runs = [group.runs for group in history(shelf, parse(""), By.PIPELINE, now=NOW).groups]
    assert runs == sorted(runs, reverse=True)


@pytest.mark.parametrize(
    "zone", [timezone(timedelta(hours=13)), timezone(timedelta(hours=-12)), timezone(timedelta(hours=5, minutes=45))]
)
def test_a_day_is_that_of_the_zone(shelf: Store, zone: tzinfo) -> None:
    mine = [book for book in BOOKS if book.workspace == "default"]
    expected = Counter(datetime.fromisoformat(book.created_at).astimezone(zone).date().isoformat() for book in mine)
    found = history(shelf, parse(""), By.DAY, now=NOW, zone=zone)
    assert {group.name: group.runs for group in found.groups} == expected


def test_the_zone_of_the_machine_knows_its_summer_time(monkeypatch: pytest.MonkeyPatch) -> None:
    import time

    # as in Berlin, said so that no machine has to look it up
    monkeypatch.setenv("TZ", "CET-1CEST,M3.5.0,M10.5.0/3")
    time.tzset()
    try:
        for month, hours in ((1, 1), (7, 2)):
            utc = datetime(2026, month, 15, 12, tzinfo=UTC)
            local = utc.astimezone(LocalZone())
            assert (local.hour, local.utcoffset()) == (12 + hours, timedelta(hours=hours))
            assert local.astimezone(UTC) == utc
        (term,) = parse("since:2026-07-01", LocalZone()).terms
        assert term.values[0].start == "2026-06-30T22:00:00.000000Z"  # type: ignore[union-attr]
    finally:
        monkeypatch.undo()
        time.tzset()


def test_all_workspaces_are_counted_if_they_are_asked_for(shelf: Store) -> None:
    assert history(shelf, parse(""), By.STATUS, workspace=None, now=NOW).total.runs == len(BOOKS)


def test_every_day_between_two_is_named() -> None:
    assert days_between("2026-02-27", "2026-03-01") == ["2026-02-27", "2026-02-28", "2026-03-01"]
    assert days_between("2026-02-27", "2026-02-27") == ["2026-02-27"]

"""What indexes are for: no list of runs reads all of them, or sorts what it reads."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import pytest

from runstone.core.query import parse
from runstone.core.query_fields import FIELDS
from runstone.ledger.find import find, find_inside, get
from runstone.ledger.find_cursor import decode
from runstone.ledger.port import Params, Row, Store
from tests.ledger import library

NOW = datetime(2026, 1, 4, 12, 30, tzinfo=UTC)
BOOKS = library.books(3000)

INDEXED = [
    "",
    "status:completed",
    "status:running",
    "status:failed,crashed",
    "-status:completed",
    "pipeline:survey",
    "pipeline:survey,train",
    "tag:prod",
    "tag:prod,draft",
    "since:2d",
    "since:2026-01-02 until:2026-01-03",
    "created:2026-01-02",
    "status:completed pipeline:survey tag:prod",
    "id:abcd",
    "retry_of:nobody",
    "parent:nobody",
    "input:nobody",
    "last_run_failed:true",
    "last_run_failed:false",
]
COUNTED = ["rows_in>100", "rows_out:0", "rows_out:0,120", "llm_calls>0", "tokens>=1000", "tokens>1 rows_in<5"]
"""The index that is walked along for these has all that is asked, so that no row is looked at which is not meant."""
LOOKED_THROUGH = [
    "param.lr>0.1",
    "param.name~res",
    "metric.loss<0.1",
    "-rows_out:0",
    "error~CUDA",
    "word",
    "tag~prod",
    "pipeline~surv",
    "-tag:prod",
    "host:gpu7",
    "trigger:cli",
    "kind:stage",
    "reason:reused",
    "duration>10",
    "started>2026-01-01",
    "finished<2026-01-03",
]


def test_every_field_is_among_these_queries() -> None:
    asked = {term.field for query in (*INDEXED, *COUNTED, *LOOKED_THROUGH) for term in parse(query).terms}
    assert asked == {*FIELDS, "word"}


class Explained:
    """A store that asks for the plan of every statement before it executes it."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.dialect = store.dialect
        self.where = store.where
        self.plans: list[str] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def rows(self, sql: str, params: Params = {}) -> list[Row]:  # noqa: B006
        verb = "EXPLAIN QUERY PLAN" if self.dialect == "sqlite" else "EXPLAIN (COSTS OFF)"
        lines = self._store.rows(f"{verb} {sql}", params)
        self.plans.append("\n".join(str(line[-1]) for line in lines))
        return self._store.rows(sql, params)


@contextmanager
def without_scans(store: Store) -> Iterator[None]:
    """Where PostgreSQL may choose: a table of a few thousand rows it would rather read as a whole."""
    if store.dialect == "sqlite":
        yield
        return
    with store.reading():
        # what cannot be answered without one of these has it in its plan nevertheless
        for way in ("seqscan", "bitmapscan", "sort"):
            store.rows(f"SET LOCAL enable_{way} = off")
        yield


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def shelf(request: pytest.FixtureRequest) -> Iterator[Store]:
    with library.opened(request, BOOKS) as store:
        yield store


_TABLES = ("r", "w", "t", "n", "tag", "pipeline_run")
"""The tables of runs, by the names that they have in our statements."""


def faults(plan: str, dialect: str) -> list[str]:
    """The lines of a plan that read a whole table, or sort."""
    found = []
    for line in map(str.strip, plan.splitlines()):
        if dialect == "sqlite":
            # what another part of the statement gave, or a list that came with it, may be read as a whole
            whole = line.startswith("SCAN") and line.split()[1] in _TABLES and "INDEX" not in line
            if whole or "TEMP B-TREE" in line:
                found.append(line)
        elif "Seq Scan" in line or line.removeprefix("->").strip().startswith(("Sort", "Incremental Sort")):
            found.append(line)
    return found


@pytest.mark.parametrize("workspace", ["default", None])
@pytest.mark.parametrize("query", INDEXED + COUNTED + LOOKED_THROUGH)
def test_no_page_reads_or_sorts_all_runs(shelf: Store, query: str, workspace: str | None) -> None:
    explained = Explained(shelf)
    meant = parse(query)
    with without_scans(shelf):
        page = find_inside(explained, meant, workspace=workspace, limit=5, now=NOW)
        if page.cursor is not None:
            find_inside(explained, meant, workspace=workspace, limit=5, cursor=page.cursor, now=NOW)
    wrong = {line for plan in explained.plans for line in faults(plan, shelf.dialect)}
    # which workspaces there are is asked of a table with one row each
    wrong = {line for line in wrong if "workspace" not in line}
    assert not wrong, "\n\n".join(explained.plans)


def test_a_run_is_found_by_its_id_and_its_beginning_along_an_index(shelf: Store) -> None:
    explained = Explained(shelf)
    with without_scans(shelf):
        get(explained, BOOKS[0].run_id[:8], workspace=None)
    assert len(explained.plans) == 2
    assert not [line for plan in explained.plans for line in faults(plan, shelf.dialect)]


@pytest.mark.parametrize("query", ["", "status:completed", "pipeline:survey", "tag:prod"])
def test_the_last_page_is_entered_where_it_begins(shelf: Store, query: str) -> None:
    """The condition on the place is one of the index, not one that is asked of every run before."""
    meant = parse(query)
    cursor = find(shelf, meant, limit=5).cursor
    assert cursor is not None
    assert decode(cursor, meant, "default").run_key > 0
    explained = Explained(shelf)
    with without_scans(shelf):
        find_inside(explained, meant, workspace="default", limit=5, cursor=cursor, now=NOW)
    # of a query for a status the last statement is about unfinished runs, which are met in the same order
    plan = explained.plans[-1]
    if shelf.dialect == "sqlite":
        assert "(created_at,run_key)<(?,?)" in plan or "created_at<?" in plan, plan
    else:
        assert "Index Cond" in plan
        assert "ROW(" in plan[plan.index("Index Cond") :].partition("\n")[0], plan


@pytest.mark.parametrize(
    ("query", "index", "condition"),
    [
        ("status:timed_out", "run_by_status", "status"),
        ("pipeline:survey", "run_by_pipeline", "pipeline_name"),
        ("tag:prod", "tag", "tag"),
        ("retry_of:nobody", "run_by_retry", "retry_of"),
    ],
)
def test_nothing_else_is_met_on_the_way_to_what_an_index_finds(
    shelf: Store, query: str, index: str, condition: str
) -> None:
    explained = Explained(shelf)
    with without_scans(shelf):
        find_inside(explained, parse(query), workspace="default", limit=5, now=NOW)
    plan = next(plan for plan in explained.plans if index in plan)
    if shelf.dialect == "sqlite":
        searched = f"{index} USING PRIMARY KEY" if index == "tag" else f"USING INDEX {index}"
        assert searched.replace("tag USING", "w USING") in plan, plan
        assert f"{condition}=?" in plan, plan
    else:
        assert f"({condition} = " in plan, plan
        assert not [line for line in plan.splitlines() if "Filter:" in line and f"{condition} = " in line], plan


@pytest.mark.parametrize("query", COUNTED)
def test_counts_are_asked_of_the_index_alone(shelf: Store, query: str) -> None:
    explained = Explained(shelf)
    with without_scans(shelf):
        find_inside(explained, parse(query), workspace="default", limit=5, now=NOW)
    plan = explained.plans[-1]
    assert "run_by_counts" in plan, plan
    if shelf.dialect == "postgres":
        place = plan[plan.index("Index Cond") :].partition("\n")[0]
        assert all(f"{term.field} " in place for term in parse(query).terms), plan
        assert "Filter:" not in plan, plan


def test_a_metric_is_asked_of_runs_that_have_metrics_alone(shelf: Store) -> None:
    explained = Explained(shelf)
    with without_scans(shelf):
        find_inside(explained, parse("metric.loss<0.1"), workspace="default", limit=5, now=NOW)
    assert "run_by_metrics" in explained.plans[-1]

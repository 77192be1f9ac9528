"""Finding runs: every query gives what reading all runs by hand gives, page by page, in both stores."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

import msgspec
import pytest

from runstone.core.previews import LONGEST_TEXT
from runstone.core.query import parse
from runstone.errors import CursorError, RunAmbiguous, RunNotFound
from runstone.folder.preview import preview
from runstone.ledger import find as finding
from runstone.ledger.find import RunSummary, count, find, get
from runstone.ledger.find_cut import cut_short
from runstone.ledger.port import Store
from tests.ledger import library
from tests.ledger.library import Book

NOW = datetime(2026, 1, 4, 12, 30, tzinfo=UTC)
BOOKS = library.books(600)


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def shelf(request: pytest.FixtureRequest) -> Iterator[Store]:
    """A ledger with many runs, to look at."""
    with library.opened(request, BOOKS) as store:
        yield store


def everything(store: Store, query: str, limit: int = 7, workspace: str | None = "default") -> list[RunSummary]:
    """All pages of an answer."""
    return [run for page in pages(store, query, limit, workspace) for run in page]


def pages(store: Store, query: str, limit: int, workspace: str | None = "default") -> Iterator[list[RunSummary]]:
    cursor = None
    while True:
        page = find(store, parse(query), workspace=workspace, limit=limit, cursor=cursor, now=NOW)
        assert len(page.runs) <= limit
        yield page.runs
        cursor = page.cursor
        if cursor is None:
            return


def by_hand(holds: Callable[[Book], bool], workspace: str | None = "default") -> list[str]:
    chosen = [book for book in BOOKS if workspace in (None, book.workspace) and holds(book)]
    return [book.run_id for book in sorted(chosen, key=lambda book: (book.created_at, book.run_key), reverse=True)]


def newest(workspace: str) -> dict[str, str]:
    """The status of the newest run of each pipeline."""
    ordered = sorted(BOOKS, key=lambda book: (book.created_at, book.run_key))
    return {book.pipeline_name: book.status for book in ordered if book.workspace == workspace}


BAD = ("failed", "crashed", "timed_out")


def is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def lr(book: Book) -> float:
    value = book.params.get("lr")
    return float(value) if is_number(value) else float("nan")


CASES: dict[str, Callable[[Book], bool]] = {
    "": lambda book: True,
    "status:failed": lambda book: book.status == "failed",
    "status:error,CRASHED": lambda book: book.status in ("failed", "crashed"),
    "status:failed status:crashed": lambda book: False,
    "-status:completed": lambda book: book.status != "completed",
    "NOT status:completed -status:failed": lambda book: book.status not in ("completed", "failed"),
    "pipeline:survey": lambda book: book.pipeline_name == "survey",
    'pipeline:"Survey 2",train': lambda book: book.pipeline_name in ("Survey 2", "train"),
    "pipeline!=survey": lambda book: book.pipeline_name != "survey",
    "pipeline~URV": lambda book: "urv" in book.pipeline_name.lower(),
    "pipeline~%_": lambda book: "%_" in book.pipeline_name,
    "pipeline~5%f": lambda book: False,
    "pipeline:ünïcode": lambda book: book.pipeline_name == "ünïcode",
    "tag:prod": lambda book: "prod" in book.tags,
    "tag:prod,draft": lambda book: bool({"prod", "draft"} & set(book.tags)),
    "tag:prod tag:draft": lambda book: {"prod", "draft"} <= set(book.tags),
    'tag:"team a" -tag:prod': lambda book: "team a" in book.tags and "prod" not in book.tags,
    "tag~NIGHT": lambda book: "nightly" in book.tags,
    "tag~_": lambda book: "x_y" in book.tags,
    "tag:nobody": lambda book: False,
    'error~"cuda OUT"': lambda book: "CUDA out" in (book.error or ""),
    "error~100%": lambda book: "100%" in (book.error or ""),
    r'error~"a_b \\ c"': lambda book: "a_b \\ c" in (book.error or ""),
    "error!~CUDA": lambda book: "CUDA" not in (book.error or ""),
    "host:gpu7": lambda book: book.host == "gpu7",
    "-host:gpu7": lambda book: book.host != "gpu7",
    "trigger:cli kind:stage": lambda book: (book.trigger_kind, book.kind) == ("cli", "stage"),
    "retry_of:first": lambda book: book.retry_of == "first",
    "retry_of:first status:failed": lambda book: book.retry_of == "first" and book.status == "failed",
    "duration>10": lambda book: (book.duration_seconds or 0) > 10,
    "duration<=1min": lambda book: book.duration_seconds is not None and book.duration_seconds <= 60,
    "since:1d": lambda book: book.created_at >= "2026-01-03T12:30:00.000000Z",
    "since:2026-01-02 until:2026-01-03": lambda book: book.created_at[:10] in ("2026-01-02", "2026-01-03"),
    "since:2026-01-02 since:2026-01-03": lambda book: book.created_at >= "2026-01-03",
    "until:2026-01-03 until:2026-01-02": lambda book: book.created_at < "2026-01-03",
    "until:2026-01-02T12:30": lambda book: book.created_at <= "2026-01-02T12:30:00.000000Z",
    "created>2026-01-02T12:30": lambda book: book.created_at > "2026-01-02T12:30:00.000000Z",
    "created>2026-01-02": lambda book: book.created_at >= "2026-01-03",
    "created<2026-01-02": lambda book: book.created_at < "2026-01-02",
    "created:2026-01-02": lambda book: book.created_at.startswith("2026-01-02"),
    "-created:2026-01-02": lambda book: not book.created_at.startswith("2026-01-02"),
    "started>=2026-01-02": lambda book: (book.started_at or "") >= "2026-01-02",
    "finished:2026-01-02": lambda book: (book.finished_at or "").startswith("2026-01-02"),
    "param.lr>0.1": lambda book: lr(book) > 0.1,
    "param.lr<=1": lambda book: lr(book) <= 1,
    "param.lr:1": lambda book: lr(book) == 1,
    "param.lr:0.5": lambda book: book.params.get("lr") in (0.5, "0.5"),
    'param.lr:"0.5"': lambda book: book.params.get("lr") == "0.5",
    "param.lr:null": lambda book: "lr" in book.params and book.params["lr"] is None,
    "param.lr!=1": lambda book: lr(book) != 1,
    "param.name:resnet,a_b": lambda book: book.params.get("name") in ("resnet", "a_b"),
    "param.name~RES": lambda book: "res" in book.params.get("name", "").lower(),
    "param.name~_": lambda book: "_" in book.params.get("name", ""),
    "param.flag:true": lambda book: book.params.get("flag") is True or book.params.get("flag") == "true",
    'param.flag:"true"': lambda book: book.params.get("flag") == "true",
    "param.flag:1": lambda book: book.params.get("flag") == 1 and book.params.get("flag") is not True,
    "param.größe:2": lambda book: book.params.get("größe") == 2,
    "param.nobody:1": lambda book: False,
    "rows_in>100": lambda book: (book.rows_in or 0) > 100,
    "rows_in>=5000000000": lambda book: book.rows_in == 5_000_000_000,
    "rows_out:0": lambda book: book.rows_out == 0,
    "rows_out:0,120": lambda book: book.rows_out in (0, 120),
    "-rows_out:0": lambda book: book.rows_out != 0,
    "rows_out!=0 kind:stage": lambda book: book.rows_out != 0 and book.kind == "stage",
    "llm_calls>0": lambda book: (book.llm_calls or 0) > 0,
    "tokens>=1000": lambda book: (book.tokens or 0) >= 1000,
    "tokens<1000": lambda book: book.tokens is not None and book.tokens < 1000,
    "tokens>=1000 status:completed": lambda book: (book.tokens or 0) >= 1000 and book.status == "completed",
    "rows_in>100 rows_out:0": lambda book: (book.rows_in or 0) > 100 and book.rows_out == 0,
    "metric.loss<0.1": lambda book: book.metrics.get("loss", 1) < 0.1,
    "metric.loss:1,0.1": lambda book: book.metrics.get("loss") in (1, 0.1),
    "-metric.loss>=0.1": lambda book: not book.metrics.get("loss", 0) >= 0.1,
    "metric.val/f-1>0.5": lambda book: book.metrics.get("val/f-1", 0) > 0.5,
    "metric.nobody>0": lambda book: False,
    "survey": lambda book: "survey" in book.pipeline_name.lower(),
    "ight": lambda book: "nightly" in book.tags,
    '-"team a"': lambda book: "team a" not in book.tags,
    f"id:{BOOKS[5].run_id}": lambda book: book is BOOKS[5],
    f"id:{BOOKS[5].run_id[:6]},{BOOKS[6].run_id[:6]}": lambda book: book in (BOOKS[5], BOOKS[6]),
    f"id:{BOOKS[5].run_id} -status:{BOOKS[5].status}": lambda book: False,
    "last_run_failed:true": lambda book: newest(book.workspace)[book.pipeline_name] in BAD,
    "last_run_failed:false": lambda book: newest(book.workspace)[book.pipeline_name] not in BAD,
    "status:failed tag:prod pipeline:train since:3d": lambda book: (
        (book.status, book.pipeline_name) == ("failed", "train")
        and "prod" in book.tags
        and book.created_at >= "2026-01-01T12:30:00.000000Z"
    ),
}


@pytest.fixture(scope="module")
def _some_fail() -> None:
    """Both kinds of pipelines are there, or the queries about their last run would find nothing."""
    statuses = {status in BAD for workspace in library.WORKSPACES for status in newest(workspace).values()}
    assert statuses == {True, False}


@pytest.mark.usefixtures("_some_fail")
@pytest.mark.parametrize("workspace", ["default", None])
def test_every_query_finds_what_reading_all_runs_finds(shelf: Store, workspace: str | None) -> None:
    for query, holds in CASES.items():
        expected = by_hand(holds, workspace)
        found = [run.run_id for run in everything(shelf, query, workspace=workspace)]
        assert found == expected, query
        assert count(shelf, parse(query), workspace=workspace, now=NOW) == len(expected), query


def test_most_of_the_queries_find_something() -> None:
    """Otherwise the test above would say little."""
    empty = [query for query, holds in CASES.items() if not by_hand(holds)]
    assert set(empty) < {
        "status:failed status:crashed",
        "tag:nobody",
        "pipeline~5%f",
        "param.nobody:1",
        "metric.nobody>0",
        "status:failed tag:prod pipeline:train since:3d",
        *(query for query in CASES if query.startswith("id:")),
    }


def test_where_no_index_helps_a_page_looks_at_some_runs_and_says_where_to_go_on(
    shelf: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(finding, "WINDOW", 50)
    monkeypatch.setattr(finding, "_WINDOW_OF_TAGS", 20)
    for query in (
        "param.lr>0.1",
        "error~CUDA status:failed,degraded",
        "nightly",
        "tag:prod,draft duration>90",
        "tokens>=1000",
    ):
        found = list(pages(shelf, query, 1000))
        assert len(found) > 2, query
        assert [run.run_id for page in found for run in page] == by_hand(CASES.get(query, _HARD[query])), query
    # an index answers these
    for query in ("status:failed", "tag:prod,draft", "since:2026-01-02", "last_run_failed:true"):
        assert len(list(pages(shelf, query, 1000))) == 1, query


_HARD: dict[str, Callable[[Book], bool]] = {
    "param.lr>0.1": CASES["param.lr>0.1"],
    "tokens>=1000": CASES["tokens>=1000"],
    "nightly": lambda book: "nightly" in book.tags,
    "error~CUDA status:failed,degraded": lambda book: (
        "CUDA" in (book.error or "") and book.status in ("failed", "degraded")
    ),
    "tag:prod,draft duration>90": lambda book: (
        bool({"prod", "draft"} & set(book.tags)) and (book.duration_seconds or 0) > 90
    ),
}


def test_of_a_text_too_long_for_the_ledger_the_beginning_is_searched_and_that_is_told(store: Store) -> None:
    long = preview("hay " * 20 + "Needle " + "hay " * 2000 + "thread")
    assert isinstance(long, dict)
    assert len(long["text"]) == LONGEST_TEXT
    # a dict of the user is no text, whatever it holds
    dicts = preview({"type": "str", "text": "needle"})
    values = (long, dicts, "a needle", None)
    library.put(store, [msgspec.structs.replace(BOOKS[at], params={"x": value}) for at, value in enumerate(values)])
    asked = parse("param.x~needle -param.y~needle")
    assert {run.run_id for run in find(store, asked, workspace=None).runs} == {BOOKS[0].run_id, BOOKS[2].run_id}
    assert find(store, parse("param.x~thread"), workspace=None).runs == []
    assert cut_short(store, asked, None) == ["x"]
    assert cut_short(store, parse("param.x:needle param.y~z x"), None) == []


def test_a_run_is_shown_with_all_that_is_known_of_it(shelf: Store) -> None:
    (run,) = everything(shelf, f"id:{BOOKS[0].run_id}", workspace=None)
    book = BOOKS[0]
    assert (run.run_id, run.workspace, run.kind) == (book.run_id, book.workspace, book.kind)
    assert (run.status, run.recorded_status, run.tags) == (book.status, book.status, sorted(book.tags))
    assert (run.created_at, run.started_at, run.finished_at) == (book.created_at, book.started_at, book.finished_at)
    assert (run.duration_seconds, run.error, run.host) == (book.duration_seconds, book.error, book.host)


def test_runs_that_come_meanwhile_do_not_shift_the_pages(store: Store) -> None:
    library.put(store, BOOKS)
    first = find(store, limit=10)
    store.rows(
        "INSERT INTO pipeline_run (run_id, workspace, pipeline_id, pipeline_name, status, created_at)"
        " VALUES (:id, 'default', 'x', 'x', 'pending', '2026-02-01T00:00:00.000000Z')",
        {"id": "newer"},
    )
    second = find(store, limit=10, cursor=first.cursor)
    assert [run.run_id for run in (*first.runs, *second.runs)] == by_hand(lambda book: True)[:20]


def test_a_cursor_can_stand_in_an_address(shelf: Store) -> None:
    cursor = find(shelf, limit=10).cursor
    assert cursor is not None
    assert cursor.replace("-", "").replace("_", "").isalnum()


def test_a_cursor_of_another_query_or_workspace_is_refused(shelf: Store) -> None:
    cursor = find(shelf, parse("status:failed"), limit=3).cursor
    assert cursor is not None
    for query, workspace in (("", "default"), ("status:crashed", "default"), ("status:failed", None)):
        with pytest.raises(CursorError, match="another query"):
            find(shelf, parse(query), workspace=workspace, cursor=cursor)


def test_a_cursor_that_was_changed_is_refused(shelf: Store) -> None:
    cursor = find(shelf, limit=3).cursor
    assert cursor is not None
    forged = base64.urlsafe_b64encode(b"123456789" + b'["2026-01-01",5]').decode().rstrip("=")
    spoilt = [cursor[:-3], cursor[1:], cursor.swapcase(), f"{cursor}A", "", "1", "ä" * 8, "x" * 5000, forged]
    for changed in spoilt:
        with pytest.raises(CursorError, match="cursor"):
            find(shelf, cursor=changed)


def test_a_run_is_named_by_its_id_or_the_beginning_of_it(shelf: Store) -> None:
    mine = next(book for book in BOOKS if book.workspace == "default")
    assert get(shelf, mine.run_id).run_id == mine.run_id
    assert get(shelf, mine.run_id[:8]).run_id == mine.run_id
    with pytest.raises(RunNotFound, match="no run 'zzzz' in workspace 'default'"):
        get(shelf, "zzzz")
    with pytest.raises(RunNotFound, match="at least 4 characters"):
        get(shelf, mine.run_id[:3])


def test_a_run_of_another_workspace_is_not_found_unless_all_are_asked_for(shelf: Store) -> None:
    other = next(book for book in BOOKS if book.workspace == "other")
    with pytest.raises(RunNotFound):
        get(shelf, other.run_id)
    assert get(shelf, other.run_id, workspace=None).workspace == "other"
    assert get(shelf, other.run_id, workspace="other").workspace == "other"


def test_a_beginning_that_fits_several_runs_names_them(store: Store) -> None:
    library.put(store, [])
    for number in range(12):
        store.rows(
            "INSERT INTO pipeline_run (run_id, workspace, pipeline_id, pipeline_name, status, created_at)"
            " VALUES (:id, 'default', 'x', 'fit', 'pending', '2026-02-01T00:00:00.000000Z')",
            {"id": f"abcd{number:02}"},
        )
    with pytest.raises(RunAmbiguous, match=r"'abcd1' fits 2 runs: abcd10 \(fit, pending\), abcd11 \(fit, pending\);"):
        get(store, "abcd1")
    with pytest.raises(RunAmbiguous, match="more than 10 runs"):
        get(store, "abcd")
    # what is a whole id is no beginning
    store.rows("UPDATE pipeline_run SET run_id = 'abcd' WHERE run_id = 'abcd00'")
    assert get(store, "abcd").run_id == "abcd"

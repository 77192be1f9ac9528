"""Following a list of runs, in both stores."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

import pytest

from runstone.core.query import parse
from runstone.ledger import find_follow
from runstone.ledger.find_follow import Follower
from runstone.ledger.find_summary import RunSummary
from runstone.ledger.opening import open_for_reading, open_ledger
from runstone.ledger.place import Place
from runstone.ledger.port import Store
from tests.ledger import library


def add(store: Store, run_id: str, status: str = "pending", day: int = 1) -> None:
    store.rows(
        "INSERT INTO pipeline_run (run_id, workspace, pipeline_id, pipeline_name, status, created_at, finished_at)"
        " VALUES (:run_id, 'default', 'p', 'p', :status, :at, :finished)",
        {
            "run_id": run_id,
            "status": status,
            "at": f"2026-01-{day:02}T00:00:00.000000Z",
            "finished": "2026-02-01T00:00:00.000000Z" if status in library.DONE else None,
        },
    )


def end(store: Store, run_id: str, status: str = "completed") -> None:
    store.rows(
        "UPDATE pipeline_run SET status = :status, finished_at = '2026-02-01T00:00:00.000000Z' WHERE run_id = :run_id",
        {"status": status, "run_id": run_id},
    )


def said(runs: list[RunSummary]) -> list[tuple[str, str]]:
    return [(run.run_id, run.status) for run in runs]


def follower(place: Place, query: str = "") -> Follower:
    return Follower(lambda: open_for_reading(place), parse(query), "default")


def test_what_is_new_and_what_has_changed_is_told_once_and_in_order(store: Store, place: Place) -> None:
    library.put(store, [])
    add(store, "old1", "completed", 1)
    add(store, "old2", "running", 2)
    watching = follower(place)
    assert said(watching.newest(1)) == [("old2", "running")]
    changes = watching.changes()
    add(store, "new2", "completed", 5)
    add(store, "new1", "running", 4)
    assert said(list(islice(changes, 2))) == [("new1", "running"), ("new2", "completed")]
    end(store, "old2")
    assert said(list(islice(changes, 1))) == [("old2", "completed")]
    end(store, "new1", "failed")
    assert said(list(islice(changes, 1))) == [("new1", "failed")]
    watching.close()


def test_a_run_that_was_shown_is_followed_to_its_end_however_old_it_is(
    store: Store, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(find_follow, "_LOOKED_AT", 3)
    library.put(store, [])
    add(store, "long", "running", 1)
    watching = follower(place, "status:running")
    assert said(watching.newest(10)) == [("long", "running")]
    for number in range(5):
        add(store, f"new{number}", "running", 2 + number)
    changes = watching.changes()
    assert said(list(islice(changes, 3))) == [(f"new{number}", "running") for number in (2, 3, 4)]
    # it is no longer what the query asks for, but what became of it is worth knowing
    end(store, "long")
    assert said(list(islice(changes, 1))) == [("long", "completed")]
    watching.close()


def test_a_ledger_that_comes_later_or_is_deleted_and_made_again_is_followed(tmp_path: Path) -> None:
    place = Place("sqlite", str(tmp_path / "ledger.db"))
    watching = follower(place)
    assert watching.newest(10) == []
    changes = watching.changes()
    store = open_ledger(place)
    library.put(store, [])
    add(store, "first")
    assert said(list(islice(changes, 1))) == [("first", "pending")]
    store.close()
    for file in tmp_path.glob("ledger.db*"):
        file.unlink()
    store = open_ledger(place)
    library.put(store, [])
    add(store, "second")
    assert said(list(islice(changes, 1))) == [("second", "pending")]
    store.close()
    watching.close()

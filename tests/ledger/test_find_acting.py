"""Runs whose rows have no end are shown, filtered and counted as they really stand."""

from __future__ import annotations

import os
import shutil
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from runstone.core.query import parse
from runstone.ledger import acting
from runstone.ledger import find as finding
from runstone.ledger.find import count, find, get
from runstone.ledger.find_plan import Plan
from runstone.ledger.last_runs import failing
from runstone.ledger.of_folder import project
from runstone.ledger.opening import open_ledger
from runstone.ledger.place import Place
from runstone.ledger.port import Row, Store
from tests import samples, scripts

WAITS = """
import pathlib, sys, time
from runstone import Pipeline, block

@block
def wait(go: str) -> int:
    pathlib.Path(go + ".started").touch()
    while not pathlib.Path(go).exists():
        time.sleep(0.005)
    return 1

Pipeline("waits", [wait]).run({"go": sys.argv[2]}, run_folder=sys.argv[1], show_progress=False)
"""


class Waiting:
    """A run in a process of its own that waits until it is told to go on."""

    def __init__(self, home: Path) -> None:
        self.folder = home / "waiting"
        self._go = home / "go"
        script = scripts.write(home / "waits.py", WAITS)
        self.process = scripts.start(sys.executable, str(script), str(self.folder), str(self._go), cwd=home)
        scripts.wait_for(Path(f"{self._go}.started"))

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.communicate()

    def finish(self) -> None:
        self._go.touch()
        self.process.communicate(timeout=60)


@pytest.fixture
def waiting(tmp_path: Path) -> Iterator[Waiting]:
    found = Waiting(tmp_path)
    yield found
    found.kill()


def ids(store: Store, query: str) -> list[str]:
    found = [run.run_id for run in find(store, parse(query)).runs]
    assert count(store, parse(query)) == len(found)
    return found


@pytest.fixture
def recorded(store: Store, waiting: Waiting, tmp_path: Path) -> str:
    """The id of the waiting run, which the ledger knows as running; before it another one completed."""
    samples.run_tiny(tmp_path / "tiny")
    project(store, str(tmp_path / "tiny"))
    project(store, str(waiting.folder))
    (run,) = find(store, parse("status:running")).runs
    return run.run_id


def test_a_run_that_goes_on_is_running(store: Store, recorded: str) -> None:
    assert ids(store, "status:running") == ids(store, "pipeline:waits") == [recorded]
    assert ids(store, "status:crashed") == ids(store, "status:crashed pipeline:waits") == []
    assert ids(store, "-status:running") != []
    assert get(store, recorded).status == "running"


@pytest.mark.parametrize("folder", ["is there", "is gone", "is another run's"])
def test_a_run_whose_driver_is_dead_is_crashed_everywhere(
    store: Store, recorded: str, waiting: Waiting, tmp_path: Path, folder: str
) -> None:
    waiting.kill()
    if folder != "is there":
        shutil.rmtree(waiting.folder)
    if folder == "is another run's":
        os.rename(tmp_path / "tiny", waiting.folder)

    assert ids(store, "status:crashed") == ids(store, "status:crashed pipeline:waits") == [recorded]
    assert ids(store, "status:failed,crashed kind:pipeline") == [recorded]
    assert recorded in ids(store, "-status:completed")
    assert ids(store, "status:running") == ids(store, "status:running pipeline:waits") == []
    assert ids(store, "-status:crashed status:running,completed") != [recorded]
    assert [each.pipeline_name for each in failing(store, ["default"])] == ["waits"]
    assert ids(store, "last_run_failed:true") == [recorded]

    (shown,) = (run for run in find(store).runs if run.run_id == recorded)
    assert (shown.status, shown.recorded_status) == ("crashed", "running")
    assert get(store, recorded).status == "crashed"


def test_looking_changes_no_row(store: Store, recorded: str, waiting: Waiting) -> None:
    waiting.kill()
    assert ids(store, "status:crashed") == [recorded]
    assert store.rows("SELECT status FROM pipeline_run WHERE run_id = :id", {"id": recorded}) == [("running",)]


def test_a_folder_that_knows_more_than_the_ledger_is_believed(store: Store, recorded: str, waiting: Waiting) -> None:
    waiting.finish()
    assert ids(store, "status:running") == []
    assert recorded in ids(store, "status:completed")
    run = get(store, recorded)
    assert (run.status, run.recorded_status, run.progress_done) == ("completed", "running", 1)
    assert run.finished_at is not None
    assert run.duration_seconds is not None


def test_a_run_of_another_machine_stays_what_its_row_says(store: Store, recorded: str, waiting: Waiting) -> None:
    waiting.kill()
    shutil.rmtree(waiting.folder)
    elsewhere = '{"host":"far","pid":1,"start_ticks":1,"boot_id":"x","machine_id":"y","pid_namespace":5}'
    store.rows("UPDATE pipeline_run SET driver = :driver WHERE run_id = :id", {"driver": elsewhere, "id": recorded})
    assert ids(store, "status:running") == [recorded]


def test_a_row_without_a_driver_is_believed(store: Store) -> None:
    store.rows("INSERT INTO workspace (name, created_at) VALUES ('default', '2026-01-01T00:00:00.000000Z')")
    store.rows(
        "INSERT INTO pipeline_run (run_id, workspace, pipeline_id, pipeline_name, status, created_at)"
        " VALUES ('queued-1', 'default', 'x', 'x', 'pending', '2026-02-01T00:00:00.000000Z')"
    )
    assert ids(store, "status:pending") == ids(store, "status:queued") == ["queued-1"]


def test_a_damaged_driver_proves_nothing(store: Store, recorded: str, waiting: Waiting) -> None:
    waiting.kill()
    shutil.rmtree(waiting.folder)
    store.rows("UPDATE pipeline_run SET driver = :driver WHERE run_id = :id", {"driver": '{"pid":"x"}', "id": recorded})
    assert ids(store, "status:running") == [recorded]


@pytest.fixture
def many(store: Store, recorded: str, waiting: Waiting) -> int:
    """How many runs of a process that is dead the ledger knows as running."""
    waiting.kill()
    shutil.rmtree(waiting.folder)
    for number in range(120):
        store.rows(
            "INSERT INTO pipeline_run (run_id, workspace, pipeline_id, pipeline_name, status, created_at, driver)"
            " SELECT :id, workspace, pipeline_id, pipeline_name, status, :at, driver FROM pipeline_run"
            " WHERE run_id = :run",
            {
                "id": f"dead-{number}",
                "at": f"2026-01-01T00:{number // 60:02}:{number % 60:02}.000000Z",
                "run": recorded,
            },
        )
    return 121


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The ids of the runs that were looked at."""
    found: list[str] = []
    real = acting.look

    def look(claim: acting.Claim) -> acting.Seen | None:
        found.append(claim.run_id)
        return real(claim)

    monkeypatch.setattr(acting, "look", look)
    return found


def test_only_those_runs_are_looked_at_that_a_page_needs(store: Store, many: int, looks: list[str]) -> None:
    page = find(store, parse("status:crashed"), limit=5)
    assert ([run.status for run in page.runs], len(looks)) == (["crashed"] * 5, 6)
    looks.clear()
    assert len(find(store, parse("status:crashed"), limit=5, cursor=page.cursor).runs) == 5
    assert len(looks) == 6
    assert count(store, parse("status:crashed pipeline:waits")) == many


def test_where_none_is_found_a_page_ends_after_a_number_of_looks(
    store: Store, many: int, looks: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(finding, "_LOOKS", 30)
    cursor: str | None = None
    pages = 0
    found: list[str] = []
    while cursor is not None or not pages:
        looks.clear()
        page = find(store, parse("status:running,completed"), limit=5, cursor=cursor)
        assert len(looks) <= 30
        found += [run.status for run in page.runs]
        cursor = page.cursor
        pages += 1
    assert (found, pages) == (["completed"], 5)
    everything: list[str] = []
    cursor = None
    while cursor is not None or not everything:
        page = find(store, parse("status:crashed,completed"), limit=7, cursor=cursor)
        everything += [run.run_id for run in page.runs]
        cursor = page.cursor
    assert len(everything) == len(set(everything)) == many + 1


def test_a_run_that_ends_while_runs_are_looked_for_is_found(
    store: Store, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.rows("INSERT INTO workspace (name, created_at) VALUES ('default', '2026-01-01T00:00:00.000000Z')")
    store.rows(
        "INSERT INTO pipeline_run (run_id, workspace, pipeline_id, pipeline_name, status, created_at)"
        " VALUES ('queued-1', 'default', 'x', 'x', 'pending', '2026-02-01T00:00:00.000000Z')"
    )
    looked, other = finding._rows, open_ledger(place)
    asked: list[object] = []

    def rows(store: Store, plan: Plan, limit: int) -> list[Row]:
        found = looked(store, plan, limit)
        if not asked:
            asked.append(plan)
            other.rows(
                "UPDATE pipeline_run SET status = 'completed', finished_at = '2026-02-01T00:00:01.000000Z'"
                " WHERE run_id = 'queued-1'"
            )
        return found

    monkeypatch.setattr(finding, "_rows", rows)
    try:
        found = find(store, parse("status:pending,completed")).runs
    finally:
        other.close()
    assert asked
    assert [run.run_id for run in found] == ["queued-1"]

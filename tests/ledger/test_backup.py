"""A backup is a whole ledger; the way back takes only one, and what is there is kept."""

from __future__ import annotations

import os
import shlex
import shutil
import sqlite3
from pathlib import Path

import pytest

from runstone.errors import LedgerBroken, LedgerDenied, LedgerError, LedgerTooNew
from runstone.ledger import facts as telling
from runstone.ledger.annotations import annotate, of_run
from runstone.ledger.backup import back_up, restore
from runstone.ledger.facts import facts, schema, vacuum
from runstone.ledger.opening import open_for_reading, open_ledger
from runstone.ledger.place import Place
from runstone.ledger.port import Store
from runstone.ledger.sqlite import SqliteStore
from runstone.ledger.sync import sync
from tests import samples
from tests.ledger import stories
from tests.ledger.projects import lay, made, nursery, project, told

__all__ = ["made", "nursery", "project"]


@pytest.fixture
def file(project: Path) -> Place:
    """A ledger in a file, with a run in it."""
    place = Place("sqlite", str(project / ".runstone" / "ledger.db"))
    samples.run_survey(project / "runs" / "one", project)
    store = open_ledger(place)
    sync(store)
    annotate([("tag", "mine")], by="ann", run_id=run_id(project), folder=None, store=store)
    store.close()
    return place


def run_id(project: Path) -> str:
    return told(project / "runs" / "one").run_id


def contents(path: str) -> dict[str, list[dict[str, object]]]:
    store = SqliteStore(path, read_only=True)
    try:
        return stories.contents(store)
    finally:
        store.close()


def test_a_backup_has_everything_and_is_one_file(file: Place, project: Path) -> None:
    copy = project / "copies" / "monday.db"
    copy.parent.mkdir()
    size = back_up(file, str(copy))
    assert size == copy.stat().st_size
    assert contents(str(copy)) == contents(file.address)
    assert os.listdir(copy.parent) == ["monday.db"]
    with pytest.raises(LedgerDenied, match="is there already, and is not overwritten"):
        back_up(file, str(copy))


def test_a_backup_while_somebody_writes_is_of_one_moment(file: Place, project: Path) -> None:
    writer = open_ledger(file)
    with writer.writing():
        writer.rows("DELETE FROM tag")
        back_up(file, str(project / "during.db"))
    back_up(file, str(project / "after.db"))
    writer.close()
    assert contents(str(project / "during.db"))["tag"]
    assert not contents(str(project / "after.db"))["tag"]


def test_a_place_that_takes_no_file_is_told(file: Place, project: Path) -> None:
    with pytest.raises(LedgerError, match="cannot be written: there is no folder"):
        back_up(file, str(project / "not there" / "copy.db"))


def test_without_a_ledger_there_is_nothing_to_back_up(project: Path) -> None:
    with pytest.raises(LedgerError, match="nothing to back up"):
        back_up(Place("sqlite", str(project / "none.db")), str(project / "copy.db"))


def test_what_was_restored_is_as_it_was_and_what_was_there_is_kept(file: Place, project: Path) -> None:
    copy = str(project / "copy.db")
    back_up(file, copy)
    before = contents(copy)
    store = open_ledger(file)
    store.rows("DELETE FROM pipeline_run")
    # others who have it open go on with what was restored
    aside = restore(file, copy)
    assert stories.contents(store) == before
    assert store.is_there()
    assert [one.text for one in of_run(store, run_id(project))] == ["mine"]
    store.rows("UPDATE pipeline_run SET message = 'written after it'")
    store.close()
    assert aside is not None
    assert not any(contents(aside).values())
    assert contents(copy) == before


def test_a_ledger_that_was_lost_is_restored(file: Place, project: Path) -> None:
    copy = str(project / "copy.db")
    back_up(file, copy)
    shutil.rmtree(project / ".runstone")
    assert restore(file, copy) is None
    assert contents(file.address) == contents(copy)


def test_what_is_damaged_makes_way(file: Place, project: Path) -> None:
    copy = str(project / "copy.db")
    back_up(file, copy)
    Path(file.address).write_bytes(b"no database at all" * 1000)
    aside = restore(file, copy)
    assert aside is not None
    assert Path(aside).read_bytes().startswith(b"no database")
    assert contents(file.address) == contents(copy)


def _newer(path: Path) -> None:
    store = sqlite3.connect(path)
    store.execute("INSERT INTO schema_migration VALUES (99, 'x', 'x', 'x')")
    store.commit()
    store.close()


def test_a_ledger_of_a_newer_version_makes_way_and_is_kept(file: Place, project: Path) -> None:
    copy = str(project / "copy.db")
    back_up(file, copy)
    _newer(Path(file.address))
    aside = restore(file, copy)
    assert aside is not None
    assert contents(file.address) == contents(copy)
    with pytest.raises(LedgerTooNew):
        schema(Place("sqlite", aside))


def _garbage(path: Path) -> None:
    path.write_bytes(b"no database" * 1000)


def _other(path: Path) -> None:
    store = sqlite3.connect(path)
    store.execute("CREATE TABLE mine (x)")
    store.commit()
    store.close()


def _empty(path: Path) -> None:
    path.touch()


def _damaged(path: Path) -> None:
    with path.open("r+b") as file:
        file.seek(3 * 4096)
        file.write(b"\xff" * 4096 * 4)


@pytest.mark.parametrize(
    ("make", "error", "said"),
    [
        (_garbage, LedgerBroken, "is no backup of a ledger, and was not restored: file is not a database"),
        (_other, LedgerBroken, "is no backup of a ledger, .* not of Runstone"),
        (_empty, LedgerBroken, "empty, and no backup"),
        (_newer, LedgerTooNew, "update Runstone"),
        (_damaged, LedgerBroken, "damaged"),
    ],
)
def test_what_is_no_ledger_of_ours_is_refused_and_nothing_changed(
    file: Place, project: Path, make: object, error: type[LedgerError], said: str
) -> None:
    copy = project / "copy.db"
    if make in (_newer, _damaged):
        back_up(file, str(copy))
    make(copy)  # type: ignore[operator]
    before, there = contents(file.address), sorted(os.listdir(project / ".runstone"))
    with pytest.raises(error, match=said):
        restore(file, str(copy))
    assert contents(file.address) == before
    assert sorted(os.listdir(project / ".runstone")) == there


def test_the_ledger_itself_is_no_backup(file: Place) -> None:
    with pytest.raises(LedgerDenied, match="is the ledger itself"):
        restore(file, file.address)
    with pytest.raises(LedgerError, match="there is no file"):
        restore(file, "nothing.db")


def test_a_server_has_tools_of_its_own() -> None:
    place = Place("postgres", "postgresql://ann:secret@db/runs?sslmode=require&schema=ours")
    with pytest.raises(LedgerError) as caught:
        back_up(place, "a b")
    command = str(caught.value).partition("is to be used: ")[2]
    assert shlex.split(command) == [
        "pg_dump", "--format=custom", "--file=a b", "--schema=ours", "--dbname=postgresql://ann@db/runs?sslmode=require",
    ]  # fmt: skip
    with pytest.raises(LedgerError) as caught:
        restore(Place("postgres", "postgresql://db/runs"), "x.dump")
    command = str(caught.value).partition("is to be used: ")[2]
    assert command == "pg_restore --clean --if-exists --dbname=postgresql://db/runs x.dump"


# room, and what there is to say


def test_without_runs_every_run_table_is_empty_and_the_room_is_free_again(store: Store, project: Path) -> None:
    empty = store.size_bytes()
    for number in range(60):
        samples.run_tiny(project / "runs" / f"run-{number}")
    sync(store)
    if isinstance(store, SqliteStore):
        store.vacuum()
    full = store.size_bytes()
    store.rows("DELETE FROM pipeline_run")
    assert not any(stories.contents(store).values())
    if isinstance(store, SqliteStore):
        store.release_pages()
        assert store.size_bytes() <= empty
    before, after = vacuum(store)
    assert after <= before
    assert after < full


def test_what_was_deleted_is_free_for_vacuum_to_give_back(store: Store, place: Place, project: Path) -> None:
    if store.dialect != "sqlite":
        assert facts(place, store).free_bytes is None
        return
    for number in range(20):
        samples.run_tiny(project / "runs" / f"run-{number}")
    sync(store)
    assert facts(place, store).free_bytes == 0
    store.rows("DELETE FROM pipeline_run")
    free = facts(place, store).free_bytes
    assert free
    before, after = vacuum(store)
    assert before - after >= free
    assert facts(place, store).free_bytes == 0


def test_facts_tell_what_is_there(
    store: Store, place: Place, project: Path, nursery: object, made: dict[str, Path]
) -> None:
    lay(made, project / "runs")
    dead = project / "runs" / "dead"
    child = nursery.spawn(  # type: ignore[attr-defined]
        "tests.harness.mortal:live",
        folder=str(dead),
        oracle=str(project / "oracle"),
        fault={"call": 12, "when": "middle", "name": "append_all"},
    )
    child.wait()
    sync(store)
    found = facts(place, store)
    assert (found.exists, found.dialect, found.schema) == (True, store.dialect, found.newest_schema)
    assert found.statuses["crashed"] == 1, "its row says that it is running, and its driver is dead"
    assert sum(found.statuses.values()) == found.tables["pipeline_run"] == 5
    assert found.workspaces == {"default": 5}
    assert found.size_bytes == store.size_bytes()
    assert found.oldest is not None
    assert found.newest is not None
    assert found.oldest < found.newest


def test_facts_about_a_ledger_that_is_not_there_make_none(project: Path) -> None:
    place = Place("sqlite", str(project / ".runstone" / "ledger.db"))
    assert not facts(place, open_for_reading(place)).exists
    assert schema(place) == 0
    assert not os.path.exists(place.address)
    assert telling.facts(place, None).where == place.address

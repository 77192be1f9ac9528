"""The index can be made again of folders, and is the same then; nothing else is touched."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from runstone import Pipeline, block
from runstone.folder import annotations as in_folder
from runstone.ledger import tables
from runstone.ledger.annotations import annotate
from runstone.ledger.check import check
from runstone.ledger.of_folder import project as bring
from runstone.ledger.opening import open_ledger
from runstone.ledger.place import Place
from runstone.ledger.port import Store
from runstone.ledger.projection import put_inside
from runstone.ledger.rebuild import Loss, rebuild, unreadable_runs
from runstone.ledger.row_types import Rows
from runstone.ledger.sync import sync
from tests import samples
from tests.harness.attached import LIVE
from tests.harness.nursery import Nursery
from tests.ledger import stories
from tests.ledger.projects import lay, made, nursery, project, told
from tests.ledger.test_claims import places, run_of

__all__ = ["made", "nursery", "project"]

_TABLES = {
    "sqlite": "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'",
    "postgres": "SELECT tablename FROM pg_tables WHERE schemaname = current_schema()",
}


def own(store: Store) -> dict[str, list[Any]]:
    """All that is in the tables which no folder tells."""
    return {table: sorted(store.rows(f"SELECT * FROM {table}")) for table in tables.OWN}


def test_every_table_is_an_index_or_the_ledgers_own(store: Store) -> None:
    there = sorted(str(row[0]) for row in store.rows(_TABLES[store.dialect]))
    assert there == sorted((*tables.INDEX, *tables.OWN))


def test_rows_that_refer_to_others_are_dropped_before_those(store: Store, project: Path, made: dict[str, Path]) -> None:
    lay(made, project / "runs")
    sync(store)
    tables.forget_all_with_folders(store)
    assert not any(stories.contents(store).values())


@block
def limp(x: int) -> int:
    if x > 1:
        raise ValueError("too much")
    return x


def make_all(project: Path, store: Store, made: dict[str, Path]) -> None:
    """Runs of every end, taken over, gone on with as successors, tagged, copied, elsewhere, in two workspaces."""
    folders = lay(made, project / "runs")
    states = stories.Prefixes(folders["died"], project / "elsewhere")
    killed = Pipeline("limping", [limp])
    first = killed.run({"x": 2}, run_folder=project / "runs" / "first", show_progress=False, raise_on_error=False)
    assert first.status == "failed"
    second = killed.run(
        {"x": 2}, run_folder=project / "runs" / "first", resume=True, show_progress=False, raise_on_error=False
    )
    assert second.id != first.id
    assert told(Path(second.run_folder or "")).retry_of == first.id
    run_of("other", project / ".runstone/workspaces/other/runs/one")
    half = states.lay(len(states) // 2)
    (project / "elsewhere" / "half").mkdir()
    shutil.copytree(half, project / "elsewhere" / "half", dirs_exist_ok=True)
    shutil.rmtree(half)
    (project / "runs" / "died").rename(project / "runs" / "finished")
    bring(store, str(project / "elsewhere" / "half"))
    in_folder.say(str(folders["degraded"]), "tag", "prod", by="ann")
    sync(store)
    run_id = told(folders["completed"]).run_id
    annotate([("tag", "mine"), ("note", "the ledger alone knows")], by="ann", run_id=run_id, folder=None, store=store)
    annotate([("untag", "docs")], by="ann", run_id=told(folders["degraded"]).run_id, folder=None, store=store)
    store.rows(
        "UPDATE pipeline_run SET scheduled_at = '2026-01-02T03:04:05.000006Z', priority = 3 WHERE run_id = :id",
        {"id": run_id},
    )


def test_the_index_is_the_same_after_it_was_made_again(store: Store, project: Path, made: dict[str, Path]) -> None:
    make_all(project, store, made)
    before, ours, were = stories.contents(store), own(store), places(store)
    assert all(before.values()), "a table has nothing to compare"
    assert len(were) == 8
    report = rebuild(store)
    assert (report.taken, report.copies, report.refused.count, report.unreadable.count) == (7, 1, 0, 0)
    assert stories.contents(store) == before
    assert own(store) == ours
    assert check(store).equal


def test_what_went_wrong_in_the_index_is_right_again(store: Store, project: Path, made: dict[str, Path]) -> None:
    make_all(project, store, made)
    before = stories.contents(store)
    store.rows("UPDATE pipeline_run SET error_count = 77, message = 'wrong'")
    store.rows("DELETE FROM event WHERE seq < 4")
    store.rows("DELETE FROM tag")
    rebuild(store)
    assert stories.contents(store) == before


def test_a_ledger_that_was_lost_is_made_of_the_roots(store: Store, project: Path) -> None:
    samples.run_survey(project / "runs" / "one", project)
    run_of("other", project / ".runstone/workspaces/other/runs/two")
    assert rebuild(store).taken == 2
    assert check(store).equal


def test_runs_whose_folders_are_gone_are_not_lost_unasked(store: Store, project: Path) -> None:
    for name in ("one", "two", "three"):
        samples.run_tiny(project / "runs" / name)
    sync(store)
    gone = told(project / "runs" / "one").run_id
    shutil.rmtree(project / "runs" / "one")
    before = stories.contents(store)
    assert unreadable_runs(store).first == [(gone, str(project / "runs" / "one"))]
    with pytest.raises(Loss, match="the folder of 1 run cannot be read any more, and rebuild would forget it"):
        rebuild(store)
    assert stories.contents(store) == before
    assert rebuild(store, lose=True).taken == 2
    assert store.rows("SELECT count(*) FROM pipeline_run") == [(2,)]
    assert check(store).equal


def test_a_run_that_cannot_be_read_any_more_is_not_lost_unasked(store: Store, project: Path) -> None:
    samples.run_tiny(project / "runs" / "one")
    samples.run_tiny(project / "runs" / "two")
    sync(store)
    (project / "runs" / "one" / "run.json").write_text("{")
    before = stories.contents(store)
    assert unreadable_runs(store).count == 0
    with pytest.raises(Loss) as caught:
        rebuild(store)
    assert [path for _, path in caught.value.lost.first] == [str(project / "runs" / "one")]
    assert stories.contents(store) == before


def test_half_of_it_is_none(store: Store, project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("one", "two", "three"):
        samples.run_tiny(project / "runs" / name)
    sync(store)
    before = stories.contents(store)
    calls = []

    def dies(store: Store, rows: Rows) -> Any:
        calls.append(rows)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return put_inside(store, rows)

    monkeypatch.setattr("runstone.ledger.intake.put_inside", dies)
    with pytest.raises(KeyboardInterrupt):
        rebuild(store)
    assert stories.contents(store) == before


def test_rows_that_this_ledger_does_not_take_cost_only_themselves(store: Store, project: Path) -> None:
    for name in ("a", "b", "c"):
        samples.run_tiny(project / "runs" / name)
    samples.run_survey(project / "runs" / "d", project)
    # users may add indexes of their own
    store.script("CREATE UNIQUE INDEX mine ON pipeline_run (pipeline_name)")
    report = rebuild(store)
    assert (report.taken, report.unreadable.count) == (2, 2)
    assert [Path(path).name for path, _ in report.unreadable.first] == ["b", "c"]
    taken = store.rows("SELECT run_folder FROM pipeline_run ORDER BY run_folder")
    assert [Path(folder).name for (folder,) in taken] == ["a", "d"]
    assert not store.rows("SELECT 1 FROM event WHERE run_key NOT IN (SELECT run_key FROM pipeline_run)")


def test_a_run_that_the_ledger_alone_knows_stays(store: Store, project: Path) -> None:
    samples.run_tiny(project / "runs" / "one")
    sync(store)
    store.rows(
        "INSERT INTO pipeline_run (run_id, workspace, pipeline_id, pipeline_name, status, created_at)"
        " VALUES ('queued', 'default', 'p', 'p', 'pending', '2026-01-01T00:00:00.000000Z')"
    )
    before = store.rows("SELECT * FROM pipeline_run WHERE run_id = 'queued'")
    rebuild(store)
    assert store.rows("SELECT * FROM pipeline_run WHERE run_id = 'queued'") == before
    assert store.rows("SELECT count(*) FROM pipeline_run") == [(2,)]


def test_only_the_runs_below_a_folder(store: Store, project: Path) -> None:
    for name in ("april/one", "may/two"):
        samples.run_tiny(project / "runs" / name)
    sync(store)
    store.rows("UPDATE pipeline_run SET message = 'wrong'")
    samples.run_tiny(project / "runs" / "may" / "three")
    shutil.rmtree(project / "runs" / "april" / "one")
    assert rebuild(store, str(project / "runs" / "may")).taken == 2
    found = {Path(path).name: said for path, said in store.rows("SELECT run_folder, message FROM pipeline_run")}
    assert found == {"one": "wrong", "two": "", "three": ""}


def test_a_place_on_a_disk_that_is_not_there_now_is_not_forgotten(store: Store, project: Path, tmp_path: Path) -> None:
    outside = tmp_path / "disk" / "one"
    samples.run_tiny(outside)
    bring(store, str(outside))
    shutil.copytree(outside, project / "runs" / "copy")
    sync(store)
    (tmp_path / "disk").rename(tmp_path / "unplugged")
    sync(store)
    both = sorted([str(outside), str(project / "runs" / "copy")])
    assert places(store) == both
    rebuild(store)
    assert places(store) == both
    assert store.rows("SELECT run_folder FROM pipeline_run") == [(str(project / "runs" / "copy"),)]


def test_who_reads_meanwhile_sees_what_was(
    store: Store, place: Place, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("one", "two"):
        samples.run_tiny(project / "runs" / name)
    sync(store)
    before = stories.contents(store)
    other = open_ledger(place)
    seen = []

    def looks(store: Store, rows: Rows) -> Any:
        seen.append(stories.contents(other))
        return put_inside(store, rows)

    monkeypatch.setattr("runstone.ledger.intake.put_inside", looks)
    rebuild(store)
    other.close()
    assert seen == [before, before]


def test_runs_that_stream_meanwhile_lose_nothing(store: Store, place: Place, project: Path, nursery: Nursery) -> None:
    rebuilt = number = 0
    # how often that is while one of them goes on depends on the machine
    while rebuilt <= 2:
        number += 1
        child = nursery.spawn(
            LIVE,
            folder=str(project / "runs" / f"alive-{number}"),
            oracle=str(project / f"oracle-{number}"),
            project=str(project),
            ledger=place.address,
            pipeline="mortal",
            pause=0.02,
            chunk=1,
        )
        before = store.rows("SELECT count(*) FROM pipeline_run")[0][0]
        while not child.died(0.1):
            rebuilt += rebuild(store).taken - before
        assert child.answer()["status"] == "degraded", child.stderr()
        # a driver that waits too long for its turn says so, and leaves the rest for later
        sync(store)
        assert check(store).equal

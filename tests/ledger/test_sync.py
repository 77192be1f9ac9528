"""Folders come into the ledger, however they came to be what they are."""

from __future__ import annotations

import os
import random
import shutil
from functools import partial
from pathlib import Path

import pytest

from runstone.errors import LedgerBusy
from runstone.folder import annotations as in_folder
from runstone.folder import observe
from runstone.ledger import intake
from runstone.ledger import sync as syncing
from runstone.ledger.annotations import of_run
from runstone.ledger.check import check
from runstone.ledger.intake import Intake
from runstone.ledger.of_folder import project as bring
from runstone.ledger.opening import open_ledger
from runstone.ledger.place import Place
from runstone.ledger.port import Store
from runstone.ledger.projection import Outcome
from runstone.ledger.rebuild import rebuild
from runstone.ledger.row_types import Rows
from runstone.ledger.sync import sync
from tests import samples
from tests.engine.executors.ways import wait_until
from tests.harness.attached import LIVE, kill_many
from tests.harness.nursery import Nursery
from tests.harness.scene import seed
from tests.ledger import stories
from tests.ledger.projects import claim, lay, made, nursery, project, told
from tests.ledger.test_claims import places

__all__ = ["made", "nursery", "project"]


def statuses(store: Store) -> dict[str, str]:
    """The status in the row of every run, by the name of its folder."""
    return {Path(folder).name: status for folder, status in store.rows("SELECT run_folder, status FROM pipeline_run")}


def folder_of(store: Store) -> list[str]:
    return [Path(folder).name for (folder,) in store.rows("SELECT run_folder FROM pipeline_run ORDER BY run_folder")]


def test_sync_brings_what_projecting_each_folder_brings(store: Store, project: Path, made: dict[str, Path]) -> None:
    for folder in lay(made, project / "runs").values():
        bring(store, str(folder))
    expected = stories.contents(store)
    store.rows("DELETE FROM pipeline_run")
    assert not any(stories.contents(store).values())
    report = sync(store)
    assert (report.folders, report.taken) == (4, 4)
    assert stories.contents(store) == expected
    again = sync(store)
    assert (again.folders, again.known, again.taken) == (4, 4, 0)
    assert stories.contents(store) == expected


def test_of_known_runs_that_ended_only_the_checkpoint_is_read(
    store: Store, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(3):
        samples.run_tiny(project / "runs" / f"run-{number}")
    sync(store)
    monkeypatch.setattr(Intake, "take", None)
    assert sync(store).known == 3


def test_a_run_without_a_checkpoint_is_known_all_the_same(store: Store, project: Path) -> None:
    samples.run_tiny(project / "runs" / "one")
    sync(store)
    (project / "runs" / "one" / "status.json").unlink()
    report = sync(store)
    assert (report.known, report.taken) == (1, 0)


def test_a_run_that_was_killed_is_taken_as_it_is_recorded_and_once_more_when_it_went_on(
    store: Store, project: Path, tmp_path: Path, made: dict[str, Path]
) -> None:
    whole = made["died"]
    (project / "runs").mkdir()
    states = stories.Prefixes(whole, project / "runs")
    for folder in states:
        sync(store)
        row = store.rows("SELECT status, epoch, seq FROM pipeline_run")[0]
        run = told(folder)
        assert row == (run.status, run.epoch, run.seq)
        assert check(store).equal
    assert statuses(store) == {"died": told(folder).status}
    assert told(folder).finished_at is not None


def test_a_folder_that_cannot_be_read_is_named_and_keeps_no_other_out(store: Store, project: Path) -> None:
    samples.run_tiny(project / "runs" / "good")
    for name in ("damaged", "newer"):
        samples.run_tiny(project / "runs" / name)
    (project / "runs/damaged/run.json").write_text("{")
    claim(project / "runs/newer", format=99)
    samples.run_tiny(project / "runs" / "long")
    claim(project / "runs/long", id="x" * 300)
    report = sync(store)
    assert statuses(store) == {"good": "completed"}
    named = {Path(path).name: why for path, why in report.unreadable.first}
    assert sorted(named) == ["damaged", "long", "newer"]
    assert "run.json is damaged" in named["damaged"]
    assert "format 99" in named["newer"]


def test_rows_that_this_ledger_does_not_take_are_named_and_keep_no_other_out(store: Store, project: Path) -> None:
    for name in ("a", "b"):
        samples.run_tiny(project / "runs" / name)
    samples.run_survey(project / "runs" / "c", project)
    store.script("CREATE UNIQUE INDEX mine ON pipeline_run (pipeline_name)")
    report = sync(store)
    assert [Path(path).name for path, _ in report.unreadable.first] == ["b"]
    assert sorted(statuses(store)) == ["a", "c"]


def test_a_ledger_that_takes_nothing_any_more_is_no_fault_of_a_folder(store: Store, project: Path) -> None:
    samples.run_tiny(project / "runs" / "a")
    other = open_ledger(Place("sqlite", str(project / "locked.db")), patience=0.01)
    holder = open_ledger(Place("sqlite", str(project / "locked.db")))
    with holder.writing(), pytest.raises(LedgerBusy):
        sync(other)
    assert sync(other).taken == 1
    holder.close()
    other.close()


def test_a_checkpoint_of_a_run_without_an_end_is_not_enough(store: Store, project: Path, nursery: Nursery) -> None:
    folder = project / "runs" / "killed"
    for _ in range(20):
        child = nursery.spawn(
            "tests.harness.mortal:live", folder=str(folder), oracle=str(project / "oracle"), pause=0.002, chunk=1
        )
        child.died(0.15)
        child.kill()
        glance = syncing._glance(str(folder))
        if glance is not None and 0 < glance.seq < told(folder).seq:
            break
        shutil.rmtree(folder, ignore_errors=True)
    else:
        raise AssertionError("its checkpoint always was the last that it wrote")
    sync(store)
    expected = stories.contents(store)
    # as if the ledger stood where the checkpoint does
    store.rows("UPDATE pipeline_run SET seq = :seq", {"seq": glance.seq})
    for table in ("event", "attempt", "error", "artifact"):
        store.rows(f"DELETE FROM {table} WHERE seq > :seq", {"seq": glance.seq})
    assert sync(store).taken == 1
    assert stories.contents(store) == expected


def test_more_than_some_are_counted_and_not_named(store: Store, project: Path) -> None:
    for number in range(syncing.NAMED + 5):
        folder = project / "runs" / f"bad-{number}"
        folder.mkdir(parents=True)
        (folder / "run.json").write_text("{")
    report = sync(store)
    assert (report.unreadable.count, len(report.unreadable.first)) == (syncing.NAMED + 5, syncing.NAMED)


def test_more_runs_than_are_looked_up_at_once(store: Store, project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(syncing, "_BATCH", 4)
    for number in range(9):
        samples.run_tiny(project / "runs" / f"run-{number}")
    assert sync(store).taken == 9
    assert sync(store).known == 9


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may read everything")
def test_a_folder_that_may_not_be_listed_is_named(store: Store, project: Path) -> None:
    april = project / "runs" / "april"
    samples.run_tiny(april / "one")
    april.chmod(0)
    try:
        assert sync(store).unreadable.first == [(str(april), "it cannot be listed: permission denied")]
    finally:
        april.chmod(0o755)


def test_what_a_run_without_an_end_has_recorded_is_on_the_disk_before_the_ledger_knows(
    store: Store, project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, made: dict[str, Path]
) -> None:
    states = stories.Prefixes(made["died"], project / "runs")
    (project / "runs").mkdir()
    folder = states.lay(len(states) - 3)
    synced: set[str] = set()
    before: list[set[str]] = []
    real_sync, real_put = os.fsync, intake.put_inside

    def fsync(descriptor: int) -> None:
        synced.add(os.path.relpath(os.readlink(f"/proc/self/fd/{descriptor}"), folder))
        real_sync(descriptor)

    def put(store: Store, rows: Rows) -> Outcome:
        before.append(set(synced))
        return real_put(store, rows)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(intake, "put_inside", put)
    assert sync(store).taken == 1
    written = {str(path.relative_to(folder)) for path in folder.glob("journal/*")}
    written |= {str(path.relative_to(folder)) for path in folder.glob("outputs/*.pack")}
    assert len(written) > 4
    assert written | {"run.json"} <= before[0]


# one run, several folders


def test_a_copied_folder_is_one_row_with_two_places(store: Store, project: Path) -> None:
    samples.run_tiny(project / "runs" / "original")
    sync(store)
    shutil.copytree(project / "runs" / "original", project / "runs" / "copy")
    assert sync(store).copies == 1
    assert folder_of(store) == ["original"]
    assert [Path(path).name for path in places(store)] == ["copy", "original"]
    assert (sync(store).copies, sync(store).known) == (0, 2)
    shutil.rmtree(project / "runs" / "copy")
    sync(store)
    assert [Path(path).name for path in places(store)] == ["original"]
    assert check(store).equal


def test_of_copies_that_differ_the_known_one_counts_as_long_as_it_is_there(
    store: Store, project: Path, tmp_path: Path, made: dict[str, Path]
) -> None:
    states = stories.Prefixes(made["died"], tmp_path / "states")
    (project / "runs").mkdir()
    half, whole, little = (project / "runs" / name for name in ("half", "a-whole", "little"))
    shutil.copytree(states.lay(len(states) // 2), half)
    sync(store)
    shutil.copytree(states.lay(len(states) - 1), whole)
    shutil.copytree(states.lay(2), little)
    assert sync(store).copies == 2
    assert store.rows("SELECT epoch, seq FROM pipeline_run") == [(told(half).epoch, told(half).seq)]
    assert folder_of(store) == ["half"]
    assert check(store).equal
    shutil.rmtree(half)
    assert sync(store).moved == 1
    assert folder_of(store) == ["a-whole"]
    assert store.rows("SELECT epoch, seq FROM pipeline_run") == [(told(whole).epoch, told(whole).seq)]
    assert [Path(path).name for path in places(store)] == ["a-whole", "little"]
    assert check(store).equal
    shutil.rmtree(whole)
    assert sync(store).moved == 1
    assert folder_of(store) == ["little"]
    assert check(store).equal


@pytest.mark.parametrize("names", [("a", "b"), ("b", "a")])
def test_of_new_copies_that_differ_the_furthest_counts(
    store: Store, project: Path, tmp_path: Path, names: tuple[str, str], made: dict[str, Path]
) -> None:
    states = stories.Prefixes(made["died"], tmp_path / "states")
    (project / "runs").mkdir()
    shutil.copytree(states.lay(len(states) // 2), project / "runs" / names[0])
    shutil.copytree(states.lay(len(states) - 1), project / "runs" / names[1])
    sync(store)
    assert folder_of(store) == [names[1]]
    assert [Path(path).name for path in places(store)] == ["a", "b"]
    assert check(store).equal


def test_a_project_that_was_moved_is_found_where_it_is(
    store: Store, project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    samples.run_tiny(project / "runs" / "one")
    sync(store)
    (tmp_path / "moved").mkdir()
    (tmp_path / "moved" / ".runstone").mkdir()
    (project / "runs").rename(tmp_path / "moved" / "runs")
    monkeypatch.chdir(tmp_path / "moved")
    assert sync(store).moved == 1
    assert store.rows("SELECT run_folder FROM pipeline_run") == [(str(tmp_path / "moved/runs/one"),)]
    assert check(store).equal


def test_a_row_whose_folder_is_gone_stays(store: Store, project: Path) -> None:
    samples.run_tiny(project / "runs" / "one")
    sync(store)
    shutil.rmtree(project / "runs" / "one")
    report = sync(store)
    assert (report.gone, statuses(store)) == (1, {"one": "completed"})
    assert places(store) == [str(project / "runs" / "one")]


def test_a_folder_that_lost_records_the_ledger_has_is_named(
    store: Store, project: Path, tmp_path: Path, made: dict[str, Path]
) -> None:
    states = stories.Prefixes(made["completed"], project / "runs")
    (project / "runs").mkdir()
    states.lay(len(states) - 1)
    sync(store)
    states.lay(2)
    report = sync(store)
    assert [Path(path).name for path, _ in report.ahead.first] == ["completed"]
    assert statuses(store) == {"completed": "completed"}
    assert not check(store).equal


# what people say


def test_tags_and_notes_in_a_folder_come_into_the_ledger(store: Store, project: Path) -> None:
    folder = project / "runs" / "one"
    samples.run_survey(folder, project)
    sync(store)
    in_folder.say(str(folder), "tag", "prod", by="ann")
    in_folder.say(str(folder), "untag", "docs", by="ann")
    in_folder.say(str(folder), "note", "looks fine", by="ann")
    report = sync(store)
    assert (report.known, report.annotated) == (1, 1)
    run_id = told(folder).run_id
    assert [one.kind for one in of_run(store, run_id)] == ["tag", "untag", "note"]
    assert store.rows("SELECT tag FROM tag") == [("prod",)]
    assert sync(store).annotated == 0
    assert check(store).equal


# killed


def test_after_kills_at_random_moments_ledger_and_folders_agree_in_every_field(
    store: Store, place: Place, project: Path, nursery: Nursery
) -> None:
    dice = random.Random(seed())
    child = nursery.spawn(
        LIVE,
        folder=str(project / "runs" / "told"),
        oracle=str(project / "oracle"),
        project=str(project),
        ledger=place.address,
        pipeline="mortal",
        pause=0.02,
        chunk=1,
        size=20_000,
    )
    # its driver has told of it, as far as it came; of the others only some may have come so far
    while not store.rows("SELECT 1 FROM pipeline_run"):
        assert not child.died(0.02)
    child.kill()
    kill_many(nursery, project, place.address, dice, 20)
    sync(store)
    found = check(store)
    assert found.equal, (seed(), found)
    assert found.underway == 0
    assert found.runs == sum((folder / "run.json").exists() for folder in (project / "runs").iterdir()) > 5
    before = stories.contents(store)
    rebuild(store)
    assert stories.contents(store) == before


def _has_begun(folder: Path) -> bool:
    return observe.status(str(folder))["status"] not in ("missing", "error", "pending")


def test_a_run_that_goes_on_meanwhile_comes_in_as_far_as_it_is_recorded(
    store: Store, project: Path, nursery: Nursery
) -> None:
    seqs: list[int] = []
    number = 0
    # how often one of them can be looked at while it goes on depends on the machine
    while len(set(seqs)) <= 2:
        number += 1
        folder = project / "runs" / f"alive-{number}"
        child = nursery.spawn(
            "tests.harness.mortal:live",
            folder=str(folder),
            oracle=str(project / f"oracle-{number}"),
            pause=0.02,
            chunk=1,
        )
        wait_until(partial(_has_begun, folder), 60)
        seqs = []
        while not child.died(0.05):
            sync(store)
            seqs += [
                seq for (seq,) in store.rows("SELECT seq FROM pipeline_run WHERE run_folder = :at", {"at": str(folder)})
            ]
            found = check(store)
            assert found.equal, found
        assert seqs == sorted(seqs)
        sync(store)
        assert check(store).equal
        assert statuses(store)[folder.name] in ("completed", "degraded")

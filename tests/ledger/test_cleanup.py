"""Deleting runs: what goes, what stays, the room that comes free, and what a death in between leaves."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

import runstone
from runstone import Pipeline, block, config
from runstone.amounts import span
from runstone.core.query import parse
from runstone.errors import LedgerError, RunAmbiguous, RunNotFound, SettingError
from runstone.folder import annotations, observe, removal
from runstone.folder.weight import Weight
from runstone.ledger import deletion
from runstone.ledger.annotations import take_in
from runstone.ledger.cleanup import Retention, cleanup, configured, named
from runstone.ledger.deletion import Deleted, Target, delete_runs, finish, plan
from runstone.ledger.of_folder import project
from runstone.ledger.opening import open_ledger
from runstone.ledger.place import Place
from runstone.ledger.port import Store
from runstone.ledger.sync import sync
from runstone.ledger.tables import INDEX
from tests.engine.executors.ways import wait_until
from tests.samples import run_survey


@block
def big(seed: int) -> bytes:
    return bytes([seed]) * 200_000


@block
def small(big: bytes, extra: int) -> int:
    return len(big) + extra


sizes = Pipeline("sizes", [big, small])


@pytest.fixture(autouse=True)
def project_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The project that commands are typed in; its runs are in `runs`."""
    folder = tmp_path / "project"
    folder.mkdir(exist_ok=True)
    (folder / "runstone.toml").touch()
    monkeypatch.chdir(folder)
    return folder


def run(name: str, store: Store | None = None, **params: int) -> Path:
    """A run of `sizes` in the project, in the ledger too."""
    folder = Path("runs", name).absolute()
    sizes.run({"seed": 1, "extra": 0, **params}, run_folder=folder, show_progress=False)
    if store is not None:
        project(store, str(folder))
    return folder


def disk(folder: Path) -> int:
    return sum(path.stat().st_blocks * 512 for path in folder.rglob("*") if path.is_file())


def ids(deleted: Deleted) -> list[str]:
    return [doomed.target.run_id for doomed in deleted.runs]


def id_of(folder: Path) -> str:
    return str(json.loads((folder / "run.json").read_bytes())["id"])


def rows(store: Store, tables: tuple[str, ...] = (*INDEX, "annotation")) -> dict[str, int]:
    return {table: store.rows(f"SELECT count(*) FROM {table}")[0][0] for table in tables}


def delete(store: Store | None, *folders: Path | str, **how: Any) -> Deleted:
    return delete_runs(store, [named(store, str(each), workspace="default") for each in folders], **how)


def test_folder_rows_artifacts_and_what_was_said_go(store: Store, tmp_path: Path) -> None:
    folder, other = Path("runs/survey").absolute(), run("other", store)
    run_survey(folder, tmp_path)
    annotations.say(str(folder), "tag", "gone", by="ada")
    project(store, str(folder))
    take_in(store, id_of(folder), annotations.read_from(str(folder)))
    before = rows(store)
    expected = disk(folder)

    done = delete(store, folder)

    assert ids(done)[0] not in str(store.rows("SELECT run_id FROM pipeline_run"))
    assert done.bytes - done.ledger_bytes == expected > 0
    assert os.listdir("runs") == [other.name]
    assert store.rows("SELECT run_id FROM pipeline_run") == [(id_of(other),)]
    assert rows(store)["annotation"] == 0 < before["annotation"]
    assert observe.status(str(other))["status"] == "completed"


def test_deleting_every_run_leaves_every_table_empty_and_the_file_shrunk(store: Store, tmp_path: Path) -> None:
    folders = [Path(f"runs/{number}").absolute() for number in range(25)]
    for folder in folders:
        run_survey(folder, tmp_path)
        annotations.say(str(folder), "note", "x" * 5000, by="ada")
        project(store, str(folder))
        take_in(store, id_of(folder), annotations.read_from(str(folder)))
    assert all(rows(store).values())
    full = store.size_bytes()

    done = cleanup(store, Retention(keep=0), workspace="default")

    assert len(done.runs) == 25
    assert rows(store) == dict.fromkeys((*INDEX, "annotation"), 0)
    assert os.listdir("runs") == []
    if store.dialect == "sqlite":
        assert store.size_bytes() < full / 2
        assert done.ledger_bytes == full - store.size_bytes()


def test_what_a_successor_has_taken_over_frees_nothing(store: Store) -> None:
    first = run("first", store)
    sizes.run({"seed": 1, "extra": 5}, run_folder=first, resume=True, show_progress=False)
    second = Path(f"{first}.2")
    project(store, str(second))
    shared = [path for path in first.rglob("*") if path.is_file() and path.stat().st_nlink == 2]
    assert shared
    alone = disk(first) - sum(path.stat().st_blocks * 512 for path in shared)
    targets = [named(store, str(folder), workspace="default") for folder in (first, second)]

    assert plan(store, targets[:1]).bytes == alone < 200_000
    # together they free it once
    assert plan(store, targets).bytes == disk(first) + disk(second) - disk_of(shared)

    done = delete_runs(store, targets[:1])
    assert done.bytes - done.ledger_bytes == alone
    assert len(runstone.open(second).outputs["big"]) == 200_000


def disk_of(paths: list[Path]) -> int:
    return sum(path.stat().st_blocks * 512 for path in paths)


def test_hard_links_within_a_folder_count_once(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "one").write_bytes(b"x" * 100_000)
    os.link(tmp_path / "a" / "one", tmp_path / "a" / "two")
    weight = Weight()
    assert weight.add(str(tmp_path / "a")) == (tmp_path / "a" / "one").stat().st_blocks * 512 > 0


ENDLESS = """
import sys, time
from runstone import Pipeline, block

@block
def wait(n: int) -> int:
    time.sleep(600)
    return n

Pipeline("endless", [wait]).run({"n": 1}, run_folder=sys.argv[1], show_progress=False)
"""


@pytest.fixture
def living() -> Iterator[tuple[Path, subprocess.Popen[bytes]]]:
    """A run that goes on, and its process."""
    folder = Path("runs/living").absolute()
    script = Path("endless.py")
    script.write_text(ENDLESS)
    driver = subprocess.Popen([sys.executable, str(script), str(folder)], stderr=subprocess.DEVNULL)
    try:
        wait_until(lambda: observe.status(str(folder))["status"] == "running", 60)
        yield folder, driver
    finally:
        driver.kill()
        driver.wait()


def test_a_run_that_goes_on_is_never_deleted_and_one_whose_process_died_is(
    store: Store, living: tuple[Path, subprocess.Popen[bytes]]
) -> None:
    folder, driver = living
    project(store, str(folder))
    for unproven in (False, True):
        done = delete(store, folder, unproven=unproven)
        assert done.runs == []
        assert f"pid {driver.pid}" in done.spared[0].why
        assert "is alive" in done.spared[0].why
    assert len(cleanup(store, Retention(keep=0), workspace="default").spared) == 1
    # the same, known from its row alone
    folder.rename(folder.with_name(".hidden"))
    assert "is alive" in delete(store, id_of(folder.with_name(".hidden"))).spared[0].why
    folder.with_name(".hidden").rename(folder)
    wait_until(lambda: observe.status(str(folder))["liveness"] == "live", 60)
    assert store.rows("SELECT count(*) FROM pipeline_run") == [(1,)]

    driver.kill()
    driver.wait()

    assert len(cleanup(store, Retention(keep=0), workspace="default").runs) == 1
    assert not folder.exists()
    assert rows(store) == dict.fromkeys((*INDEX, "annotation"), 0)


def test_a_copy_of_a_run_that_goes_on_goes_only_with_a_persons_word(
    living: tuple[Path, subprocess.Popen[bytes]],
) -> None:
    folder, _ = living
    copy = folder.with_name("copy")
    shutil.copytree(folder, copy)
    assert "not proven dead" in delete(None, copy).spared[0].why
    assert len(delete(None, copy, unproven=True).runs) == 1
    assert folder.exists()
    assert not copy.exists()


def test_a_folder_without_a_row_and_a_row_without_a_folder_go_too(store: Store) -> None:
    folder, gone = run("folder"), run("gone", store)
    gone_id = id_of(gone)
    shutil.rmtree(gone)
    done = cleanup(store, Retention(keep=0), workspace="default")
    assert sorted(ids(done)) == sorted([gone_id, *(set(ids(done)) - {gone_id})])
    assert len(done.runs) == 2
    assert not folder.exists()
    assert rows(store)["pipeline_run"] == 0


def test_without_a_ledger_folders_go(tmp_path: Path) -> None:
    first, second = run("first"), run("second")
    done = cleanup(None, Retention(keep=1), workspace="default")
    assert len(done.runs) == 1
    assert not first.exists()
    assert second.exists()


def test_a_row_that_names_somebody_elses_folder_takes_nothing_of_it_along(store: Store, tmp_path: Path) -> None:
    """What the ledger says about folders may be old, or was never true."""
    folder = run("mine", store)
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "thesis.txt").write_text("years")
    other, elsewhere, run_id = run("other"), tmp_path / "elsewhere", id_of(folder)
    folder.rename(elsewhere)
    for claimed in (precious, other):
        store.rows("UPDATE pipeline_run SET run_folder = :path", {"path": str(claimed)})
        store.rows("UPDATE place SET path = :path", {"path": str(claimed)})
        delete(store, run_id)
        assert claimed.exists()
        assert rows(store)["pipeline_run"] == 0
        project(store, str(elsewhere))
    assert (precious / "thesis.txt").read_text() == "years"


def test_a_copy_that_is_named_goes_alone(store: Store) -> None:
    folder = run("first", store)
    copy = folder.with_name("copy")
    shutil.copytree(folder, copy)
    assert delete(store, copy).runs[0].target.copy
    assert not copy.exists()
    assert folder.exists()
    assert rows(store)["pipeline_run"] == 1


def test_keep_and_older_than_both_protect(store: Store) -> None:
    folders = [run(str(number), store) for number in range(4)]
    for number, folder in enumerate(folders):
        days = 40 - 10 * number
        store.rows(
            "UPDATE pipeline_run SET created_at = :at, finished_at = :at, updated_at = :at WHERE run_id = :run_id",
            {"at": days_ago(days), "run_id": id_of(folder)},
        )

    def would_go(**retention: Any) -> list[str]:
        done = cleanup(store, Retention(**retention), workspace="default", dry_run=True)
        assert done.dry_run
        return sorted(Path(doomed.target.folders[0]).name for doomed in done.runs)

    assert would_go(older_than=timedelta(days=25)) == ["0", "1"]
    assert would_go(keep=1) == ["0", "1", "2"]
    assert would_go(older_than=timedelta(days=25), keep=3) == ["0"]
    assert would_go(older_than=timedelta(days=25), keep=4) == []
    assert all(folder.exists() for folder in folders)
    asked = cleanup(store, Retention(), workspace="default", query=parse("pipeline:nothing"), dry_run=True)
    assert asked.runs == []
    asked = cleanup(store, Retention(keep=3), workspace="default", query=parse("pipeline:sizes"), dry_run=True)
    assert len(asked.runs) == 1


def days_ago(days: int) -> str:
    from datetime import UTC, datetime

    return (datetime.now(UTC) - timedelta(days=days)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def test_other_workspaces_stay(store: Store) -> None:
    run("mine", store)
    root = Path(config.runs_root("team"))
    sizes.run({"seed": 2, "extra": 0}, run_folder=root / "theirs", workspace="team", show_progress=False)
    project(store, str(root / "theirs"))
    assert len(cleanup(store, Retention(keep=0), workspace="default").runs) == 1
    assert (root / "theirs").exists()
    assert len(cleanup(store, Retention(keep=0), workspace="team").runs) == 1
    assert not (root / "theirs").exists()


def test_if_the_ledger_refuses_the_run_is_as_it_was(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = run("first", store)

    def refuse(store: Store, run_id: str) -> None:
        raise LedgerError("locked")

    monkeypatch.setattr(deletion, "_forget_inside", refuse)
    with pytest.raises(LedgerError, match="locked"):
        delete(store, folder)
    assert observe.status(str(folder))["status"] == "completed"
    assert os.listdir("runs") == ["first"]
    assert rows(store)["pipeline_run"] == 1


DIES = """
import os, sys
from runstone.folder import removal
from runstone.ledger import deletion
from runstone.ledger.cleanup import named
from runstone.ledger.opening import open_ledger
from runstone.ledger.place import Place

folder, after, dialect, address = sys.argv[1:]
store = open_ledger(Place(dialect, address))
def die(*args, **kwargs):
    os.kill(os.getpid(), 9)
if after == "move":
    deletion._forget = die
elif after == "rows":
    deletion._remove = die
else:
    removal.shutil.rmtree = lambda path, **how: (os.unlink(path + "/run/run.json"), die())
deletion.delete_runs(store, [named(store, folder, workspace="default")])
"""


@pytest.mark.parametrize("next_one", ["cleanup", "sync"])
@pytest.mark.parametrize("after", ["move", "rows", "some files"])
def test_a_death_in_between_leaves_nothing_half(after: str, next_one: str, store: Store, place: Any) -> None:
    folder, other = run("first", store), run("other", store)
    died = subprocess.run(
        [sys.executable, "-c", DIES, str(folder), after, place.dialect, place.address],
        check=False,
        capture_output=True,
        text=True,
    )
    assert died.returncode == -9, died.stderr
    assert sorted(os.listdir("runs")) == [".deleting", "other"]
    assert rows(store)["pipeline_run"] == (2 if after == "move" else 1)

    if next_one == "sync":
        sync(store)
    else:
        done = cleanup(store, Retention(keep=2), workspace="default")
        assert (done.runs, done.finished) == ([], 1)
        assert done.bytes > 0

    assert os.listdir("runs") == ["other"]
    assert store.rows("SELECT run_id FROM pipeline_run") == [(id_of(other),)]


def test_what_a_living_process_is_deleting_is_left_to_it(store: Store) -> None:
    folder = run("first", store)
    aside = removal.move_aside(str(folder))
    assert finish(store, ["runs"]).finished == 0
    removal.put_back(aside)
    assert os.listdir("runs") == ["first"]
    assert observe.status(str(folder))["status"] == "completed"


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    folder = run("first")
    (tmp_path / "link").symlink_to(folder)
    done = delete_runs(None, [target_at(tmp_path / "link", folder)])
    assert "is a link" in done.spared[0].why
    assert folder.exists()


def target_at(path: Path, folder: Path) -> Target:
    return Target(
        run_id=id_of(folder), workspace="default", pipeline="", status="", created_at="", at="", folders=[str(path)]
    )


def test_links_inside_of_a_folder_lead_nowhere(tmp_path: Path) -> None:
    folder = run("first")
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "thesis.txt").write_text("years")
    (folder / "artifacts").mkdir()
    (folder / "artifacts" / "link").symlink_to(precious)
    (folder / "locked").mkdir()
    (folder / "locked" / "file").touch()
    (folder / "locked").chmod(0o500)
    delete(None, folder)
    assert (precious / "thesis.txt").read_text() == "years"
    assert os.listdir("runs") == []


def test_an_id_that_fits_several_folders_names_none_of_them(store: Store) -> None:
    """Though the ledger has only one of them."""
    first, second = run("first", store), run("second")
    told = json.loads((second / "run.json").read_bytes())
    alike = f"{id_of(first)[:10]}{told['id'][10:]}"
    (second / "run.json").write_bytes(json.dumps({**told, "id": alike}).encode())
    with pytest.raises(RunAmbiguous):
        named(store, id_of(first)[:8], workspace="default")
    assert named(store, id_of(first), workspace="default").run_id == id_of(first)


def test_what_is_no_run_is_not_deleted(store: Store) -> None:
    Path("precious").mkdir()
    for name in ("precious", "./precious", "nothing", "runs"):
        with pytest.raises(RunNotFound):
            named(store, name, workspace="default")


@pytest.mark.parametrize(
    ("toml", "expected"),
    [
        ('older_than = "30d"\nkeep = 100', Retention(older_than=timedelta(days=30), keep=100)),
        ("keep = 5", Retention(keep=5)),
        ("", Retention()),
    ],
)
def test_the_retention_of_a_project_is_read(toml: str, expected: Retention) -> None:
    Path("runstone.toml").write_text(f"[retention]\n{toml}\n")
    assert configured() == expected


@pytest.mark.parametrize("toml", ['older_than = "soon"', "older_than = 30", "keep = -1", 'keep = "all"', "kep = 5"])
def test_a_retention_that_makes_no_sense_names_the_file(toml: str) -> None:
    Path("runstone.toml").write_text(f"[retention]\n{toml}\n")
    with pytest.raises(SettingError, match=r"runstone\.toml"):
        configured()


@pytest.mark.parametrize(("text", "seconds"), [("90s", 90), ("30min", 1800), ("1.5 h", 5400), ("8w", 4838400)])
def test_spans_of_time(text: str, seconds: float) -> None:
    assert span(text).total_seconds() == seconds


@block
def one() -> int:
    return 1


def test_in_a_copy_of_a_project_only_its_own_folders_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The ledger of the copy still names the folders of the original."""
    original, copied, moved = tmp_path / "original", tmp_path / "copied", tmp_path / "moved"
    original.mkdir()
    monkeypatch.chdir(original)
    place = Place("sqlite", str(original / ".runstone" / "ledger.db"))
    store = open_ledger(place)
    for number in range(3):
        run = Pipeline("kept", [one]).run({}, run_folder=f"runs/{number}", show_progress=False)
        project(store, str(run.run_folder))
    store.close()
    shutil.copytree(original, copied)

    for home, left in ((copied, copied), (original, moved)):
        if left is moved:
            home.rename(moved)
        monkeypatch.chdir(left)
        store = open_ledger(Place("sqlite", str(left / ".runstone" / "ledger.db")))
        done = cleanup(store, Retention(keep=1), workspace="default")
        assert (len(done.runs), done.bytes > 0) == (2, True)
        assert os.listdir(left / "runs") == ["2"]
        assert store.rows("SELECT count(*) FROM pipeline_run") == [(1,)]
        store.close()
        if left is copied:
            assert sorted(os.listdir(original / "runs")) == ["0", "1", "2"]

"""One run in one file: it opens elsewhere with everything, and nobody has to trust the file."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import stat
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

import runstone
from runstone import Pipeline, block
from runstone.core.archived import LIST, problem_with_path
from runstone.core.events import FORMAT
from runstone.errors import FolderError, FormatTooNew, StorageError, Untrusted
from runstone.folder import annotations, observe
from runstone.folder import archive as archives
from runstone.folder import checkpoint as checkpoints
from runstone.folder.archive import archive
from runstone.folder.look import Look
from runstone.folder.read import Reading
from runstone.ledger.imports import Imported, import_run
from runstone.ledger.of_folder import project, rows_of
from runstone.ledger.port import Store
from tests.engine.executors.ways import wait_until
from tests.samples import Trap, run_survey, survey


@block
def trap(canary: str) -> object:
    print("setting it")
    return Trap(canary)


traps = Pipeline("traps", [trap])


@pytest.fixture
def made(tmp_path: Path) -> Path:
    """A run with everything, in a project of its own."""
    folder = tmp_path / "here" / "runs" / "survey-1"
    run_survey(folder, tmp_path)
    annotations.say(str(folder), "tag", "kept", by="ada")
    return folder


@pytest.fixture
def packed(made: Path, tmp_path: Path) -> Path:
    file = tmp_path / "one.zip"
    archive(str(made), str(file))
    return file


@pytest.fixture
def there(tmp_path: Path) -> Path:
    """The runs root of another project."""
    return tmp_path / "there" / "runs"


def bring(file: Path, root: Path, store: Store | None = None, workspace: str = "default") -> Imported:
    return import_run(str(file), workspace=workspace, root=str(root), store=store)


def without_place(folder: Path) -> dict[str, Any]:
    """What the status object says but for where the run is."""
    found = observe.status(str(folder))
    return {key: value for key, value in found.items() if key not in ("run_folder", "output_ref", "workspace", "id")}


def test_it_opens_elsewhere_with_everything(made: Path, packed: Path, there: Path) -> None:
    original = runstone.open(made)
    before = without_place(made)
    id_before, values = original.id, {name: original.outputs[name] for name in ("report", "text")}
    stats = original.outputs["stats"].to_list()
    errors = [(each.message, each.traceback, each.index) for each in original.errors]
    logs, saved = [*original.logs()], [*original.list_artifacts()]
    shutil.rmtree(made)

    brought = bring(packed, there)

    run = runstone.open(brought.folder)
    assert (brought.run_id, brought.imported_from, brought.known) == (id_before, id_before, False)
    assert Path(brought.folder).parent == there
    assert os.listdir(there) == [Path(brought.folder).name]
    assert without_place(Path(brought.folder)) == before
    assert {name: run.outputs[name] for name in values} == values
    assert [str(each) for each in run.outputs["stats"].to_list()] == [str(each) for each in stats]
    assert [(each.message, each.traceback, each.index) for each in run.errors] == errors
    assert [*run.logs()] == logs
    assert run.list_artifacts() == saved
    assert (Path(brought.folder) / saved[0].path).read_bytes().startswith(b"# Sizes")
    assert [each.text for each in annotations.read_from(brought.folder)] == ["kept"]
    assert dict(run.params)["note"] == "n" * 6000
    assert json.loads((Path(brought.folder) / "manifest.json").read_bytes())["run_id"] == run.id


def test_what_it_took_over_from_another_run_is_in_it(made: Path, tmp_path: Path, there: Path) -> None:
    """In its folder that is only a second name of the other one's file."""
    survey.run(
        {"root": "src", "note": "another", "scratch": str(tmp_path)}, run_folder=made, resume=True, show_progress=False
    )
    second = made.with_name("survey-1.2")
    assert [path for path in second.rglob("*.pack") if path.stat().st_nlink == 2]
    stats = runstone.open(second).outputs["sizes"].to_list()
    archive(str(second), str(tmp_path / "second.zip"))
    shutil.rmtree(made.parent)
    brought = bring(tmp_path / "second.zip", there)
    run = runstone.open(brought.folder)
    assert str(run.outputs["sizes"].to_list()) == str(stats)
    assert run.outputs["text"] == "anotheranother"


def test_its_checkpoint_is_still_one(made: Path, packed: Path, there: Path) -> None:
    """Otherwise every look at it would fold all of it again."""
    taken = there / "mine"
    shutil.copytree(made, taken)
    (taken / "outputs" / "parse.0001.pack").unlink()
    brought = bring(packed, there)
    checkpoint = checkpoints.decode((Path(brought.folder) / "status.json").read_bytes())
    assert checkpoint is not None
    assert checkpoint.run_id == brought.run_id != brought.imported_from


def test_the_same_run_gives_the_same_bytes(made: Path, packed: Path, tmp_path: Path) -> None:
    again = tmp_path / "again.zip"
    os.utime(made / "run.json", (1, 1))
    archive(str(made), str(again))
    assert again.read_bytes() == packed.read_bytes()


def test_nothing_is_overwritten_and_nothing_is_left_of_a_refusal(made: Path, tmp_path: Path) -> None:
    file = tmp_path / "mine.zip"
    file.write_text("mine")
    with pytest.raises(StorageError, match="nothing is overwritten"):
        archive(str(made), str(file))
    assert file.read_text() == "mine"
    with pytest.raises(StorageError, match="cannot be written: there is no folder"):
        archive(str(made), str(tmp_path / "nowhere" / "x.zip"))
    assert not [name for name in os.listdir(tmp_path) if name.endswith(".tmp")]


def test_the_ledger_has_its_row_and_a_rebuild_would_give_the_same(packed: Path, there: Path, store: Store) -> None:
    brought = bring(packed, there, store)
    rows = rows_of(brought.folder)
    assert rows.run.imported_from == brought.imported_from
    assert sorted(rows.tags) == ["docs", "kept"]
    columns = ("run_id", "workspace", "imported_from", "run_folder", "status", "created_at")
    (row,) = store.rows(f"SELECT {', '.join(columns)} FROM pipeline_run")
    assert row == tuple(getattr(rows.run, column) for column in columns)
    assert sorted(store.rows("SELECT tag FROM tag")) == [("docs",), ("kept",)]
    assert store.rows("SELECT run_id, kind, text, said_by FROM annotation") == [(brought.run_id, "tag", "kept", "ada")]


def test_importing_it_twice_is_doing_nothing(packed: Path, there: Path, store: Store) -> None:
    first = bring(packed, there, store)
    again = bring(packed, there, store)
    assert again.known
    assert (again.run_id, again.folder) == (first.run_id, first.folder)
    assert len(os.listdir(there)) == 1
    assert store.rows("SELECT count(*) FROM pipeline_run") == [(1,)]


def test_where_it_was_made_it_is_known(made: Path, packed: Path) -> None:
    assert bring(packed, made.parent).known


def test_another_run_of_the_same_id_keeps_it(made: Path, packed: Path, there: Path, store: Store) -> None:
    taken = there / "mine"
    run_survey(taken, made.parent)
    told = json.loads((made / "run.json").read_bytes())
    mine = json.loads((taken / "run.json").read_bytes())
    (taken / "run.json").write_bytes(json.dumps(mine | {"id": told["id"]}).encode())
    project(store, str(taken))

    brought = bring(packed, there, store)

    assert brought.imported_from == told["id"] != brought.run_id
    assert observe.status(str(taken))["id"] == told["id"]
    assert observe.status(brought.folder)["id"] == brought.run_id
    assert observe.status(brought.folder)["status"] == "degraded"
    found = store.rows("SELECT run_id, imported_from FROM pipeline_run ORDER BY imported_from IS NULL")
    assert found == [(brought.run_id, told["id"]), (told["id"], None)]
    # and it is known when it comes again
    assert bring(packed, there, store).run_id == brought.run_id
    assert len(os.listdir(there)) == 2


def test_an_id_that_another_workspace_has_is_taken(made: Path, packed: Path, there: Path, store: Store) -> None:
    project(store, str(made))
    brought = bring(packed, there, store, workspace="elsewhere")
    assert brought.run_id != brought.imported_from
    assert sorted(store.rows("SELECT workspace, run_id = imported_from FROM pipeline_run"), key=str) == sorted(
        [("default", None), ("elsewhere", store.rows("SELECT 1 = 2")[0][0])], key=str
    )


def test_a_run_whose_folder_is_gone_gets_its_place_back(made: Path, packed: Path, store: Store) -> None:
    project(store, str(made))
    shutil.rmtree(made)
    brought = bring(packed, made.parent, store)
    assert brought.run_id == brought.imported_from
    assert store.rows("SELECT run_folder FROM pipeline_run") == [(brought.folder,)]


def test_its_pickles_stay_closed_until_they_are_trusted(tmp_path: Path, there: Path) -> None:
    canary = tmp_path / "canary"
    folder = tmp_path / "run"
    traps.run({"canary": str(canary)}, run_folder=folder, show_progress=False)
    archive(str(folder), str(tmp_path / "trap.zip"))
    brought = bring(tmp_path / "trap.zip", there)

    with pytest.raises(Untrusted):
        runstone.open(brought.folder).outputs["trap"]
    with pytest.raises(Untrusted, match="was imported"):
        traps.run({"canary": "another"}, run_folder=brought.folder, resume=True, show_progress=False)
    assert not canary.exists()
    runstone.open(folder).outputs["trap"]
    canary.rmdir()
    runstone.open(brought.folder, trust=True).outputs["trap"]
    assert canary.exists()


def test_the_code_it_names_is_not_called_again_without_trust(packed: Path, there: Path) -> None:
    brought = bring(packed, there)
    with pytest.raises(Untrusted, match="trust=True"):
        runstone.open(brought.folder).errors[0].reproduce()
    with pytest.raises(ValueError, match="cannot read"):
        runstone.open(brought.folder, trust=True).errors[0].reproduce()


def repack(file: Path, to: Path, change: Callable[[dict[str, Any], dict[str, bytes]], None]) -> Path:
    """The archive with something changed in its list or its files; sums and sizes of what is there fit again."""
    with zipfile.ZipFile(file) as archived:
        files = {name: archived.read(name) for name in archived.namelist()}
    told = json.loads(files.pop(LIST))
    change(told, files)
    with zipfile.ZipFile(to, "w") as made:
        for name, data in files.items():
            made.writestr(zipfile.ZipInfo(name), data)
        made.writestr(LIST, json.dumps(told))
    return to


def listed(name: str, data: bytes) -> dict[str, Any]:
    return {"path": name, "bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}


def add(name: str) -> Callable[[dict[str, Any], dict[str, bytes]], None]:
    def change(told: dict[str, Any], files: dict[str, bytes]) -> None:
        told["files"].append(listed(name, b"evil"))
        files[f"run/{name}"] = b"evil"

    return change


def damage(told: dict[str, Any], files: dict[str, bytes]) -> None:
    name = "run/outputs/parse.0001.pack"
    files[name] = files[name][:-1] + bytes([files[name][-1] ^ 1])


def shorten(told: dict[str, Any], files: dict[str, bytes]) -> None:
    files["run/outputs/parse.0001.pack"] = files["run/outputs/parse.0001.pack"][:-1]


def leave_out(told: dict[str, Any], files: dict[str, bytes]) -> None:
    del files["run/outputs/parse.0001.pack"]


def smuggle(told: dict[str, Any], files: dict[str, bytes]) -> None:
    files["run/artifacts/unlisted"] = b"evil"


def no_run(told: dict[str, Any], files: dict[str, bytes]) -> None:
    data = b'{"id": "%b"}' % told["run_id"].encode()
    files["run/run.json"] = data
    told["files"] = [each for each in told["files"] if each["path"] != "run.json"] + [listed("run.json", data)]


def another_id(told: dict[str, Any], files: dict[str, bytes]) -> None:
    told["run_id"] = "0" * 32


def id_that_leads_out(told: dict[str, Any], files: dict[str, bytes]) -> None:
    told["run_id"] = "../../evil"


def said_to_have_ended(told: dict[str, Any], files: dict[str, bytes]) -> None:
    told["ended"] = not told["ended"]


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (add("../../../evil"), "leads out of the folder"),
        (add("/evil"), "leads out of the folder"),
        (add("artifacts/../../evil"), "leads out of the folder"),
        (add("artifacts\\..\\evil"), "letters that no archive takes"),
        (add("artifacts/a\nb"), "letters that no archive takes"),
        (add(".trash/evil"), "begins with a dot"),
        (add("journal/.0002.x.tmp"), "begins with a dot"),
        (add("Run.json"), "twice"),
        (add("run.json/evil"), "as a file and as a folder"),
        (add("a/" * 40 + "evil"), "too long"),
        (damage, "SHA-256"),
        (shorten, "is not what"),
        (leave_out, "is not what"),
        (smuggle, "is not what"),
        (no_run, "no run that can be read"),
        (another_id, "name different runs"),
        (id_that_leads_out, "no run has the id"),
        (said_to_have_ended, "is not the run that"),
    ],
    ids=lambda value: value if isinstance(value, str) else value.__name__,
)
def test_what_is_wrong_with_an_archive_is_told_and_nothing_is_placed(
    change: Callable[[dict[str, Any], dict[str, bytes]], None],
    problem: str,
    packed: Path,
    there: Path,
    tmp_path: Path,
) -> None:
    bad = repack(packed, tmp_path / "bad.zip", change)
    before = {path for path in tmp_path.rglob("*") if not path.is_dir()}
    with pytest.raises(FolderError, match=problem) as refused:
        bring(bad, there)
    assert str(bad) in str(refused.value)
    assert "\n" not in str(refused.value)
    assert not there.exists() or os.listdir(there) == []
    assert {path for path in tmp_path.rglob("*") if not path.is_dir()} == before


def test_the_untouched_repacked_archive_is_taken(packed: Path, there: Path, tmp_path: Path) -> None:
    """So that the refusals above are about what was changed."""
    assert not bring(repack(packed, tmp_path / "good.zip", lambda told, files: None), there).known


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFIFO, stat.S_IFCHR, stat.S_IFDIR])
def test_links_and_devices_are_refused(kind: int, packed: Path, there: Path, tmp_path: Path) -> None:
    bad = tmp_path / "bad.zip"
    with zipfile.ZipFile(packed) as archived, zipfile.ZipFile(bad, "w") as made:
        for name in archived.namelist():
            member = zipfile.ZipInfo(name)
            member.create_system = 3
            if name == "run/outputs/values.pack":
                member.external_attr = (kind | 0o777) << 16
            made.writestr(member, archived.read(name))
    with pytest.raises(FolderError, match="a link, a folder or a device"):
        bring(bad, there)


def test_a_member_that_unpacks_to_more_than_it_says_is_stopped(packed: Path, there: Path, tmp_path: Path) -> None:
    """The size in the archive's directory says little, the list agrees, the data go on."""
    big = b"\0" * 50_000_000

    def grow(told: dict[str, Any], files: dict[str, bytes]) -> None:
        told["files"].append({"path": "artifacts/bomb", "bytes": 100, "sha256": "0" * 64})
        files["run/artifacts/bomb"] = big

    bad = tmp_path / "bomb.zip"
    with zipfile.ZipFile(packed) as archived:
        files = {name: archived.read(name) for name in archived.namelist()}
    told = json.loads(files.pop(LIST))
    grow(told, files)
    with zipfile.ZipFile(bad, "w", zipfile.ZIP_DEFLATED) as made:
        for name, data in files.items():
            made.writestr(name, data)
        made.writestr(LIST, json.dumps(told))
    data = bad.read_bytes()
    # 50,000,000 as the archive's directory and the member's head have it becomes 100
    bad.write_bytes(data.replace((50_000_000).to_bytes(4, "little"), (100).to_bytes(4, "little")))
    with pytest.raises(FolderError, match=r"has not the 100 bytes|is damaged"):
        bring(bad, there)
    assert os.listdir(there) == []


def test_more_than_the_disk_holds_is_not_begun(
    packed: Path, there: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=64 * 1024 * 1024 + 100))
    with pytest.raises(FolderError, match="100 are free"):
        bring(packed, there)
    assert os.listdir(there) == []


@pytest.mark.parametrize("data", [b"", b"PK\x03\x04", b"no zip at all" * 100])
def test_what_is_no_archive_is_refused_in_a_line(data: bytes, there: Path, tmp_path: Path) -> None:
    (tmp_path / "x.zip").write_bytes(data)
    with pytest.raises(FolderError, match="no archive of a run"):
        bring(tmp_path / "x.zip", there)


def test_bytes_changed_anywhere_do_no_harm(packed: Path, there: Path, tmp_path: Path) -> None:
    """Every 193rd byte: it is refused, or what is imported is the run itself."""
    good = packed.read_bytes()
    bad = tmp_path / "bad.zip"
    for at in range(0, len(good), 193):
        bad.write_bytes(good[:at] + bytes([good[at] ^ 0x41]) + good[at + 1 :])
        try:
            brought = bring(bad, there)
        except FolderError:
            assert not there.exists() or os.listdir(there) == []
        else:
            assert runstone.open(brought.folder).outputs["report"]["count"] == 9
            shutil.rmtree(brought.folder)


def test_a_newer_format_names_what_to_do(packed: Path, there: Path, tmp_path: Path) -> None:
    def newer(told: dict[str, Any], files: dict[str, bytes]) -> None:
        told["format"] = FORMAT + 1

    with pytest.raises(FormatTooNew, match="install a newer"):
        bring(repack(packed, tmp_path / "newer.zip", newer), there)


SLOW = """
import sys, time
from runstone import Pipeline, block

@block(mapspec="xs[i] -> ys[i]")
def ys(xs: int) -> int:
    time.sleep(0.05)
    print(xs)
    return xs

Pipeline("slow", [ys]).run({"xs": list(range(4000))}, run_folder=sys.argv[1], show_progress=False)
"""


def test_of_a_run_that_goes_on_it_has_what_was_recorded_at_one_moment(tmp_path: Path, there: Path) -> None:
    script, folder = tmp_path / "slow.py", tmp_path / "slow"
    script.write_text(SLOW)
    driver = subprocess.Popen([sys.executable, str(script), str(folder)], stdout=subprocess.DEVNULL)
    try:
        wait_until(lambda: observe.status(str(folder)).get("progress", {}).get("done", 0) > 10, 60)
        with pytest.raises(FolderError, match="--as-it-is"):
            archive(str(folder), str(tmp_path / "slow.zip"))
        assert not (tmp_path / "slow.zip").exists()

        made = archive(str(folder), str(tmp_path / "slow.zip"), as_it_is=True)

        assert not made.ended
        done = observe.status(str(folder))["progress"]["done"]
        wait_until(lambda: observe.status(str(folder))["progress"]["done"] > done, 60)
    finally:
        driver.kill()
        driver.wait()
    brought = bring(tmp_path / "slow.zip", there)
    found = observe.status(brought.folder)
    assert (found["status"], found["liveness"], brought.ended) == ("running", "lost", False)
    done = found["progress"]["done"]
    assert 10 < done < 4000
    values = runstone.open(brought.folder).outputs["ys"]
    assert [values[number] for number in range(done)] == list(range(done))
    # what is archived of a run whose process is dead is all of it
    assert archive(str(folder), str(tmp_path / "dead.zip")).content > made.content


def test_what_comes_in_meanwhile_is_not_in_it(tmp_path: Path, there: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A chunk without the event that speaks of it, say, if files were copied as they are when their turn comes."""
    folder = tmp_path / "run"
    run_survey(folder, tmp_path)
    # as a run that was copied while it went on: nothing is known of its process
    journal = folder / "journal" / "0001.jsonl"
    journal.write_bytes(b"".join(journal.read_bytes().splitlines(keepends=True)[:-1]))
    shutil.copytree(folder, tmp_path / "copy")
    read = archives.read_look

    def read_then_grow(look: Look, *, bounded: bool) -> Reading:
        reading = read(look, bounded=bounded)
        for name in ("journal/0001.jsonl", "outputs/parse.0001.pack", "logs/0001.jsonl"):
            (tmp_path / "copy" / name).parent.mkdir(exist_ok=True)
            with (tmp_path / "copy" / name).open("ab") as file:
                file.write(b"half a line")
        return reading

    monkeypatch.setattr(archives, "read_look", read_then_grow)
    archive(str(tmp_path / "copy"), str(tmp_path / "copy.zip"), as_it_is=True)
    assert (tmp_path / "copy" / "journal" / "0001.jsonl").read_bytes().endswith(b"half a line")
    with zipfile.ZipFile(tmp_path / "copy.zip") as archived:
        assert archived.read("run/journal/0001.jsonl") == journal.read_bytes()
        assert archived.read("run/outputs/parse.0001.pack") == (folder / "outputs/parse.0001.pack").read_bytes()
        assert "run/logs/0001.jsonl" not in archived.namelist()
    assert observe.status(bring(tmp_path / "copy.zip", there).folder)["status"] == "running"


@pytest.mark.parametrize("path", ["artifacts/.hidden", "artifacts/a b: c?", "logs/x.0001.jsonl", "ä/ö"])
def test_names_that_a_run_can_have_are_taken(path: str) -> None:
    assert problem_with_path(path) is None


def test_the_list_names_every_file_with_its_sum(made: Path, packed: Path) -> None:
    with zipfile.ZipFile(packed) as archived:
        told = msgspec.json.decode(archived.read(LIST))
    there = {str(path.relative_to(made)): path.read_bytes() for path in made.rglob("*") if path.is_file()}
    assert {each["path"]: each["sha256"] for each in told["files"]} == {
        name: hashlib.sha256(data).hexdigest() for name, data in there.items()
    }

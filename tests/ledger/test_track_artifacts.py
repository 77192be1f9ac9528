"""Files that are saved with tracked runs: kept in a folder of the run, known to the ledger, gone with the run."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import shutil
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import runstone
from runstone import Pipeline, artifact, block, track
from runstone.core.tracked import TrackSaved, TrackStarted
from runstone.engine.track import complaints
from runstone.errors import RunError, RunNotFound
from runstone.folder import track_files, track_removal
from runstone.ledger import locating, opening, projector
from runstone.ledger.artifacts import artifacts
from runstone.ledger.check import check
from runstone.ledger.cleanup import Retention, cleanup, named
from runstone.ledger.deletion import delete_runs
from runstone.ledger.detail import detail
from runstone.ledger.place import Place
from runstone.ledger.port import Store
from runstone.ledger.rebuild import rebuild
from runstone.ledger.sync import sync
from runstone.workspace.sync import WorkspaceManager
from tests.harness.tracked import by_stage, done, execute, journals, running, states


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project of its own, with a file to save."""
    folder = tmp_path / "home"
    (folder / ".runstone").mkdir(parents=True)
    (folder / "report.md").write_text("# All\n")
    monkeypatch.chdir(folder)
    monkeypatch.setattr(complaints, "_said", set())
    return folder


@pytest.fixture
def own(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    """The ledger of the project, used by this process too."""
    monkeypatch.delenv("RUNSTONE_LEDGER")
    monkeypatch.setattr(projector, "_projectors", {})
    yield Place("sqlite", str(home / ".runstone" / "ledger.db"))
    for each in projector._projectors.values():
        each.close()


def folders(home: Path) -> list[str]:
    return track_files.saved_with(str(home))


def test_a_file_is_copied_and_recorded(home: Path) -> None:
    with track("nothing"):
        pass
    assert folders(home) == [], "a folder is made only for artifacts"
    with track("load") as t:
        first = artifact("report.md", metadata={"rows": 3})
        second = t.artifact(home / "report.md", name="again.txt", artifact_type="note")
        third = artifact("report.md")
    assert folders(home) == [t.run_id]
    state = by_stage(home)["load"]
    assert state.status.value == "completed"
    assert [saved.artifact_id for saved in state.artifacts] == [each.artifact_id for each in (first, second, third)]
    assert [(each.name, each.artifact_type, each.metadata) for each in state.artifacts] == [
        ("report.md", "report", {"rows": 3}),
        ("again.txt", "note", {}),
        ("report.md", "report", {}),
    ]
    assert len({each.path for each in (first, second, third)}) == 3
    for each in (first, second, third):
        assert (home / each.path).read_text() == "# All\n"
        assert each.path.startswith(f".runstone/track/{t.run_id}/artifacts/")
        assert (each.size_bytes, each.sha256) == (6, hashlib.sha256(b"# All\n").hexdigest())
        assert (each.block, each.created_at > "2026") == ("load", True)
    assert (home / "report.md").exists(), "the original stays"


def test_tasks_know_whose_file_it_is(home: Path) -> None:
    async def one(name: str) -> None:
        async with track(name):
            await asyncio.sleep(0)
            await asyncio.gather(inner(name), asyncio.to_thread(artifact, "report.md", name=f"{name}-thread.md"))

    async def inner(name: str) -> None:
        await asyncio.sleep(0)
        artifact("report.md", name=f"{name}-task.md")

    async def both() -> None:
        await asyncio.gather(one("a"), one("b"))

    asyncio.run(both())
    found = {stage: sorted(each.name for each in state.artifacts) for stage, state in by_stage(home).items()}
    assert found == {"a": ["a-task.md", "a-thread.md"], "b": ["b-task.md", "b-thread.md"]}


@block
def outer() -> int:
    artifact("report.md", name="of-the-block.md")
    with track("inside"):
        artifact("report.md", name="of-the-run-inside.md")
    artifact("report.md", name="of-the-block-again.md")
    return 1


@pytest.mark.parametrize("executor", ["inline", "threads", "processes"])
def test_the_innermost_has_the_file(home: Path, executor: str) -> None:
    with track("around"):
        artifact("report.md", name="of-the-run-around.md")
        run = Pipeline("p", [outer], executor=executor).run({}, show_progress=False)
    assert [each.name for each in run.list_artifacts()] == ["of-the-block.md", "of-the-block-again.md"]
    found = {stage: [each.name for each in state.artifacts] for stage, state in by_stage(home).items()}
    assert found == {"around": ["of-the-run-around.md"], "inside": ["of-the-run-inside.md"]}


def test_what_cannot_be_kept_is_said_once_and_never_raised(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = track("early").artifact("report.md")
    with track("load") as t:
        missing = artifact("no-such-file.txt")
        odd = artifact("report.md", name="../evil")
        wrong = artifact("report.md", metadata={"a": object()})
        shutil.rmtree(home / ".runstone" / "track" / t.run_id, ignore_errors=True)
        (home / ".runstone" / "track" / t.run_id).write_text("in its place")
        refused = artifact("report.md")
        again = artifact("report.md")
    late = t.artifact("report.md")
    for each in (before, missing, odd, wrong, refused, again, late):
        assert (each.artifact_id, each.size_bytes) == ("", 0)
    assert missing.path == "no-such-file.txt"
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 6, said
    assert all(line.startswith("runstone: ") and "artifact" in line for line in said), said
    assert by_stage(home)["load"].status.value == "completed"
    assert by_stage(home)["load"].artifacts == []
    with pytest.raises(RunError, match="inside a block"):
        artifact("report.md")


SAVES = """
from runstone import artifact, track
with track("load", workspace="acme"):
    artifact("report.md", artifact_type="report", metadata={"rows": 3})
    artifact("report.md", name="other.csv")
with track("bare", workspace="acme"):
    pass
"""


def test_everybody_who_knows_runs_knows_their_files(home: Path, own: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    done(SAVES, home, ledger=None)
    workspace = WorkspaceManager().get("acme")
    [bare, load] = workspace.list_runs()
    assert (len(load.artifacts), len(bare.artifacts)) == (2, 0)
    [report] = load.list_artifacts("report")
    assert report.artifact_id in load.artifacts
    assert (home / report.path).read_text() == "# All\n"
    assert (report.size_bytes, report.content_type, report.metadata) == (6, "text/markdown", {"rows": 3})
    with contextlib.closing(opening.open_ledger(own)) as store:
        before = store.rows("SELECT artifact_count, run_id FROM pipeline_run ORDER BY artifact_count")
        saved = store.rows("SELECT * FROM artifact ORDER BY seq")
        assert [count for count, _ in before] == [0, 2]
        assert detail(store, load.run_id, workspace="acme").artifacts[0].path == report.path
        assert check(store).equal
        assert sync(store).taken == 0
        assert rebuild(store).taken == 2
        assert [row[1:] for row in store.rows("SELECT * FROM artifact ORDER BY seq")] == [row[1:] for row in saved]
        store.rows("DELETE FROM artifact")
        assert check(store).counts == {"differs": 1}
    monkeypatch.setenv("RUNSTONE_WORKSPACE", "acme")
    with pytest.raises(RunNotFound, match="has no folder"):
        locating.resolve(load.run_id)


def test_the_rows_of_a_run_that_goes_on_come_one_by_one(home: Path, place: Place, store: Store) -> None:
    code = """
import os, time
from pathlib import Path
from runstone import artifact, track
with track("load", workspace="acme"):
    for number in range(3):
        artifact("report.md", name=f"{number}.md")
        Path(f"saved{number}").touch()
        while not os.path.exists(f"go{number}"):
            time.sleep(0.01)
"""
    with running(code, home, ledger=place.address) as process:
        for number in range(3):
            while not (home / f"saved{number}").exists():
                assert process.poll() is None
            sync(store)
            found = store.rows("SELECT name FROM artifact ORDER BY seq")
            assert [name for (name,) in found][: number + 1] == [f"{each}.md" for each in range(number + 1)]
            (home / f"go{number}").touch()
        assert process.wait(60) == 0
    sync(store)
    assert store.rows("SELECT artifact_count FROM pipeline_run") == [(3,)]
    assert store.rows("SELECT count(*) FROM artifact") == [(3,)]


def test_files_go_with_their_run_and_are_counted(home: Path, own: Place) -> None:
    (home / "large.bin").write_bytes(os.urandom(1_000_000))
    done("from runstone import artifact, track\nwith track('a'): artifact('large.bin')", home, ledger=None)
    done("from runstone import artifact, track\nwith track('b'): artifact('large.bin')", home, ledger=None)
    with contextlib.closing(opening.open_ledger(own)) as store:
        a, b = by_stage(home)["a"], by_stage(home)["b"]
        planned = cleanup(store, Retention(keep=0), workspace="default", dry_run=True)
        assert planned.bytes >= 2_000_000
        assert len(folders(home)) == 2
        assert delete_runs(store, [named(store, a.run_id, workspace="default")]).bytes >= 1_000_000
        assert folders(home) == [b.run_id]
        assert cleanup(store, Retention(keep=0), workspace="default").bytes >= 1_000_000
    assert (folders(home), states(home)) == ([], [])


def test_what_a_dying_process_has_left_of_a_deleted_run_goes_with_the_next_look(home: Path, store: Store) -> None:
    done(SAVES, home)
    load = by_stage(home)["load"]
    # dead after its first step
    done(f"from runstone.folder import track_removal as r\nr.tombstone({str(home)!r}, [{load.run_id!r}])", home)
    assert folders(home) == [load.run_id]
    sync(store)
    assert folders(home) == []
    assert [state.stage for state in states(home)] == ["bare"]


def test_a_folder_of_a_run_that_is_not_deleted_stays(home: Path) -> None:
    done(SAVES, home)
    (home / ".runstone" / "track" / "somebodys").mkdir()
    assert track_removal.finish(str(home)) == []
    assert len(folders(home)) == 2


def test_files_are_told_of_again_where_somebody_deletes_the_journal(home: Path) -> None:
    with track("load") as t:
        first = t.artifact("report.md")
        [before] = journals(home)
        before.unlink()
        time.sleep(0.05)
        second = t.artifact("report.md")
        third = t.artifact("report.md")
    state = by_stage(home)["load"]
    assert [saved.artifact_id for saved in state.artifacts] == [each.artifact_id for each in (first, second, third)]
    [journal] = journals(home)
    assert journal.read_bytes().count(b'"saved"') == 3, "each of them once"


def test_no_journal_makes_the_ledger_point_elsewhere(home: Path, store: Store) -> None:
    done("from runstone import track\nwith track('load'): pass", home)
    [load] = states(home)
    [journal] = journals(home)
    about: dict[str, Any] = {"artifact_type": "x", "content_type": "x", "size_bytes": 1, "sha256": "0", "name": "x"}
    lines = []
    for run in ("forged", "../../evil2"):
        lines.append(TrackStarted(run=run, seq=1, at="2026-01-01T00:00:00Z", stage="forged", workspace="default"))
        for number, path in enumerate(
            ["/etc/passwd", "../x", f".runstone/track/{load.run_id}/artifacts/x", "artifacts/x"]
        ):
            lines.append(
                TrackSaved(
                    run=run, seq=2 + number, at="2026-01-01T00:00:00Z", artifact_id=str(number), path=path, **about
                )
            )
    with journal.open("ab") as file:
        file.writelines(track_files.encode_line(line) for line in lines)
    sync(store)
    assert store.rows("SELECT artifact_count FROM pipeline_run WHERE pipeline_name = 'forged'") == [(0,), (0,)]
    assert store.rows("SELECT * FROM artifact") == []


MORTAL = """
import os, signal, sys
from runstone import artifact, track
from runstone.folder import disk
left = int(sys.argv[1])
def counted(function):
    def called(*arguments, **named):
        global left
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return function(*arguments, **named)
    return called
for name in ("append", "sync", "sync_folder", "create", "make_folder"):
    setattr(disk, name, counted(getattr(disk, name)))
with track("load"):
    for number in range(2):
        saved = artifact("report.md")
        print(saved.path, flush=True)
"""


def test_a_kill_at_any_step_leaves_no_record_of_a_file_that_is_not_there(home: Path) -> None:
    store = opening.open_ledger(Place("sqlite", str(home / ".runstone" / "ledger.db")))
    left = 0
    kills = 0
    while True:
        left += 1
        shutil.rmtree(home / ".runstone" / "track", ignore_errors=True)
        out, _, status = execute(MORTAL, home, str(left))
        told = states(home) if journals(home) else []
        saved = [each.path for state in told for each in state.artifacts]
        assert set(out.split()) <= set(saved), "what was returned is recorded"
        for path in saved:
            assert (home / path).read_text() == "# All\n"
        sync(store)
        assert store.rows("SELECT count(*) FROM artifact") == [(len(saved),)]
        store.rows("DELETE FROM pipeline_run")
        if status == 0:
            break
        assert status == -signal.SIGKILL
        kills += 1
    store.close()
    assert kills > 10
    assert len(saved) == 2


def test_the_name_is_public() -> None:
    assert runstone.artifact is artifact
    assert artifacts.__doc__

"""The journal of a process that lives long: several files, of which the runs are the same as of one."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
from pathlib import Path
from typing import Any

import pytest

from runstone.folder import track_files, track_removal
from runstone.folder.track_files import TrackFile
from runstone.ledger import acting, behind, of_track, opening
from runstone.ledger.check import check
from runstone.ledger.find import find
from runstone.ledger.place import Place
from runstone.ledger.port import Store
from runstone.ledger.rebuild import rebuild
from runstone.ledger.sync import sync
from tests.harness.tracked import by_stage, done, execute, journals, running, states

SMALL = """
import os, signal, sys, time
from runstone import artifact, record_run, track, update_run
from runstone.folder import track_journal
track_journal.FILE_BYTES = 2000
"""

LONG = f"""{SMALL}
with track("long", rows_in=7, workspace="acme", tags=["a"], params={{"x": 1}}) as t:
    t.metric("early", 1)
    t.llm_calls = 1
    artifact("kept.txt")
    for number in range(40):
        with track(f"short{{number}}") as inner:
            inner.rows_out = number
    t.rows_out = 40
    t.metric("late", 2)
    artifact("kept.txt", name="second.txt")
"""


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project of its own, with a file to save."""
    folder = tmp_path / "home"
    (folder / ".runstone").mkdir(parents=True)
    (folder / "kept.txt").write_text("kept")
    monkeypatch.chdir(folder)
    return folder


def expect_all(home: Path) -> None:
    found = by_stage(home)
    assert found.keys() == {"long", *(f"short{number}" for number in range(40))}
    assert all(state.status.value == "completed" for state in found.values())
    long = found["long"]
    assert (long.workspace, long.rows_in, long.rows_out, long.llm_calls) == ("acme", 7, 40, 1)
    assert (long.metrics, long.tags) == ({"early": 1, "late": 2}, ["a"])
    assert [saved.name for saved in long.artifacts] == ["kept.txt", "second.txt"]
    assert [found[f"short{number}"].rows_out for number in range(40)] == list(range(40))
    assert {found[f"short{number}"].parent_id for number in range(40)} == {long.run_id}


def in_ledger(store: Store) -> list[tuple[Any, ...]]:
    return store.rows(
        "SELECT pipeline_name, run_id, status, rows_out, llm_calls, artifact_count, seq, CAST(driver AS TEXT),"
        " CAST(metrics AS TEXT) FROM pipeline_run WHERE kind = 'stage' ORDER BY created_at, run_id"
    )


def test_a_journal_that_has_become_large_goes_on_in_another_file(home: Path) -> None:
    done(LONG, home)
    files = journals(home)
    assert len(files) > 5
    assert all(file.stat().st_size < 4000 for file in files)
    with TrackFile(str(files[0])) as file:
        process = file.header.process
    assert sorted(track_files.number(str(file), process) for file in files) == list(range(1, len(files) + 1))
    expect_all(home)


def test_the_ledger_has_the_same_of_several_files(home: Path, place: Place, store: Store) -> None:
    done(LONG, home, ledger=place.address)
    sync(store)
    before = in_ledger(store)
    assert len(before) == 41
    assert store.rows("SELECT name FROM artifact ORDER BY seq") == [("kept.txt",), ("second.txt",)]
    assert check(store).equal
    rebuild(store)
    assert in_ledger(store) == before
    assert behind.waiting() == 0


def test_a_process_brings_what_is_in_several_files_itself(home: Path) -> None:
    done(f"{LONG}\ntime.sleep(0.6)", home, ledger=None)
    with contextlib.closing(opening.open_ledger(Place("sqlite", str(home / ".runstone" / "ledger.db")))) as store:
        assert len(in_ledger(store)) == 41
        assert {row[2] for row in in_ledger(store)} == {"completed"}
        assert store.rows("SELECT artifact_count FROM pipeline_run WHERE pipeline_name = 'long'") == [(2,)]
        assert sync(store).taken == 0
        assert check(store).equal
    assert behind.waiting() == 0


def test_the_last_lines_of_a_file_are_on_the_disk_before_the_ledger_goes_on(home: Path) -> None:
    code = f"""{SMALL}
from runstone.folder import disk
synced = []
sync = disk.sync
def noted(descriptor, path):
    sync(descriptor, path)
    synced.append((os.fstat(descriptor).st_ino, os.fstat(descriptor).st_size))
disk.sync = noted
for number in range(40):
    with track(f"short{{number}}"):
        pass
from runstone.engine.track import journals
journals.leave()
last = dict(synced)
from runstone.folder import track_files
for path in track_files.paths(os.getcwd()):
    found = os.stat(path)
    assert last[found.st_ino] == found.st_size, path
print(len(last))
"""
    assert int(done(code, home)) > 3


MORTAL = f"""{SMALL}
from runstone.folder import disk
track_journal.FILE_BYTES = 900
left = int(sys.argv[1])
def counted(function):
    def called(*arguments):
        global left
        if not any(str(one).endswith((".jsonl", ".tmp")) for one in arguments):
            return function(*arguments)
        left -= 1
        if left == 0 and sys.argv[2] == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        found = function(*arguments)
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return found
    return called
for name in ("append", "create", "publish", "remove"):
    setattr(disk, name, counted(getattr(disk, name)))
with track("long", rows_in=7) as t:
    print("long", flush=True)
    t.llm_calls = 1
    t.degraded("partly")
    for number in range(2):
        with track(f"short{{number}}"):
            print(f"begun:short{{number}}", flush=True)
        print(f"short{{number}}", flush=True)
print("end", flush=True)
"""


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_kill_at_any_step_of_going_on_in_another_file_leaves_right_records(home: Path, when: str) -> None:
    store = opening.open_ledger(Place("sqlite", str(home / ".runstone" / "ledger.db")))
    left = files = 0
    while True:
        left += 1
        shutil.rmtree(home / ".runstone" / "track", ignore_errors=True)
        out, _, status = execute(MORTAL, home, str(left), when)
        said = out.split()
        files = max(files, len(journals(home)))
        found = by_stage(home) if journals(home) else {}
        for name in said:
            if name.startswith("short"):
                assert found[name].status.value == "completed", "what has ended is recorded"
            elif name != "end":
                assert name.removeprefix("begun:") in found, "what has begun is recorded"
        if "short0" in said:
            assert (found["long"].rows_in, found["long"].llm_calls, found["long"].message) == (7, 1, "partly")
        sync(store)
        seen = {run.pipeline_name: run.status for run in find(store, limit=1000).runs}
        assert seen == {name: state.status.value if state.done else "crashed" for name, state in found.items()}
        assert check(store).equal
        store.rows("DELETE FROM pipeline_run")
        if status == 0:
            break
        assert status == -signal.SIGKILL
    store.close()
    assert files > 2
    assert left > 20


def test_an_end_in_a_later_file_than_the_ledger_knows_is_seen(home: Path, store: Store) -> None:
    code = f"""{SMALL}
with track("long"):
    print("begun", flush=True)
    sys.stdin.readline()
    for number in range(20):
        with track("short"):
            pass
os.kill(os.getpid(), signal.SIGKILL)
"""
    with running(
        code.replace("sys.stdin.readline()", "\n    while not os.path.exists('go'): time.sleep(0.01)"), home
    ) as p:
        assert p.stdout is not None
        assert p.stdout.readline() == "begun\n"
        while not sync(store).tracked:
            pass
        [(driver,)] = store.rows("SELECT CAST(driver AS TEXT) FROM pipeline_run")
        (home / "go").touch()
        assert p.wait(60) == -signal.SIGKILL
    assert json.loads(driver)["journal"] == str(journals(home)[0]) or len(journals(home)) > 1
    [run] = find(store, limit=10).runs
    assert (run.recorded_status, run.status) == ("running", "completed")


def test_a_run_that_goes_on_is_told_of_whole_in_each_file_that_it_comes_to(home: Path) -> None:
    code = f"""{SMALL}
from runstone.folder import track_files
with track("long", rows_in=7) as t:
    t.tokens = 5
    while b'"tokens":5' not in open(track_files.paths(".")[0], "rb").read():
        time.sleep(0.01)
    for number in range(20):
        with track("short"):
            pass
    t.degraded("now")
    os.kill(os.getpid(), signal.SIGKILL)
"""
    _, _, status = execute(code, home)
    assert status == -signal.SIGKILL
    last = max(journals(home), key=lambda path: path.stat().st_mtime_ns)
    alone = {rows.run.pipeline_name: rows.run for rows in of_track.rows_of_journal(str(last))}["long"]
    assert (alone.status, alone.rows_in, alone.tokens, alone.message) == ("running", 7, 5, "now")


def test_files_whose_runs_are_all_deleted_go_while_the_process_lives(home: Path) -> None:
    code = f"""{SMALL}
for number in range(40):
    with track(f"short{{number}}"):
        pass
print("done", flush=True)
while not os.path.exists("go"):
    time.sleep(0.01)
with track("later"):
    pass
"""
    with running(code, home) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "done\n"
        before = journals(home)
        assert len(before) > 3
        found = by_stage(home)
        done(
            "import sys\nfrom runstone.folder import track_removal as r\n"
            f"r.tombstone({str(home)!r}, sys.argv[1:])\nprint(r.remove_emptied({str(home)!r}))",
            home,
            *(state.run_id for stage, state in found.items() if stage != "short39"),
        )
        after = journals(home)
        own = [path for path in before if path in after]
        assert 1 <= len(own) <= 2, "the one that is written, and one with a run that stays"
        assert [state.stage for state in states(home)] == ["short39"]
        (home / "go").touch()
        assert process.wait(60) == 0
    assert [state.stage for state in states(home)] == ["short39", "later"]


def test_where_no_other_file_can_be_made_this_one_goes_on(home: Path) -> None:
    code = f"""{SMALL}
from runstone.errors import StorageError
made = track_journal.TrackJournal._make
def refused(self):
    if self.generation:
        raise StorageError("no more files")
    made(self)
track_journal.TrackJournal._make = refused
for number in range(40):
    with track(f"short{{number}}"):
        pass
"""
    _, err, status = execute(code, home)
    assert (status, err) == (0, "runstone: tracked runs are not recorded for now: no more files\n")
    assert len(journals(home)) == 1
    assert len(states(home)) == 40


def test_deleting_the_folder_between_two_files_loses_no_run_that_goes_on(home: Path) -> None:
    code = f"""{SMALL}
import shutil
with track("long", rows_in=7) as t:
    t.tokens = 5
    for number in range(20):
        with track("short"):
            pass
    shutil.rmtree(".runstone/track")
    time.sleep(0.1)
    for number in range(20):
        with track("after"):
            pass
"""
    done(code, home, ledger=None)
    found = [state for state in states(home) if state.stage == "long"]
    assert [(state.status.value, state.rows_in, state.tokens) for state in found] == [("completed", 7, 5)]
    assert sum(state.stage == "after" for state in states(home)) == 20


def test_the_runs_of_one_file_alone_can_be_had(home: Path) -> None:
    done(LONG, home)
    last = max(journals(home), key=lambda path: path.stat().st_mtime_ns)
    names = {rows.run.pipeline_name: rows.run for rows in of_track.rows_of_journal(str(last))}
    assert names["long"].status == "completed"
    assert (names["long"].rows_in, names["long"].rows_out, names["long"].llm_calls) == (7, 40, 1)
    assert track_removal.remove_emptied(str(home)) == 0
    assert acting.journal_of(names["long"].driver) == str(last)
    assert os.path.basename(last) in os.listdir(home / ".runstone" / "track")

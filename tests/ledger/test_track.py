"""Tracked runs come into the ledger by themselves; nothing that is wrong with it, or the disk, harms the work."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import apsw
import pytest

from runstone import Pipeline, block, config, record_run, track, update_run
from runstone.core.query import Query
from runstone.core.tracked import TrackStarted, TrackSurroundings
from runstone.engine.track import complaints
from runstone.engine.track.recording import Recording
from runstone.errors import RunError
from runstone.folder import track_files, track_journal, track_removal
from runstone.ledger import backup, behind, of_track, opening, projector
from runstone.ledger.check import check, repair
from runstone.ledger.cleanup import named
from runstone.ledger.deletion import delete_runs, refuse_spared
from runstone.ledger.find import find, get
from runstone.ledger.of_folder import project as project_folder
from runstone.ledger.place import Place
from runstone.ledger.port import Store
from runstone.ledger.rebuild import rebuild
from runstone.ledger.sync import sync
from tests.harness.tracked import by_stage, done, execute, journals, script, states

FEW = """
from runstone import track
with track("load", rows_in=150, workspace="acme", tags=["a", "b"], params={"path": "x.csv"}) as t:
    t.rows_out, t.llm_calls, t.tokens = 42, 3, 900
    t.metric("loss", 0.25)
    t.degraded("3 of 150 skipped")
    with track("parse"):
        pass
try:
    with track("fail"):
        raise ValueError("no rows")
except ValueError:
    pass
"""


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project of its own."""
    folder = tmp_path / "home"
    (folder / ".runstone").mkdir(parents=True)
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


@contextlib.contextmanager
def ledger(place: Place) -> Iterator[Store]:
    store = opening.open_ledger(place)
    try:
        yield store
    finally:
        store.close()


def rows(store: Store, *columns: str) -> list[tuple[Any, ...]]:
    return store.rows(
        f"SELECT {', '.join(columns)} FROM pipeline_run WHERE kind = 'stage' ORDER BY created_at, run_key"
    )


def agrees(store: Store) -> int:
    """Whether ledger and journals say the same of every run; returns how many there are."""
    found = check(store)
    assert found.equal, found
    assert (found.underway, found.unreadable.count) == (0, 0)
    return found.runs


# the way into the ledger


def test_runs_are_in_the_ledger_when_their_process_has_ended(home: Path, place: Place, store: Store) -> None:
    done(FEW, home, ledger=place.address)
    if place.dialect == "postgres":
        # no process waits for a server that takes its time
        sync(store)
    load, parse, failed = rows(
        store,
        "run_id, workspace, pipeline_name, status, rows_in, rows_out, llm_calls, tokens, message, error, parent_id",
        "duration_seconds, error_count, trigger_kind, host, run_folder, CAST(metrics AS TEXT), CAST(variables AS TEXT)",
    )
    assert load[1:10] == ("acme", "load", "degraded", 150, 42, 3, 900, "3 of 150 skipped", None)
    assert load[11] > 0
    assert load[12:16] == (0, "track", os.uname().nodename, None)
    assert (json.loads(load[16]), json.loads(load[17])) == ({"loss": 0.25}, {"path": "x.csv"})
    assert (parse[2:4], parse[10]) == (("parse", "completed"), load[0])
    assert (failed[2:4], failed[9], failed[12]) == (("fail", "failed"), "ValueError: no rows", 1)
    assert [row[0] for row in store.rows("SELECT tag FROM tag ORDER BY tag")] == ["a", "b"]
    [(block_name, kind, message, told)] = store.rows("SELECT block, type, message, traceback FROM error")
    assert (block_name, kind, message) == ("fail", "ValueError", "no rows")
    assert told.endswith("ValueError: no rows\n")
    view = "SELECT tenant_id, status, rows_in, rows_out, llm_calls, tokens FROM runs WHERE stage = 'load'"
    assert store.rows(view) == [("acme", "degraded", 150, 42, 3, 900)]
    assert agrees(store) == 3
    assert sync(store).taken == 0
    assert behind.waiting() == 0


def test_a_run_that_goes_on_is_in_the_ledger_with_its_numbers(home: Path, place: Place, store: Store) -> None:
    code = """
import sys
from runstone import track
with track("train") as t:
    t.tokens = 500
    print("here", flush=True)
    sys.stdin.read()
"""
    with subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=home,
        env={**os.environ, "RUNSTONE_LEDGER": place.address},
        stdin=subprocess.PIPE,
    ) as process:
        deadline = time.monotonic() + 20
        while rows(store, "status", "tokens") != [("running", 500)]:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        [run] = find(store).runs
        assert (run.status, run.kind, run.rows_in) == ("running", "stage", None)
        assert process.stdin is not None
        process.stdin.close()
        process.wait(20)
    assert rows(store, "status", "tokens") == [("completed", 500)]


MANY = """
import sys, threading
from runstone import track
def work(thread):
    for number in range(20):
        with track(f"{sys.argv[1]}.{thread}.{number}", rows_in=number) as t:
            t.rows_out = thread
            t.tokens += number
            t.metric("half", number / 2)
threads = [threading.Thread(target=work, args=(n,)) for n in range(16)]
for each in threads: each.start()
for each in threads: each.join()
"""


def test_sixteen_threads_in_each_of_eight_processes_lose_nothing(home: Path, place: Place, store: Store) -> None:
    with contextlib.ExitStack() as stack:
        processes = [stack.enter_context(script(MANY, home, str(n), ledger=place.address)) for n in range(8)]
        said = [process.communicate(timeout=120) for process in processes]
    assert [process.returncode for process in processes] == [0] * 8
    for out, err in said:
        assert out == ""
        # eight at one ledger, on a desk that is busy with other things: that may be told, and nothing else
        assert err == "" or (err.count("\n") == 1 and "in .runstone/track alone for now: the ledger" in err)
    found = by_stage(home)
    assert len(found) == 8 * 16 * 20
    for name, state in found.items():
        _, thread, number = map(int, name.split("."))
        assert (state.status.value, state.rows_in, state.rows_out) == ("completed", number, thread)
        assert (state.tokens, state.metrics, state.refused) == (number, {"half": number / 2}, 0)
    # at their end they wait for a second, not longer
    sync(store)
    assert agrees(store) == len(found)
    assert store.rows("SELECT count(*), sum(rows_out), sum(tokens) FROM pipeline_run") == [
        (len(found), sum(state.rows_out or 0 for state in found.values()), sum(s.tokens or 0 for s in found.values()))
    ]


POOL = """
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from runstone import track
@track
def work(number): return number
if __name__ == "__main__":
    with track("main"):
        with ProcessPoolExecutor(3, mp_context=get_context("fork")) as pool:
            assert sum(pool.map(work, range(30))) == 435
"""


def test_children_of_multiprocessing_bring_theirs_too(home: Path, place: Place, store: Store) -> None:
    done(POOL, home, ledger=place.address)
    # nobody waits for a ledger that takes its time
    assert place.dialect == "postgres" or len(rows(store, "run_id")) == 31
    sync(store)
    assert agrees(store) == 31
    assert len(journals(home)) == 4
    assert store.rows("SELECT count(DISTINCT parent_id) FROM pipeline_run") == [(1,)]


def test_who_reads_the_ledger_in_this_process_sees_all_of_its_runs(home: Path, own: Place) -> None:
    for number in range(300):
        with track("load", rows_in=number):
            pass
    store = opening.open_for_reading(own)
    assert store is not None
    try:
        assert store.rows("SELECT count(*), sum(rows_in) FROM pipeline_run") == [(300, 44850)]
    finally:
        store.close()


def test_a_run_takes_little_room_in_the_ledger(home: Path, own: Place) -> None:
    for number in range(1000):
        with track("load", rows_in=number) as t:
            t.rows_out, t.llm_calls, t.tokens = number, 1, 500
            t.metric("loss", 0.25)
    with contextlib.closing(opening.open_for_reading(own)) as store:
        assert store is not None
        assert store.rows("SELECT count(*) FROM pipeline_run") == [(1000,)]
        pages, size = store.rows("SELECT page_count, page_size FROM pragma_page_count(), pragma_page_size()")[0]
    assert pages * size / 1000 < 2048


def test_by_hand_a_run_may_go_into_another_ledger(home: Path, own: Place, tmp_path: Path) -> None:
    other = Place("sqlite", str(tmp_path / "other.db"))
    record_run("there", "etl", "running", conn=other.address)
    record_run("here", "etl", "running")
    update_run("there", status="completed", conn=other.address)
    projector.flush()
    with ledger(other) as store:
        assert rows(store, "run_id", "status") == [("there", "completed")]
    with ledger(own) as store:
        assert rows(store, "run_id") == [("here",)]
        assert sync(store).tracked == 1


# kills

MORTAL = """
import os, signal, sys
from runstone import track
from runstone.folder import disk
left = int(sys.argv[1])
append = disk.append
def counted(descriptor, data, path):
    global left
    if not path.endswith(".jsonl"):
        return append(descriptor, data, path)
    left -= 1
    if left == 0 and sys.argv[2] == "before":
        os.kill(os.getpid(), signal.SIGKILL)
    append(descriptor, data, path)
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)
disk.append = counted
for number in range(3):
    with track(f"outer{number}") as t:
        with track(f"inner{number}"):
            print(f"inner{number}", flush=True)
        t.degraded("partly")
    print(f"outer{number}", flush=True)
print("end", flush=True)
"""


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_kill_between_any_two_lines_leaves_a_right_record(home: Path, when: str, store: Store) -> None:
    left = 0
    while True:
        left += 1
        shutil.rmtree(home / ".runstone" / "track", ignore_errors=True)
        out, _, status = execute(MORTAL, home, str(left), when)
        said = [name for name in out.split() if name != "end"]
        if status == 0:
            break
        assert status == -signal.SIGKILL
        found = by_stage(home) if journals(home) else {}
        for name in said:
            assert name in found, "what has begun is recorded"
        outers = [name for name in said if name.startswith("outer")]
        for name in outers:
            assert found[name].status.value == "degraded", "what has ended is recorded"
        for name, state in found.items():
            assert state.done or name not in outers
            assert (state.parent_id is None) == name.startswith("outer")
        sync(store)
        seen = {run.pipeline_name: run.status for run in find(store, limit=1000).runs}
        assert seen == {name: state.status.value if state.done else "crashed" for name, state in found.items()}
        assert agrees(store) == len(found)
        store.rows("DELETE FROM pipeline_run")
    assert left > 12


BROUGHT = """
import time
from runstone import track
from runstone.engine.track import journals
def brought():
    [[feed]] = [feeds.values() for feeds in journals._feeds.values()]
    deadline = time.monotonic() + 60
    while not (feed._noted and feed.at_rest and feed.journal.synced == feed.journal._size):
        assert time.monotonic() < deadline
        time.sleep(0.01)
"""
"""What a script waits with until the ledger has all that it has tracked."""

KILLED = f"""{BROUGHT}
import os, signal
with track("first"):
    pass
brought()
with track("ended"):
    pass
track("open").__enter__()
os.kill(os.getpid(), signal.SIGKILL)
"""


NEXT = f"""{BROUGHT}
import os
with track("next"):
    brought()
    deadline = time.monotonic() + 60
    while len(os.listdir(".runstone/behind")) > 1:
        assert time.monotonic() < deadline
        time.sleep(0.01)
"""


def test_what_a_killed_process_could_not_bring_the_next_one_does(home: Path, place: Place, store: Store) -> None:
    assert execute(KILLED, home, ledger=place.address)[2] == -signal.SIGKILL
    assert rows(store, "pipeline_name") == [("first",)]
    assert behind.waiting() == 1
    done(NEXT, home, ledger=place.address)
    assert {"first", "ended", "open"} <= {name for (name,) in rows(store, "pipeline_name")}
    sync(store)
    assert {run.pipeline_name: run.status for run in find(store).runs} == {
        "first": "completed",
        "ended": "completed",
        "open": "crashed",
        "next": "completed",
    }
    assert rows(store, "status")[2] == ("running",), "nobody writes an end that was not recorded"
    assert behind.waiting() == 0
    assert agrees(store) == 4


def test_an_end_that_only_the_journal_has_is_seen(home: Path, place: Place, store: Store) -> None:
    code = f"""{BROUGHT}
import os, signal
t = track("load").__enter__()
brought()
t.__exit__(None, None, None)
os.kill(os.getpid(), signal.SIGKILL)
"""
    execute(code, home, ledger=place.address)
    assert rows(store, "status") == [("running",)]
    [run] = find(store).runs
    assert (run.status, run.recorded_status) == ("completed", "running")
    assert run.duration_seconds == states(home)[0].duration_seconds
    assert get(store, run.run_id).finished_at == states(home)[0].finished_at
    [journal] = journals(home)
    journal.unlink()
    assert find(store).runs[0].status == "crashed"


# troubles


def test_a_ledger_that_is_garbage_costs_one_warning_and_no_run(home: Path) -> None:
    file = home / ".runstone" / "ledger.db"
    file.write_bytes(b"not a database, but long enough to look like something" * 100)
    out, err, status = execute(FEW + "\nimport time; time.sleep(0.5); print('worked')", home, ledger=None)
    assert (out, status) == ("worked\n", 0)
    [line] = err.splitlines()
    assert line.startswith("runstone: tracked runs are recorded in .runstone/track alone for now: the ledger ")
    assert len(states(home)) == 3
    assert behind.waiting() == 1, "the journal, until somebody has brought it"
    file.unlink()
    with ledger(Place("sqlite", str(file))) as store:
        report = sync(store)
        assert (report.tracked, report.taken) == (3, 3)
        assert behind.waiting() == 0
        assert agrees(store) == 3


def test_a_ledger_that_is_locked_holds_nobody_up_for_long(home: Path, own: Place) -> None:
    with ledger(own) as store:
        # by somebody else: of one of us who writes for long it is known that there will be an end
        holder = apsw.Connection(own.address)
        holder.execute("BEGIN IMMEDIATE")
        began = time.monotonic()
        out, err, status = execute(FEW + "\nprint('worked')", home, ledger=None)
        took = time.monotonic() - began
        holder.execute("ROLLBACK")
        holder.close()
        assert (out, status) == ("worked\n", 0)
        assert err.count("\n") == 1
        assert "is locked by another process" in err
        assert took < 10
        assert rows(store, "run_id") == []
        assert sync(store).taken == 3
        assert agrees(store) == 3


def test_without_a_ledger_there_is_still_the_journal(home: Path) -> None:
    assert done(FEW, home, ledger="none") == ""
    assert len(states(home)) == 3
    assert [each.name for each in (home / ".runstone").iterdir()] == ["track"]


def test_a_file_in_the_place_of_the_folder_costs_one_warning(home: Path) -> None:
    (home / ".runstone" / "track").write_text("mine")
    out, err, status = execute(FEW + "\nprint('worked')", home, ledger=None)
    assert (out, status) == ("worked\n", 0)
    [line] = err.splitlines()
    assert line.startswith("runstone: tracked runs are not recorded for now: ")
    assert "make it a folder that this user may write to" in line
    assert (home / ".runstone" / "track").read_text() == "mine"


def test_what_was_refused_is_recorded_as_soon_as_that_is_possible(home: Path) -> None:
    place = home / ".runstone" / "track"
    place.write_text("mine")
    with track("load") as t:
        t.rows_out = 5
    with track("open"):
        place.unlink()
        deadline = time.monotonic() + 10
        while not journals(home) or len(states(home)) < 2:
            assert time.monotonic() < deadline
            time.sleep(0.02)
    found = by_stage(home)
    assert (found["load"].status.value, found["load"].rows_out) == ("completed", 5)
    assert found["open"].status.value == "completed"


DELETED = """
import shutil, time
from runstone import track
with track("gone"):
    pass
with track("open", rows_in=3) as t:
    t.rows_out = 1
    time.sleep(0.4)
    shutil.rmtree(".runstone")
    time.sleep(0.1)
    with track("after"):
        pass
    t.tokens = 5
print("worked")
"""


def test_a_folder_that_is_deleted_meanwhile_is_made_again(home: Path) -> None:
    out, err, status = execute(DELETED, home, ledger=None)
    assert (out, status) == ("worked\n", 0)
    assert err.count("\n") <= 1
    found = by_stage(home)
    assert set(found) == {"open", "after"}
    assert (found["open"].rows_in, found["open"].rows_out, found["open"].tokens) == (3, 1, 5)
    with ledger(Place("sqlite", str(home / ".runstone" / "ledger.db"))) as store:
        sync(store)
        assert {"open", "after"} <= {name for (name,) in rows(store, "pipeline_name")}
        assert agrees(store) == 2


FULL = """
import sys
from runstone import track
worked = 0
for number in range(3000):
    with track(f"stage{number}", params={"padding": "x" * 200}) as t:
        t.rows_out = number
        worked += 1
print(worked)
"""


TORN = """
import os, resource, time
from runstone import track
from runstone.folder import track_journal
with track("before"):
    pass
journal = track_journal.of(os.getcwd())
deadline = time.monotonic() + 20
while journal.found is None or journal.synced < os.path.getsize(journal.path):
    assert time.monotonic() < deadline
    time.sleep(0.01)
_, most = resource.getrlimit(resource.RLIMIT_FSIZE)
with track("torn") as t:
    t.rows_out = 7
    # there is room for half of the end
    resource.setrlimit(resource.RLIMIT_FSIZE, (os.path.getsize(journal.path) + 90, most))
resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
with track("after"):
    pass
"""


def test_half_a_line_is_taken_back_and_written_again(home: Path) -> None:
    out, err, status = execute(TORN, home)
    assert (out, status) == ("", 0)
    assert err.count("\n") == 1
    assert {name: state.status.value for name, state in by_stage(home).items()} == {
        "before": "completed",
        "torn": "completed",
        "after": "completed",
    }
    [journal] = journals(home)
    with track_files.TrackFile(str(journal)) as file:
        assert all(track_files.decode_line(line) is not None for _, line in file.lines())


@contextlib.contextmanager
def small_disk(at: Path, size: str) -> Iterator[Path]:
    at.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size}", "none", str(at)], capture_output=True, check=False
    )
    if mounted.returncode != 0:
        pytest.skip("nothing can be mounted here")
    try:
        yield at
    finally:
        subprocess.run(["umount", "-l", str(at)], check=True)


def test_on_a_full_disk_the_work_goes_on_and_sync_brings_back_what_it_holds(tmp_path: Path, store: Store) -> None:
    with small_disk(tmp_path / "small", "512k") as project, contextlib.chdir(project):
        (project / ".runstone").mkdir()
        out, err, status = execute(FULL, project, ledger=None)
        assert (out, status) == ("3000\n", 0)
        said = err.splitlines()
        assert 1 <= len(said) <= 2, "the journal and the ledger are on the same disk"
        assert any(line.startswith("runstone: tracked runs are not recorded for now: ") for line in said)
        found = by_stage(project)
        assert 100 < len(found) < 3000
        # of the last one there may have been room for the start alone
        unended = [name for name, state in found.items() if not state.done]
        assert len(unended) <= 1
        for name, state in found.items():
            assert name in unended or (state.status.value, name) == ("completed", f"stage{state.rows_out}")
        sync(store)
        assert agrees(store) == len(found)


# what is deleted


def test_a_run_that_was_deleted_does_not_come_back(home: Path, place: Place, store: Store) -> None:
    done(FEW, home, ledger=place.address)
    sync(store)
    [journal] = journals(home)
    load, parse, failed = (run_id for (run_id,) in rows(store, "run_id"))
    with contextlib.closing(opening.open_ledger(place)) as again:
        delete_runs(again, [named(again, load, workspace="acme")])
    assert [run_id for (run_id,) in rows(store, "run_id")] == [parse, failed]
    assert sync(store).taken == 0
    assert rebuild(store).taken == 2
    assert agrees(store) == 2
    assert journal.exists()
    delete_runs(store, [named(store, run_id, workspace="default") for run_id in (parse, failed)])
    assert not journal.exists(), "all of its runs are deleted"
    assert sync(store).taken == 0
    for table in ("pipeline_run", "error", "tag"):
        assert store.rows(f"SELECT count(*) FROM {table}") == [(0,)]


def test_a_run_that_goes_on_is_not_deleted(home: Path, own: Place) -> None:
    with track("load") as t:
        projector.flush()
        with ledger(own) as store:
            assert rows(store, "run_id") == [(t.run_id,)]
            with pytest.raises(RunError, match=r"and its process .* is alive"):
                refuse_spared(delete_runs(store, [named(store, t.run_id, workspace="default")]))
    assert by_stage(home)["load"].status.value == "completed"


def test_who_deletes_its_own_runs_does_not_see_them_again(home: Path, own: Place) -> None:
    with track("load") as t:
        pass
    with track("stays"):
        pass
    projector.flush()
    with ledger(own) as store:
        delete_runs(store, [named(store, t.run_id, workspace="default")])
        with track("later") as later:
            pass
        projector.flush()
        assert [name for (name,) in rows(store, "pipeline_name")] == ["stays", "later"]
        assert agrees(store) == 2
        # by somebody who has another ledger
        track_removal.tombstone(str(home), [later.run_id])
        projector.flush()
        assert [name for (name,) in rows(store, "pipeline_name")] == ["stays"]


def test_a_journal_that_tells_of_deletions_stays_as_long_as_they_are_needed(home: Path) -> None:
    for stage in ("first", "second"):
        done(f"from runstone import track\nwith track('{stage}'): pass", home)
    first, second = states(home)
    delete = f"from runstone.folder import track_removal as r\nr.tombstone({str(home)!r}, ['{{}}'])"
    done(delete.format(first.run_id), home)
    assert [state.stage for state in states(home)] == ["second"]
    assert track_removal.remove_emptied(str(home)) == 2
    assert len(journals(home)) == 1
    done(delete.format(second.run_id), home)
    assert states(home) == []
    assert track_removal.remove_emptied(str(home)) == 2
    assert journals(home) == []
    with track("alive") as t:
        done(delete.format(t.run_id), home)
        assert track_removal.remove_emptied(str(home)) == 0, (
            "its own journal cannot go, so what tells of it has to stay"
        )
    assert len(journals(home)) == 2
    assert states(home) == []


# index


def test_rebuild_makes_the_same_index_again(home: Path, place: Place, store: Store) -> None:
    done(FEW, home, ledger=place.address)
    sync(store)
    columns = "run_id, pipeline_name, status, rows_in, rows_out, driver, seq, code_ref, config_hash"
    before = rows(store, columns)
    store.rows("UPDATE pipeline_run SET rows_out = 7, status = 'running', finished_at = NULL")
    found = check(store)
    assert sorted(found.differences[0].details) == [
        "pipeline_run.finished_at",
        "pipeline_run.rows_out",
        "pipeline_run.status",
    ]
    report = rebuild(store)
    assert (report.tracked, report.taken) == (3, 3)
    assert rows(store, columns) == before
    assert agrees(store) == 3


def test_check_finds_what_is_missing_and_repair_brings_it(home: Path, place: Place, store: Store) -> None:
    done(FEW, home, ledger=place.address)
    sync(store)
    store.rows("DELETE FROM pipeline_run WHERE pipeline_name = 'parse'")
    store.rows("UPDATE pipeline_run SET tokens = 1 WHERE pipeline_name = 'load'")
    assert check(store).counts == {"not in the ledger": 1, "differs": 1}
    mended = repair(store)
    assert (mended.remade, mended.taken) == (1, 1)
    assert agrees(store) == 3


def test_check_finds_deleted_runs_that_a_backup_has_brought_back(home: Path, own: Place) -> None:
    done(FEW, home, ledger=None)
    with ledger(own) as store:
        backup.back_up(own, str(home / "copy.db"))
        load = rows(store, "run_id")[0][0]
        delete_runs(store, [named(store, load, workspace="acme")])
        assert agrees(store) == 2
    backup.restore(own, str(home / "copy.db"))
    with ledger(own) as store:
        assert len(rows(store, "run_id")) == 3
        found = check(store)
        assert [(each.kind.value, each.run_id) for each in found.differences] == [("was deleted", load)]
        assert (found.counts, found.equal) == ({"was deleted": 1}, False)
        mended = repair(store)
        assert (mended.forgotten, mended.remade, mended.taken, mended.left.equal) == (1, 0, 0, True)
        assert load not in [run_id for (run_id,) in rows(store, "run_id")]
        assert agrees(store) == 2


@block
def number() -> int:
    return 1


def test_a_tracked_run_never_takes_the_row_of_another(home: Path, store: Store) -> None:
    run = Pipeline("one", [number]).run({}, show_progress=False)
    project_folder(store, str(run.run_folder))
    store.rows("INSERT INTO workspace (name, created_at) VALUES ('b', '2026-01-01T00:00:00.000000Z')")
    done(f"from runstone import record_run; record_run({run.id!r}, 'evil', 'failed')", home)
    done("from runstone import record_run; record_run('shared', 'mine', 'completed', workspace='acme')", home)
    sync(store)
    store.rows("UPDATE pipeline_run SET workspace = 'b' WHERE run_id = 'shared'")
    before = store.rows("SELECT run_id, kind, workspace, pipeline_name, status FROM pipeline_run ORDER BY run_id")
    for bring in (sync, rebuild):
        report = bring(store)
        assert report.refused.count == 2
        after = store.rows("SELECT run_id, kind, workspace, pipeline_name, status FROM pipeline_run ORDER BY run_id")
        assert after == before


def test_the_run_of_a_pipeline_inside_of_a_tracked_run_is_its_child(home: Path, own: Place) -> None:
    with track("nightly") as t:
        Pipeline("one", [number]).run({}, show_progress=False)
    Pipeline("one", [number]).run({}, show_progress=False)
    projector.flush()
    with ledger(own) as store:
        found = store.rows("SELECT kind, parent_id FROM pipeline_run ORDER BY created_at")
        assert found == [("stage", None), ("pipeline", t.run_id), ("pipeline", None)]


def test_hostile_journals_are_told_of_and_stepped_over(home: Path, store: Store) -> None:
    done(FEW, home)
    [good] = journals(home)
    data = good.read_bytes()
    head = data.partition(b"\n")[0]
    place = good.parent
    (place / "a-empty.jsonl").write_bytes(b"")
    (place / "b-garbage.jsonl").write_bytes(b"\x00" * 200_000)
    (place / "c-new.jsonl").write_bytes(track_files.seal(b'{"format":99}') + b"\n")
    os.mkfifo(place / "d-fifo.jsonl")
    elsewhere = home / "elsewhere"
    elsewhere.mkdir()
    (place / "e-link.jsonl").symlink_to(shutil.copy(good, elsewhere / "copy.jsonl"))
    (place / "f-folder.jsonl").mkdir()
    long = b"x" * 300_000
    deep = b'{"event":"started","run":' + b"[" * 30_000 + b"]" * 30_000 + b"}"
    odd = [
        b'{"event":"started","run":"","seq":1,"at":"","stage":"s","workspace":"default"}',
        b'{"event":"started","run":"w","seq":1,"at":"","stage":"s","workspace":"' + b"w" * 200 + b'"}',
        b'{"event":"ended","run":"nobody","seq":2,"at":"","status":"completed"}',
        b'{"event":"started","run":"odd","seq":1,"at":"never","stage":"a\\u0000b","workspace":"default","rows_in":-5}',
        b'{"event":"ended","run":"odd","seq":2,"at":"x","status":"failed","duration_seconds":-1,"error":{"type":""}}',
        b'{"event":"somersault","run":"odd","seq":3,"at":"x"}',
    ]
    body = b"\n".join([head, long, b"", deep, *map(track_files.seal, odd), b"{}", b"torn"])
    (place / "g-odd.jsonl").write_bytes(body)
    report = sync(store)
    assert {Path(path).name[0] for path, _ in report.unreadable.first} == set("abcdef")
    assert report.unreadable.count == 6
    assert store.rows(
        "SELECT pipeline_name, status, rows_in, duration_seconds FROM pipeline_run WHERE run_id = 'odd'"
    ) == [("a�b", "failed", None, None)]
    assert report.taken == 4
    assert rebuild(store).taken == 4
    found = check(store)
    assert found.equal, found
    assert found.runs == 4
    track_removal.remove_emptied(str(home))
    assert good.read_bytes() == data
    assert sync(store).taken == 0


def test_a_line_that_was_damaged_costs_only_what_it_said(home: Path, store: Store) -> None:
    code = """
from runstone import track
for name in "abc":
    with track(name) as t:
        t.rows_out = 1
"""
    done(code, home)
    [journal] = journals(home)
    parts = journal.read_bytes().split(b"\n")
    damaged = [number for number, line in enumerate(parts) if b'"ended"' in line][1]
    parts[damaged] = parts[damaged].replace(b"completed", b"compIeted")
    journal.write_bytes(b"\n".join(parts))
    assert {name: state.status.value for name, state in by_stage(home).items()} == {
        "a": "completed",
        "b": "running",
        "c": "completed",
    }
    sync(store)
    assert {run.pipeline_name: run.status for run in find(store).runs}["b"] == "crashed"


def test_journals_of_a_process_that_goes_on_are_left_to_it_until_they_say_all(home: Path, store: Store) -> None:
    journal = track_journal.of(str(home))
    recording = Recording(
        journal, TrackStarted(run="r", seq=1, at="2026-01-01T00:00:00Z", stage="s", workspace="default")
    )
    recording.begin()
    assert sync(store).tracked == 0
    with journal.lock:
        journal.append(track_files.encode_line(TrackSurroundings(at="2026-01-01T00:00:00Z", code_ref="abc")))
    assert sync(store).tracked == 1
    assert rows(store, "code_ref", "status") == [("abc", "running")]


def test_every_row_of_a_journal_can_be_had(home: Path) -> None:
    done(FEW, home)
    [journal] = journals(home)
    told = {row.run.pipeline_name: row.run for row in of_track.rows_of_journal(str(journal))}
    assert {name: run.status for name, run in told.items()} == {
        "load": "degraded",
        "parse": "completed",
        "fail": "failed",
    }
    assert json.loads(told["load"].driver or "")["journal"] == str(journal)


def test_queries_find_tracked_runs(home: Path, place: Place, store: Store) -> None:
    done(FEW, home, ledger=place.address)
    sync(store)
    assert [run.pipeline_name for run in find(store, Query(), workspace="acme").runs] == ["load"]
    assert [run.rows_out for run in find(store, workspace="acme").runs] == [42]
    assert sorted(run.pipeline_name for run in find(store, workspace=config.DEFAULT_WORKSPACE).runs) == [
        "fail",
        "parse",
    ]

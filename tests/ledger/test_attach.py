"""Runs come into the ledger by themselves, and nothing that is wrong with it harms them."""

from __future__ import annotations

import os
import re
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import apsw
import pytest

import runstone
from runstone import Pipeline, block
from runstone.ledger import behind, opening, projector, trouble
from runstone.ledger.of_folder import project
from runstone.ledger.place import Place
from runstone.ledger.port import Store

TABLES = ("pipeline_run", "block_run", "attempt", "event", "error", "artifact", "tag", "place")
SLOW = 0.35


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A project of its own, with the ledger that every project has."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("RUNSTONE_LEDGER")
    monkeypatch.setattr(projector, "_projectors", {})
    # who reads has everything, however busy the machine is
    monkeypatch.setattr(projector, "PATIENCE", 60.0)
    yield tmp_path
    for each in projector._projectors.values():
        each.close()


@block
def numbers(size: int) -> list[int]:
    return list(range(size))


@block(mapspec="numbers[i] -> halves[i]", on_error="continue")
def halve(numbers: int) -> float:
    if numbers % 3 == 1:
        raise ValueError(f"{numbers} is odd enough")
    return numbers / 2


@block(retries=2)
def shaky(size: int, seen: dict[str, int]) -> str:
    # what a test has in its hands stays the same object where everything is called in one process
    seen["calls"] += 1
    if seen["calls"] < 3:
        raise OSError("not yet")
    return "a" * 5000


@block(missing="drop")
def report(halves: list[float], shaky: str) -> int:
    Path("report.txt").write_text(str(halves))
    runstone.artifact("report.txt", metadata={"rows": len(halves)})
    return len(halves)


def survey() -> Pipeline:
    return Pipeline("survey", [numbers, halve, shaky, report], tags=["nightly", "naïve"])


def run(size: int = 7, **options: Any) -> runstone.Run:
    return survey().run({"size": size, "seen": {"calls": 0}}, show_progress=False, **options)


def rows(store: Store) -> dict[str, list[tuple[Any, ...]]]:
    """All that is in the ledger, by the ids of runs instead of keys."""
    found = {}
    for table in TABLES:
        columns = "r.run_id, t.*" if table != "pipeline_run" else "t.run_id, t.*"
        source = f"{table} t" + (" JOIN pipeline_run r ON r.run_key = t.run_key" if table != "pipeline_run" else "")
        told = store.rows(f"SELECT {columns} FROM {source}")
        names = [row[1] for row in store.rows(f"SELECT 0, name FROM pragma_table_info('{table}')")]
        key = names.index("run_key") + 1
        found[table] = sorted((row[:key] + row[key + 1 :] for row in told), key=repr)
    return found


def ledger() -> Store:
    store = opening.open_for_reading(Place("sqlite", os.path.abspath(".runstone/ledger.db")))
    assert store is not None
    return store


def statuses() -> list[str]:
    deadline = time.monotonic() + 20
    while any(each._ended for each in projector._projectors.values()):
        # a busy machine may need longer for it than whoever reads waits
        assert time.monotonic() < deadline
        projector.flush()
    store = opening.open_for_reading(Place("sqlite", os.path.abspath(".runstone/ledger.db")))
    if store is None:
        # it is just being made
        return []
    try:
        return [row[0] for row in store.rows("SELECT status FROM pipeline_run ORDER BY created_at")]
    finally:
        store.close()


def of_folders(tmp_path: Path, *runs: runstone.Run) -> dict[str, list[tuple[Any, ...]]]:
    """What a ledger has that was made of the folders of these runs."""
    store = opening.open_ledger(Place("sqlite", str(tmp_path / "other" / "ledger.db")))
    try:
        for each in runs:
            project(store, str(each.run_folder))
        return rows(store)
    finally:
        store.close()


@pytest.mark.parametrize("pause", [0.0, SLOW], ids=["at the end", "in several steps"])
def test_what_a_run_streams_is_what_its_folder_says(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pause: float
) -> None:
    monkeypatch.setattr(projector, "TICK_SECONDS", 0.02)
    slow = block(name="slow")(lambda size: time.sleep(pause) or size)
    pipeline = Pipeline("survey", [numbers, halve, shaky, report, slow], tags=["nightly"])
    done = pipeline.run({"size": 7, "seen": {"calls": 0}}, show_progress=False)
    assert done.status == "degraded"
    store = ledger()
    streamed = rows(store)
    store.close()
    assert streamed == of_folders(tmp_path, done)
    assert len(streamed["error"]) == 2
    attempts = sorted(row[1:6] for row in streamed["attempt"] if row[2] == "shaky")
    assert [(number, status) for _, _, _, number, status in attempts] == [
        (1, "failed"), (2, "failed"), (3, "completed"),
    ]  # fmt: skip
    assert len(streamed["artifact"]) == len(streamed["tag"]) == 1


def test_a_failed_run_and_the_one_that_goes_on_with_it(tmp_path: Path) -> None:
    @block
    def maybe(numbers: list[int], where: str) -> int:
        if not os.path.exists(where):
            raise FileNotFoundError(where)
        return 1

    pipeline = Pipeline("repaired", [numbers, maybe])
    params = {"size": 3, "where": str(tmp_path / "there")}
    first = pipeline.run(params, run_folder="runs/it", raise_on_error=False)
    (tmp_path / "there").touch()
    second = pipeline.run(params, run_folder="runs/it", resume=True)
    assert statuses() == ["failed", "completed"]
    store = ledger()
    assert store.rows("SELECT retry_of, error FROM pipeline_run ORDER BY created_at")[1] == (first.id, None)
    found = rows(store)
    store.close()
    assert found == of_folders(tmp_path, first, second)


def test_switched_off_nothing_is_made(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RUNSTONE_LEDGER", "none")
    run()
    assert not (home / ".runstone").exists()


def test_a_run_that_is_not_kept_is_not_in_the_ledger(home: Path) -> None:
    Pipeline("kept-nowhere", [numbers]).run({"size": 3}, run_folder=None)
    assert not (home / ".runstone").exists()


def test_while_it_goes_on_it_is_seen(home: Path) -> None:
    gate = threading.Event()

    @block(mapspec="numbers[i] -> waited[i]")
    def wait(numbers: int) -> int:
        if numbers == 5:
            gate.wait(120)
        return numbers

    handle = Pipeline("waiting", [numbers, wait]).run_async({"size": 7})
    deadline = time.monotonic() + 60
    seen: list[tuple[Any, ...]] = []
    while not seen or seen[0][1] < 6:
        assert time.monotonic() < deadline, seen
        time.sleep(0.02)
        store = opening.open_for_reading(Place("sqlite", os.path.abspath(".runstone/ledger.db")))
        if store is not None:
            seen = store.rows("SELECT status, progress_done, progress_total FROM pipeline_run")
            store.close()
    assert seen[0] == ("running", 6, 8)
    gate.set()
    assert handle.result().status == "completed"
    assert statuses() == ["completed"]


def test_runs_of_many_threads_share_one_connection(home: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        done = list(pool.map(lambda number: run(number), range(2, 42)))
    assert len(done) == 40
    assert len(statuses()) == 40
    assert not any(status == "running" for status in statuses())


# what is wrong with a ledger


def complaints(capfd: pytest.CaptureFixture[str]) -> list[str]:
    return [line for line in capfd.readouterr().err.splitlines() if line.startswith("runstone: ")]


ONE_RUN = """
import sys
from runstone import Pipeline, block

@block
def one() -> int:
    return 1

Pipeline("short", [one]).run({}, run_folder=sys.argv[1], show_progress=False)
"""


def end_of_one_run(folder: str) -> str:
    """What a process says that ends right after its run."""
    done = subprocess.run([sys.executable, "-c", ONE_RUN, folder], capture_output=True, text=True, check=True)
    return done.stderr


def write_in_turns(stop: threading.Event, seconds: float) -> None:
    """Like a crowd of processes: the ledger is never free for long, and something is written all the time."""
    crowd = apsw.Connection(".runstone/ledger.db")
    crowd.execute("CREATE TABLE IF NOT EXISTS crowd (number INTEGER)")
    while not stop.is_set():
        crowd.execute("BEGIN IMMEDIATE; INSERT INTO crowd VALUES (1)")
        time.sleep(seconds)
        crowd.execute("COMMIT")
    crowd.close()


def test_who_ends_in_a_crowd_says_nothing_and_the_next_reader_sees_the_run(home: Path) -> None:
    run()
    stop = threading.Event()
    crowd = threading.Thread(target=write_in_turns, args=(stop, 0.15))
    crowd.start()
    try:
        runs = 0
        while not behind.waiting():
            # by chance it may get its turn
            assert runs < 10
            assert end_of_one_run(f"runs/{runs}") == ""
            runs += 1
    finally:
        stop.set()
        crowd.join()
    assert statuses() == ["degraded", *["completed"] * runs]
    assert behind.waiting() == 0


def test_who_ends_while_the_ledger_is_held_says_so(home: Path) -> None:
    run()
    assert statuses() == ["degraded"]
    holder = apsw.Connection(".runstone/ledger.db")
    holder.execute("BEGIN IMMEDIATE")
    said = end_of_one_run("runs/short")
    tail = [sys.executable, "-m", "runstone", "tail"]
    seen = subprocess.run(tail, capture_output=True, text=True, check=True)
    assert seen.stderr == (
        "runstone: one more run is on the way into the ledger; to have all now: runstone ledger sync\n"
    )
    assert "short" not in seen.stdout
    holder.execute("ROLLBACK")
    holder.close()
    seen = subprocess.run(tail, capture_output=True, text=True, check=True)
    assert (seen.stderr, "short" in seen.stdout) == ("", True)
    assert said.count("\n") == 1
    assert f"{home}/.runstone/ledger.db is locked" in said
    assert statuses() == ["degraded", "completed"]


def test_who_ends_while_another_of_us_writes_for_long_says_nothing(home: Path) -> None:
    run()
    store = opening.open_ledger(Place("sqlite", os.path.abspath(".runstone/ledger.db")))
    with store.writing():
        assert end_of_one_run("runs/short") == ""
        assert behind.waiting() == 1
    store.close()
    assert statuses() == ["degraded", "completed"]
    assert behind.waiting() == 0


def test_a_locked_ledger_costs_one_sentence_and_is_brought_up_later(
    home: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trouble, "BUSY_SECONDS", 0.5)
    run()
    assert statuses() == ["degraded"]
    holder = apsw.Connection(".runstone/ledger.db")
    holder.execute("BEGIN IMMEDIATE")
    deadline = time.monotonic() + 60
    took = []
    # who waited for the ledger would take as long as it is waited for, every time
    while len(took) < 2 or min(took) >= projector._LOCK_PATIENCE:
        assert time.monotonic() < deadline, took
        began = time.monotonic()
        assert run().status == "degraded"
        took.append(time.monotonic() - began)
    while behind.waiting() < len(took):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    (said,) = complaints(capfd)
    assert f"{home}/.runstone/ledger.db is locked" in said
    holder.execute("ROLLBACK")
    holder.close()
    while len(statuses()) <= len(took) or behind.waiting():
        assert time.monotonic() < deadline + 60
        time.sleep(0.05)
    assert statuses() == ["degraded"] * (1 + len(took))
    assert complaints(capfd) == []


def said_by_the_end(capfd: pytest.CaptureFixture[str]) -> list[str]:
    """What a process has complained of when it ends now."""
    for each in projector._projectors.values():
        each.close()
    return complaints(capfd)


def no_database(path: Path) -> None:
    path.write_bytes(b"this is no database at all\n" * 100)


def others(path: Path) -> None:
    sqlite3.connect(path).execute("CREATE TABLE mine (x)")


def newer(path: Path) -> None:
    opening.open_ledger(Place("sqlite", str(path))).close()
    connection = apsw.Connection(str(path))
    connection.execute("INSERT INTO schema_migration VALUES (99, 'later', 'x', '2030-01-01T00:00:00Z')")
    connection.close()


def folder(path: Path) -> None:
    path.mkdir()


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (no_database, "no database.*move it away, then: runstone ledger rebuild"),
        (others, "but not a ledger; move it away"),
        (newer, "this version of Runstone knows.*pip install --upgrade runstone"),
        (folder, "is a folder; name a file in RUNSTONE_LEDGER"),
    ],
)
def test_a_ledger_that_cannot_be_used_is_told_with_its_cure_and_not_touched(
    home: Path, capfd: pytest.CaptureFixture[str], spoil: Any, said: str
) -> None:
    path = home / ".runstone" / "ledger.db"
    path.parent.mkdir()
    spoil(path)
    before = path.read_bytes() if path.is_file() else None
    assert run().status == run().status == "degraded"
    (told,) = said_by_the_end(capfd)
    assert str(path) in told
    assert re.search(said, told)
    assert (path.read_bytes() if path.is_file() else None) == before
    assert len(os.listdir("runs")) == 2


def test_a_full_disk_does_not_harm_the_run(home: Path, capfd: pytest.CaptureFixture[str]) -> None:
    run()
    projector.flush()
    for each in projector._projectors.values():
        assert each._store is not None
        each._store.rows("PRAGMA max_page_count = 1")
    told: list[str] = []
    while not told:
        assert len(os.listdir("runs")) < 100
        assert run().status == "degraded"
        projector.flush()
        told = complaints(capfd)
    (said,) = told
    assert "no room is left for the ledger" in said


def test_a_ledger_that_is_deleted_while_it_is_open_is_made_again(home: Path) -> None:
    run()
    assert statuses() == ["degraded"]
    for name in os.listdir(".runstone"):
        os.unlink(f".runstone/{name}")
    run()
    assert statuses() == ["degraded"]


def test_a_wrong_setting_is_told_and_the_run_goes_on(
    home: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("RUNSTONE_LEDGER", "mysql://me:secret@there/db")
    assert run().status == "degraded"
    (told,) = complaints(capfd)
    assert "RUNSTONE_LEDGER is 'mysql://me:***@there/db'" in told
    assert "postgresql://" in told


def test_a_forked_child_leaves_the_ledger_of_its_parent_alone(home: Path) -> None:
    run()
    projector.flush()
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            code = 0 if run().status == "degraded" else 2
            projector.flush()
        finally:
            os._exit(code)
    assert os.waitpid(pid, 0)[1] == 0
    run()
    assert statuses() == ["degraded"] * 3


def test_a_process_that_ends_right_after_its_run_has_told_it(home: Path) -> None:
    script = home / "job.py"
    script.write_text(
        "from runstone import Pipeline, block\n"
        "from runstone.ledger import projector\n"
        "projector.PATIENCE = 60.0\n"
        "@block\ndef one() -> int:\n    return 1\n"
        "Pipeline('single', [one]).run({}, show_progress=False)\n"
    )
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, check=True)
    assert done.stderr == ""
    assert statuses() == ["completed"]


def test_the_end_that_somebody_else_writes_for_a_dead_driver_is_told_too(home: Path) -> None:
    script = home / "job.py"
    script.write_text(
        "import time\nfrom runstone import Pipeline, block\n"
        "@block\ndef wait() -> int:\n    time.sleep(600)\n    return 1\n"
        "Pipeline('waiting', [wait]).run({}, run_folder='runs/it', show_progress=False)\n"
    )
    child = subprocess.Popen([sys.executable, str(script)])
    try:
        deadline = time.monotonic() + 60
        while statuses() != ["running"]:
            assert time.monotonic() < deadline
            time.sleep(0.05)
    finally:
        child.kill()
        child.wait()
    assert statuses() == ["running"]
    told = subprocess.run(
        [sys.executable, "-m", "runstone", "cancel", "runs/it"], capture_output=True, text=True, check=False
    )
    assert told.returncode == 0, told.stderr
    assert statuses() == ["cancelled"]


def test_what_was_left_behind_is_brought_by_the_next_run_however_short(home: Path) -> None:
    script = home / "job.py"
    script.write_text(
        "from runstone import Pipeline, block\n"
        "@block\ndef one() -> int:\n    return 1\n"
        "Pipeline('single', [one]).run({}, show_progress=False)\n"
    )
    command = [sys.executable, str(script)]
    subprocess.run(command, check=True)
    holder = apsw.Connection(".runstone/ledger.db")
    holder.execute("BEGIN IMMEDIATE")
    held = subprocess.run(command, check=True, capture_output=True, text=True)
    assert "is locked" in held.stderr
    holder.execute("ROLLBACK")
    holder.close()
    assert behind.waiting() == 1
    assert subprocess.run(command, check=True, capture_output=True, text=True).stderr == ""
    assert (statuses(), behind.waiting()) == (["completed"] * 3, 0)

"""What a process may do while its runs go into the ledger: fork, lose its folder, run out of files. Nothing is lost."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from runstone import Pipeline, block
from runstone.core import events as ev
from runstone.errors import LedgerDenied
from runstone.folder.sealed import seal, unseal
from runstone.folder.takeover import take_over
from runstone.ledger import behind, migrations, of_folder, projector
from runstone.ledger.attach import Attachment
from runstone.ledger.check import check
from runstone.ledger.migrations import Migration
from runstone.ledger.opening import open_ledger
from runstone.ledger.place import Place
from runstone.ledger.port import Store
from runstone.ledger.rebuild import rebuild
from runstone.ledger.sync import sync


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A project of its own, with a ledger in its file."""
    (tmp_path / "project" / ".runstone").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "project")
    monkeypatch.setenv("RUNSTONE_LEDGER", str(tmp_path / "project" / ".runstone" / "ledger.db"))
    monkeypatch.setattr(projector, "_projectors", {})
    yield tmp_path / "project"
    for each in projector._projectors.values():
        each.close()


@block
def one() -> int:
    return 1


def run(folder: str) -> str:
    return Pipeline("single", [one]).run({}, run_folder=folder, show_progress=False).status


def own(home: Path) -> Place:
    return Place("sqlite", str(home / ".runstone" / "ledger.db"))


def folders(home: Path) -> list[tuple[str, str]]:
    store = open_ledger(own(home))
    try:
        found = store.rows("SELECT run_folder, status FROM pipeline_run ORDER BY run_key")
        return [(os.path.basename(path), status) for path, status in found]
    finally:
        store.close()


def in_a_child(work: Any) -> int:
    """Fork; returns the child's id. It ends with 0 if the work returns True."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            code = 0 if work() else 2
        finally:
            os._exit(code)
    return child


def test_what_a_forked_child_writes_outlives_its_parents_leave_from_the_ledger(home: Path) -> None:
    assert run("runs/before") == "completed"
    projector.flush()
    told, tell = os.pipe()
    heard, hear = os.pipe()

    def work() -> bool:
        found = open_ledger(own(home))
        found.rows("SELECT count(*) FROM pipeline_run")
        os.write(tell, b"x")
        os.read(heard, 1)
        of_folder.project(found, "runs/later")
        os._exit(0)

    os.environ["RUNSTONE_LEDGER"] = "none"
    run("runs/later")
    child = in_a_child(work)
    os.close(tell)
    assert os.read(told, 1) == b"x"
    # whoever is alone with the file takes its log away
    projector._close_all()
    other = open_ledger(own(home))
    other.close()
    os.write(hear, b"x")
    assert os.waitpid(child, 0)[1] == 0
    assert folders(home) == [("before", "completed"), ("later", "completed")]


def test_a_ledger_that_was_open_when_the_process_was_forked_is_refused_in_the_child(home: Path) -> None:
    store = open_ledger(own(home))

    def work() -> bool:
        with pytest.raises(LedgerDenied, match="was in use when this process was forked"):
            open_ledger(own(home))
        # the work goes on, and a note says what is to be brought
        status = run("runs/child")
        projector.flush()
        return status == "completed" and behind.waiting() == 1

    assert os.waitpid(in_a_child(work), 0)[1] == 0
    store.close()
    assert run("runs/parent") == "completed"
    deadline = time.monotonic() + 10
    while behind.waiting():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    projector.flush()
    assert sorted(folders(home)) == [("child", "completed"), ("parent", "completed")]


def test_a_current_folder_that_is_deleted_ends_nothing(home: Path) -> None:
    elsewhere = home / "elsewhere"
    elsewhere.mkdir()
    os.chdir(elsewhere)

    @block
    def lose() -> int:
        shutil.rmtree(elsewhere)
        time.sleep(0.4)
        return 1

    died: list[Any] = []
    before, threading.excepthook = threading.excepthook, died.append
    try:
        Pipeline("lost", [lose]).run({}, run_folder=str(home / "runs" / "it"), show_progress=False)
        projector.flush()
    finally:
        threading.excepthook = before
        os.chdir(home)
    assert not died
    assert folders(home) == [("it", "completed")]


def test_a_note_is_left_in_the_project_of_the_run_wherever_its_code_goes(home: Path, tmp_path: Path) -> None:
    Path(own(home).address).mkdir()
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()

    @block
    def go() -> int:
        os.chdir(elsewhere)
        return 1

    Pipeline("going", [go]).run({}, show_progress=False)
    projector.flush()
    assert os.listdir(elsewhere) == []
    os.chdir(home)
    assert behind.waiting() == 1


def test_what_was_recorded_before_somebody_listened_comes_as_well(home: Path, store: Store) -> None:
    script = (
        "import os\nfrom runstone import Pipeline, block\n"
        "@block\ndef die() -> int:\n    os.kill(os.getpid(), 9)\n"
        "Pipeline('dying', [die]).run({}, run_folder='runs/it', show_progress=False)\n"
    )
    subprocess.run([sys.executable, "-c", script], env={**os.environ, "RUNSTONE_LEDGER": "none"})
    writer = take_over("runs/it")
    # numbered, and on its way to the folder
    writer.event(ev.Warned, code="early", message="")
    member = Attachment(writer)
    member.project(store)
    writer.event(ev.Warned, code="late", message="")
    member.project(store)
    told = [row[0] for row in store.rows("SELECT seq FROM event ORDER BY seq")]
    assert told == list(range(1, writer.state.seq + 1))
    writer.close()


def test_a_run_that_cannot_be_read_for_now_keeps_its_note(home: Path) -> None:
    os.environ["RUNSTONE_LEDGER"] = "none"
    run("runs/it")
    behind.remember(own(home), "it", str(home / "runs" / "it"))
    store = open_ledger(own(home))
    # the system answers neither that it is there nor that it is not, as it does of a disk that is away
    os.rename("runs", "kept")
    os.symlink("runs", "runs")
    behind.catch_up(store)
    assert behind.waiting() == 1
    os.unlink("runs")
    os.rename("kept", "runs")
    behind.catch_up(store)
    store.close()
    assert behind.waiting() == 0
    assert folders(home) == [("it", "completed")]


def test_several_that_open_an_older_ledger_at_once_all_can(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    older = open_ledger(own(home))
    with older.writing():
        for number in range(2000):
            older.rows("INSERT INTO workspace (name, created_at) VALUES (:name, '2026')", {"name": f"w{number}"})
    older.close()
    ours = migrations.known("sqlite")
    more = Migration(len(ours) + 1, "more", "CREATE TABLE more (x INTEGER) STRICT;", "0" * 64)
    monkeypatch.setattr(migrations, "known", lambda _: [*ours, more])
    together = threading.Barrier(6)

    def open_it(_: int) -> int:
        together.wait()
        store = open_ledger(own(home))
        try:
            return migrations.version(store)
        finally:
            store.close()

    with ThreadPoolExecutor(6) as pool:
        assert list(pool.map(open_it, range(6))) == [len(ours) + 1] * 6
    copies = [name for name in os.listdir(".runstone") if "schema-" in name]
    assert copies
    assert not [name for name in copies if name.endswith(".tmp")]


def test_an_id_that_no_store_can_keep_stops_neither_sync_nor_check_nor_rebuild(home: Path, store: Store) -> None:
    os.environ["RUNSTONE_LEDGER"] = "none"
    for name in ("good", "bad"):
        run(f"runs/{name}")
    said = json.loads(Path("runs/bad/run.json").read_text())
    Path("runs/bad/run.json").write_text(json.dumps({**said, "id": "a\0b"}))
    body = json.loads(unseal(Path("runs/bad/status.json").read_bytes()) or b"")
    Path("runs/bad/status.json").write_bytes(seal(json.dumps({**body, "run_id": "a\0b"}).encode()))
    for _ in range(2):
        report = sync(store)
        assert [os.path.basename(path) for path, _ in report.unreadable.first] == ["bad"]
    found = check(store)
    assert found.equal
    assert found.unreadable.count == 1
    assert rebuild(store).taken == 1


class _LateGuest(set[Any]):
    """Somebody comes just after the thread has looked whether anybody is there."""

    def __init__(self, guest: Any, when: threading.Event) -> None:
        super().__init__()
        self._guest: Any = guest
        self._when = when

    def __bool__(self) -> bool:
        was = len(self) > 0
        if self._guest is not None and self._when.is_set():
            self.add(self._guest)
            self._guest = None
        return was


def test_a_run_that_begins_while_the_thread_falls_asleep_is_brought(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(projector, "_LINGER_TICKS", 1)
    brought = threading.Event()

    class Guest:
        def project(self, store: Store) -> None:
            brought.set()

    each = projector.Projector(own(home), lambda told: None)
    when = threading.Event()
    each._may_be_behind = False
    each._members = _LateGuest(Guest(), when)
    when.set()
    each._rouse()
    assert brought.wait(5)
    each._members.clear()
    each.close()

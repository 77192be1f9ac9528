"""User code that does to its process what no block should: the record stays true, and so does what the run tells."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.durability.test_takeover import wait_for
from tests.harness import verdict
from tests.harness.ground import Ground
from tests.harness.nursery import ROOT
from tests.harness.scene import Scene

WILD = "tests.harness.wild:live"
SIZE = 12
AT = 6


def wild(scene: Scene, what: str, **options: Any) -> dict[str, Any]:
    """What came of a run one element of which does something wild; all of its record is judged."""
    child = scene.spawn(WILD, what=what, **options)
    assert child.died(20), "hangs"
    answer = child.answer()
    if (scene.folder / "run.json").exists():
        ground = Ground(scene.folder)
        wrong = verdict.judge_status(scene.status(), ground) + verdict.judge_ends(ground)
        wrong += [
            each for each in verdict.judge_records(ground, verdict.executed(scene.oracle)) if "failed" not in each
        ]
        assert ground.seqs == list(range(1, len(ground.seqs) + 1))
        assert not wrong, wrong
    return answer


@pytest.mark.parametrize("what", ["pool", "change_folder", "signals", "take_pulse", "recurse_and_save", "threads"])
def test_what_a_block_may_do_does_not_disturb_the_run(scene: Scene, what: str) -> None:
    assert wild(scene, what)["status"] == "completed"
    assert scene.status()["status"] == "completed"


def test_a_relative_run_folder_stays_where_it_was_when_a_block_changes_the_current_folder(scene: Scene) -> None:
    script = f"""
import os
from tests.harness import wild
os.chdir({str(scene.place)!r})
print(wild.live("runs/it", {str(scene.oracle)!r}, what="change_folder")["status"])
"""
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "completed", done.stderr
    assert scene.status()["status"] == "completed"


@pytest.mark.parametrize("what", ["exit_softly", "recurse"])
def test_what_a_block_raises_is_recorded_whatever_it_is(scene: Scene, what: str) -> None:
    assert wild(scene, what)["status"] == "failed"
    status = scene.status()
    assert status["status"] == "failed"
    assert status["errors"][0]["type"] == {"exit_softly": "SystemExit", "recurse": "RecursionError"}[what]
    assert status["errors"][0]["element"] == AT


@pytest.mark.parametrize(("what", "code"), [("exit_hard", 3), ("crash", -signal.SIGSEGV)])
def test_a_block_that_ends_the_process_has_crashed_the_run(scene: Scene, what: str, code: int) -> None:
    child = scene.spawn(WILD, what=what)
    assert child.wait() == code
    assert scene.status()["status"] == "crashed"
    assert Ground(scene.folder).elements["wild"].keys() == set(range(AT))


def test_a_block_that_becomes_another_program_is_silent_until_that_ends(scene: Scene) -> None:
    child = scene.spawn(WILD, what="execute")
    wait_for(scene, "wild", AT)
    deadline = time.monotonic() + 10
    while b"time.sleep(60)" not in Path(f"/proc/{child.pid}/cmdline").read_bytes() and time.monotonic() < deadline:
        time.sleep(0.01)
    # it has the pid and the start of the driver: nothing proves that it is not
    assert scene.status()["status"] == "running"
    child.kill()
    assert scene.status()["status"] == "crashed"


@pytest.mark.parametrize("what", ["fork_and_return", "fork_with_locks"])
def test_a_forked_child_that_returns_from_its_block_cannot_touch_the_record(scene: Scene, what: str) -> None:
    assert wild(scene, what)["status"] == "completed"
    deadline = time.monotonic() + 10
    while not (scene.place / "child").exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert "a forked child cannot record" in (scene.place / "child").read_text()
    assert scene.status()["status"] == "completed"
    assert Ground(scene.folder).elements["wild"].keys() == set(range(SIZE))


def test_a_forked_child_that_outlives_the_run_does_not_end_it_again(scene: Scene) -> None:
    assert wild(scene, "fork_and_linger", at=None)["status"] == "completed"
    before = {path: (path.stat().st_ino, path.stat().st_size) for path in scene.folder.rglob("*")}
    (scene.place / "over").touch()
    deadline = time.monotonic() + 10
    while not (scene.place / "child").exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert "a forked child cannot record" in (scene.place / "child").read_text()
    assert {path: (path.stat().st_ino, path.stat().st_size) for path in scene.folder.rglob("*")} == before


def test_a_forked_child_cannot_save_an_artifact(scene: Scene) -> None:
    assert wild(scene, "fork_and_save") == {"status": "completed", "artifacts": 0}
    assert "a forked child cannot record" in (scene.place / "child").read_text()
    assert not list(scene.folder.glob("artifacts/*"))


def test_a_thread_of_user_code_is_told_that_it_is_in_no_block(scene: Scene) -> None:
    assert wild(scene, "threads") == {"status": "completed", "artifacts": 0}
    told = (scene.place / "told").read_text().splitlines()
    assert len(told) == 8
    assert all("only works inside a block" in line for line in told)


def test_a_block_that_closes_all_files_ends_the_run_and_gets_no_record_into_its_own(scene: Scene) -> None:
    answer = wild(scene, "close_everything")
    assert answer["error"] == "StorageError", answer
    assert scene.status()["status"] == "crashed"
    assert all(path.stat().st_size == 0 for path in scene.place.glob("mine-*"))


def test_a_value_that_leaves_the_interpreter_when_it_is_stored_stops_no_heart(scene: Scene) -> None:
    # it waits in an open chunk, so that the heartbeat is the first to store it
    script = f"""
import threading
from tests.harness import wild
from runstone.engine import collect
collect.CLOSE_SECONDS = 0.05
try:
    wild.live({str(scene.folder)!r}, {str(scene.oracle)!r}, what="unstorable", size=60, at=5, chunk=1000)
finally:
    print([thread.name for thread in threading.enumerate()])
"""
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False)
    assert "runstone-heartbeat" in done.stdout
    assert "Exception in thread" not in done.stderr
    assert scene.status()["status"] in ("failed", "crashed")


@pytest.mark.parametrize("what", ["delete", "move"])
def test_a_run_whose_folder_goes_away_says_so(scene: Scene, what: str) -> None:
    answer = wild(scene, what)
    assert answer["error"] == "StorageError"
    assert "the folder is gone" in answer["message"]
    assert scene.status()["status"] == "missing"
    if what == "move":
        scene.folder = scene.place / "moved" / "it"
        assert scene.status()["status"] == "crashed"


def test_an_interrupt_at_any_moment_cancels_the_run_and_breaks_no_record(scene: Scene) -> None:
    script = f"""
import signal
from tests.harness import mortal
signal.signal(signal.SIGINT, signal.default_int_handler)
try:
    mortal.live({str(scene.folder)!r}, {str(scene.oracle)!r}, pause=0.001)
except KeyboardInterrupt:
    print("interrupted")
"""
    for wait in range(5):
        process = subprocess.Popen([sys.executable, "-c", script], cwd=ROOT, stdout=subprocess.PIPE, text=True)
        wait_for(scene, "split", 1)
        time.sleep(wait * 0.011)
        process.send_signal(signal.SIGINT)
        said, _ = process.communicate(timeout=30)
        ground = Ground(scene.folder)
        wrong = verdict.judge_ends(ground) + verdict.judge_records(ground, verdict.executed(scene.oracle))
        assert not wrong, wrong
        assert ground.seqs == list(range(1, len(ground.seqs) + 1))
        if said:
            assert ground.ended == "cancelled"
            assert scene.status()["status"] == "cancelled"
        else:
            assert ground.ended == "degraded"
        scene.clear()


@pytest.mark.parametrize(("name", "count"), [("split", 3), ("shaky", 7), ("settle", 4), ("cross", 20)])
def test_a_map_that_is_cancelled_in_the_middle_has_not_ended_in_another_way(
    scene: Scene, name: str, count: int
) -> None:
    answer = scene.spawn("tests.harness.mortal:cancel", name=name, count=count).answer()
    assert answer == {"status": "cancelled"}
    assert Ground(scene.folder).blocks()[name] == "cancelled"
    assert scene.judge() == []


def test_a_terminated_process_has_cancelled_its_run(scene: Scene) -> None:
    child = scene.spawn(pipeline="patient", pause=0.05)
    wait_for(scene, "dawdle")
    os.kill(child.pid, signal.SIGTERM)
    assert child.wait() != 0
    found = scene.status()
    assert (found["status"], found["done"], found["message"]) == ("cancelled", True, "its process was sent SIGTERM")
    assert scene.judge() == []

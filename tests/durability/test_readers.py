"""Looking at a run while it is written, ends, dies or is taken over: what is told is always a moment of the truth."""

from __future__ import annotations

import itertools
import os
import signal
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from runstone.folder import checkpoint, clock, identity, look, observe, read
from runstone.folder.takeover import take_over
from tests.durability.test_takeover import killed_in_its_map, wait_for
from tests.harness import verdict
from tests.harness.ground import Ground
from tests.harness.scene import Scene

NEVER_BACK = ("pending", "running", "completed")


def follow(scene: Scene, child: Any) -> list[dict[str, Any]]:
    """Everything that can be seen until the process is dead."""
    seen: list[dict[str, Any]] = []
    while True:
        dead = child.died(0)
        status = scene.status()
        if status["status"] != "missing":
            seen.append(status)
        if dead:
            return seen


def test_what_is_seen_of_a_run_only_grows_and_ends_as_it_ended(scene: Scene) -> None:
    for _ in range(6):
        child = scene.spawn(pipeline="patient", size=150, pause=0.0005, chunk=3, heartbeat=0.02)
        seen = follow(scene, child)
        assert len(seen) > 20
        assert {status["status"] for status in seen} <= {"running", "completed"}, "a run that ends well never crashed"
        for before, after in itertools.pairwise(seen):
            assert before["seq"] <= after["seq"]
            assert before["progress"]["done"] <= after["progress"]["done"]
            assert not (before["done"] and after != before), "what is done does not change"
        assert not any(status["warnings"] for status in seen), "nothing was lost"
        assert seen[-1]["status"] == "completed"
        scene.clear()


def test_a_run_that_ends_between_the_reading_of_its_files_and_the_proof_of_its_death_has_not_crashed(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    child = scene.spawn(pipeline="patient", size=40, pause=0.005, chunk=1, heartbeat=0.02)
    wait_for(scene, "dawdle", 5)
    proof = identity.is_gone

    def late(driver: Any) -> bool | None:
        # as slow as a busy machine may be: until the run is over, and its process with it
        child.wait()
        return proof(driver)

    monkeypatch.setattr(identity, "is_gone", late)
    status = scene.status()
    assert status["status"] in ("running", "completed")
    assert not status["warnings"]


def test_a_run_that_dies_while_its_files_are_read_has_lost_nothing(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    child = scene.spawn(pipeline="patient", size=400, pause=0.002, chunk=1, heartbeat=5.0)
    wait_for(scene, "dawdle", 5)
    names = look.Look.names

    def late(self: look.Look, folder: str) -> list[str]:
        if folder == "outputs":
            # the journal was read; now more is recorded, in packs that are still to be read, and then the process dies
            wait_for(scene, "dawdle", 60)
            child.kill()
        return names(self, folder)

    monkeypatch.setattr(look.Look, "names", late)
    status = scene.status()
    monkeypatch.undo()
    assert status["status"] in ("running", "crashed")
    assert not status["warnings"]
    now = scene.status()
    assert now["status"] == "crashed"
    assert not now["warnings"]
    assert now["seq"] == Ground(scene.folder).seqs[-1]


def test_a_run_that_ends_while_it_is_read_has_all_its_packs(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    child = scene.spawn(fault={"call": 3, "when": "after", "action": "stop", "name": "append_all"})
    assert child.wait_stopped()
    opened = look.Look.open
    journals = itertools.count(1)

    def late(self: look.Look, relative: str) -> int | None:
        # to see who drives it was the first time; now for its events, and by now it has ended
        if relative == "journal/0001.jsonl" and next(journals) == 2:
            child.signal(signal.SIGCONT)
            child.wait()
        return opened(self, relative)

    monkeypatch.setattr(look.Look, "open", late)
    status = scene.status()
    assert next(journals) > 2
    assert (status["status"], status["warnings"]) == ("degraded", [])


def test_looking_changes_nothing(scene: Scene) -> None:
    scene.spawn(fault={"call": 60, "when": "middle"}).wait()

    def everything() -> dict[str, tuple[int, int, int]]:
        found = {path: path.stat() for path in [scene.folder, *scene.folder.rglob("*")]}
        return {str(path): (each.st_size, each.st_mtime_ns, each.st_ino) for path, each in found.items()}

    before = everything()
    for _ in range(3):
        scene.status()
        read.read_run(str(scene.folder))
        verdict.judge_values(scene.folder, Ground(scene.folder), 12)
    assert everything() == before


def test_many_may_look_at_once(scene: Scene) -> None:
    child = scene.spawn(pipeline="patient", size=200, pause=0.002, chunk=2, heartbeat=0.02)
    wait_for(scene, "dawdle")
    wrong: list[str] = []

    def looking() -> None:
        last = 0
        while not child.died(0):
            status = observe.status(str(scene.folder))
            if status["status"] not in ("running", "completed") or status["seq"] < last or status["warnings"]:
                wrong.append(str(status))
            last = status["seq"]

    threads = [threading.Thread(target=looking) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert scene.status()["status"] == "completed"


def test_a_checkpoint_of_a_driver_that_was_taken_over_is_not_believed(scene: Scene) -> None:
    # stopped just before it replaces status.json, taken over, and let go: its checkpoint counts on more than counts
    child = scene.spawn(
        pipeline="patient", size=60, pause=0.002, chunk=1, heartbeat=0.01,
        fault={"call": 4, "when": "before", "action": "stop", "name": "replace"},
    )  # fmt: skip
    assert child.wait_stopped()
    assert scene.spawn("tests.harness.takers:go_on", unproven=True).wait() == 0
    told = scene.status()
    assert (told["status"], told["epoch"]) == ("completed", 2)
    child.signal(signal.SIGCONT)
    assert child.answer()["error"] == "Superseded"
    assert {**scene.status(), "status_source": told["status_source"]} == told


def test_a_checkpoint_that_counts_on_more_than_the_takeover_left_is_not_believed(scene: Scene) -> None:
    # the driver that was taken over went on for a moment: a pack that no takeover knows, and a checkpoint that does
    killed_in_its_map(scene)
    ahead = read.read_run(str(scene.folder))
    take_over(str(scene.folder), unproven=True).close()
    told = scene.status()
    ghost = scene.folder / "outputs" / "seeds.0001.pack"
    ghost.write_bytes(b"nobody counts this")
    ahead.state.seq += 3
    dawdle = ahead.state.blocks["dawdle"]
    dawdle.ok += 3
    dawdle.recorded = [(0, dawdle.ok)]
    dawdle.outputs["slow"].stored += 3
    forged = checkpoint.Checkpoint(
        run_id=ahead.info.id,
        at="2100-01-01T00:00:00Z",
        steady=clock.steady(),
        boot_id=identity.boot_id(),
        lease_seconds=30.0,
        state=ahead.state,
        files=[checkpoint.FileMark(path="outputs/seeds.0001.pack", offset=18, crc=checkpoint.mark(ghost.read_bytes()))],
    )
    (scene.folder / "status.json").write_bytes(checkpoint.encode(forged))
    now = scene.status()
    assert (now["seq"], now["epoch"], now["progress"]) == (told["seq"], told["epoch"], told["progress"])


def test_everything_that_changes_a_run_folder_goes_through_one_module(scene: Scene) -> None:
    report = scene.place / "audit"
    assert (
        scene.nursery.spawn(
            "tests.durability.test_readers:audited",
            folder=str(scene.folder),
            oracle=str(scene.oracle),
            report=str(report),
        ).wait()
        == 0
    )
    assert report.read_text() == ""


def audited(folder: str, oracle: str, report: str) -> None:
    """Note every change of the folder that does not come out of `folder/disk.py`."""
    import sys

    from runstone.folder import disk
    from tests.harness import mortal

    found = open(report, "w")  # noqa: SIM115  # the audit hook stays until the process ends
    writes = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC
    changes = {"os.mkdir", "os.rename", "os.remove", "os.link", "os.rmdir", "os.truncate", "os.symlink", "os.chmod"}

    def audit(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open":
            _, _, flags = arguments
            if not isinstance(flags, int) or not flags & writes:
                return
        elif event not in changes:
            return
        if not any(isinstance(each, str) and each.startswith(folder) for each in arguments):
            return
        frame = sys._getframe(1)
        if Path(frame.f_code.co_filename) != Path(disk.__file__):
            found.write(f"{event} {arguments} in {frame.f_code.co_filename}\n")
            found.flush()

    sys.addaudithook(audit)
    mortal.live(folder, oracle)
    time.sleep(0)

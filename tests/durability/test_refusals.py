"""A disk that refuses: full, at its limit, read-only, broken. The answer is clear, and everything before it is kept."""

from __future__ import annotations

import contextlib
import functools
import inspect
import resource
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from runstone.core import events as ev
from runstone.core.reasons import Reason
from runstone.core.records import BlockInfo, PipelineInfo, RunInfo
from runstone.errors import FolderError
from runstone.folder import clock, observe, writer
from runstone.folder.takeover import take_over
from tests.harness import faults, verdict
from tests.harness.ground import Ground
from tests.harness.scene import Scene, calls_of, command

LIMITED = "tests.durability.test_refusals:limited"
CUT_REFUSED = "tests.durability.test_refusals:cut_refused"


def judged(scene: Scene, answer: dict[str, Any]) -> list[str]:
    """What is wrong about a run whose disk has refused something, when its process is dead."""
    wrong = []
    if answer.get("error") not in (None, "StorageError"):
        wrong.append(f"the run raised {answer}")
    if not (scene.folder / "run.json").exists():
        return wrong
    ground = Ground(scene.folder)
    wrong += verdict.judge_status(scene.status(), ground)
    wrong += verdict.judge_ends(ground)
    wrong += [f"{element} twice" for element in ground.twice()]
    if ground.seqs != list(range(1, len(ground.seqs) + 1)):
        wrong.append(f"the records are not numbered without a gap: {ground.seqs}")
    called = verdict.executed(scene.oracle)
    for name, elements in ground.elements.items():
        wrong += [
            f"{name}[{n}] was not executed" for n, how in elements.items() if how == "ok" and not called[name, n, how]
        ]
    if answer.get("error") and ground.ended not in (None, "crashed", "failed", "degraded"):
        wrong.append(f"the run raised {answer['error']}, and is recorded as {ground.ended}")
    if ground.ended == "crashed" and ground.events("run.ended")[0].fields.get("reason") != "storage":
        wrong.append("no reason is recorded")
    return wrong


@pytest.mark.parametrize("lasting", [False, True], ids=["once", "from then on"])
@pytest.mark.parametrize("error", ["ENOSPC", "EIO"])
def test_whatever_the_disk_refuses_the_record_before_it_is_kept(scene: Scene, error: str, lasting: bool) -> None:
    calls = calls_of(scene)
    for point in faults.points(calls)[:: 2 if error == "ENOSPC" else 4]:
        child = scene.spawn(fault={**point, "action": error, "lasting": lasting})
        assert child.died(20), (point, calls[point["call"] - 1], "hangs")
        answer = child.answer()
        wrong = judged(scene, answer)
        assert not wrong, (point, calls[point["call"] - 1], answer, wrong)
        scene.clear()


def limited(folder: str, oracle: str, size: int) -> dict[str, Any]:
    """A run in a process whose files may not grow beyond a size: writes stop in the middle, at any byte."""
    from tests.harness import mortal

    resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
    return mortal.live(folder, oracle)


def test_a_file_that_may_not_grow_is_cut_back_to_its_last_record(scene: Scene) -> None:
    refused = 0
    for size in [*range(200, 5_000, 333), *range(5_000, 24_000, 1_111)]:
        answer = scene.spawn(LIMITED, size=size).answer()
        refused += answer.get("error") == "StorageError"
        wrong = judged(scene, answer)
        if (scene.folder / "run.json").exists():
            wrong += [f"{name} is torn" for name, torn in Ground(scene.folder).torn.items() if torn]
        assert not wrong, (size, answer, wrong)
        scene.clear()
    assert refused > 10


def test_nothing_is_written_behind_half_a_record_that_cannot_be_taken_back(scene: Scene) -> None:
    refused = 0
    for call in range(4, 9):
        fault = {"name": "append", "call": call, "when": "middle", "action": "EIO"}
        answer = scene.spawn(CUT_REFUSED, fault=fault).answer()
        # on a busy machine more is appended at once, and less often
        refused += answer.get("error") == "StorageError"
        assert judged(scene, answer) == []
        scene.clear()
    assert refused >= 2


def cut_refused(folder: str, oracle: str, fault: dict[str, Any]) -> dict[str, Any]:
    """A run on a disk that writes half a record and then neither the rest nor takes it back."""
    from runstone.folder import disk
    from tests.harness import mortal

    def refuse(descriptor: int, length: int, path: str) -> None:
        raise disk.refused(OSError(5, "EIO"), path)

    disk.cut = refuse
    return mortal.live(folder, oracle, fault=fault)


@contextlib.contextmanager
def small_disk(place: Path, size: int) -> Iterator[Path | None]:
    """A file system of so many bytes; None where this user may not mount one."""
    place.mkdir(parents=True, exist_ok=True)
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size}", "none", str(place)], capture_output=True, check=False
    )
    if mounted.returncode:
        yield None
        return
    try:
        yield place
    finally:
        subprocess.run(["umount", str(place)], check=True)


def test_a_full_disk_is_told_and_what_was_recorded_is_read_and_taken_over(scene: Scene) -> None:
    outcomes: Counter[str] = Counter()
    unsaid = 0
    for size in range(16, 120, 4):
        with small_disk(scene.place / "small", size * 1024) as disk:
            if disk is None:
                # the same, byte by byte, is tried with a limit for files above
                assert scene.spawn(LIMITED, size=3_000).answer()["error"] == "StorageError"
                return
            scene.folder = disk / "run"
            answer = scene.spawn(pause=0.002, heartbeat=0.01).answer()
            wrong = judged(scene, answer)
            assert not wrong, (size, answer, wrong)
            if answer.get("error"):
                assert "the disk is full: free space" in answer["message"]
            outcomes[scene.status()["status"]] += 1
            unsaid += scene.status().get("liveness") == "gone"
            if scene.status()["status"] == "crashed" and not scene.status()["done"]:
                with pytest.raises(FolderError, match="the disk is full"):
                    take_over(str(scene.folder))
        scene.oracle.unlink()
    assert outcomes.keys() == {"missing", "crashed", "degraded"}
    # what is derived gives its room to the end, so that the run itself says what became of it
    assert unsaid < outcomes["crashed"] / 3


def test_a_run_whose_disk_is_full_stops_its_work_soon(scene: Scene) -> None:
    # one mapped block that would go on for ten seconds, and a record of its first elements that does not fit
    fault = {"call": 2, "when": "before", "action": "ENOSPC", "name": "append_all", "lasting": True}
    begun = time.monotonic()
    answer = scene.spawn(pipeline="patient", size=1_000, pause=0.01, chunk=10_000, fault=fault).answer()
    assert answer["error"] == "StorageError"
    assert time.monotonic() - begun < 9
    assert sum(verdict.executed(scene.oracle).values()) < 300
    assert judged(scene, answer) == []


def test_what_cannot_begin_leaves_a_folder_in_which_it_can_begin_later(scene: Scene) -> None:
    calls = calls_of(scene)
    first = next(number for number, (name, path) in enumerate(calls, 1) if (name, path) == ("replace", "run.json"))
    for call in range(1, first + 2):
        answer = scene.spawn(fault={"call": call, "when": "before", "action": "ENOSPC"}).answer()
        assert answer["error"] == "StorageError", call
        assert scene.status()["status"] == "missing"
        assert scene.spawn().answer()["status"] == "degraded", (call, "the second try")
        scene.clear()


def test_of_several_runs_that_begin_in_one_folder_one_does(scene: Scene) -> None:
    for _ in range(5):
        children = [scene.spawn() for _ in range(6)]
        answers = [child.answer() for child in children]
        assert sorted(answer.get("status", answer.get("error")) for answer in answers) == ["InputError"] * 5 + [
            "degraded"
        ]
        assert all("there is a run in" in answer["message"] for answer in answers if "error" in answer)
        assert scene.status()["status"] == "degraded"
        scene.clear()


def test_a_start_that_was_killed_is_no_run_and_its_folder_says_so(scene: Scene) -> None:
    calls = calls_of(scene)
    created = next(number for number, (name, _) in enumerate(calls, 1) if name == "create")
    scene.spawn(fault={"call": created, "when": "after"}).wait()
    assert scene.status()["status"] == "missing"
    answer = scene.spawn().answer()
    assert answer["error"] == "InputError"
    assert "killed" in answer["message"]


@contextlib.contextmanager
def read_only(folder: Path, place: Path) -> Iterator[Path | None]:
    """The same folder at another place, where nothing can be written; None where this user may not mount it."""
    place.mkdir()
    done = subprocess.run(["mount", "--bind", str(folder), str(place)], capture_output=True, check=False)
    if done.returncode:
        yield None
        return
    try:
        subprocess.run(["mount", "-o", "remount,bind,ro", str(place)], check=True)
        yield place
    finally:
        subprocess.run(["umount", str(place)], check=True)


def test_nothing_can_be_recorded_or_taken_over_on_a_read_only_mount_and_everything_read(scene: Scene) -> None:
    scene.spawn(pipeline="patient", chunk=3, fault={"call": 3, "when": "middle", "name": "append_all"}).wait()
    status = scene.status()
    with read_only(scene.folder.parent, scene.place / "fixed") as mounted:
        if mounted is None:
            pytest.skip("this user may not mount")
        there = Scene(scene.nursery, scene.place / "there")
        there.folder = mounted / scene.folder.name
        assert {**there.status(), "run_folder": status["run_folder"]} == status
        code, answer, said = command("status", str(there.folder))
        assert (code, answer) == (0, there.status()), said
        with pytest.raises(FolderError, match="read-only: choose another run_folder"):
            take_over(str(there.folder))
        there.folder = mounted / "another"
        answer = there.spawn().answer()
        assert answer["error"] == "StorageError"
        assert "read-only: choose another run_folder" in answer["message"]
        assert there.status()["status"] == "missing"


def begun_in(folder: Path) -> writer.RunWriter:
    """A run that was begun in this process."""
    info = RunInfo(
        id=folder.name,
        created_at=clock.now(),
        pipeline=PipelineInfo(name="p"),
        blocks=[BlockInfo(name=f"b{each}", outputs=[f"o{each}"]) for each in range(5)],
        params={},
    )
    return writer.begin(str(folder), info, "inline")


def test_a_recursion_limit_hit_in_the_middle_of_a_record_leaves_no_gap(scene: Scene) -> None:
    def at_depth(frames: int, call: Callable[[], Any]) -> None:
        if frames > 0:
            at_depth(frames - 1, call)
        else:
            call()

    interrupted = 0
    for spare in range(2, 40):
        begun = begun_in(scene.place / str(spare))
        record = functools.partial(begun.event, ev.BlockStarted, block="b0")
        with contextlib.suppress(RecursionError):
            at_depth(sys.getrecursionlimit() - len(inspect.stack(0)) - spare, record)
        interrupted += begun.broken is not None
        with contextlib.suppress(FolderError):
            begun.event(ev.Warned, code="after", message="")
            begun.flush()
        begun.close()
        ground = Ground(begun.folder)
        assert ground.seqs == list(range(1, len(ground.seqs) + 1)), spare
        assert observe.status(begun.folder)["seq"] == len(ground.seqs)
    assert interrupted


def test_giving_up_never_waits_for_the_pulse(scene: Scene) -> None:
    for number in range(60):
        begun = begun_in(scene.place / str(number))
        stop = threading.Event()

        def tick(begun: writer.RunWriter = begun, stop: threading.Event = stop) -> None:
            while not stop.is_set():
                with contextlib.suppress(FolderError):
                    begun.tick(clock.steady())

        ticking = threading.Thread(target=tick, daemon=True)
        giving_up = threading.Thread(target=begun.abandon, args=("no room", Reason.STORAGE), daemon=True)
        ticking.start()
        giving_up.start()
        giving_up.join(20)
        stop.set()
        assert not giving_up.is_alive(), "giving up and the pulse wait for each other"
        ticking.join()
        begun.close()


@pytest.mark.parametrize("call", [3, 4], ids=["the last checkpoint", "the manifest"])
def test_a_run_that_has_ended_does_not_fail_for_want_of_what_is_derived(scene: Scene, call: int) -> None:
    fault = {"call": call, "when": "before", "action": "ENOSPC", "name": "replace", "lasting": True}
    answer = scene.spawn(heartbeat=60.0, fault=fault).answer()
    assert answer["status"] == "degraded"
    assert scene.status()["status"] == "degraded"
    assert scene.judge() == []

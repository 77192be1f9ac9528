"""Alive, silent, dead: what is said about a process must be proven, and silence is no proof."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import pytest

from runstone.folder import identity
from tests.durability.test_takeover import wait_for
from tests.harness.ground import line
from tests.harness.nursery import ROOT, Child, state_of
from tests.harness.scene import COMMAND, Scene, command


def unshare(*more: str) -> tuple[str, ...]:
    """The command that starts another in a pid namespace of its own, as far as this user may; else skips."""
    for user in ((), ("--user", "--map-root-user")):
        prefix = ("unshare", *user, "--pid", "--fork", *more)
        if (
            shutil.which("unshare")
            and subprocess.run([*prefix, "true"], capture_output=True, check=False).returncode == 0
        ):
            return prefix
    pytest.skip("this user may not make pid namespaces")


def watch(scene: Scene, seconds: float, until: Callable[[], bool] = lambda: False) -> list[dict[str, Any]]:
    """Look all the time, for some seconds."""
    seen = []
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and not until():
        seen.append(scene.status())
        time.sleep(0.01)
    return seen


def stopped_for(scene: Scene, child: Child, seconds: float) -> list[dict[str, Any]]:
    """Stop a process, look for some seconds, let it go on."""
    child.signal(signal.SIGSTOP)
    assert child.wait_stopped()
    seen = watch(scene, seconds)
    child.signal(signal.SIGCONT)
    return seen


def test_a_stopped_driver_is_silent_then_lost_and_never_dead_and_goes_on(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runstone.folder.liveness.STALE_SECONDS", 0.4)
    child = scene.spawn(pipeline="patient", size=30, pause=0.02, lease=1.0, heartbeat=0.05)
    wait_for(scene, "dawdle", 10)
    time.sleep(0.1)
    seen = stopped_for(scene, child, 1.8)
    assert {status["status"] for status in seen} == {"running"}
    assert list(dict.fromkeys(status["liveness"] for status in seen)) == ["live", "stale", "lost"]
    assert seen[-1]["stale"]
    assert child.answer()["status"] == "completed"
    assert scene.judge(size=30) == []


@pytest.mark.parametrize("how", ["sleep", "power", "match"])
def test_a_block_that_holds_the_interpreter_is_never_called_dead(scene: Scene, how: str) -> None:
    child = scene.spawn("tests.harness.mortal:hold", seconds=2.0, lease=0.6, how=how)
    wait_for(scene, "seeds")
    seen = watch(scene, 30, until=lambda: child.died(0))
    words = {status["status"] for status in seen}
    assert words <= {"running", "completed"}, words
    if how == "sleep":
        assert "lost" in {status["liveness"] for status in seen}
    assert child.answer() == {"status": "completed"}


def test_a_killed_process_has_crashed_at_once_also_as_a_zombie_and_after(scene: Scene) -> None:
    child = scene.spawn(pipeline="patient", pause=0.05)
    wait_for(scene, "dawdle")
    assert scene.status()["status"] == "running"
    child.signal(signal.SIGKILL)
    assert child.died(5)
    begun = time.perf_counter()
    assert state_of(child.pid) == "Z"
    assert scene.status()["status"] == "crashed"
    assert time.perf_counter() - begun < 5
    child.wait()
    assert state_of(child.pid) == ""
    status = scene.status()
    assert (status["status"], status["recorded_status"], status["liveness"]) == ("crashed", "running", "gone")
    assert (status["done"], status["resumable"], status["reason"]) == (False, True, "driver_gone")
    assert str(child.pid) in status["message"]


def test_a_run_whose_process_lives_but_is_another_one_has_crashed(scene: Scene) -> None:
    # the pid was used again: same number, another start
    leave_dead(scene)
    own = identity.this_process()
    alter(scene, pid=own.pid, start_ticks=own.start_ticks + 1)
    assert scene.status()["status"] == "crashed"
    alter(scene, pid=own.pid, start_ticks=own.start_ticks)
    assert scene.status()["status"] == "running"


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"boot_id": "another"}, "crashed"),
        ({"boot_id": "another", "machine_id": "another"}, "running"),
        ({"boot_id": "another", "machine_id": ""}, "running"),
        ({"boot_id": "another", "host": "another"}, "running"),
        ({"boot_id": ""}, "running"),
        ({"pid_namespace": 1}, "running"),
        ({"pid_namespace": 0}, "running"),
        ({"host": "another"}, "crashed"),
        ({"journal_inode": 1}, "running"),
        ({"journal_device": 1}, "running"),
        ({"pid": 0, "start_ticks": 1}, "running"),
        ({"pid": -1}, "running"),
        ({"pid": 2**40}, "running"),
        ({"start_ticks": -1}, "crashed"),
    ],
)
def test_death_is_proven_for_this_boot_and_namespace_or_an_earlier_boot_and_not_otherwise(
    scene: Scene, changes: dict[str, Any], status: str
) -> None:
    leave_dead(scene)
    assert scene.status()["status"] == "crashed"
    alter(scene, **changes)
    found = scene.status()
    assert found["status"] == status
    assert found["liveness"] == ("gone" if status == "crashed" else found["liveness"])
    assert found["liveness"] in (["gone"] if status == "crashed" else ["live", "stale", "lost"])


def leave_dead(scene: Scene) -> None:
    """A run that was killed in the middle, without a checkpoint."""
    fault = {"call": 3, "when": "middle", "name": "append_all"}
    assert scene.spawn(pipeline="patient", chunk=3, fault=fault).wait() == -signal.SIGKILL
    (scene.folder / "status.json").unlink(missing_ok=True)


def alter(scene: Scene, **changes: Any) -> None:
    """Change who the journal says its writer is; the file stays the same file."""
    journal = scene.folder / "journal" / "0001.jsonl"
    first, *rest = journal.read_bytes().splitlines(keepends=True)
    fields = json.loads(first)
    del fields["crc"]
    fields["driver"].update(changes)
    journal.write_bytes(b"".join([line(fields), *rest]))


def test_a_reader_in_another_pid_namespace_calls_nobody_dead(scene: Scene) -> None:
    namespace = unshare("--mount-proc")
    child = scene.spawn(pipeline="patient", size=400, pause=0.02, heartbeat=0.1)
    wait_for(scene, "dawdle")
    code, status, said = command("status", str(scene.folder), prefix=namespace)
    assert code == 0, said
    assert (status["status"], status["liveness"]) == ("running", "live")
    child.kill()
    assert scene.status()["status"] == "crashed"
    code, status, said = command("status", str(scene.folder), prefix=namespace)
    assert code == 0, said
    assert status["status"] == "running"
    assert status["liveness"] in ("live", "stale", "lost")


@pytest.mark.parametrize("proc", [(), ("--mount-proc",)], ids=["the outer /proc", "its own /proc"])
def test_a_driver_in_a_pid_namespace_is_known_there_as_what_it_is(scene: Scene, proc: tuple[str, ...]) -> None:
    # with the outer /proc, its own number means some other process there, whose life says nothing
    script = f"""
import os, signal, subprocess, sys, time
from runstone.folder import observe
pid = os.fork()
if pid == 0:
    from tests.harness import mortal
    mortal.live({str(scene.folder)!r}, {str(scene.oracle)!r}, pipeline="patient", size=400, pause=0.02)
    os._exit(0)
deadline = time.monotonic() + 30
while observe.status({str(scene.folder)!r})["status"] != "running" and time.monotonic() < deadline:
    time.sleep(0.01)
print(observe.status({str(scene.folder)!r})["status"])
os.kill(pid, signal.SIGKILL)
os.waitpid(pid, 0)
print(observe.status({str(scene.folder)!r})["status"])
"""
    done = subprocess.run(
        [*unshare(*proc), sys.executable, "-c", script],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stdout.split() == ["running", "crashed"], done.stderr


def test_a_copy_of_a_live_run_is_neither_live_nor_dead_whatever_its_original_does(scene: Scene) -> None:
    child = scene.spawn(pipeline="patient", size=400, pause=0.02, heartbeat=0.05)
    wait_for(scene, "dawdle", 20)
    copy = Scene(scene.nursery, scene.place / "copied")
    # files that the driver is just about to rename go away while they are copied
    shutil.copytree(scene.folder, copy.folder, ignore=shutil.ignore_patterns("*.tmp"))
    for _ in range(2):
        status = copy.status()
        assert (status["status"], status["liveness"]) == ("running", "lost")
        assert "copy" in status["message"]
        assert not status["done"]
        child.kill()
    assert scene.status()["status"] == "crashed"


def test_a_run_on_another_clock_is_not_dead(scene: Scene) -> None:
    # the time of day is set back by an hour in the middle, then set forward by two
    script = f"""
import time
from tests.harness import mortal
from runstone.folder import clock
real, begun = time.time_ns, time.monotonic()
clock.time.time_ns = lambda: real() + (0, -3600, 7200)[int((time.monotonic() - begun) / 0.15) % 3] * 10**9
print(mortal.live({str(scene.folder)!r}, {str(scene.oracle)!r}, pipeline="patient", size=60, pause=0.01)["status"])
"""
    process = subprocess.Popen([sys.executable, "-c", script], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    wait_for(scene, "dawdle")
    seen = watch(scene, 30, until=lambda: process.poll() is not None)
    assert {status["status"] for status in seen} <= {"running", "completed"}
    assert {status["liveness"] for status in seen} <= {"live", "ended"}
    assert process.communicate()[0].strip() == "completed"
    status = scene.status()
    assert status["status"] == "completed"
    assert status["duration_seconds"] >= 0


def test_watch_ends_when_the_run_dies_and_says_so(scene: Scene) -> None:
    child = scene.spawn(pipeline="patient", size=400, pause=0.02)
    wait_for(scene, "dawdle")
    watching = subprocess.Popen(
        [*COMMAND, "watch", str(scene.folder), "--interval", "0.1", "--timeout", "30"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert watching.stdout is not None
    assert json.loads(watching.stdout.readline())["status"] == "running"
    child.kill()
    rest, _ = watching.communicate(timeout=20)
    assert json.loads(rest.splitlines()[-1])["status"] == "crashed"
    assert watching.returncode == 1

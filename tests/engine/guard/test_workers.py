"""What a worker finds around itself, and what is told of its death."""

from __future__ import annotations

import json
import os
import resource
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

from runstone.engine.guard.changes import Died
from runstone.engine.guard.client import Guard
from runstone.engine.guard.start import interpreter_flags
from tests.engine.guard.conftest import PATIENCE, Scene, descriptors, none_are_left, wait_until


def surroundings(scene: Scene, **named: Any) -> dict[str, Any]:
    child = scene.guard.spawn("tests.engine.guard.deeds:surroundings", "look around", **named)
    child.channel.settimeout(PATIENCE)
    text = b""
    while not text.endswith(b"\n"):
        said = child.channel.recv(1 << 20)
        assert said
        text += said
    (died,) = scene.hear()
    assert isinstance(died, Died)
    assert died.exit_code == 0
    return {**json.loads(text), "pid": child.pid}


def test_a_worker_is_where_its_driver_is_now(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    surroundings(scene)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SET_LATER", "yes")
    monkeypatch.syspath_prepend("/set/later")
    monkeypatch.setattr(sys, "argv", ["script.py", "--deep"])
    capfd.readouterr()
    found = surroundings(scene)
    assert found["cwd"] == str(tmp_path)
    assert found["environ"]["SET_LATER"] == "yes"
    assert found["environ"]["RUNSTONE_POOL"]
    assert "RUNSTONE_POOL" not in os.environ
    assert found["path"] == sys.path
    assert found["argv"] == ["script.py", "--deep"]
    assert capfd.readouterr().out == "printed by a worker\n"


def test_a_worker_has_nothing_that_is_not_its_own(scene: Scene) -> None:
    read, write = os.pipe()
    os.set_inheritable(write, True)
    found = surroundings(scene, extra_fds=[write])
    assert found["descriptors"] == [0, 1, 2, found["channel"], *found["extra"]]
    assert len(found["extra"]) == 1
    assert found["stdin"] == os.devnull
    assert found["main"] == []
    assert found["main_file"] is None
    assert found["threads"] == 1
    os.close(read)
    os.close(write)


def test_what_the_driver_has_open_for_its_children_is_not_the_guards(monkeypatch: pytest.MonkeyPatch) -> None:
    read, write = os.pipe()
    os.set_inheritable(write, True)
    guard = Guard([])
    os.close(write)
    os.set_blocking(read, False)

    def closed() -> bool:
        try:
            return os.read(read, 1) == b""
        except BlockingIOError:
            return False

    wait_until(closed)
    guard.close()
    os.close(read)


def test_an_extra_descriptor_can_be_used(scene: Scene) -> None:
    read, write = os.pipe()
    scene.guard.spawn("tests.engine.guard.deeds:write_to_extra", "writer", extra_fds=[write])
    os.close(write)
    assert os.read(read, 100) == b"through an extra descriptor"
    os.close(read)


def test_signals_and_dice_are_its_own(scene: Scene) -> None:
    found = [surroundings(scene) for _ in range(2)]
    for one in found:
        assert one["interrupt"]
        assert one["terminate"]
        assert one["blocked"] == []
        assert one["session"] == scene.guard.pid
        assert one["group"] == one["pid"]
    assert found[0]["random"] != found[1]["random"]


def test_a_worker_starts_in_a_directory_that_was_deleted(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    place = tmp_path / "gone"
    place.mkdir()
    monkeypatch.chdir(place)
    place.rmdir()
    child = scene.spawn("echo")
    child.channel.sendall(b"here")
    assert child.channel.recv(10) == b"here"


def test_the_flags_of_the_interpreter_are_passed_on() -> None:
    import subprocess

    code = "from runstone.engine.guard.start import interpreter_flags; print(*interpreter_flags())"
    flags = ["-O", "-s", "-W", "error", "-X", "utf8=1", "-X", "faulthandler"]
    environ = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    done = subprocess.run([sys.executable, *flags, "-c", code], env=environ, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["-s", "-O", "-Werror", "-X", "utf8=1", "-X", "faulthandler"]
    assert all(isinstance(flag, str) for flag in interpreter_flags())


@pytest.mark.parametrize(("deed", "code"), [("leave", 0), ("exit_with_three", 3), ("fail", 1)])
def test_the_exit_code_is_told(scene: Scene, capfd: pytest.CaptureFixture[str], deed: str, code: int) -> None:
    scene.spawn(deed, begun=None)
    (died,) = scene.hear()
    assert isinstance(died, Died)
    assert (died.exit_code, died.signal) == (code, None)
    assert ("this worker is meant to fail" in capfd.readouterr().err) == (deed == "fail")


def test_a_function_that_does_not_exist_is_a_failed_worker(scene: Scene, capfd: pytest.CaptureFixture[str]) -> None:
    scene.guard.spawn("tests.engine.guard.deeds:nothing_here", "nothing")
    (died,) = scene.hear()
    assert died.exit_code == 1
    assert "nothing_here" in capfd.readouterr().err


def test_memory_and_cpu_of_a_worker_are_told(scene: Scene) -> None:
    scene.spawn("work_hard")
    (died,) = scene.hear()
    assert 0.2 <= died.cpu_seconds < 2
    assert 80 << 20 <= died.peak_memory < 300 << 20
    scene.spawn("leave")
    (died,) = scene.hear()
    assert died.peak_memory < 80 << 20


def test_who_was_killed_by_somebody_else_did_not_run_out_of_memory(scene: Scene) -> None:
    child = scene.spawn("echo")
    os.kill(scene.pid(child), signal.SIGKILL)
    (died,) = scene.hear()
    assert died.signal == signal.SIGKILL
    assert died.out_of_memory is None


def test_two_hundred_workers_leave_no_descriptor_and_no_zombie(scene: Scene) -> None:
    def one(number: int) -> None:
        child = scene.spawn("echo")
        if number % 2:
            os.kill(scene.pid(child), signal.SIGKILL)
        child.channel.close()
        (died,) = scene.hear()
        assert died.child is child

    one(0)
    here = descriptors()
    there = len(os.listdir(f"/proc/{scene.guard.pid}/fd"))
    for number in range(200):
        one(number)
    none_are_left(here)
    assert len(os.listdir(f"/proc/{scene.guard.pid}/fd")) == there
    assert Path(f"/proc/{scene.guard.pid}/task/{scene.guard.pid}/children").read_text() == ""


def test_a_driver_without_descriptors_is_told_and_loses_none(scene: Scene) -> None:
    before = descriptors()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    taken = []
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (before + 20, hard))
        try:
            while True:
                taken.append(os.dup(0))
        except OSError:
            pass
        # room for a part of what a guard needs
        for _ in range(4):
            with pytest.raises(OSError, match="Too many open files"):
                Guard([])
            os.close(taken.pop())
        taken += [os.dup(0) for _ in range(4)]
        # room for the line to the worker, and for not all that is sent beside it
        for _ in range(5):
            with pytest.raises(OSError, match="Too many open files"):
                scene.guard.spawn("tests.engine.guard.deeds:echo", "one too many")
            os.close(taken.pop())
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        for number in taken:
            os.close(number)
    none_are_left(before)
    scene.spawn("leave")


def test_a_guard_without_descriptors_says_so(scene: Scene) -> None:
    child = scene.spawn("echo")
    # three outputs, control, a pipe for signals, the driver; what it was sent for the worker is closed again
    wait_until(lambda: len(os.listdir(f"/proc/{scene.guard.pid}/fd")) == 7)
    highest = max(int(name) for name in os.listdir(f"/proc/{scene.guard.pid}/fd"))
    soft, hard = resource.prlimit(scene.guard.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(scene.guard.pid, resource.RLIMIT_NOFILE, (highest + 2, hard))
    scene.spawn("echo", begun=None)
    (died,) = scene.hear()
    assert (died.exit_code, died.signal) == (None, None)
    assert "file descriptor" in died.problem
    resource.prlimit(scene.guard.pid, resource.RLIMIT_NOFILE, (soft, hard))
    scene.spawn("leave")
    child.channel.sendall(b"well")
    assert child.channel.recv(10) == b"well"

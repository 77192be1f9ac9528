"""When the driver or the guard dies, nothing survives it."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from runstone.engine import pool
from runstone.engine.guard import processes
from runstone.engine.guard.changes import GuardLost
from runstone.engine.guard.client import Guard
from runstone.engine.guard.endings import PATIENCE
from tests.engine.guard.conftest import Scene, descriptors, none_are_left, wait_until

ROOT = Path(__file__).parent.parent.parent.parent
ENOUGH = ["spin_in_c", "ignore_terminate", "have_children", "start_a_daemon", "start_a_daemon_without_environment"]


class Drivers:
    """Driver processes and what they have started, known by a name in their environment."""

    def __init__(self) -> None:
        self.name = f"GUARD_SCENE={os.urandom(8).hex()}"

    def start(self, how: str, *deeds: str) -> tuple[subprocess.Popen[bytes], int]:
        """A driver whose workers have begun, and the pid of its guard."""
        key, value = self.name.split("=")
        driver = subprocess.Popen(
            [sys.executable, "-m", "tests.engine.guard.a_driver", how, *deeds],
            env={**os.environ, key: value},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT if how == "importing" else None,
            cwd=ROOT,
        )
        assert driver.stdout is not None
        with driver.stdout:
            return driver, int(driver.stdout.readline())

    def alive(self) -> list[int]:
        """All that live."""
        name = self.name.encode()
        return [one.pid for one in processes.everyone() if one.alive and name in processes.environment(one.pid)]


@pytest.fixture
def drivers() -> Iterator[Drivers]:
    drivers = Drivers()
    yield drivers
    for pid in drivers.alive():
        os.kill(pid, signal.SIGKILL)


def below(pid: int) -> list[int]:
    from runstone.engine.guard.trees import descendants

    return [process.pid for process in descendants(pid)]


def alive(pids: list[int]) -> list[int]:
    found = [processes.look(pid) for pid in pids]
    return [process.pid for process in found if process and process.alive]


def test_nothing_lives_two_seconds_after_the_driver_was_killed(drivers: Drivers) -> None:
    driver, guard = drivers.start("waiting", *ENOUGH)
    pids = [guard, *below(guard)]
    assert len(pids) == 1 + len(ENOUGH) + 4
    driver.kill()
    wait_until(lambda: not alive(pids) and not drivers.alive(), 2.0)
    driver.wait()


def test_nothing_lives_after_a_driver_that_was_killed_while_it_asked_for_workers(drivers: Drivers) -> None:
    driver, guard = drivers.start("spawning")
    wait_until(lambda: len(below(guard)) > 15)
    driver.kill()
    wait_until(lambda: not drivers.alive(), 2.0)
    driver.wait()


def test_nothing_lives_after_a_driver_that_was_killed_under_a_fork_bomb(drivers: Drivers) -> None:
    driver, _ = drivers.start("waiting", "bomb")
    wait_until(lambda: len(drivers.alive()) > 100)
    driver.kill()
    # it competes with a hundred busy processes for the processor, so this takes longer than the 2 s of anything sane
    wait_until(lambda: not drivers.alive(), 10.0)
    driver.wait()


def test_a_guard_that_is_still_importing_ends_with_its_driver(drivers: Drivers) -> None:
    driver, guard = drivers.start("importing")
    driver.kill()
    wait_until(lambda: guard not in drivers.alive(), 2.0)
    driver.wait()


def test_a_driver_that_just_ends_leaves_nothing(drivers: Drivers) -> None:
    driver, _ = drivers.start("leaving", *ENOUGH)
    assert driver.wait(10) == 0
    wait_until(lambda: not drivers.alive(), 2.0)


def test_a_forked_copy_of_the_driver_does_not_keep_the_workers_alive(drivers: Drivers) -> None:
    driver, guard = drivers.start("copied", "ignore_terminate")
    driver.kill()
    wait_until(lambda: guard not in drivers.alive(), 2.0)
    # the copy itself is none of the guard's affairs
    assert len(drivers.alive()) == 1
    driver.wait()


def test_a_signal_of_the_terminal_does_not_reach_the_workers(drivers: Drivers) -> None:
    driver, guard = drivers.start("waiting", "echo")
    (worker,) = below(guard)
    assert os.getsid(worker) == os.getsid(guard) == guard != os.getsid(driver.pid)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        os.kill(guard, number)
    os.kill(worker, signal.SIGINT)
    driver.kill()
    driver.wait()
    wait_until(lambda: not drivers.alive(), 2.0)


def test_when_the_guard_was_killed_its_workers_are_dead_before_that_is_told(scene: Scene) -> None:
    child, pids = scene.spawn_with_pids("have_children", 2)
    _, daemon = scene.spawn_with_pids("start_a_daemon")
    scene.spawn("spin_in_c")
    pids += [scene.pid(child), *daemon]
    before = alive(pids)
    assert len(before) == 4
    os.kill(scene.guard.pid, signal.SIGKILL)
    (lost,) = scene.hear()
    assert isinstance(lost, GuardLost)
    assert scene.alive() == []
    assert lost.receipt.finished
    told = {process.pid: process for process in lost.receipt.processes}
    assert daemon[0] in told
    assert all(process.dead_at for process in told.values())
    assert scene.guard.poll() == []


def test_workers_die_with_their_guard_even_if_the_driver_does_nothing(scene: Scene) -> None:
    workers = [scene.pid(scene.spawn(deed)) for deed in ("spin_in_c", "ignore_terminate", "echo")]
    os.kill(scene.guard.pid, signal.SIGKILL)
    wait_until(lambda: not alive(workers), 2.0)


def test_when_the_guard_was_killed_under_a_fork_bomb_nothing_survives(scene: Scene) -> None:
    scene.spawn("bomb")
    wait_until(lambda: len(scene.alive()) > 100)
    os.kill(scene.guard.pid, signal.SIGKILL)
    (lost,) = scene.hear()
    assert lost.receipt.finished
    assert scene.alive() == []


def test_a_driver_without_descriptors_still_finds_what_a_dead_guard_has_left(scene: Scene) -> None:
    scene.spawn_with_pids("start_a_daemon")
    taken = []
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (descriptors() + 20, hard))
        try:
            while True:
                taken.append(os.dup(0))
        except OSError:
            pass
        os.kill(scene.guard.pid, signal.SIGKILL)
        (lost,) = scene.hear()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        for number in taken:
            os.close(number)
    assert isinstance(lost, GuardLost)
    assert lost.receipt.finished
    assert scene.alive() == []


def test_a_lost_guard_is_told_even_if_nothing_was_ever_asked_of_it() -> None:
    # what other tests have left to its own threads opens and closes descriptors meanwhile
    pool.shared().close()
    before = descriptors()
    guard = Guard([])
    os.kill(guard.pid, signal.SIGKILL)
    changes = []
    wait_until(lambda: bool(changes.extend(guard.poll()) or changes))
    assert isinstance(changes[0], GuardLost)
    guard.spawn("tests.engine.guard.deeds:echo", "too late").channel.close()
    guard.close()
    guard.close()
    none_are_left(before)
    assert processes.look(guard.pid) is None


def test_a_guard_that_was_stopped_is_replaced(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runstone.engine.guard.client.PATIENCE", 0.2)
    child = scene.spawn("ignore_terminate")
    os.kill(scene.guard.pid, signal.SIGSTOP)
    assert scene.guard.look_at is None
    scene.guard.end(child, grace=0.1)
    assert scene.guard.look_at is not None
    wait_until(lambda: time.monotonic() > (scene.guard.look_at or 0))
    (lost,) = scene.guard.poll()
    assert isinstance(lost, GuardLost)
    assert scene.alive() == []


def test_closing_ends_all_within_the_grace(scene: Scene) -> None:
    scene.spawn("ignore_terminate")
    scene.spawn("echo")
    scene.spawn_with_pids("start_a_daemon")
    began = time.monotonic()
    scene.guard.close(0.3)
    assert 0.3 <= time.monotonic() - began < 0.3 + PATIENCE
    assert scene.alive() == []
    assert processes.look(scene.guard.pid) is None


def test_closing_a_guard_that_was_stopped_takes_bounded_time(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runstone.engine.guard.client.PATIENCE", 0.2)
    scene.spawn("ignore_terminate")
    os.kill(scene.guard.pid, signal.SIGSTOP)
    scene.guard.close(0.1)
    assert scene.alive() == []


def test_a_forked_copy_that_closes_the_guard_ends_nothing(scene: Scene) -> None:
    child = scene.spawn("echo")
    pid = os.fork()
    if pid == 0:
        scene.guard.close()
        os._exit(0)
    os.waitpid(pid, 0)
    child.channel.sendall(b"well")
    assert child.channel.recv(10) == b"well"

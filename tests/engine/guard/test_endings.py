"""Ending a worker leaves nothing of it, whatever it does against it."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from runstone.core.receipts import EndedProcess
from runstone.engine.guard import processes
from runstone.engine.guard.changes import Died
from runstone.engine.guard.endings import PATIENCE
from tests.engine.guard.conftest import Scene, wait_until


def names(process: EndedProcess) -> list[str]:
    return [sent.name for sent in process.signals]


def alive(pid: int) -> bool:
    process = processes.look(pid)
    return process is not None and process.alive


def test_who_obeys_is_only_asked(scene: Scene) -> None:
    child = scene.spawn("echo", "simulate 3")
    died, ended, seconds = scene.end(child, grace=20.0, reason="cancelled")
    assert died.signal == signal.SIGTERM
    assert died.exit_code is None
    (process,) = ended.receipt.processes
    assert process.pid == child.pid
    assert process.parent == scene.guard.pid
    assert process.name == "simulate 3"
    assert names(process) == ["SIGTERM"]
    assert process.dead_at is not None
    assert ended.receipt.asked_at <= process.signals[0].at <= process.dead_at
    assert ended.receipt.reason == "cancelled"
    assert ended.receipt.finished
    assert seconds < 10


@pytest.mark.parametrize("deed", ["spin_in_c", "ignore_terminate", "lose_the_first_thread"])
def test_who_does_not_obey_is_killed_after_the_grace(scene: Scene, deed: str) -> None:
    child = scene.spawn(deed)
    died, ended, seconds = scene.end(child, grace=0.3)
    assert died.signal == signal.SIGKILL
    assert died.out_of_memory is None
    (process,) = ended.receipt.processes
    assert names(process) == ["SIGTERM", "SIGSTOP", "SIGKILL"]
    assert 0.3 <= seconds < 0.3 + PATIENCE
    assert scene.alone()


def test_no_grace_kills_at_once(scene: Scene) -> None:
    child = scene.spawn("echo")
    died, ended, _ = scene.end(child, grace=0.0)
    assert died.signal == signal.SIGKILL
    assert "SIGTERM" not in names(ended.receipt.processes[0])


@pytest.mark.parametrize("deed", ["start_a_daemon", "start_a_daemon_without_environment"])
def test_a_daemon_that_has_left_the_session_is_found_in_the_tree(scene: Scene, deed: str) -> None:
    child, (daemon,) = scene.spawn_with_pids(deed)
    died, ended, seconds = scene.end(child, grace=0.3)
    assert died.signal == signal.SIGTERM
    told = {process.pid: process for process in ended.receipt.processes}
    assert names(told[daemon]) == ["SIGTERM", "SIGSTOP", "SIGKILL"]
    assert told[daemon].dead_at is not None
    assert not alive(daemon)
    assert seconds < 0.3 + PATIENCE


def test_children_are_asked_too_and_each_signal_is_told(scene: Scene) -> None:
    child, (polite, deaf) = scene.spawn_with_pids("have_children", 2)
    _, ended, _ = scene.end(child, grace=0.3)
    told = {process.pid: process for process in ended.receipt.processes}
    assert set(told) == {child.pid, polite, deaf}
    assert told[polite].parent == told[deaf].parent == child.pid
    assert "time.sleep" in told[polite].name
    assert names(told[polite]) == ["SIGTERM"]
    assert names(told[deaf])[-1] == "SIGKILL"
    assert scene.alone()


def test_what_a_dead_worker_leaves_behind_is_killed_before_its_death_is_told(scene: Scene) -> None:
    child, (daemon,) = scene.spawn_with_pids("start_a_daemon_and_leave")
    (died,) = scene.hear()
    assert isinstance(died, Died)
    assert died.child is child
    assert died.exit_code == 0
    assert not alive(daemon)


def test_what_a_killed_worker_leaves_behind_is_killed_while_others_are_being_ended(scene: Scene) -> None:
    slow = scene.spawn("ignore_terminate")
    child, pids = scene.spawn_with_pids("have_children", 2)
    scene.guard.end(slow, grace=20.0)
    os.kill(scene.pid(child), signal.SIGKILL)
    began = time.monotonic()
    (died,) = scene.hear()
    assert isinstance(died, Died)
    assert died.child is child
    assert died.signal == signal.SIGKILL
    assert not any(map(alive, pids))
    assert time.monotonic() - began < 20
    assert alive(scene.pid(slow))


def test_processes_that_fork_and_fork_come_to_an_end(scene: Scene) -> None:
    child = scene.spawn("bomb")
    wait_until(lambda: len(scene.alive()) > 100)
    _, ended, seconds = scene.end(child, grace=0.2)
    assert ended.receipt.finished
    assert len(ended.receipt.processes) == 50
    assert ended.receipt.omitted > 50
    assert seconds < 30
    assert scene.alone()


def test_what_forks_and_forks_does_not_survive_the_death_of_its_worker(scene: Scene) -> None:
    child = scene.spawn("bomb")
    wait_until(lambda: len(scene.alive()) > 100)
    os.kill(scene.pid(child), signal.SIGKILL)
    scene.hear()
    wait_until(scene.alone, 2.0)


def test_a_stopped_worker_is_ended(scene: Scene) -> None:
    child = scene.spawn("echo")
    os.kill(scene.pid(child), signal.SIGSTOP)
    wait_until(lambda: " (rs echo) T " in Path(f"/proc/{child.pid}/stat").read_text())
    died, ended, _ = scene.end(child, grace=0.2)
    assert died.signal == signal.SIGKILL
    assert ended.receipt.finished


def test_asking_again_can_only_shorten_the_grace(scene: Scene) -> None:
    child = scene.spawn("ignore_terminate")
    scene.guard.end(child, grace=0.5)
    scene.guard.end(child, grace=60.0)
    began = time.monotonic()
    scene.hear(2)
    assert time.monotonic() - began < 10
    other = scene.spawn("ignore_terminate")
    scene.guard.end(other, grace=60.0)
    scene.guard.end(other, grace=0.0)
    scene.hear(2)


def test_ending_what_is_dead_already_is_told_as_ended(scene: Scene) -> None:
    child = scene.spawn("leave")
    scene.hear()
    scene.guard.end(child, grace=5.0, reason="late")
    (ended,) = scene.hear()
    assert ended.receipt.finished
    assert ended.receipt.processes == []


def test_a_guard_inside_of_a_worker_ends_with_it(scene: Scene) -> None:
    child = scene.spawn("guard_of_its_own")
    assert len(scene.alive()) == 4
    scene.end(child, grace=0.2)
    assert scene.alone()


def test_a_worker_that_kills_its_group_kills_only_itself(scene: Scene) -> None:
    other = scene.spawn("echo")
    child = scene.spawn("kill_the_group")
    (died,) = scene.hear()
    assert died.child is child
    other.channel.sendall(b"still here")
    assert other.channel.recv(100) == b"still here"


def test_many_workers_end_at_once(scene: Scene) -> None:
    children = [scene.spawn("ignore_terminate", begun=None) for _ in range(40)]
    for child in children:
        assert child.channel.recv(1) == b"!"
    for child in children:
        scene.guard.end(child, grace=0.2)
    began = time.monotonic()
    scene.hear(80)
    # one after the other, with the patience that each is waited for, would take minutes
    assert time.monotonic() - began < 30
    assert scene.alone()

"""Trees of processes that were not started by a guard."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from runstone.engine.guard import endings, processes, trees
from runstone.engine.guard.endings import PATIENCE
from tests.engine.guard.conftest import wait_until

DEAF = "import signal, sys, time; signal.signal(15, signal.SIG_IGN); print('!', flush=True); time.sleep(40)"
POLITE = "import time; print('!', flush=True); time.sleep(40)"
# says the pid of a deaf grandchild that has left its session, and stays
PARENT = f"""
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-S", "-c", {DEAF!r}], stdout=subprocess.PIPE, start_new_session=True)
child.stdout.readline()
print(child.pid, flush=True)
time.sleep(40)
"""
# starts a process that nobody below us is the parent of
ORPHANER = """
import os, time
read, write = os.pipe()
middle = os.fork()
if middle == 0:
    middle = os.getpid()
    if os.fork() == 0:
        while os.getppid() == middle:
            time.sleep(0.001)
        os.write(write, str(os.getpid()).encode())
        time.sleep(40)
    os._exit(0)
os.waitpid(middle, 0)
print(os.read(read, 20).decode(), flush=True)
time.sleep(40)
"""


class Started:
    """A Python program that has said its first line; killed at the end."""

    def __init__(self, program: str, **environ: str) -> None:
        command = [sys.executable, "-S", "-c", program]
        self.process = subprocess.Popen(command, env={**os.environ, **environ}, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        self.said = self.process.stdout.readline().strip()
        self.pid = self.process.pid

    def stop(self) -> None:
        assert self.process.stdout is not None
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()


@pytest.fixture
def started() -> Iterator[list[Started]]:
    found: list[Started] = []
    yield found
    for one in found:
        one.stop()


def alive(pid: int) -> bool:
    process = processes.look(pid)
    return process is not None and process.alive


def test_a_tree_is_known_parents_first(started: list[Started]) -> None:
    started.append(parent := Started(PARENT))
    (child,) = trees.descendants(parent.pid)
    assert child.pid == int(parent.said)
    assert child.parent == parent.pid
    assert child.session == child.pid
    mine = [process.pid for process in trees.descendants(os.getpid())]
    assert mine.index(parent.pid) < mine.index(child.pid)
    trees.end_tree(parent.pid, 0.0)
    assert trees.descendants(parent.pid) == []


def test_where_the_kernel_does_not_list_children_they_are_found_by_their_parent(
    started: list[Started], monkeypatch: pytest.MonkeyPatch
) -> None:
    started.append(parent := Started(PARENT))
    monkeypatch.setattr(processes, "_kernel_lists_children", lambda: False)
    assert processes.children(parent.pid) == [int(parent.said)]
    receipt = trees.end_tree(parent.pid, 0.2)
    assert receipt.finished
    assert not alive(int(parent.said))


def test_ending_a_tree_from_outside(started: list[Started]) -> None:
    started.append(parent := Started(PARENT))
    began = time.monotonic()
    receipt = trees.end_tree(parent.pid, 0.3, reason="cancelled", name="driver")
    assert 0.3 <= time.monotonic() - began < 0.3 + PATIENCE
    assert receipt.finished
    assert receipt.reason == "cancelled"
    told = {process.pid: process for process in receipt.processes}
    assert told[parent.pid].name == "driver"
    assert [sent.name for sent in told[parent.pid].signals] == ["SIGTERM"]
    assert [sent.name for sent in told[int(parent.said)].signals][-1] == "SIGKILL"
    assert parent.process.wait() == -signal.SIGTERM
    assert not alive(int(parent.said))


def test_ending_what_is_gone_is_finished(started: list[Started]) -> None:
    started.append(one := Started(POLITE))
    one.process.kill()
    one.process.wait()
    receipt = trees.end_tree(one.pid, 5.0)
    assert receipt.finished
    assert receipt.processes == []
    assert receipt.seconds < 5


def test_others_belong_to_it_wherever_they_are(started: list[Started]) -> None:
    started.append(one := Started(POLITE))
    started.append(other := Started(DEAF))
    receipt = trees.end_tree(one.pid, 0.1, others=lambda: [other.pid])
    assert receipt.finished
    assert {process.pid for process in receipt.processes} == {one.pid, other.pid}
    assert not alive(other.pid)


def test_marked_processes_are_found_wherever_they_are(started: list[Started]) -> None:
    environ = trees.with_mark("mark-of-a-test", dict(os.environ))
    started.append(one := Started(ORPHANER, RUNSTONE_POOL=environ[trees.MARK]))
    started.append(other := Started(POLITE))
    orphan = int(one.said)
    found = processes.look(orphan)
    assert found is not None
    assert found.parent != one.pid
    assert {process.pid for process in trees.marked("mark-of-a-test")} == {one.pid, orphan}
    assert not list(trees.marked("mark-of-a"))
    receipt = trees.end_marked("mark-of-a-test", reason="left behind")
    assert receipt.finished
    assert {process.pid for process in receipt.processes} == {one.pid, orphan}
    assert not alive(orphan)
    assert alive(other.pid)


def test_a_mark_inside_of_a_mark_keeps_both(started: list[Started]) -> None:
    outer = trees.with_mark("outer", {"PATH": "/bin"})
    inner = trees.with_mark("inner", outer)
    assert inner == {"PATH": "/bin", "RUNSTONE_POOL": "outer:inner"}
    assert outer["RUNSTONE_POOL"] == "outer"
    started.append(one := Started(POLITE, **inner))
    assert [process.pid for process in trees.marked("outer")] == [one.pid]
    assert [process.pid for process in trees.marked("inner")] == [one.pid]


def test_a_session_is_found_by_its_number(started: list[Started]) -> None:
    started.append(parent := Started(PARENT))
    session = int(parent.said)
    assert [process.pid for process in trees.marked("no such mark", session)] == [session]


def test_a_later_process_of_the_same_pid_is_never_signalled(started: list[Started]) -> None:
    started.append(one := Started(POLITE))
    now = processes.look(one.pid)
    assert now is not None
    earlier = now._replace(started=now.started - 1)
    assert not processes.send(earlier, signal.SIGKILL)
    assert not processes._send_by_pid(earlier, signal.SIGKILL)
    assert alive(one.pid)
    assert processes._send_by_pid(now, signal.SIGKILL)
    one.process.wait()
    assert not processes.send(now, signal.SIGKILL)


def test_an_ending_leaves_a_later_process_of_the_same_pid_alone(
    started: list[Started], monkeypatch: pytest.MonkeyPatch
) -> None:
    started.append(one := Started(POLITE))
    looks = []

    def look(pid: int) -> processes.Process | None:
        found = seen(pid)
        looks.append(pid)
        return found._replace(started=found.started - 1) if found and len(looks) == 1 else found

    seen = processes.look
    monkeypatch.setattr(processes, "look", look)
    ending = endings.Ending([one.pid], grace=60.0)
    assert ending.step() is None
    (told,) = ending.receipt().processes
    assert told.signals == []
    assert told.dead_at is not None
    assert alive(one.pid)


def test_a_zombie_is_dead(started: list[Started]) -> None:
    started.append(one := Started(POLITE))
    assert alive(one.pid)
    os.kill(one.pid, signal.SIGKILL)
    wait_until(lambda: not alive(one.pid))
    assert processes.look(one.pid) is not None


def test_names_in_brackets_do_not_confuse(started: list[Started]) -> None:
    name = "import ctypes; ctypes.CDLL(None).prctl(15, b') Z 1 2 3', 0, 0, 0)\n"
    started.append(one := Started(name + POLITE))
    found = processes.look(one.pid)
    assert found is not None
    assert found.alive
    assert found.parent == os.getpid()
    assert "prctl" in processes.command_line(one.pid)

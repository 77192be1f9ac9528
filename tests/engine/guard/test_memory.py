"""A worker that the system has killed for lack of memory is told as that."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from runstone.engine.guard.memory import KillCounter, _memory_groups
from tests.engine.guard.conftest import wait_until

ROOT = Path(__file__).parent.parent.parent.parent
LIMIT = 200 << 20

DRIVER = """
import json, os, select, sys
from pathlib import Path
import msgspec
from runstone.engine.guard.client import Guard
Path(sys.argv[1], "cgroup.procs").write_text(str(os.getpid()))
guard = Guard()
for deed in ("eat_memory", "echo"):
    child = guard.spawn(f"tests.engine.guard.deeds:{deed}", deed)
    if deed == "echo":
        child.channel.recv(1)
        while child.pid is None:
            guard.poll()
        os.kill(child.pid, 9)
    died = []
    while not died:
        select.select([guard], [], [])
        died = guard.poll()
    print(json.dumps([died[0].signal, died[0].peak_memory, msgspec.to_builtins(died[0].out_of_memory)]), flush=True)
guard.close()
"""


def limited_group() -> Path | None:
    """A control group below our own, or beside it, that may not have more than LIMIT; None if we may not make one."""
    for directory, top, version in _memory_groups(Path("/proc")):
        for above in [directory] if version == 1 or directory == top else [directory, directory.parent]:
            group = above / f"runstone-test-{os.getpid()}"
            try:
                group.mkdir()
            except OSError:
                continue
            limits = ["memory.max"] if version == 2 else ["memory.limit_in_bytes", "memory.memsw.limit_in_bytes"]
            try:
                (group / limits[0]).write_text(str(LIMIT))
            except OSError:
                group.rmdir()
                continue
            for swap, most in (("memory.swap.max", "0"), (limits[-1], str(LIMIT))):
                if (group / swap).exists():
                    (group / swap).write_text(most)
            return group
    return None


@pytest.fixture
def group() -> Iterator[Path]:
    found = limited_group()
    if found is None:
        pytest.skip("no control group with a memory limit can be made here")
    yield found

    def removed() -> bool:
        try:
            found.rmdir()
        except OSError:
            return False
        return True

    wait_until(removed)


def test_a_worker_that_the_kernel_killed_for_memory_is_told_with_peak_and_limit(group: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", DRIVER, str(group)], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    starved, killed = map(json.loads, done.stdout.splitlines())
    number, peak, reason = starved
    assert number == signal.SIGKILL
    assert reason["limit"] == LIMIT
    assert reason["peak"] == peak
    # pages it shares with processes outside the group are in its peak, and charged to those
    assert LIMIT // 2 < peak <= LIMIT * 1.1
    assert "cgroup" in reason["known_by"]
    # killed by hand in the same group, after that
    assert killed[0] == signal.SIGKILL
    assert killed[2] is None


class Kernel:
    """A /proc, and hierarchies of control groups, written by hand."""

    def __init__(self, place: Path) -> None:
        self.proc = place / "proc"
        self.groups = place / "sys fs"
        self.write("proc/meminfo", "MemFree: 1 kB\nMemTotal:       1000 kB\n")
        self.write("proc/vmstat", "nr_free_pages 5\noom_kill 3\n")
        self.write("proc/self/cgroup", "")
        self.write("proc/self/mountinfo", "")

    def write(self, name: str, text: str) -> None:
        path = self.proc.parent / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def mounted(self, root: str, kind: str, options: str) -> None:
        point = str(self.groups).replace(" ", "\\040")
        line = f"30 24 0:26 {root} {point} rw,nosuid shared:4 - {kind} cgroup {options}\n"
        self.write("proc/self/mountinfo", "1 2 0:1 / / rw - ext4 /dev/vda rw\n" + line)


@pytest.fixture
def kernel(tmp_path: Path) -> Kernel:
    return Kernel(tmp_path)


def test_version_2_counts_in_the_group_and_the_narrowest_limit_above_holds(kernel: Kernel) -> None:
    kernel.write("proc/self/cgroup", "0::/user/job\n")
    kernel.mounted("/", "cgroup2", "rw")
    kernel.write("sys fs/user/job/memory.events", "low 0\noom 2\noom_kill 1\n")
    kernel.write("sys fs/user/job/memory.max", "max\n")
    kernel.write("sys fs/user/memory.max", "500000\n")
    counter = KillCounter(kernel.proc)
    assert counter.explain(7) is None
    kernel.write("proc/vmstat", "oom_kill 9\n")
    assert counter.explain(7) is None
    kernel.write("sys fs/user/job/memory.events", "low 0\noom 2\noom_kill 2\n")
    reason = counter.explain(7)
    assert reason is not None
    assert (reason.peak, reason.limit) == (7, 500000)
    assert "memory.events" in reason.known_by
    assert counter.explain(7) is None, "one rise explains one death"


def test_version_1_counts_in_the_group_as_a_container_sees_it(kernel: Kernel) -> None:
    kernel.write("proc/self/cgroup", "4:cpu,memory:/docker/abc\n1:name=systemd:/docker/abc\n0::/\n")
    kernel.mounted("/docker/abc", "cgroup", "rw,cpu,memory")
    kernel.write("sys fs/memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 0\n")
    kernel.write("sys fs/memory.limit_in_bytes", "300000\n")
    counter = KillCounter(kernel.proc)
    kernel.write("sys fs/memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 1\n")
    reason = counter.explain(7)
    assert reason is not None
    assert reason.limit == 300000
    assert "memory.oom_control" in reason.known_by


def test_without_groups_the_machine_counts(kernel: Kernel) -> None:
    counter = KillCounter(kernel.proc)
    kernel.write("proc/vmstat", "oom_kill 4\n")
    counter.look()
    counter.look()
    assert counter.explain(7) is None, "that kill was before"
    kernel.write("proc/vmstat", "oom_kill 5\n")
    reason = counter.explain(7)
    assert reason is not None
    assert reason.limit == 1000 * 1024
    assert "/proc/vmstat" in reason.known_by


def test_a_process_that_takes_its_time_to_die_is_still_explained(kernel: Kernel) -> None:
    counter = KillCounter(kernel.proc)
    kernel.write("proc/vmstat", "oom_kill 4\n")
    counter.look()
    assert counter.explain(7) is not None
    assert counter.explain(7) is None


def test_a_limit_above_the_memory_of_the_machine_is_none(kernel: Kernel) -> None:
    kernel.write("proc/self/cgroup", "4:memory:/\n")
    kernel.mounted("/", "cgroup", "rw,memory")
    kernel.write("sys fs/memory.oom_control", "oom_kill 0\n")
    kernel.write("sys fs/memory.limit_in_bytes", "9223372036854771712\n")
    counter = KillCounter(kernel.proc)
    kernel.write("sys fs/memory.oom_control", "oom_kill 1\n")
    reason = counter.explain(7)
    assert reason is not None
    assert reason.limit == 1000 * 1024


def test_a_kernel_that_counts_nothing_explains_nothing(tmp_path: Path) -> None:
    counter = KillCounter(tmp_path)
    counter.look()
    assert counter.explain(7) is None

"""A guard for a test, and proof that nothing of it is left."""

from __future__ import annotations

import gc
import os
import select
import struct
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from runstone.engine.guard import processes
from runstone.engine.guard.changes import Change, Died, Ended
from runstone.engine.guard.client import Child, Guard

PATIENCE = 30.0


def wait_until(holds: Callable[[], bool], timeout: float = PATIENCE) -> None:
    """Wait until something holds."""
    deadline = time.monotonic() + timeout
    while not holds():
        assert time.monotonic() < deadline, "it never came to hold"
        time.sleep(0.005)


def descriptors() -> int:
    """How many this process has open."""
    gc.collect()
    return len(os.listdir("/proc/self/fd"))


def none_are_left(before: int) -> None:
    """Wait until no more descriptors are open than before: other threads of this process open and close theirs."""
    deadline = time.monotonic() + PATIENCE
    while descriptors() > before:
        assert time.monotonic() < deadline, sorted(map(os.readlink, Path("/proc/self/fd").iterdir()))
        time.sleep(0.005)


class Scene:
    """A guard, what it told, and the processes of this test, which all carry a name in their environment."""

    def __init__(self, name: str) -> None:
        self.name = name.encode()
        self.guard = Guard(["tests.engine.guard.deeds"])
        self.told: list[Change] = []

    def spawn(self, deed: str, label: str = "", *, begun: int | None = 1) -> Child:
        """A worker that does a deed; waits until it has said that many bytes."""
        child = self.guard.spawn(f"tests.engine.guard.deeds:{deed}", label or deed)
        child.channel.settimeout(PATIENCE)
        self.first_words = b""
        while begun and len(self.first_words) < begun:
            said = child.channel.recv(begun - len(self.first_words))
            assert said, f"{deed} hung up"
            self.first_words += said
        return child

    def spawn_with_pids(self, deed: str, count: int = 1) -> tuple[Child, list[int]]:
        """A worker that tells the pids of processes it has started."""
        child = self.spawn(deed, begun=4 * count)
        return child, list(struct.unpack("i" * count, self.first_words))

    def hear(self, count: int = 1, timeout: float = PATIENCE) -> list[Change]:
        """The next changes, at least that many."""
        heard: list[Change] = []
        deadline = time.monotonic() + timeout
        while len(heard) < count:
            left = deadline - time.monotonic()
            assert left > 0, f"the guard told only {heard}"
            select.select([self.guard], [], [], left)
            heard += self.guard.poll()
        self.told += heard
        return heard

    def pid(self, child: Child) -> int:
        """The pid of a worker, waited for."""
        while child.pid is None:
            select.select([self.guard], [], [], PATIENCE)
            self.told += self.guard.poll()
        return child.pid

    def end(self, child: Child, grace: float, reason: str = "") -> tuple[Died, Ended, float]:
        """End a worker; what was told, and after how many seconds."""
        began = time.monotonic()
        self.guard.end(child, grace=grace, reason=reason)
        died, ended = self.hear(2)
        assert isinstance(died, Died)
        assert isinstance(ended, Ended)
        assert died.child is ended.child is child
        return died, ended, time.monotonic() - began

    def alive(self) -> list[int]:
        """The living processes that this scene has started, the guard included."""
        return [
            process.pid
            for process in processes.everyone()
            if process.alive and process.pid != os.getpid() and self.name in processes.environment(process.pid)
        ]

    def alone(self) -> bool:
        """Whether only the guard is left."""
        return self.alive() == [self.guard.pid]


@pytest.fixture
def scene(monkeypatch: pytest.MonkeyPatch) -> Iterator[Scene]:
    name = f"GUARD_SCENE={os.urandom(8).hex()}"
    monkeypatch.setenv(*name.split("="))
    scene = Scene(name)
    channels: list[Child] = []
    spawn = scene.guard.spawn

    def remembered(*arguments: object, **named: object) -> Child:
        child = spawn(*arguments, **named)  # type: ignore[arg-type]
        channels.append(child)
        return child

    monkeypatch.setattr(scene.guard, "spawn", remembered)
    yield scene
    scene.guard.close()
    for child in channels:
        child.channel.close()
    assert scene.alive() == [], "something outlived its guard"

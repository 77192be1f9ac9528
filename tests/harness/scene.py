"""One run and what surrounds it: its folder, its oracle, the process that computes it, and commands that look at it."""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from runstone.folder import observe
from tests.harness import faults, verdict
from tests.harness.nursery import ROOT, Child, Nursery

SIZE = 12
LIVE = "tests.harness.mortal:live"
COMMAND = [sys.executable, "-c", "from runstone.cli.main import main; main()"]


def seed(default: int | None = 1) -> int:
    """What random choices start from: RUNSTONE_SEED, else `default`, else anything."""
    given = os.environ.get("RUNSTONE_SEED")
    if given is not None:
        return int(given)
    return random.SystemRandom().randrange(1_000_000) if default is None else default


def memory_folder() -> Path | None:
    """A folder in memory, for what does not depend on a disk: a hundred times faster where it is there."""
    return Path("/dev/shm") if os.access("/dev/shm", os.W_OK) else None


class Scene:
    """A place for one run. Everything is below `place`, the run in `folder`."""

    def __init__(self, nursery: Nursery, place: Path) -> None:
        self.nursery = nursery
        self.place = place
        self.folder = place / "runs" / "it"
        self.oracle = place / "oracle"
        place.mkdir(parents=True, exist_ok=True)

    def spawn(self, call: str = LIVE, **options: Any) -> Child:
        """Start the run in a process of its own."""
        return self.nursery.spawn(call, folder=str(self.folder), oracle=str(self.oracle), **options)

    def status(self) -> dict[str, Any]:
        """Its status object."""
        return observe.status(str(self.folder))

    def judge(self, *, values: bool = True, size: int = SIZE) -> list[str]:
        """What is wrong about it, now that its process is dead."""
        return verdict.judge_killed(self.folder, self.oracle, size=size, values=values)

    def clear(self) -> None:
        """Remove everything, for the next run in the same place."""
        shutil.rmtree(self.place, ignore_errors=True)
        self.place.mkdir(parents=True)


def command(*arguments: str, timeout: float = 60.0, prefix: tuple[str, ...] = ()) -> tuple[int, Any, str]:
    """Call `runstone ...`; returns the exit code, the JSON it printed (None if it printed none), and standard error."""
    done = subprocess.run(
        [*prefix, *COMMAND, *arguments], cwd=ROOT, capture_output=True, text=True, timeout=timeout, check=False
    )
    try:
        answer = json.loads(done.stdout)
    except ValueError:
        answer = None
    return done.returncode, answer, done.stderr


def calls_of(scene: Scene, **options: Any) -> list[list[str]]:
    """What an undisturbed run does to its folder, call by call."""
    answer = scene.spawn(fault={}, **options).answer()
    assert "calls" in answer, answer
    scene.clear()
    found: list[list[str]] = answer["calls"]
    return found


__all__ = ["LIVE", "SIZE", "Scene", "calls_of", "command", "faults", "memory_folder", "seed"]

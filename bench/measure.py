"""Timing and accounting shared by the benchmarks: medians of interleaved repetitions, nothing deleted in between."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SCRATCH = ROOT / ".scratch" / f"bench-{time.time_ns()}"


class Times:
    """Seconds of one way of doing something."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    @property
    def median(self) -> float:
        return statistics.median(self.seconds)

    @property
    def spread(self) -> str:
        return f"{show(min(self.seconds))} to {show(max(self.seconds))}"


def interleaved(ways: dict[str, Callable[[], object]], repetitions: int, warm: int = 1) -> dict[str, Times]:
    """Do each way in turn, again and again, so that what disturbs the machine disturbs all of them."""
    found = {name: Times() for name in ways}
    for number in range(warm + repetitions):
        for name, way in ways.items():
            begun = time.perf_counter()
            way()
            if number >= warm:
                found[name].seconds.append(time.perf_counter() - begun)
    return found


def process(*command: str, cwd: Path | None = None) -> Callable[[], object]:
    """A whole process as a way of doing something; its output is thrown away, its failure is not."""

    # An installed package comes with its bytecode; an editable one has it only where Python may write it.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}

    def go() -> None:
        done = subprocess.run(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, cwd=cwd or SCRATCH, env=environment
        )
        if done.returncode not in (0, 1):
            raise RuntimeError(f"{command} ended with {done.returncode}: {done.stderr.decode()[-2000:]}")

    return go


def script(name: str) -> str:
    """A command installed beside this Python."""
    return str(Path(sys.executable).with_name(name))


def footprint(folder: Path) -> tuple[int, int]:
    """Files, and bytes they take on disk (blocks, not lengths)."""
    files = size = 0
    for place, _, names in os.walk(folder):
        for name in names:
            found = os.lstat(os.path.join(place, name))
            files, size = files + 1, size + found.st_blocks * 512
    return files, size


def fresh(name: str) -> Path:
    """A folder that nothing has used before."""
    folder = SCRATCH / f"{name}-{time.time_ns()}"
    folder.mkdir(parents=True)
    return folder


def show(seconds: float) -> str:
    """Seconds in a unit that reads well."""
    for unit, factor in (("s", 1.0), ("ms", 1e3)):
        if seconds * factor >= 1:
            return f"{seconds * factor:.3g} {unit}"
    return f"{seconds * 1e6:.3g} us"

"""Places as in the short tests, and figures: what the long ones counted and measured goes to bench/CHAOS.md."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.durability.conftest import disk_scene, nursery, scene
from tests.harness.scene import seed

__all__ = ["disk_scene", "nursery", "scene"]

PAGE = Path(__file__).parent.parent.parent / "bench" / "CHAOS.md"
SEED = seed(None)
_figures: dict[str, list[tuple[str, str]]] = {}


class Figures:
    """What one test has to tell. `told("kills", 1000)` becomes a line of its table."""

    def __init__(self, title: str) -> None:
        self._lines = _figures.setdefault(title, [])

    def told(self, what: str, figure: object) -> None:
        """Add a line."""
        self._lines.append((what, f"{figure:,}" if isinstance(figure, int) else str(figure)))

    def seconds(self, what: str, measured: list[float]) -> None:
        """Add a line for times: median, 99th percentile, longest."""
        ordered = sorted(measured)
        chosen = (len(ordered) // 2, len(ordered) * 99 // 100, len(ordered) - 1)
        self.told(what, " / ".join(f"{ordered[each] * 1000:,.1f} ms" for each in chosen))


@pytest.fixture
def figures(request: pytest.FixtureRequest) -> Figures:
    return Figures(str(request.function.__doc__).strip().rstrip("."))


@pytest.fixture
def chaos_seed() -> int:
    """Where all random choices start; printed, and set by RUNSTONE_SEED."""
    print(f"RUNSTONE_SEED={SEED}")
    return SEED


@pytest.fixture(autouse=True)
def _long(request: pytest.FixtureRequest) -> Iterator[None]:
    began = time.monotonic()
    yield
    title = str(request.function.__doc__).strip().rstrip(".")
    if title in _figures:
        _figures[title].append(("took", f"{time.monotonic() - began:,.0f} s"))


def pytest_report_header() -> str:
    return f"RUNSTONE_SEED={SEED}"


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    if not _figures or exitstatus != 0:
        return
    lines = [
        "# What chaos found",
        "",
        "Written by `make chaos`. Real processes run real pipelines and die; a reader without a line of Runstone's",
        "says what is on disk, and a file that user code writes for itself says what was executed. Any contradiction",
        "ends the run of these tests, so the figures below are of runs without one.",
        "",
        f"Seed {SEED} (`RUNSTONE_SEED={SEED} make chaos` chooses the same), {os.cpu_count()} cores, "
        f"{platform.system()} {platform.machine()}, Python {platform.python_version()}, "
        f"{time.strftime('%Y-%m-%d', time.gmtime())}. Times are median / 99th percentile / longest.",
    ]
    for title, told in _figures.items():
        lines += ["", f"## {title}", "", "| | |", "|---|---|", *(f"| {what} | {figure} |" for what, figure in told)]
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text("\n".join(lines) + "\n")

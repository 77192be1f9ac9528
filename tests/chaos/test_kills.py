"""A thousand kills."""

from __future__ import annotations

import os
import random
import signal
import time
from collections import Counter

import pytest

from tests.chaos.conftest import Figures
from tests.durability.test_kill_points import late_records
from tests.harness import faults, verdict
from tests.harness.ground import Ground
from tests.harness.scene import Scene, calls_of, command

KILLS = int(os.environ.get("RUNSTONE_KILLS", "1000"))
pytestmark = pytest.mark.chaos


def test_kills_at_every_point(scene: Scene, figures: Figures) -> None:
    """SIGKILL before, in the middle of and after everything a run does to its folder."""
    calls = calls_of(scene)
    points = faults.points(calls, after=True)
    delays: list[float] = []
    ends: Counter[str] = Counter()
    for point in points:
        child = scene.spawn(fault=point)
        assert child.died(60), point
        begun = time.perf_counter()
        status = scene.status()["status"]
        if status == "crashed":
            delays.append(time.perf_counter() - begun)
        wrong = scene.judge()
        assert not wrong, (point, calls[point["call"] - 1], wrong)
        ends[status] += 1
        child.wait()
        scene.clear()
    figures.told("kills", len(points))
    for status, count in ends.items():
        figures.told(f"told afterwards: {status}", count)
    figures.seconds("one look at a dead run, which says `crashed`", delays)


def test_kills_at_random_times(scene: Scene, disk_scene: Scene, chaos_seed: int, figures: Figures) -> None:
    """SIGKILL at random times."""
    dice = random.Random(chaos_seed)
    delays: list[float] = []
    executed = recorded = 0
    ends: Counter[str] = Counter()
    for number in range(KILLS):
        chosen = disk_scene if number % 10 == 0 else scene
        size = 12
        child = chosen.spawn(
            pause=dice.choice([0.0, 0.0005, 0.002, 0.01]),
            chunk=dice.choice([1, 3, 5, 1000]),
            heartbeat=dice.choice([0.0, 0.02, 1.0]),
        )
        time.sleep(dice.uniform(0.0, 0.03) if dice.random() < 0.5 else dice.uniform(0.0, 0.4))
        sent = time.perf_counter()
        child.signal(signal.SIGKILL)
        assert child.died(60)
        died = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
        status = chosen.status()["status"]
        if status == "crashed":
            delays.append(time.perf_counter() - sent)
        wrong = chosen.judge(values=number % 5 == 0, size=size)
        if chosen.oracle.exists() and status != "missing":
            wrong += late_records(chosen, died)
            ground = Ground(chosen.folder)
            recorded += sum(map(len, ground.elements.values()))
            executed += sum(verdict.executed(chosen.oracle).values())
        assert not wrong, (number, chaos_seed, wrong)
        ends[status] += 1
        if number % 100 == 0 and status != "missing":
            code, answer, said = command("status", str(chosen.folder))
            assert (code, answer) == (0, chosen.status()), said
        child.wait()
        chosen.clear()
    figures.told("kills", KILLS)
    for status, count in ends.items():
        figures.told(f"told afterwards: {status}", count)
    figures.told("calls of user code until then", executed)
    figures.told("elements recorded (failed ones are called twice)", recorded)
    figures.told("recorded and lost, not executed and recorded, recorded twice", 0)
    if delays:
        figures.seconds("from SIGKILL until `status` says `crashed`", delays)

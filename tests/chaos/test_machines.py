"""Machines that die in every legal way."""

from __future__ import annotations

import random

import pytest

from tests.chaos.conftest import Figures
from tests.durability.test_machine_death import BUSY, rot, traced
from tests.harness import machine, verdict
from tests.harness.scene import Scene

pytestmark = pytest.mark.chaos

DISKS = {
    "a slow disk": BUSY,
    "a fast disk": {"pause": 0.001, "heartbeat": 0.0, "chunk": 3},
    "large chunks": {"pause": 0.0, "heartbeat": 0.02, "chunk": 1000, "slow": 0.001},
}


def test_every_legal_state_of_the_disk_after_every_step(scene: Scene, chaos_seed: int, figures: Figures) -> None:
    """A machine that dies, in all extreme and many random legal states of its disk after every step."""
    dice = random.Random(chaos_seed)
    for name, options in DISKS.items():
        steps = traced(scene, **options)
        assert verdict.judge_machine_end(steps, scene.folder) == []
        stage = machine.Stage(scene.folder, scene.place / "aside")
        count = 0
        for last in range(1, len(steps) + 1):
            crash = machine.Crash(steps, last)
            for after in machine.states(crash, dice, 20):
                stage.play(after)
                wrong = verdict.judge_crash(scene.folder, crash)
                assert not wrong, (name, last, steps[last - 1]._replace(data=b""), after.how, chaos_seed, wrong)
                count += 1
        figures.told(f"steps, states: {name}", f"{len(steps):,}, {count:,}")
        scene.clear()


def test_bits_that_flip(scene: Scene, figures: Figures) -> None:
    """Single bits that flip in journals and packs."""
    scene.spawn().wait()
    assert list(rot(scene, tries=5_000)) == []
    figures.told("flips, each noticed or harmless", 5_000)


def test_records_reach_the_disk_in_time(disk_scene: Scene, figures: Figures) -> None:
    """From a record's hand-over to the kernel until it is synced, on this disk."""
    steps = traced(disk_scene, pipeline="patient", size=2_000, pause=0.004, chunk=5, heartbeat=1.0)
    ages = verdict.seconds_until_synced(steps, disk_scene.folder)
    figures.told("records", len(ages))
    figures.seconds("age when synced (20 ms are promised, and what the disk takes)", ages)
    assert max(ages) < 1.0

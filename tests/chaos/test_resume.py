"""Runs that are killed in every epoch and gone on with, until they end as if nobody had died."""

from __future__ import annotations

import os
import random
from collections import Counter
from typing import Any

import pytest

from tests.chaos.conftest import Figures
from tests.harness import survivor
from tests.harness.saga import Saga, told_of
from tests.harness.scene import Scene

KILLS = int(os.environ.get("RUNSTONE_KILLS", "300"))
pytestmark = pytest.mark.chaos


@pytest.fixture
def undisturbed(scene: Scene, chaos_seed: int) -> dict[str, Any]:
    """What is told of a run in which nobody dies."""
    saga = Saga(scene, random.Random(chaos_seed))
    saga.live()
    found = told_of(saga.folder)
    scene.clear()
    return found


def test_resumed_until_they_end(scene: Scene, chaos_seed: int, undisturbed: dict[str, Any], figures: Figures) -> None:
    """Drivers, workers and guards killed at random times, and the run resumed, by any executor, until it ends."""
    dice = random.Random(chaos_seed)
    kills: Counter[str] = Counter()
    epochs: Counter[str] = Counter()
    ends: list[float] = []
    runs = highest = 0
    while sum(kills.values()) < KILLS:
        # the quick ones are killed in large numbers, those with workers where it counts
        quick = dice.random() < 0.4
        saga = Saga(scene, dice)
        if quick:
            saga.to_the_end(("inline", "threads"), ("driver",))
        else:
            saga.to_the_end(survivor.EXECUTORS, ("driver", "driver", "worker", "guard"))
        saga.judge(undisturbed)
        kills += saga.kills
        epochs += saga.executors
        ends += saga.ends
        highest = max(highest, saga.epoch)
        runs += 1
        scene.nursery.clear()
        scene.clear()
    figures.told("runs, each like one in which nobody dies", runs)
    for whom, count in sorted(kills.items()):
        figures.told(f"killed: {whom}", count)
    for executor, count in sorted(epochs.items()):
        figures.told(f"epochs begun: {executor}", count)
    figures.told("most epochs of one run", highest)
    figures.told("recorded and computed again, recorded and lost, recorded twice", 0)
    figures.seconds("from the death of a driver until nothing of it lives", ends)

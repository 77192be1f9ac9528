"""Runs that are killed in every epoch and gone on with, until they end as if nobody had died."""

from __future__ import annotations

import os
import random
import signal
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

import runstone
from runstone.folder import family, observe
from tests.chaos.conftest import Figures
from tests.harness import survivor, verdict
from tests.harness.ground import Ground
from tests.harness.nursery import Child
from tests.harness.ordered import calls
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
        saga = Saga(scene, dice)
        # those without workers are killed in large numbers, as they are quick
        if dice.random() < 0.3:
            saga.to_the_end(("inline", "threads"), ("driver",))
        elif dice.random() < 0.3:
            saga.to_the_end(survivor.EXECUTORS, ("driver",))
        else:
            saga.to_the_end(("processes", "auto", "mixed"), ("driver", "worker", "worker", "guard"))
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


TOLERANT = {"double": {"on_error": "continue"}, "halve": {"on_error": "continue"}, "total": {"missing": "drop"}}
MANY = 200


def test_successors_killed_until_they_end(scene: Scene, chaos_seed: int, figures: Figures) -> None:
    """Runs that take over from one of which a tenth failed, killed at random times, until they end."""
    dice = random.Random(chaos_seed)
    kills = runs = 0
    while kills < KILLS:
        unlucky = dice.sample(range(MANY), MANY // 10)
        first = _spawn(scene, dice, {"fail": [f"double:{number}" for number in unlucky]}).answer()
        assert first["status"] == "degraded"
        status: dict[str, Any] = {"done": False}
        recorded: Counter[str] = Counter()
        while not status["done"] or status["id"] == first["id"]:
            before = calls(scene.place)
            child = _spawn(scene, dice, {}, resume=True, executor=dice.choice(["inline", "threads"]))
            if not child.died(dice.uniform(0.0, 0.12)):
                child.signal(signal.SIGKILL)
                kills += 1
            assert "error" not in child.answer(), child.stderr()
            again = (calls(scene.place) - before) & recorded
            assert not again, (chaos_seed, again)
            newest = Path(family.newest(str(scene.folder)) or "")
            status, ground = observe.status(str(newest)), Ground(newest)
            assert ground.twice() + verdict.judge_fold(newest, ground) == [], chaos_seed
            if status["id"] != first["id"]:
                mapped = {name: found for name, found in ground.elements.items() if ground.total(name) is not None}
                recorded = Counter(f"{name}:{number}" for name, found in mapped.items() for number in found)
        assert (status["status"], status["all_complete"]) == ("completed", True), chaos_seed
        assert runstone.open(newest).outputs["total"] == sum(range(MANY))
        called = calls(scene.place)
        assert {called[f"double:{number}"] for number in range(MANY) if number not in unlucky} == {1}, chaos_seed
        runs += 1
        scene.nursery.clear()
        scene.clear()
    figures.told("runs, each completed", runs)
    figures.told("drivers killed", kills)
    figures.told("elements that had come out well and were computed again", 0)


def _spawn(scene: Scene, dice: random.Random, orders: dict[str, Any], **options: Any) -> Child:
    told: dict[str, Any] = {"orders": orders, "params": {"size": MANY}, "settings": TOLERANT, **options}
    return scene.spawn("tests.harness.ordered:live", chunk=dice.choice([1, 7]), **told)

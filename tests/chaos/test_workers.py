"""Hundreds of deaths of those who compute, and of those who watch over them."""

from __future__ import annotations

import os

import pytest

from tests.chaos.conftest import Figures
from tests.engine.executors.mayhem import Mayhem
from tests.harness.scene import Scene

KILLS = int(os.environ.get("RUNSTONE_KILLS", "1000"))
pytestmark = pytest.mark.chaos


def test_drivers_of_all_executors(scene: Scene, chaos_seed: int, figures: Figures) -> None:
    """SIGKILL of drivers with workers, and runs that go on."""
    mayhem = Mayhem(scene.nursery, scene.place, chaos_seed)
    for number in range(KILLS * 2 // 5):
        wrong = mayhem.kill_driver()
        assert not wrong, (number, chaos_seed, wrong)
        scene.nursery.clear()
        scene.clear()
    figures.told("drivers killed", KILLS * 2 // 5)
    for status, count in mayhem.ends.items():
        figures.told(f"told afterwards: {status}", count)
    figures.told("runs that another process went on with", mayhem.again)
    figures.told("recorded and computed again, recorded and lost, right and not recorded", 0)
    figures.seconds("from the driver's death to that of its last descendant", mayhem.seconds_until_alone)


def test_workers_and_guards(scene: Scene, chaos_seed: int, figures: Figures) -> None:
    """SIGKILL of workers and guards in runs that go on."""
    mayhem = Mayhem(scene.nursery, scene.place, chaos_seed)
    for number in range(KILLS // 5):
        wrong = mayhem.kill_within()
        assert not wrong, (number, chaos_seed, wrong)
        scene.nursery.clear()
        scene.clear()
    figures.told("runs with one to three deaths each", KILLS // 5)
    for status, count in mayhem.ends.items():
        figures.told(f"ended: {status}", count)

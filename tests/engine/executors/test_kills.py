"""Drivers, workers and guards that are killed at any moment; `make chaos` kills many more."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.engine.executors.mayhem import Mayhem
from tests.harness.nursery import Nursery
from tests.harness.scene import seed


@pytest.fixture(scope="module")
def nursery(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nursery]:
    with Nursery(tmp_path_factory.mktemp("answers")) as nursery:
        yield nursery


@pytest.fixture
def mayhem(nursery: Nursery, tmp_path: Path) -> Iterator[Mayhem]:
    chosen = seed()
    print(f"RUNSTONE_SEED={chosen}")
    yield Mayhem(nursery, tmp_path, chosen)
    nursery.clear()


def test_after_the_death_of_a_driver_nothing_lives_nothing_is_lost_and_another_goes_on(mayhem: Mayhem) -> None:
    for number in range(10):
        assert (number, mayhem.kill_driver()) == (number, [])


def test_a_run_survives_the_deaths_of_its_workers_and_guards(mayhem: Mayhem) -> None:
    for number in range(6):
        assert (number, mayhem.kill_within()) == (number, [])

"""One nursery for all tests here, and a place in memory for each."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.harness.nursery import Nursery
from tests.harness.scene import Scene, memory_folder


@pytest.fixture(scope="session")
def nursery(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nursery]:
    with Nursery(tmp_path_factory.mktemp("answers")) as nursery:
        yield nursery


@pytest.fixture
def scene(nursery: Nursery) -> Iterator[Scene]:
    """In memory, for runs in large numbers."""
    place = Path(tempfile.mkdtemp(prefix="runstone-", dir=memory_folder()))
    yield Scene(nursery, place)
    nursery.clear()
    shutil.rmtree(place, ignore_errors=True)


@pytest.fixture
def disk_scene(nursery: Nursery, tmp_path: Path) -> Iterator[Scene]:
    """On a real disk."""
    yield Scene(nursery, tmp_path / "scene")
    nursery.clear()

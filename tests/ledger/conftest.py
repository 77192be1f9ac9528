"""Ledgers for tests: a file, and a real server."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from runstone.ledger.opening import open_ledger
from runstone.ledger.place import Place
from runstone.ledger.port import Store


@pytest.fixture(params=["sqlite"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """Where a new ledger is to be."""
    return Place("sqlite", str(tmp_path / "project" / ".runstone" / "ledger.db"))


@pytest.fixture
def store(place: Place) -> Iterator[Store]:
    """A new ledger, open."""
    store = open_ledger(place)
    yield store
    store.close()

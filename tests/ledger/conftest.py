"""Ledgers for tests: a file, and a real server."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from runstone.engine.track import journals
from runstone.ledger.opening import open_ledger
from runstone.ledger.place import Place
from runstone.ledger.port import Store
from tests.harness.postgres import Server


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[Server]:
    """The one that all tests share. Whoever wants to stop it takes `own_server`."""
    with Server() as server:
        yield server
        # nobody is to look for it when this process ends
        journals.leave()
        journals._feeds.clear()


@pytest.fixture
def own_server() -> Iterator[Server]:
    """One that may be stopped and started."""
    with Server() as server:
        yield server


@pytest.fixture(params=["sqlite", "postgres"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """Where a new ledger is to be."""
    if request.param == "postgres":
        server: Server = request.getfixturevalue("postgres_server")
        return Place("postgres", server.new_schema())
    return Place("sqlite", str(tmp_path / "project" / ".runstone" / "ledger.db"))


@pytest.fixture
def store(place: Place) -> Iterator[Store]:
    """A new ledger, open."""
    store = open_ledger(place)
    yield store
    store.close()

"""A hundred kills, and the ledger."""

from __future__ import annotations

import os
import random
import time
from pathlib import Path

import pytest

from runstone.ledger.check import check
from runstone.ledger.place import Place
from runstone.ledger.port import Store
from runstone.ledger.rebuild import rebuild
from runstone.ledger.sync import sync
from tests.chaos.conftest import Figures
from tests.harness.attached import kill_many
from tests.harness.nursery import Nursery
from tests.ledger import stories
from tests.ledger.conftest import place, postgres_server, store
from tests.ledger.projects import project

__all__ = ["place", "postgres_server", "project", "store"]

KILLS = int(os.environ.get("RUNSTONE_LEDGER_KILLS", "100"))
pytestmark = pytest.mark.chaos


def test_ledger_and_folders_agree_after_kills(
    store: Store, place: Place, project: Path, nursery: Nursery, chaos_seed: int, figures: Figures
) -> None:
    """SIGKILL of runs that stream into a ledger, then `runstone ledger sync`."""
    begun_with = kill_many(nursery, project, place.address, random.Random(chaos_seed), KILLS)
    known = store.rows("SELECT count(*) FROM pipeline_run")[0][0]
    begun = time.perf_counter()
    report = sync(store)
    seconds = time.perf_counter() - begun
    found = check(store)
    assert found.equal, (chaos_seed, found)
    assert report.unreadable.count == report.refused.count == report.ahead.count == 0
    before = stories.contents(store)
    rebuild(store)
    assert stories.contents(store) == before
    figures.told(f"{store.dialect}: killed, of times begun or gone on with", f"{KILLS}, {begun_with}")
    figures.told(f"{store.dialect}: runs, known to the ledger before sync", f"{found.runs}, {known}")
    figures.told(f"{store.dialect}: fields that differ after sync, and after rebuild", 0)
    figures.told(f"{store.dialect}: sync took", f"{seconds * 1000:,.0f} ms")

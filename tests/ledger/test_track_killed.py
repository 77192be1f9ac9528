"""A tracked run whose process was killed stands the same wherever one looks."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

import runstone
from runstone.errors import RunError
from runstone.ledger import opening, projector
from runstone.ledger.detail import detail
from runstone.ledger.find import find
from runstone.ledger.place import Place
from runstone.ledger.port import Store
from tests.harness.tracked import execute

KILLED = """
import os, signal
from runstone import track
with track("done"):
    pass
with track("outer"), track("inner"):
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
def killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The ids of its runs, by their stages."""
    folder = tmp_path / "home"
    (folder / ".runstone").mkdir(parents=True)
    monkeypatch.chdir(folder)
    monkeypatch.delenv("RUNSTONE_LEDGER")
    monkeypatch.setattr(projector, "_projectors", {})
    assert execute(KILLED, folder, ledger=None)[2] == -signal.SIGKILL
    with reading() as store:
        return {run.pipeline_name: run.run_id for run in find(store).runs}


@contextlib.contextmanager
def reading() -> Iterator[Store]:
    store = opening.open_for_reading(Place("sqlite", os.path.abspath(".runstone/ledger.db")))
    assert store is not None
    with contextlib.closing(store):
        yield store


def test_its_relations_stand_as_it_does(killed: dict[str, str]) -> None:
    with reading() as store:
        told = {name: detail(store, run_id, workspace="default").related for name, run_id in killed.items()}
    assert [(each.how, each.status) for each in told["outer"]] == [("child", "crashed")]
    assert [(each.how, each.status) for each in told["inner"]] == [("parent", "crashed")]
    assert told["done"] == []


def test_its_status_says_that_its_process_is_gone(killed: dict[str, str]) -> None:
    found = runstone.open(killed["inner"]).status_object()
    assert (found["status"], found["resumable"], found["all_complete"]) == ("crashed", False, False)
    assert found["message"].startswith("its process on ")
    assert "is gone and wrote no end" in found["message"]
    done = runstone.open(killed["done"]).status_object()
    assert (done["status"], done["resumable"], done["all_complete"], done["message"]) == ("completed", False, True, "")


def test_what_takes_a_folder_is_refused_with_what_is_true(killed: dict[str, str]) -> None:
    run = runstone.open(killed["inner"])
    with pytest.raises(RunError, match=r"was tracked, and has no blocks to explain; .*: runstone runs show"):
        run.why()
    with pytest.raises(RunError, match=r"was tracked, and nobody can ask it to stop: end its process on "):
        run.cancel()

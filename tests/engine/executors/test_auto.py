"""`executor="auto"`: what decides where a block is computed."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

import pytest

import runstone
from runstone import Pipeline, block


def test_what_cannot_be_sent_elsewhere_stays_here_and_is_no_error(tmp_path: Path) -> None:
    lock = threading.Lock()

    def work(x: int) -> int:
        with lock:
            time.sleep(0.005)
        return x + 1

    pipeline = Pipeline("stays", [block(work, mapspec="x[i] -> y[i]", executor="auto")])
    run = pipeline.run({"x": list(range(150))}, run_folder=tmp_path / "run")
    assert run.outputs["y"] == list(range(1, 151))
    assert run.errors == []
    assert run.status_object()["errors"] == []


def pids(x: int) -> int:
    time.sleep(0.01)
    return os.getpid()


@pytest.mark.parametrize("ledger", ["none", ".runstone/ledger.db"])
def test_what_the_ledger_knows_of_its_cost_decides_before_the_first_element(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ledger: str
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RUNSTONE_LEDGER", ledger)

    def run() -> runstone.Run:
        # a new block, as another process would have it
        made = block(pids, output="pid", mapspec="x[i] -> pid[i]", executor="auto")
        return Pipeline("known", [made]).run({"x": list(range(120))}, show_progress=False)

    for expected in (False, ledger != "none"):
        assert (os.getpid() not in set(run().outputs["pid"])) is expected

"""Many processes at one ledger."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from runstone.ledger import behind
from tests.chaos.conftest import Figures
from tests.harness.ledger_load import environment, judge, load

pytestmark = pytest.mark.chaos

PROCESSES, RUNS, BLOCKS = 64, 20, 50


def test_one_ledger(tmp_path: Path, figures: Figures) -> None:
    """64 processes with 1,000 block runs each at one ledger, four that ask, and a reader that holds on for 30 s"""
    found = load(tmp_path, processes=PROCESSES, runs=RUNS, blocks=BLOCKS, pollers=4, snapshot=30.0)
    assert found["stderr"] == ""
    left = behind.waiting(str(tmp_path))
    sync = [sys.executable, "-m", "runstone", "ledger", "sync"]
    subprocess.run(sync, cwd=tmp_path, env=environment(), check=True, capture_output=True)
    assert behind.waiting(str(tmp_path)) == 0
    assert judge(tmp_path, found, BLOCKS) == []
    runs = PROCESSES * RUNS + 1
    figures.told("runs", runs)
    figures.told("block runs", runs * BLOCKS)
    figures.told("events", runs * (2 * BLOCKS + 2))
    figures.told("of them left to the next reader or sync, by those who ended in the crowd", left)
    figures.told("lines on stderr; events lost, events doubled", 0)
    figures.told("took", f"{found['seconds']:.0f} s")
    figures.told("longest that an answer took", f"{found['longest_answer'] * 1000:,.0f} ms")
    size = sum(path.stat().st_size for path in (tmp_path / ".runstone").glob("ledger.db*"))
    figures.told("size of the ledger", f"{size / 1e6:,.1f} MB")

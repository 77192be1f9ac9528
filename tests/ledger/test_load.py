"""Many processes record into one file at once, while others read it."""

from __future__ import annotations

from pathlib import Path

from tests.harness.ledger_load import judge, load


def test_eight_processes_pollers_and_a_long_reader_lose_and_double_nothing(tmp_path: Path) -> None:
    found = load(tmp_path, processes=8, runs=5, blocks=10, pollers=2, snapshot=2.0, patience=60.0)
    assert found["stderr"] == ""
    assert judge(tmp_path, found, 10) == []

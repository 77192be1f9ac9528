"""`runstone cleanup`, as a user types it."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from tests.cli.command import complaint, runstone

TWICE = """
from runstone import Pipeline, block

@block
def double(n: int) -> int:
    return 2 * n

for number in range(3):
    Pipeline("twice", [double]).run({"n": number}, tags=[f"number-{number}"], show_progress=False)
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project with three runs, in `runs` and in its ledger."""
    import subprocess
    import sys

    (tmp_path / "runstone.toml").touch()
    environment = {**os.environ, "RUNSTONE_LEDGER": ""}
    subprocess.run([sys.executable, "-c", TWICE], cwd=tmp_path, env=environment, check=True)
    synced = runstone("ledger", "sync", at=tmp_path, RUNSTONE_LEDGER="")
    assert synced.returncode == 0, synced.stderr
    return tmp_path


def left(project: Path) -> int:
    return len(os.listdir(project / "runs"))


def test_the_newest_stay(project: Path) -> None:
    newest = json.loads(runstone("list-runs", "--max-runs", "1", at=project).stdout)["runs"][0]["run_folder"]
    shown = runstone("cleanup", "--keep", "1", "--dry-run", at=project, RUNSTONE_LEDGER="")
    assert "would delete 2 runs, " in shown.stdout
    assert left(project) == 3
    done = runstone("cleanup", "--keep", "1", "--yes", at=project, RUNSTONE_LEDGER="")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("deleted 2 runs, ")
    assert os.listdir(project / "runs") == [Path(newest).name]


def test_a_query_says_which(project: Path) -> None:
    done = runstone("cleanup", "--query", "tag:number-1", "--yes", "--json", at=project, RUNSTONE_LEDGER="")
    assert done.returncode == 0, done.stderr
    assert len(json.loads(done.stdout)["runs"]) == 1
    assert left(project) == 2


def test_without_options_the_project_decides(project: Path) -> None:
    refused = runstone("cleanup", "--yes", at=project, RUNSTONE_LEDGER="")
    assert refused.returncode == 2
    assert "[retention]" in complaint(refused)
    assert left(project) == 3
    (project / "runstone.toml").write_text('[retention]\nolder_than = "30d"\nkeep = 1\n')
    assert "deleted 0 runs" in runstone("cleanup", "--yes", at=project, RUNSTONE_LEDGER="").stdout
    (project / "runstone.toml").write_text("[retention]\nkeep = 1\n")
    assert "deleted 2 runs" in runstone("cleanup", "--yes", at=project, RUNSTONE_LEDGER="").stdout
    assert left(project) == 1


def test_wrong_use_is_told_in_a_line(project: Path) -> None:
    for arguments, problem in [
        (["--older-than", "soon"], "no span of time"),
        (["--keep", "1"], "add --yes"),
        (["--query", "stattus:failed", "--yes"], "stattus"),
    ]:
        refused = runstone("cleanup", *arguments, at=project, RUNSTONE_LEDGER="")
        assert refused.returncode == 2, refused.stderr
        assert problem in complaint(refused)
    assert "switched off" in complaint(runstone("cleanup", "--query", "tag:x", "--yes", at=project))
    assert left(project) == 3


def test_without_a_ledger_it_works_on_folders(project: Path) -> None:
    done = runstone("cleanup", "--keep", "2", "--yes", at=project, RUNSTONE_LEDGER="none")
    assert done.stdout.startswith("deleted 1 run, ")
    assert left(project) == 2

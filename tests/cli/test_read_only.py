"""A project whose ledger nobody can write: everything that reads works, the rest says so in one voice."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import scripts

MAKES = """
from runstone import Pipeline, block, track

@block
def one() -> int:
    return 1

Pipeline("job", [one]).run({}, show_progress=False, run_folder="runs/first")
with track("stage", rows_in=1):
    pass
"""
BESIDE = ("-wal", "-shm")


@pytest.fixture(params=["alone", "with an empty log", "as a killed process leaves it"])
def project(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    """With two runs in its ledger, in a folder `.runstone` that is mounted read-only."""
    made = scripts.python("-", cwd=tmp_path, stdin=MAKES)
    assert (made.returncode, made.stderr) == (0, "")
    own = tmp_path / ".runstone"
    shutil.rmtree(own / "behind", ignore_errors=True)
    if request.param == "as a killed process leaves it":
        written = "import os, apsw\nc = apsw.Connection('.runstone/ledger.db')\n"
        written += "c.execute('DELETE FROM tag; CREATE TABLE theirs (a)')\nos._exit(0)\n"
        assert scripts.python("-", cwd=tmp_path, stdin=written).returncode == 0
        assert all(os.path.getsize(f"{own}/ledger.db{end}") for end in BESIDE)
    else:
        for end in BESIDE:
            (own / f"ledger.db{end}").unlink(missing_ok=True)
        if request.param == "with an empty log":
            (own / "ledger.db-wal").touch()
    done = subprocess.run(["mount", "--bind", str(own), str(own)], capture_output=True, check=False)
    if done.returncode:
        pytest.skip("this user may not mount")
    try:
        subprocess.run(["mount", "-o", "remount,bind,ro", str(own)], check=True)
        yield tmp_path
    finally:
        subprocess.run(["umount", str(own)], check=True)


READERS = [
    ["tail"],
    ["runs", "list"],
    ["runs", "show", "first"],
    ["history"],
    ["export"],
    ["sql", "SELECT count(*) FROM runs"],
    ["sql", "SELECT list(status) FROM runs"],
    ["ledger", "info"],
    ["ledger", "check"],
    ["ledger", "migrate"],
    ["ledger", "export", "runs.duckdb"],
    ["ledger", "backup", "copy.db"],
    ["workspace", "list"],
    ["tag", "first"],
    ["delete", "first", "--dry-run"],
    ["cleanup", "--keep", "0", "--dry-run"],
    ["cleanup", "--query", "pipeline:job", "--dry-run"],
]


def test_everything_that_only_reads_works(project: Path) -> None:
    for arguments in READERS:
        done = scripts.runstone(*arguments, cwd=project)
        assert (done.returncode, done.stderr) == (0, ""), arguments
    assert scripts.runstone("sql", "SELECT count(*) FROM runs", cwd=project).stdout == "count(*)\n2\n"
    listed = scripts.runstone("tail", "--json", cwd=project).stdout.splitlines()
    assert [json.loads(line)["pipeline_name"] for line in listed] == ["job", "stage"]


def test_what_writes_says_so_in_a_line(project: Path) -> None:
    for arguments in (["ledger", "vacuum"], ["delete", "first", "--yes"]):
        done = scripts.runstone(*arguments, cwd=project)
        assert done.returncode == 1, arguments
        (line,) = done.stderr.splitlines()
        assert "ledger.db cannot be opened or written" in line
    assert (project / "runs/first").exists()


def test_tracked_code_is_not_told_two_things_at_once(project: Path) -> None:
    done = scripts.python("-", cwd=project, stdin="from runstone import track\nwith track('t'): pass\n")
    assert done.returncode == 0
    (line,) = done.stderr.splitlines()
    assert line.startswith("runstone: tracked runs are not recorded for now: ")
    assert "read-only" in line

"""A current folder that was deleted: every command and every program says so in one line, or does without it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from runstone.cli.main import COMMANDS
from tests import scripts

GONE = "the current folder is gone; go to one that exists"
JOB = """
import sys
from runstone import Pipeline, block

@block
def one() -> int:
    return 1

job = Pipeline("job", [one])

if __name__ == "__main__":
    folder = {"run_folder": sys.argv[1]} if sys.argv[1:] else {}
    print(job.run({}, show_progress=False, **folder).status)
"""


def from_nowhere(*command: str, at: Path, **more: str) -> subprocess.CompletedProcess[str]:
    """A command in a folder that is not there any more."""
    (at / "gone").mkdir()
    script = 'cd "$0" && rmdir "$0" && exec "$@"'
    return scripts.call("sh", "-c", script, str(at / "gone"), *command, cwd=at, **more)


@pytest.fixture
def job(tmp_path: Path) -> Path:
    return scripts.write(tmp_path / "job.py", JOB)


ARGUMENTS = {
    "compare": ["a", "b"], "note": ["x", "text"], "tag": ["x", "y"], "archive": ["x", "x.zip"], "sql": ["SELECT 1"],
    "cleanup": ["--keep", "1", "--yes"], "ledger": ["sync"], "workspace": ["list"], "runs": ["list"], "list-runs": [],
    "tail": [], "history": [], "export": [], "completion": ["bash"], "output": ["x", "y"], "delete": ["x", "--yes"],
    "cache": ["ls"],
}  # fmt: skip


@pytest.mark.parametrize("name", [name for name in COMMANDS if name != "completion"])
def test_every_command_says_so(name: str, job: Path) -> None:
    given = [str(job)] if name == "run" else ARGUMENTS.get(name, ["x"])
    done = from_nowhere(scripts.RUNSTONE, name, *given, at=job.parent)
    assert done.returncode in (1, 2)
    (line,) = done.stderr.splitlines() or done.stdout.splitlines()
    assert GONE in line or "there is no file x" in line


def test_a_program_ends_with_that_error(job: Path) -> None:
    done = from_nowhere(sys.executable, str(job), at=job.parent)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == f"runstone.errors.CurrentFolderGone: {GONE}"


@pytest.mark.parametrize("ledger", ["", "none"])
def test_a_run_whose_folder_is_named_goes_on_without_it(job: Path, ledger: str) -> None:
    folder = job.parent / "elsewhere"
    done = from_nowhere(sys.executable, str(job), str(folder), at=job.parent, RUNSTONE_LEDGER=ledger)
    assert (done.returncode, done.stdout) == (0, "completed\n")
    told = "" if ledger else f"runstone: runs are recorded in their folders alone for now: {GONE}\n"
    assert done.stderr == told
    shown = scripts.runstone("show", str(folder), cwd=job.parent)
    assert shown.returncode == 0


def test_tracked_code_goes_on(job: Path) -> None:
    code = "from runstone import track\nwith track('t'): print('done')\n"
    done = from_nowhere(sys.executable, "-c", code, at=job.parent)
    assert (done.returncode, done.stdout) == (0, "done\n")
    assert done.stderr == f"runstone: a run is not tracked as it should be: {GONE}\n"

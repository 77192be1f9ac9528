"""Who runs a pipeline is told at its end which secrets it has left in its record."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests import scripts

FLOW = """
import sys
from pathlib import Path
from runstone import Pipeline, Secret, artifact, block

@block
def leaks(token: str, around: str = "") -> str:
    return f"Bearer {token}"

@block
def leaks_too(token: str) -> list[str]:
    return [token]

@block(cache=True)
def saves(token: str) -> int:
    Path("saved.txt").write_text("saved")
    artifact("saved.txt")
    return 1

@block(mapspec="numbers[i] -> square[i]")
def square(numbers: int) -> int:
    return numbers * numbers

flow = Pipeline("flow", [leaks, leaks_too, saves])
many = Pipeline("many", [block(name=f"leak_{number}")(lambda token: token) for number in range(8)])
tidy = Pipeline("tidy", [square])

if __name__ == "__main__":
    show = {"none": None, "false": False, "true": True}[sys.argv[1]]
    flow.run({"token": Secret("swordfish-1")}, show_progress=show)
"""
WHERE = "whoever can read this run can read it"


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "runstone.toml").write_text('[secrets]\nnames = ["token"]\n')
    scripts.write(tmp_path / "flow.py", FLOW)
    return tmp_path


def told(err: str) -> list[str]:
    return [line for line in err.splitlines() if line.startswith(("warning: ", "and "))]


@pytest.mark.parametrize("progress", [[], ["--no-progress"], ["--progress"]])
def test_the_command_names_every_block_that_left_a_secret_and_what_the_cache_did_not_keep(
    place: Path, progress: list[str]
) -> None:
    (place / "token").write_text("swordfish-1")
    given = ["-p", "token=file:token", "-p", "around=a swordfish-1 b"]
    done = scripts.runstone("run", "flow.py:flow", *given, *progress, cwd=place)
    assert done.returncode == 0, done.stderr
    lines = told(done.stderr)
    assert len(lines) == 4
    assert lines[0].startswith("warning: parameter 'around' holds a secret, and is stored as it was given: " + WHERE)
    assert lines[1] == f"warning: what 'leaks' returned holds a secret, and is stored as it was returned: {WHERE}"
    assert lines[2] == f"warning: what 'leaks_too' returned holds a secret, and is stored as it was returned: {WHERE}"
    assert lines[3].startswith("warning: block 'saves' saves artifacts")
    assert "swordfish-1" not in done.stderr


@pytest.mark.parametrize(("show", "lines"), [("none", 4), ("true", 4), ("false", 0)])
def test_a_program_is_told_unless_it_wants_nothing_to_be_shown(place: Path, show: str, lines: int) -> None:
    done = scripts.python("flow.py", show, cwd=place)
    assert done.returncode == 0, done.stderr
    assert len(told(done.stderr)) == lines
    assert ("not recoverable: 'token' was given as a literal secret" in done.stderr) == bool(lines)


def test_of_many_the_first_are_told_and_the_rest_counted(place: Path) -> None:
    (place / "token").write_text("swordfish-1")
    done = scripts.runstone("run", "flow.py:many", "-p", "token=file:token", cwd=place)
    assert done.returncode == 0, done.stderr
    assert [line[:8] for line in told(done.stderr)] == ["warning:"] * 5 + ["and 3 mo"]


def test_a_run_that_left_none_says_nothing(place: Path) -> None:
    done = scripts.runstone("run", "flow.py:tidy", "-p", "numbers=[1,2]", cwd=place)
    assert done.returncode == 0, done.stderr
    assert told(done.stderr) == []


@pytest.mark.skipif(sys.platform == "win32", reason="there is no such shell")
def test_a_run_ends_well_where_nobody_can_be_told(place: Path) -> None:
    (place / "token").write_text("swordfish-1")
    done = scripts.call("sh", "-c", f"exec {sys.executable} flow.py none 2>&-", cwd=place)
    assert done.returncode == 0

"""RUN/BLOCK: every command that takes a run takes a block of it."""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

import runstone as package
from runstone.core import block_status
from runstone.core.status import KEYS
from runstone.errors import RunNotFound
from tests import scripts
from tests.cli.command import complaint, in_terminal, make_lab, runstone


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_lab(tmp_path_factory.mktemp("lab"))


def said(*arguments: str, at: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(runstone(*arguments, at=at).stdout)
    return found


def test_status_adds_the_record_of_the_block_to_the_object_of_the_run(lab: Path) -> None:
    whole = said("status", "run", at=lab.parent)
    found = said("status", "run/multiply", at=lab.parent)
    block = found.pop("block")
    assert found == whole
    assert tuple(whole) == KEYS
    assert tuple(block) == block_status.KEYS
    assert (block["name"], block["status"], block["done"]) == ("multiply", "degraded", True)
    assert block["elements"] == {"total": 12, "ok": 10, "failed": 2, "upstream_failed": 0}
    assert block["outputs"] == {"cell": whole["outputs"]["cell"]}
    assert block["duration_seconds"] > 0


def test_a_block_that_is_not_there_is_missing(lab: Path) -> None:
    for command in ("status", "watch"):
        answer = runstone(command, "run/multiplie", at=lab.parent)
        assert answer.returncode == 1
        assert json.loads(answer.stdout)["status"] == "missing"
        assert "did you mean run/multiply?" in json.loads(answer.stdout)["error"]
    for command in ("show", "output", "graph"):
        answer = runstone(command, "run/multiplie", at=lab.parent)
        assert answer.returncode == 1
        assert "did you mean run/multiply?" in complaint(answer)


def test_show_tells_of_this_block_alone(lab: Path) -> None:
    page = runstone("show", "run/multiply", at=lab.parent).stdout
    head, *sections = page.split("\n\n")
    facts = dict(line.split(maxsplit=1) for line in head.splitlines()[1:])
    assert head.splitlines()[0] == "lab/multiply"
    assert facts["status"].startswith("● degraded after ")
    assert (facts["elements"], facts["retries"]) == ("12/12 (4 × 3), 2 failed", "2")
    assert (facts["maps"], facts["after"]) == ("xs[i], ys[j] -> cell[i, j]", "xs")
    assert facts["function"].endswith("lab.py:multiply")
    assert facts["code"].startswith("function ")
    titles = [section.splitlines()[0] for section in sections]
    assert titles == ["Outputs", "Errors: 2", "Next"]
    assert "report.md" not in page
    assert "Artifacts" in runstone("show", "run/fit", at=lab.parent).stdout


def test_show_as_json_is_narrowed_to_the_block(lab: Path) -> None:
    found = said("show", "run/collect", "--json", at=lab.parent)
    assert [block["name"] for block in found["blocks"]] == ["collect"]
    assert found["status"]["block"]["name"] == "collect"
    assert (found["errors"], found["error_count"], found["artifacts"], found["artifact_count"]) == ([], 0, [], 0)
    assert said("show", "run/multiply", "--json", at=lab.parent)["error_count"] == 2


@pytest.mark.parametrize("width", [60, 100])
def test_show_fits_the_terminal(lab: Path, width: int) -> None:
    written, code = in_terminal("show", "run/multiply", at=lab.parent, width=width)
    assert code == 0
    assert "lab/multiply" in written


def test_output_knows_which_one_is_meant(lab: Path) -> None:
    assert runstone("output", "run/xs", at=lab.parent).stdout == "[0,1,2,3]\n"
    assert runstone("output", "run/xs", "xs", at=lab.parent).stdout == "[0,1,2,3]\n"
    several = runstone("output", "run/collect", at=lab.parent)
    assert several.returncode == 2
    assert "name an output of run/collect: table, matrix" in complaint(several)
    other = runstone("output", "run/xs", "matrix", at=lab.parent)
    assert other.returncode == 2
    assert "run/xs has no output 'matrix'" in complaint(other)


def test_graph_draws_the_block_and_its_neighbours(lab: Path) -> None:
    answer = runstone("graph", "run/collect", at=lab.parent).stdout
    assert answer.startswith("lab/collect  completed\n")
    drawn = said("graph", "run/collect", "--json", at=lab.parent)
    assert {node["label"] for node in drawn["nodes"]} == {"multiply", "collect", "fit"}
    assert len(drawn["edges"]) == 2


def test_open_gives_the_run_and_the_record_of_the_block(lab: Path) -> None:
    run = package.open(f"{lab}/multiply")
    assert run.status == "degraded"
    assert run.block is not None
    assert (run.block["name"], run.block["status"]) == ("multiply", "degraded")
    assert package.open(lab).block is None
    with pytest.raises(RunNotFound, match="no block 'nope'"):
        package.open(f"{lab}/nope")


STEPS = """
import time
from pathlib import Path
from runstone import Pipeline, block

@block
def first():
    return 1

@block(on_error="continue")
def second(first):
    Path("at-second").touch()
    while not Path("go").exists():
        time.sleep(0.005)
    if Path("go").read_text() == "fail":
        raise ValueError("told to")
    return 2

@block(when=lambda first: first > 1)
def skipped(first):
    return 3

@block
def last(first):
    Path("at-last").touch()
    while not Path("end").exists():
        time.sleep(0.005)
    return 4

Pipeline("p", [first, second, skipped, last]).run(run_folder="run", raise_on_error=False)
"""


@pytest.mark.parametrize(("how", "code"), [("", 0), ("fail", 1)])
def test_watch_ends_with_the_block_and_not_with_its_run(tmp_path: Path, how: str, code: int) -> None:
    scripts.write(tmp_path / "script.py", STEPS)
    process = scripts.start(sys.executable, "script.py", cwd=tmp_path)
    scripts.wait_for(tmp_path / "at-second")
    watch = scripts.start(scripts.RUNSTONE, "watch", "./run/second", cwd=tmp_path)
    assert watch.stdout is not None
    assert json.loads(watch.stdout.readline())["block"]["status"] == "running"
    (tmp_path / "half").write_text(how)
    os.rename(tmp_path / "half", tmp_path / "go")
    out, _ = watch.communicate(timeout=30)
    last = json.loads(out.splitlines()[-1])
    assert (watch.returncode, last["status"]) == (code, "running")
    assert last["block"]["status"] == ("failed" if how else "completed")
    scripts.wait_for(tmp_path / "at-last")
    assert scripts.runstone("watch", "./run/skipped", cwd=tmp_path).returncode == 0
    (tmp_path / "end").touch()
    process.communicate(timeout=30)


def test_a_killed_run_crashes_the_block_that_was_executed_and_no_other(tmp_path: Path) -> None:
    scripts.write(tmp_path / "script.py", STEPS)
    process = scripts.start(sys.executable, "script.py", cwd=tmp_path)
    scripts.wait_for(tmp_path / "at-second")
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=30)
    status = json.loads(scripts.runstone("status", "./run/second", cwd=tmp_path).stdout)
    assert status["blocks"] == {"completed": 1, "crashed": 1, "pending": 2}
    assert status["duration_seconds"] >= status["block"]["duration_seconds"] >= 0
    assert (status["block"]["status"], status["block"]["recorded_status"]) == ("crashed", "running")
    watched = {name: scripts.runstone("watch", f"./run/{name}", cwd=tmp_path).returncode for name in ("first", "last")}
    assert watched == {"first": 0, "last": 1}
    run = package.open(tmp_path / "run")
    assert run.blocks == {"first": "completed", "second": "crashed", "skipped": "pending", "last": "pending"}
    assert run.duration_seconds == status["duration_seconds"] == run.manifest()["duration_seconds"]
    assert [stage["status"] for stage in run.stages] == ["completed", "crashed", "pending", "pending"]


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("run/mul", ["plain,run/multiply"]),
        ("run/fit", ["plain,run/fit", "plain,run/fit_each"]),
        ("nowhere/a", ["dir,a"]),
    ],
)
def test_the_shell_completes_blocks_behind_a_run(lab: Path, typed: str, offered: list[str]) -> None:
    asked = {"_RUNSTONE_COMPLETE": "bash_complete", "COMP_WORDS": f"runstone show {typed}", "COMP_CWORD": "2"}
    answer = scripts.call(scripts.RUNSTONE, cwd=lab.parent, **asked)
    assert answer.stdout.splitlines() == offered

"""Tracked code inside of the blocks of a pipeline: a child of its run, wherever the block is computed."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path

import pytest

from runstone import Pipeline, RunFailed, block, track
from runstone.engine.track import complaints
from runstone.ledger import opening
from runstone.ledger.find import find
from runstone.ledger.place import Place
from runstone.ledger.sync import sync
from tests.harness.tracked import by_stage, done, execute, journals, states


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / ".runstone").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RUNSTONE_LEDGER", "none")
    monkeypatch.setattr(complaints, "_said", set())
    return tmp_path


@block
def numbers() -> list[int]:
    with track("in a block"), track("nested"):
        return [1, 2, 3, 4]


@block(output="doubled", mapspec="numbers[i] -> doubled[i]")
def double(numbers: int) -> int:
    with track(f"element {numbers}") as t:
        t.rows_out = numbers
    return 2 * numbers


@block(output="halved", mapspec="doubled[i] -> halved[i]")
async def halve(doubled: int) -> int:
    async with track(f"async {doubled}"):
        return doubled // 2


@block
def inner() -> int:
    Pipeline("child", [leaf]).run({}, show_progress=False)
    return 1


@block
def leaf() -> int:
    with track("in the child"):
        return 1


@pytest.mark.parametrize("executor", ["inline", "threads", "processes"])
def test_a_run_inside_of_a_block_is_a_child_of_the_pipelines_run(project: Path, executor: str) -> None:
    with track("around") as around:
        run = Pipeline("p", [numbers, double, halve], executor=executor).run({}, show_progress=False)
    found = by_stage(project)
    assert run.status_object()["parent_id"] == around.run_id
    expected = {"around": None, "in a block": run.run_id, "nested": found["in a block"].run_id}
    expected |= {f"element {n}": run.run_id for n in (1, 2, 3, 4)} | {
        f"async {2 * n}": run.run_id for n in (1, 2, 3, 4)
    }
    assert {stage: state.parent_id for stage, state in found.items()} == expected
    assert all(state.status.value == "completed" for state in found.values())
    if executor == "processes":
        assert len(journals(project)) > 1, "each process has its own journal"


def test_a_pipeline_inside_of_a_block_is_a_child_and_what_is_tracked_in_it_its_grandchild(project: Path) -> None:
    outer = Pipeline("outer", [inner]).run({}, show_progress=False)
    found = by_stage(project)["in the child"]
    store = opening.open_ledger(Place("sqlite", str(project / "other.db")))
    sync(store)
    rows = dict(store.rows("SELECT pipeline_name, run_id FROM pipeline_run"))
    parents = dict(store.rows("SELECT pipeline_name, parent_id FROM pipeline_run"))
    store.close()
    assert parents == {"outer": None, "child": outer.run_id, "in the child": rows["child"]}
    assert found.parent_id == rows["child"]


def test_after_the_run_nothing_is_its_child_any_more(project: Path) -> None:
    Pipeline("p", [numbers], executor="inline").run({}, show_progress=False)
    with track("later"):
        pass
    assert by_stage(project)["later"].parent_id is None


PROCESSES = """
import os, signal, sys, time
from runstone import Pipeline, block, track

@block
def numbers() -> list[int]:
    return list(range(40))

@block(output="out", mapspec="numbers[i] -> out[i]")
def work(numbers: int) -> int:
    with track(f"element {numbers}") as t:
        t.rows_out = numbers
    with open("seen", "a") as file:
        file.write(f"element {numbers}\\n")
    if numbers == 20 and sys.argv[1] == "dies":
        os.kill(os.getpid(), signal.SIGKILL)
    return numbers

if __name__ == "__main__":
    try:
        Pipeline("p", [numbers, work], executor="processes").run({}, show_progress=False)
    except Exception as error:
        print(type(error).__name__)
"""


def test_worker_processes_bring_what_they_track_into_the_ledger(project: Path) -> None:
    done(PROCESSES, project, "lives", ledger=None)
    store = opening.open_ledger(Place("sqlite", str(project / ".runstone" / "ledger.db")))
    with contextlib.closing(store):
        deadline = time.monotonic() + 10
        while store.rows("SELECT count(*) FROM pipeline_run WHERE kind = 'stage' AND status = 'completed'") != [(40,)]:
            # a worker may still be about to end when the one it worked for has ended
            assert time.monotonic() < deadline
            time.sleep(0.05)
        assert sync(store).taken == 0


def test_nothing_that_was_tracked_is_lost_when_a_worker_is_killed(project: Path) -> None:
    out, _, status = execute(PROCESSES, project, "dies", ledger=None)
    assert (out.strip(), status) == ("RunFailed", 0)
    seen = (project / "seen").read_text().splitlines()
    assert "element 20" in seen
    found = {state.stage: state for state in states(project)}
    assert found.keys() == set(seen)
    assert all(state.status.value == "completed" for state in found.values())
    store = opening.open_ledger(Place("sqlite", str(project / ".runstone" / "ledger.db")))
    with contextlib.closing(store):
        sync(store)
        rows = dict(store.rows("SELECT pipeline_name, rows_out FROM pipeline_run WHERE kind = 'stage'"))
    assert rows == {stage: int(stage.split()[1]) for stage in seen}


def test_a_run_that_is_open_when_its_worker_is_ended_is_crashed(project: Path) -> None:
    @block(timeout=0.5)
    def endless() -> int:
        with track("endless"):
            time.sleep(600)
        return 1

    with pytest.raises(RunFailed):
        Pipeline("p", [endless], executor="processes").run({}, show_progress=False)
    [state] = states(project)
    assert (state.stage, state.done) == ("endless", False)
    store = opening.open_ledger(Place("sqlite", str(project / "other.db")))
    with contextlib.closing(store):
        sync(store)
        [seen] = [run for run in find(store, limit=10).runs if run.pipeline_name == "endless"]
    assert seen.status == "crashed"

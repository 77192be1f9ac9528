"""`cache=True` where blocks are executed elsewhere: what is reused as a whole ends at once, and the run goes on."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import runstone
from runstone import Pipeline, block
from runstone.engine.caching.block import _Taking
from runstone.folder.read import read_run
from runstone.folder.why import explain
from runstone.workspace.sync import WorkspaceManager
from tests.engine.executors.ways import awaited, note, noted

WAYS = ["inline", "threads", "processes", "auto", "pool", "awaited"]


@contextmanager
def executing(way: str) -> Iterator[Any]:
    """What to give as `executor=`."""
    if way == "pool":
        with ThreadPoolExecutor(2) as pool:
            yield pool
    else:
        yield "inline" if way == "awaited" else way


def make(way: str, function: Callable[..., Any], **settings: Any) -> Any:
    return block(awaited(function) if way == "awaited" else function, **settings)


def one(x: int, file: str) -> int:
    note(file, "one")
    return x


def two(one: int, file: str) -> int:
    note(file, "two")
    return one + 1


def left(two: int, file: str) -> int:
    note(file, "left")
    return two + 10


def right(two: int, file: str) -> int:
    note(file, "right")
    return two + 100


def both(left: int, right: int, file: str) -> int:
    note(file, "both")
    return left + right


def each(x: int, file: str) -> int:
    note(file, f"each {x}")
    return x * 2


def again(each: int, file: str) -> int:
    note(file, f"again {each}")
    return each + 1


def total(again: list[int], file: str) -> int:
    note(file, "total")
    return sum(again)


def mapped(way: str, *, last_is_cached: bool) -> Pipeline:
    return Pipeline(
        "mapped",
        [
            make(way, each, mapspec="x[i] -> each[i]", cache=True),
            make(way, again, mapspec="each[i] -> again[i]", cache=True),
            make(way, total, cache=last_is_cached),
        ],
    )


def run(pipeline: Pipeline, executor: Any, tmp_path: Path, x: Any) -> tuple[runstone.Run, list[str]]:
    """The run, and what was called in it."""
    file = tmp_path / "calls.txt"
    file.unlink(missing_ok=True)
    found = pipeline.run({"x": x, "file": str(file)}, executor=executor, show_progress=False)
    return found, sorted(noted(file))


def statuses(run: runstone.Run) -> dict[str, str]:
    state = read_run(str(run.run_folder)).state
    return {name: block.status.value for name, block in state.blocks.items()}


@pytest.mark.parametrize("way", WAYS)
def test_a_block_below_one_that_is_reused_is_computed(way: str, tmp_path: Path) -> None:
    pipeline = Pipeline("two", [make(way, one, cache=True), make(way, two)])
    with executing(way) as executor:
        run(pipeline, executor, tmp_path, 1)
        second, called = run(pipeline, executor, tmp_path, 1)
    assert called == ["two"]
    assert statuses(second) == {"one": "reused", "two": "completed"}
    assert second.status == "completed"
    assert second.outputs["two"] == 2


@pytest.mark.parametrize("way", WAYS)
def test_a_single_block_may_be_all_that_is_reused(way: str, tmp_path: Path) -> None:
    pipeline = Pipeline("single", [make(way, one, cache=True)])
    with executing(way) as executor:
        run(pipeline, executor, tmp_path, 1)
        second, called = run(pipeline, executor, tmp_path, 1)
    assert (called, statuses(second), second.status) == ([], {"one": "reused"}, "completed")


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("cached", [("one", "two"), ("one", "two", "left"), ("one", "two", "left", "right", "both")])
def test_chains_and_diamonds_are_reused_as_far_as_they_go(cached: tuple[str, ...], way: str, tmp_path: Path) -> None:
    functions = (one, two, left, right, both)
    pipeline = Pipeline("diamond", [make(way, each, cache=each.__name__ in cached) for each in functions])
    with executing(way) as executor:
        first, called = run(pipeline, executor, tmp_path, 1)
        assert len(called) == 5
        second, called = run(pipeline, executor, tmp_path, 1)
    assert called == sorted({each.__name__ for each in functions} - {*cached})
    assert statuses(second) == {
        each.__name__: "reused" if each.__name__ in cached else "completed" for each in functions
    }
    assert second.outputs["both"] == first.outputs["both"] == 114


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("last_is_cached", [False, True])
def test_mapped_blocks_that_are_reused_whole_and_in_part(last_is_cached: bool, way: str, tmp_path: Path) -> None:
    pipeline = mapped(way, last_is_cached=last_is_cached)
    with executing(way) as executor:
        run(pipeline, executor, tmp_path, [1, 2, 3])
        whole, called = run(pipeline, executor, tmp_path, [1, 2, 3])
        assert called == [] if last_is_cached else ["total"]
        part, computed = run(pipeline, executor, tmp_path, [3, 4, 1])
    assert statuses(whole) == {
        "each": "reused",
        "again": "reused",
        "total": "reused" if last_is_cached else "completed",
    }
    assert whole.outputs["total"] == 15
    assert computed == ["again 8", "each 4", "total"]
    assert part.outputs["total"] == 19


@pytest.mark.parametrize("name", ["threads", "processes", "pool"])
def test_blocks_of_all_kinds_after_each_other(name: str, tmp_path: Path) -> None:
    with executing(name) as executor:
        pipeline = Pipeline(
            "mixed",
            [
                block(awaited(one), cache=True, executor="inline"),
                block(two, executor="threads", cache=True),
                block(left, executor="inline", cache=True),
                block(awaited(right), executor="inline"),
                block(both),
            ],
        )
        run(pipeline, executor, tmp_path, 1)
        second, called = run(pipeline, executor, tmp_path, 1)
    assert called == ["both", "right"]
    assert statuses(second) == {
        "one": "reused",
        "two": "reused",
        "left": "reused",
        "right": "completed",
        "both": "completed",
    }
    assert second.outputs["both"] == 114


def test_run_async_runs_of_a_workspace_and_replays_go_on_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RUNSTONE_LEDGER", raising=False)
    pipeline = Pipeline("two", [block(one, cache=True), block(two)], executor="threads")
    file = tmp_path / "calls.txt"
    params = {"x": 1, "file": str(file)}

    async def again() -> runstone.Run:
        return await pipeline.run_async(params, show_progress=False)

    workspace = WorkspaceManager().create("other")
    pipeline.run(params, show_progress=False)
    first = workspace.run(pipeline, params, show_progress=False)
    for found in (
        asyncio.run(again()),
        workspace.run(pipeline, params, show_progress=False),
        workspace.replay_run(first.run_id, pipeline=pipeline).wait(30),
    ):
        assert statuses(found) == {"one": "reused", "two": "completed"}
        assert found.outputs["two"] == 2
    assert sorted(noted(file)) == ["one"] * 2 + ["two"] * 5


def test_that_the_machinery_failed_is_not_somebody_asking_to_stop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def breaks(self: Any) -> Any:
        raise RuntimeError("a fault of ours")

    monkeypatch.setattr(_Taking, "run", breaks)
    pipeline = Pipeline("two", [block(one, cache=True), block(two)], executor="threads")
    with pytest.raises(RuntimeError, match="a fault of ours"):
        pipeline.run({"x": 1, "file": str(tmp_path / "c")}, run_folder=tmp_path / "run", show_progress=False)
    told = "two was not started: the driver stopped at RuntimeError: a fault of ours"
    assert explain(str(tmp_path / "run"), "two").answer == told
    assert read_run(str(tmp_path / "run")).state.status.value == "crashed"


def test_what_is_executed_beside_it_stops_when_the_machinery_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = threading.Event()

    def slow(y: int) -> int:
        begun.set()
        time.sleep(0.05)
        return y

    def breaks(self: Any) -> Any:
        begun.wait(10)
        raise RuntimeError("a fault of ours")

    monkeypatch.setattr(_Taking, "run", breaks)
    pipeline = Pipeline("beside", [block(slow, mapspec="y[i] -> slow[i]"), block(one, cache=True)])
    params = {"x": 1, "y": list(range(400)), "file": str(tmp_path / "c")}
    with pytest.raises(RuntimeError, match="a fault of ours"):
        pipeline.run(params, executor="threads", max_parallel=1, run_folder=tmp_path / "run", show_progress=False)
    state = read_run(str(tmp_path / "run")).state
    assert (state.status.value, str(state.reason)) == ("crashed", "driver_gone")
    assert (state.blocks["slow"].status.value, state.blocks["one"].status.value) == ("crashed", "cancelled")
    assert 0 < state.blocks["slow"].ok < 400
    assert state.cancel_requested_at is None
    assert "the driver stopped at RuntimeError" in explain(str(tmp_path / "run"), "one").answer


@pytest.mark.parametrize("executor", ["inline", "threads", "processes"])
def test_a_condition_that_fails_keeps_others_from_starting(executor: str, tmp_path: Path) -> None:
    def asked(x: int) -> bool:
        raise ValueError(x)

    pipeline = Pipeline("conditional", [block(one, when=asked), block(two, renames={"one": "x"})])
    found = pipeline.run(
        {"x": 1, "file": str(tmp_path / "calls")}, executor=executor, raise_on_error=False, show_progress=False
    )
    assert statuses(found) == {"one": "failed", "two": "cancelled"}
    assert noted(tmp_path / "calls") == []

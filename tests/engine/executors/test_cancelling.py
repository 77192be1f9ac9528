"""A run that is to stop says so at once, and is over when nothing of it lives any more."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import runstone
from runstone import Pipeline, Run, block
from runstone.folder import observe, requests
from tests.engine.executors.conftest import way_called
from tests.engine.executors.test_timeouts import STUBBORN_WAYS, of_scene
from tests.engine.executors.ways import EVERY, note, noted, wait_until
from tests.harness.ground import Ground

COUNT = 3000
HOW: dict[str, Callable[[Any, Path], Any]] = {
    "handle": lambda handle, folder: handle.cancel(),
    "request": lambda handle, folder: requests.leave(str(folder), requests.CANCEL, by="somebody", message="enough"),
}


def begin(made: list[Any], params: dict[str, Any], folder: Path | None, executor: Any, **more: Any) -> Any:
    given: dict[str, Any] = {"show_progress": False, "raise_on_error": False, **more}
    return Pipeline("p", made).run_async(params, run_folder=folder, executor=executor, **given)


def receipts_of(folder: Path) -> list[dict[str, Any]]:
    """What the end of a run says about processes that were ended for it."""
    (end,) = Ground(folder).events("run.ended")
    found: list[dict[str, Any]] = end.fields.get("receipts", [])
    return found


@pytest.mark.parametrize("how", HOW)
@pytest.mark.parametrize("executor", EVERY)
def test_a_map_stops_and_keeps_what_it_has(executor: str, how: str, tmp_path: Path) -> None:
    calls = str(tmp_path / "calls")

    def work(x: int) -> int:
        note(calls, x)
        time.sleep(0.01)
        return x

    async def awaits(x: int) -> int:
        note(calls, x)
        await asyncio.sleep(0.2)
        return x

    way = way_called(executor)
    function: Any = awaits if executor == "awaited" else work
    made = [block(function, name="work", output="y", mapspec="x[i] -> y[i]"), block(lambda y: len(y), name="after")]
    handle = begin(made, {"x": list(range(COUNT))}, tmp_path / "run", way.executor)
    wait_until(lambda: len(noted(calls)) > 60)
    asked = time.monotonic()
    HOW[how](handle, tmp_path / "run")
    found: Run = handle.result(60)
    # all of it would take longer; what was handed to somebody else's cluster cannot be taken back
    assert executor == "dask" or time.monotonic() - asked < 10
    assert (found.status, found.blocks) == ("cancelled", {"work": "cancelled", "after": "cancelled"})
    done = found.status_object()["progress"]["done"]
    assert 0 < done < COUNT
    if how == "request":
        told = found.status_object()
        assert (told["reason"], told["message"]) == ("cancel_requested", "enough")
        assert told["cancel_requested_at"] is not None
    before = len(noted(calls))
    time.sleep(0.3)
    assert len(noted(calls)) == before
    assert way.run(Pipeline("next", [block(lambda x: x, name="n", mapspec="x[i] -> y[i]")]), {"x": [1, 2]}).status == (
        "completed"
    )


@pytest.mark.parametrize("mapped", [True, False])
@pytest.mark.parametrize("stubborn", STUBBORN_WAYS)
def test_workers_that_do_not_stop_are_ended_and_there_is_a_receipt(stubborn: str, mapped: bool, tmp_path: Path) -> None:
    mark = f"RUNSTONE_SCENE_{os.urandom(6).hex()}"
    does = STUBBORN_WAYS[stubborn]
    grace = 1.0

    def stuck(x: int) -> int:
        os.environ[mark] = "1"
        note(tmp_path / "begun", os.getpid())
        does()
        return x

    mapspec = "x[i] -> y[i]" if mapped else None
    params = {"x": [1, 2] if mapped else 1}
    handle = begin([block(stuck, output="y", mapspec=mapspec)], params, tmp_path / "run", "processes", grace=grace)
    wait_until(lambda: len(noted(tmp_path / "begun")) == (2 if mapped else 1))
    time.sleep(0.3)
    handle.cancel()
    wait_until(lambda: observe.status(str(tmp_path / "run"))["status"] in ("cancelling", "cancelled"))
    # of their own they never end
    found: Run = handle.result(60)
    assert found.status == "cancelled"
    assert of_scene(mark) == []
    receipts = receipts_of(tmp_path / "run")
    assert receipts
    assert all(one["finished"] for one in receipts)
    dead = {process["pid"] for one in receipts for process in one["processes"] if process["dead_at"]}
    assert {int(pid) for pid in noted(tmp_path / "begun")} <= dead
    after = way_called("processes").run(Pipeline("next", [block(lambda: 7, name="seven")]))
    assert (after.status, after.outputs["seven"]) == ("completed", 7)


def test_where_nothing_had_to_be_ended_there_is_no_receipt(tmp_path: Path) -> None:
    calls = str(tmp_path / "calls")

    def work(x: int) -> int:
        note(calls, x)
        time.sleep(0.01)
        return x

    handle = begin(
        [block(work, output="y", mapspec="x[i] -> y[i]")], {"x": list(range(COUNT))}, tmp_path / "run", "processes"
    )
    wait_until(lambda: len(noted(calls)) > 20)
    handle.cancel()
    assert handle.result(20).status == "cancelled"
    assert receipts_of(tmp_path / "run") == []


@pytest.mark.parametrize("executor", ["inline", "threads"])
def test_code_in_the_users_process_that_does_not_stop_is_told_as_that(executor: str, tmp_path: Path) -> None:
    go_on = threading.Event()

    def stuck(x: int) -> int:
        go_on.wait(30)
        return x

    handle = begin(
        [block(stuck, output="y", mapspec="x[i] -> y[i]")],
        {"x": list(range(40))},
        tmp_path / "run",
        executor,
        grace=0.3,
    )
    wait_until(lambda: observe.status(str(tmp_path / "run"))["status"] == "running")
    time.sleep(0.1)
    handle.cancel()
    wait_until(lambda: observe.status(str(tmp_path / "run"))["status"] == "cancelling")
    wait_until(lambda: observe.status(str(tmp_path / "run"))["reason"] == "not_killable")
    assert not runstone.open(tmp_path / "run").done
    go_on.set()
    found = handle.result(20)
    assert found.status == "cancelled"
    # the element that was being computed ended, and counts
    assert found.status_object()["progress"]["done"] >= 1


@pytest.mark.parametrize("executor", ["threads", "processes", "awaited"])
def test_who_asks_after_all_work_has_ended_asks_too_late(executor: str, tmp_path: Path) -> None:
    def work(x: int) -> int:
        note(tmp_path / "begun", x)
        time.sleep(0.8)
        return x

    way = way_called(executor)
    handle = begin([way.block(work, output="y")], {"x": 1}, tmp_path / "run", way.executor, grace=20)
    wait_until(lambda: noted(tmp_path / "begun"))
    handle.cancel()
    found = handle.result(20)
    if executor == "awaited":
        # it was cancelled at its next await, or had none left
        assert found.status in ("cancelled", "completed")
        return
    assert (found.status, found.status_object()["reason"]) == ("completed", "too_late")
    assert found.outputs["y"] == 1


def test_a_pause_before_a_retry_ends_at_once(tmp_path: Path) -> None:
    from runstone import Retries

    def fails(x: int) -> int:
        note(tmp_path / "begun", x)
        raise ValueError

    again = Retries(3, delay=30.0, jitter=False)
    for number, (executor, mapspec) in enumerate(
        (executor, mapspec)
        for executor in ("inline", "threads", "processes", "awaited")
        for mapspec in (None, "x[i] -> y[i]")
    ):
        way = way_called(executor)
        folder = tmp_path / f"run{number}"
        handle = begin(
            [way.block(fails, output="y", mapspec=mapspec, retries=again)],
            {"x": [1] if mapspec else 1},
            folder,
            way.executor,
        )
        wait_until(lambda: len(noted(tmp_path / "begun")) == number + 1)  # noqa: B023  # called before the next round
        time.sleep(0.1)
        asked = time.monotonic()
        handle.cancel()
        assert handle.result(60).status == "cancelled", (executor, mapspec)
        assert time.monotonic() - asked < 20, (executor, mapspec)

"""Runs in a thread of their own: awaited, waited for, watched, cancelled, several at once."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from pathlib import Path
from typing import Any

import pytest

import runstone
from runstone import InputError, Pipeline, RunFailed, block
from runstone.folder import observe


@block
def add(x: int, y: int = 1) -> int:
    return x + y


@block
def fail(x: int) -> int:
    raise ValueError(f"no {x}")


adding = Pipeline("adding", [add])
failing = Pipeline("failing", [fail])


class Gate:
    """A pipeline whose elements wait until they are let through."""

    def __init__(self) -> None:
        self.reached = threading.Event()
        self.open = threading.Event()
        self.calls: list[int] = []

        def each(x: int) -> int:
            self.calls.append(x)
            if x == 2:
                self.reached.set()
                assert self.open.wait(30)
            return x

        def after(y: list[int]) -> int:
            return sum(y)

        self.pipeline = Pipeline("gate", [block(each, mapspec="x[i] -> y[i]"), block(after)])

    def start(self, **settings: Any) -> Any:
        handle = self.pipeline.run_async({"x": [0, 1, 2, 3, 4]}, **settings)
        assert self.reached.wait(30)
        return handle


def test_the_handle_says_how_its_run_stands() -> None:
    gate = Gate()
    handle = gate.start(run_folder="runs/mine")
    name = f"run {handle.run_id[:8]} of 'gate'"
    assert repr(handle) == f"<handle of {name}: running, 0% done, in {os.path.join('runs', 'mine')}>"
    gate.open.set()
    handle.result()
    assert repr(handle) == f"<handle of {name}: completed, in {os.path.join('runs', 'mine')}>"
    made = adding.run({"x": 1}, run_folder="made")
    again = adding.run_async({"x": 1}, run_folder="made", resume=True)
    assert repr(again) == f"<handle of run {made.id[:8]} of 'adding': completed, in made>"
    failed = failing.run_async({"x": 1}, run_folder=None)
    with pytest.raises(RunFailed):
        failed.result()
    assert repr(failed) == f"<handle of run {failed.run_id[:8]} of 'failing': failed, not kept>"


def test_it_returns_at_once_with_the_id_and_the_folder() -> None:
    gate = Gate()
    handle = gate.start()
    assert not handle.done
    assert handle.run_folder == os.path.abspath(f"runs/gate-{handle.run_id[:8]}")
    assert observe.status(handle.run_folder)["status"] == "running"
    gate.open.set()
    run = handle.result()
    assert handle.done
    assert (run.id, run.status, run.outputs["after"]) == (handle.run_id, "completed", 10)
    assert handle.result() is run


def test_result_waits_no_longer_than_asked() -> None:
    gate = Gate()
    handle = gate.start()
    with pytest.raises(TimeoutError, match=f"run {handle.run_id[:8]} has not ended after 0.05 seconds"):
        handle.result(timeout=0.05)
    gate.open.set()
    assert handle.result(timeout=30).status == "completed"


def test_progress_goes_from_0_to_1() -> None:
    gate = Gate()
    handle = gate.start()
    seen = [handle.progress]
    gate.open.set()
    handle.result()
    assert 0 <= seen[0] < 1
    assert handle.progress == 1


def test_a_failed_run_raises_in_result_and_in_await() -> None:
    with pytest.raises(RunFailed) as caught:
        failing.run_async({"x": 1}).result()
    assert isinstance(caught.value.__cause__, ValueError)

    async def wait() -> None:
        await failing.run_async({"x": 2})

    with pytest.raises(RunFailed, match="no 2"):
        asyncio.run(wait())
    assert failing.run_async({"x": 1}, raise_on_error=False).result().status == "failed"


def test_wrong_parameters_are_refused_at_once() -> None:
    with pytest.raises(InputError, match="'z' is not a parameter"):
        adding.run_async({"x": 1, "z": 2})
    assert not Path("runs").exists()


def test_several_runs_at_once_in_one_loop_do_not_disturb_each_other() -> None:
    async def all_of_them() -> list[Any]:
        return await asyncio.gather(*(adding.run_async({"x": number}) for number in range(20)))

    runs = asyncio.run(all_of_them())
    assert [run.outputs["add"] for run in runs] == list(range(1, 21))
    assert len({run.id for run in runs}) == len(os.listdir("runs")) == 20


def test_the_loop_goes_on_while_a_run_works() -> None:
    gate = Gate()

    async def main() -> int:
        handle = gate.pipeline.run_async({"x": [0, 1, 2]})
        task = asyncio.ensure_future(_waited(handle))
        ticks = 0
        while not task.done():
            ticks += 1
            await asyncio.sleep(0.001)
            if gate.reached.is_set() and ticks > 10:
                gate.open.set()
        assert task.result().status == "completed"
        return ticks

    assert asyncio.run(main()) > 10


async def _waited(handle: Any) -> Any:
    return await handle


def test_one_run_can_be_awaited_by_several_and_after_its_end() -> None:
    async def main() -> None:
        handle = adding.run_async({"x": 1})
        runs = await asyncio.gather(_waited(handle), _waited(handle))
        assert runs[0] is runs[1] is await handle is handle.result()

    asyncio.run(main())


def test_run_works_inside_of_a_running_loop() -> None:
    async def main() -> int:
        return int(adding.run({"x": 1}).outputs["add"])

    assert asyncio.run(main()) == 2


def test_cancel_stops_before_the_next_element_and_keeps_what_was_done() -> None:
    gate = Gate()
    handle = gate.start(raise_on_error=False)
    handle.cancel()
    handle.cancel()
    gate.open.set()
    run = handle.result()
    assert (run.status, gate.calls) == ("cancelled", [0, 1, 2])
    status = run.status_object()
    assert (status["reason"], status["blocks"]) == ("cancel_requested", {"cancelled": 2})
    assert status["cancel_requested_at"] is not None
    assert [run.outputs["y"][at] for at in range(3)] == [0, 1, 2]
    with pytest.raises(runstone.FolderError, match="element 3"):
        run.outputs["y"][3]


def test_a_cancelled_run_raises_unless_told_not_to() -> None:
    gate = Gate()
    handle = gate.start()
    handle.cancel()
    gate.open.set()
    with pytest.raises(RunFailed, match="cancelled") as caught:
        handle.result()
    assert caught.value.run.status == "cancelled"


def test_a_cancel_after_the_work_was_done_changes_nothing() -> None:
    handle = adding.run_async({"x": 1})
    handle.result()
    handle.cancel()
    assert handle.result().status == runstone.open(handle.run_id).status == "completed"


def test_cancelling_the_task_that_waits_cancels_the_run() -> None:
    gate = Gate()

    async def main() -> Any:
        handle = gate.pipeline.run_async({"x": [0, 1, 2, 3]}, raise_on_error=False)
        task = asyncio.ensure_future(_waited(handle))
        # once round the loop, or the task would be cancelled before it begins to wait
        await asyncio.sleep(0)
        while not gate.reached.is_set():
            await asyncio.sleep(0.001)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        gate.open.set()
        return handle

    handle = asyncio.run(main())
    assert handle.result().status == "cancelled"
    assert gate.calls == [0, 1, 2]


def test_a_loop_that_is_gone_before_the_run_ends_is_no_trouble() -> None:
    gate = Gate()

    async def main() -> Any:
        handle = gate.start(raise_on_error=False)
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(_waited(handle), 0.05)
        return handle

    handle = asyncio.run(main())
    gate.open.set()
    assert handle.result(timeout=30).status == "cancelled"


def test_map_and_map_async_are_the_same_under_another_name() -> None:
    assert adding.map({"x": 1}).outputs["add"] == 2
    assert adding.map_async({"x": 2}).result().outputs["add"] == 3


def test_runs_in_threads_of_the_callers_own_do_not_disturb_each_other() -> None:
    found: dict[int, Any] = {}

    def one(number: int) -> None:
        found[number] = adding.run({"x": number}).outputs["add"]

    threads = [threading.Thread(target=one, args=(number,)) for number in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {number: number + 1 for number in range(10)}


def test_threads_and_files_are_given_back() -> None:
    def open_files() -> int:
        return len(os.listdir("/proc/self/fd"))

    adding.run({"x": 1})  # the heartbeat thread is there from now on
    before = open_files(), threading.active_count()
    for number in range(30):
        adding.run({"x": number})
        adding.run_async({"x": number}).result()
        failing.run({"x": 1}, raise_on_error=False)
        with pytest.raises(InputError):
            adding.run({"y": 1})
        assert runstone.open(str(adding.run({"x": 1}).run_folder)).outputs["add"] == 2
    for _ in range(100):
        if threading.active_count() <= before[1]:
            break
        time.sleep(0.01)
    assert (open_files(), threading.active_count()) == before


def test_a_thread_pool_inside_of_a_block_is_fine() -> None:
    from concurrent.futures import ThreadPoolExecutor

    @block
    def pooled(x: int) -> list[int]:
        with ThreadPoolExecutor(4) as pool:
            return list(pool.map(lambda number: number * x, range(10)))

    assert Pipeline("pooled", [pooled]).run({"x": 2}).outputs["pooled"] == list(range(0, 20, 2))


def test_a_loop_inside_of_a_block_is_fine() -> None:
    @block
    def looped(x: int) -> int:
        async def main() -> int:
            await asyncio.sleep(0)
            return x

        return asyncio.run(main())

    assert Pipeline("looped", [looped]).run({"x": 2}).outputs["looped"] == 2

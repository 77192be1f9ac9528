"""An attempt that takes too long is ended, whatever it does, and its block ends as the settings say."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

import runstone
from runstone import Failed, Pipeline, Run, SettingError, block
from runstone.engine.guard import processes
from tests.engine.executors.ways import note, noted, wait_until

ENDS = {
    "timed_out": ("failed", "timed_out"),
    "failed": ("failed", "failed"),
    "cancelled": ("cancelled", "cancelled"),
}
"""How a run, and its block, end because of a block that took too long."""
GRACE = 0.5


def sleeps() -> None:
    time.sleep(60)


def counts_in_c() -> None:
    sum(range(10**15))


def ignores_sigterm() -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    while True:
        time.sleep(1)


STUBBORN = "import signal, time; signal.signal(15, 1); print('!', flush=True); time.sleep(60)"


def starts_a_stubborn_child() -> None:
    child = subprocess.Popen([sys.executable, "-c", STUBBORN], stdout=subprocess.PIPE)
    assert child.stdout is not None
    child.stdout.read(1)
    time.sleep(60)


def leaves_a_daemon() -> None:
    """A grandchild in a session of its own, whose parents are gone."""
    code = f"import os; os.fork() and os._exit(0); os.setsid(); os.fork() and os._exit(0); exec({STUBBORN!r})"
    child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    assert child.stdout is not None
    child.stdout.read(1)
    time.sleep(60)


STUBBORN_WAYS: dict[str, Callable[[], None]] = {
    one.__name__: one for one in (sleeps, counts_in_c, ignores_sigterm, starts_a_stubborn_child, leaves_a_daemon)
}


def quick(pipeline: Pipeline, params: dict[str, Any] | None = None, **settings: Any) -> Run:
    return pipeline.run(params or {}, show_progress=False, raise_on_error=False, **settings)


def of_scene(mark: str) -> list[int]:
    return [
        one.pid
        for one in processes.everyone()
        if one.alive and one.pid != os.getpid() and mark.encode() in processes.environment(one.pid)
    ]


@pytest.mark.parametrize("how", STUBBORN_WAYS)
def test_whatever_it_does_it_is_dead_within_the_grace_and_a_second(how: str, tmp_path: Path) -> None:
    mark = f"RUNSTONE_SCENE_{os.urandom(6).hex()}"
    does = STUBBORN_WAYS[how]

    def stuck() -> None:
        os.environ[mark] = "1"
        note(tmp_path / "begun", time.time())
        does()

    found = quick(Pipeline("p", [block(stuck, timeout=1.0, grace=GRACE)]), run_folder=tmp_path / "run")
    ended = time.time()
    assert (found.status, found.blocks) == ("failed", {"stuck": "timed_out"})
    assert ended - float(noted(tmp_path / "begun")[0]) < 1.0 + GRACE + 1.0
    assert of_scene(mark) == []
    (error,) = found.errors
    assert (error.type, error.reason, error.attempt) == ("TimedOut", "timeout", 1)
    assert "longer than its timeout of 1 s" in error.message


@pytest.mark.parametrize("on_timeout", ENDS)
def test_a_block_ends_as_its_setting_says(on_timeout: str, tmp_path: Path) -> None:
    def stuck() -> None:
        time.sleep(60)

    def after(stuck: None) -> None:
        return None

    blocks = [block(stuck, timeout=0.3, grace=GRACE, on_timeout=on_timeout), block(after)]  # type: ignore[call-overload]
    found = quick(Pipeline("p", blocks), run_folder=tmp_path / "run")
    status, of_block = ENDS[on_timeout]
    assert (found.status, found.blocks["stuck"]) == (status, of_block)
    assert found.blocks["after"] == ("cancelled" if on_timeout == "cancelled" else "upstream_failed")
    assert [one.reason for one in found.errors] == ["timeout"]


@pytest.mark.parametrize("on_timeout", ENDS)
def test_an_element_ends_its_block_as_its_setting_says(on_timeout: str, tmp_path: Path) -> None:
    def work(x: int) -> int:
        if x == 3:
            time.sleep(60)
        return x

    made = block(work, output="y", mapspec="x[i] -> y[i]", timeout=0.5, grace=GRACE, on_timeout=on_timeout)  # type: ignore[call-overload]
    found = quick(Pipeline("p", [made]), {"x": list(range(6))}, run_folder=tmp_path / "run")
    status, of_block = ENDS[on_timeout]
    assert (found.status, found.blocks["work"]) == (status, of_block)
    assert [(one.element, one.type) for one in found.errors] == [(3, "TimedOut")]


def test_a_warning_lets_it_go_on(tmp_path: Path) -> None:
    def work(x: int) -> int:
        if x == 3:
            time.sleep(0.6)
        return x

    def slow() -> int:
        time.sleep(0.6)
        return 1

    settings: dict[str, Any] = {"timeout": 0.2, "on_timeout": "warning"}
    blocks = [block(work, output="y", mapspec="x[i] -> y[i]", **settings), block(slow, **settings)]
    found = quick(Pipeline("p", blocks), {"x": list(range(6))}, run_folder=tmp_path / "run")
    assert found.status == "completed"
    told = sorted(one["message"] for one in found.status_object()["warnings"])
    assert told == [
        "attempt 1 of block 'slow' takes longer than 0.2 s, and goes on",
        "attempt 1 of element 3 of 'work' takes longer than 0.2 s, and goes on",
    ]


def test_elements_that_take_too_long_are_tolerated_like_others_that_fail(tmp_path: Path) -> None:
    def work(x: int) -> int:
        if x in (2, 5):
            time.sleep(60)
        return x

    made = block(work, output="y", mapspec="x[i] -> y[i]", timeout=0.4, grace=GRACE, on_error="continue")
    found = quick(Pipeline("p", [made]), {"x": list(range(8))}, run_folder=tmp_path / "run")
    assert (found.status, found.blocks) == ("degraded", {"work": "degraded"})
    bad = [(one.index, one.error_type) for one in found.outputs["y"] if isinstance(one, Failed)]
    assert bad == [((2,), "TimedOut"), ((5,), "TimedOut")]


@pytest.mark.parametrize("mapped", [True, False])
def test_a_timeout_is_an_attempt_and_the_next_one_has_all_the_time_again(mapped: bool, tmp_path: Path) -> None:
    calls = str(tmp_path / "calls")

    def work(x: int) -> int:
        note(calls, x)
        if x == 1 and noted(calls).count("1") < 3:
            time.sleep(60)
        return x

    made = block(work, output="y", mapspec="x[i] -> y[i]" if mapped else None, timeout=0.5, grace=GRACE, retries=2)
    found = quick(Pipeline("p", [made]), {"x": [0, 1, 2] if mapped else 1}, run_folder=tmp_path / "run")
    assert (found.status, noted(calls).count("1")) == ("completed", 3)
    assert found.errors == []


def test_only_the_time_of_one_attempt_counts(tmp_path: Path) -> None:
    def work(x: int) -> int:
        time.sleep(0.1)
        return x

    made = block(work, output="y", mapspec="x[i] -> y[i]", timeout=0.5, max_parallel=1)
    found = quick(Pipeline("p", [made]), {"x": list(range(15))}, run_folder=tmp_path / "run")
    assert found.status == "completed"


def test_a_timeout_of_an_await(tmp_path: Path) -> None:
    import asyncio

    async def work(x: int) -> int:
        await asyncio.sleep(60 if x == 2 else 0)
        return x

    made = block(work, output="y", mapspec="x[i] -> y[i]", timeout=0.2, on_error="continue")
    found = quick(Pipeline("p", [made]), {"x": [1, 2, 3]}, run_folder=tmp_path / "run", executor="inline")
    assert (found.status, [(one.type, one.element, one.reason) for one in found.errors]) == (
        "degraded",
        [("TimedOut", 1, "timeout")],
    )


@pytest.mark.parametrize("executor", ["inline", "threads", "auto"])
@pytest.mark.parametrize("where", ["block", "run"])
def test_where_nothing_can_be_ended_a_timeout_is_refused_before_the_run(
    executor: str, where: str, tmp_path: Path
) -> None:
    def work() -> None:
        return None

    on_block, on_run = ({"executor": executor}, {}) if where == "block" else ({}, {"executor": executor})
    with pytest.raises(SettingError, match=f"block 'work': timeout=5.*executor='{executor}'"):
        quick(Pipeline("p", [block(work, timeout=5, **on_block)]), run_folder=tmp_path / "run", **on_run)  # type: ignore[call-overload]
    assert not (tmp_path / "run").exists()


def test_what_somebody_elses_executor_awaits_cannot_be_ended_either(tmp_path: Path) -> None:
    async def work() -> None:
        return None

    with ThreadPoolExecutor(1) as executor, pytest.raises(SettingError, match="executor='ThreadPoolExecutor'"):
        quick(Pipeline("p", [block(work, timeout=5)]), run_folder=tmp_path / "run", executor=executor)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("on_timeout", [*ENDS, "warning"])
@pytest.mark.parametrize("executor", ["inline", "threads", "processes"])
def test_a_run_that_takes_too_long_ends_as_its_setting_says(executor: str, on_timeout: str, tmp_path: Path) -> None:
    def work(x: int) -> int:
        time.sleep(0.02)
        return x

    count = 60 if on_timeout == "warning" else 2000
    made = block(work, output="y", mapspec="x[i] -> y[i]", max_parallel=2)
    begun = time.monotonic()
    found = quick(
        Pipeline("p", [made]),
        {"x": list(range(count))},
        run_folder=tmp_path / "run",
        executor=executor,
        run_timeout=0.3,
        on_timeout=on_timeout,
        grace=GRACE,
    )
    assert time.monotonic() - begun < 0.3 + GRACE + 15
    if on_timeout == "warning":
        assert found.status == "completed"
        assert [one["code"] for one in found.status_object()["warnings"]] == ["timeout"]
        return
    assert found.status == on_timeout
    told = found.status_object()
    assert told["reason"] == "timeout"
    assert "longer than its limit of 0.3 s" in told["message"]
    assert 0 < told["progress"]["done"] < count


def test_a_run_with_a_stuck_worker_is_over_in_time_too(tmp_path: Path) -> None:
    def stuck(x: int) -> int:
        counts_in_c()
        return x

    made = block(stuck, output="y", mapspec="x[i] -> y[i]")
    handle = Pipeline("p", [made]).run_async(
        {"x": [1, 2]}, run_folder=tmp_path / "run", executor="processes", run_timeout=0.5, grace=1, raise_on_error=False
    )
    wait_until(lambda: (tmp_path / "run" / "run.json").exists())
    wait_until(lambda: runstone.open(tmp_path / "run").status in ("cancelling", "timed_out"))
    # of its own it never ends
    found = handle.result(60)
    assert found.status == "timed_out"

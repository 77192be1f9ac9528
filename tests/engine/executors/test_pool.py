"""The workers of a process: shared by its runs, kept for the next, never in the way of its end."""

from __future__ import annotations

import os
import resource
import signal
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from runstone import Pipeline, Run, block
from runstone.engine import pool
from runstone.engine.guard import client
from tests.engine.executors.ways import note, noted, wait_until
from tests.scripts import python, start, write


def double(x: int) -> int:
    return 2 * x


def quick(pipeline: Pipeline, params: dict[str, Any] | None = None, **settings: Any) -> Run:
    given: dict[str, Any] = {"show_progress": False, "raise_on_error": False, "executor": "processes", **settings}
    return pipeline.run(params or {}, **given)


@pytest.fixture
def own_pool(monkeypatch: pytest.MonkeyPatch) -> Iterator[pool.Pool]:
    """A pool that only this test uses."""
    made = pool.Pool()
    monkeypatch.setattr(pool, "_shared", made)
    yield made
    let_go(made)


def let_go(made: pool.Pool) -> None:
    """Close a pool, and what the one pool of a process keeps to its end."""
    made.close()
    made._selector.close()
    made._wake.close()
    made._waker.close()


def workers_of(folder: Path) -> set[str]:
    return set(noted(folder / "pids"))


def test_workers_are_kept_for_the_next_run(own_pool: pool.Pool, tmp_path: Path) -> None:
    def tells(x: int) -> int:
        note(tmp_path / "pids", os.getpid())
        return x

    pipeline = Pipeline("p", [block(tells, output="y", mapspec="x[i] -> y[i]", max_parallel=1)])
    for _ in range(3):
        assert quick(pipeline, {"x": [1, 2]}).status == "completed"
    assert len(workers_of(tmp_path)) == 1
    assert str(os.getpid()) not in workers_of(tmp_path)


def test_max_parallel_is_how_many_compute_at_once(own_pool: pool.Pool, tmp_path: Path) -> None:
    def overlaps(x: int) -> int:
        note(tmp_path / "log", f"+ {x}")
        time.sleep(0.1)
        note(tmp_path / "log", f"- {x}")
        return x

    made = block(overlaps, output="y", mapspec="x[i] -> y[i]")
    for most in (1, 3):
        assert quick(Pipeline("p", [made]), {"x": list(range(9))}, max_parallel=most).status == "completed"
        depth = highest = 0
        for line in noted(tmp_path / "log"):
            depth += 1 if line.startswith("+") else -1
            highest = max(highest, depth)
        assert highest == most
        (tmp_path / "log").unlink()


def test_many_threads_run_at_once(own_pool: pool.Pool, tmp_path: Path) -> None:
    pipeline = Pipeline("p", [block(double, output="y", mapspec="x[i] -> y[i]"), block(lambda y: sum(y), name="total")])

    def one(number: int) -> tuple[str, int]:
        found = quick(pipeline, {"x": list(range(50 + number))}, run_folder=tmp_path / f"run{number}")
        return found.status, found.outputs["total"]

    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(one, range(24)))
    assert found == [("completed", 2 * sum(range(50 + number))) for number in range(24)]


def test_a_short_run_does_not_wait_for_a_long_one(own_pool: pool.Pool, tmp_path: Path) -> None:
    def slow(x: int) -> int:
        time.sleep(0.2)
        return x

    long = Pipeline("long", [block(slow, output="y", mapspec="x[i] -> y[i]")])
    handle = long.run_async(
        {"x": list(range(1000))},
        executor="processes",
        run_folder=tmp_path / "long",
        show_progress=False,
        raise_on_error=False,
    )
    wait_until(lambda: (tmp_path / "long" / "run.json").exists())
    time.sleep(0.5)
    assert quick(Pipeline("short", [block(double, output="y")]), {"x": 1}).outputs["y"] == 2
    assert not handle.done
    handle.cancel()
    assert handle.result(60).status == "cancelled"


@pytest.mark.parametrize("inner", ["inline", "threads", "processes"])
def test_a_run_inside_a_block_inside_a_worker(inner: str, tmp_path: Path) -> None:
    def outer(x: int) -> int:
        found = quick(
            Pipeline("inner", [block(double, output="y", mapspec="z[i] -> y[i]", renames={"x": "z"})]),
            {"z": [x, x + 1]},
            executor=inner,
            run_folder=os.path.join(str(tmp_path), f"inner{x}"),
        )
        return sum(found.outputs["y"])

    found = quick(Pipeline("outer", [block(outer, output="s", mapspec="x[i] -> s[i]")]), {"x": [1, 2, 3]})
    assert (found.status, list(found.outputs["s"])) == ("completed", [6, 10, 14])


@pytest.mark.parametrize("executor", ["inline", "processes"])
def test_a_fork_of_this_process_has_a_pool_of_its_own(executor: str, own_pool: pool.Pool, tmp_path: Path) -> None:
    pipeline = Pipeline("p", [block(double, output="y", mapspec="x[i] -> y[i]")])
    assert quick(pipeline, {"x": [1]}).status == "completed"
    child = os.fork()
    if child == 0:
        status = 1
        try:
            found = quick(pipeline, {"x": [1, 2, 3]}, executor=executor, run_folder=tmp_path / "child")
            status = 0 if list(found.outputs["y"]) == [2, 4, 6] else 2
            pool.shared().close()
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert quick(pipeline, {"x": [4]}).status == "completed"


def test_a_guard_that_is_killed_is_replaced_and_the_run_goes_on(own_pool: pool.Pool, tmp_path: Path) -> None:
    def slow(x: int) -> int:
        note(tmp_path / "calls", x)
        time.sleep(0.02)
        return x

    made = block(slow, output="y", mapspec="x[i] -> y[i]")
    handle = Pipeline("p", [made]).run_async(
        {"x": list(range(150))}, executor="processes", run_folder=tmp_path / "run", show_progress=False
    )
    for least in (30, 90):
        wait_until(lambda: len(noted(tmp_path / "calls")) > least)  # noqa: B023  # called before the next round
        wait_until(lambda: own_pool._guard is not None)
        guard = own_pool._guard
        assert guard is not None
        os.kill(guard.pid, signal.SIGKILL)
        wait_until(lambda: own_pool._guard is not guard)  # noqa: B023  # called before the next round
    found = handle.result(30)
    assert (found.status, list(found.outputs["y"])) == ("completed", list(range(150)))


def test_where_no_descriptor_is_left_the_run_ends_and_the_next_one_works(own_pool: pool.Pool, tmp_path: Path) -> None:
    pipeline = Pipeline("p", [block(double, output="y", mapspec="x[i] -> y[i]")])
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    held: list[int] = []
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (len(os.listdir("/proc/self/fd")) + 12, hard))
        while True:
            try:
                held.append(os.open(os.devnull, os.O_RDONLY))
            except OSError:
                break
        for _ in range(3):
            os.close(held.pop())
        with pytest.raises(OSError, match="Too many open files"):
            quick(pipeline, {"x": [1, 2]}, run_folder=None)
    finally:
        for descriptor in held:
            os.close(descriptor)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert quick(pipeline, {"x": [1, 2]}, run_folder=tmp_path / "run").status == "completed"


def test_no_descriptors_are_left_behind(own_pool: pool.Pool) -> None:
    pipeline = Pipeline(
        "p", [block(double, output="y", mapspec="x[i] -> y[i]"), block(lambda y: os._exit(1), name="b")]
    )
    for _ in range(3):
        quick(pipeline, {"x": [1]})
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(20):
        quick(pipeline, {"x": [1]})
    # two workers more may be waiting than before; not twenty
    assert len(os.listdir("/proc/self/fd")) <= before + 15


# How a process ends

SCRIPT = """
    import sys, time
    from runstone import Pipeline, block

    @block(output="y", mapspec="x[i] -> y[i]")
    def double(x):
        return 2 * x

    def main():
        found = Pipeline("p", [double]).run({"x": [1, 2, 3]}, executor="processes", run_folder=None)
        print(list(found.outputs["y"]), flush=True)

"""
ENDINGS = {
    "last line": ("main()", 0),
    "exception": ("main()\n    raise ValueError('meant')", 1),
    "sys.exit": ("main()\n    sys.exit(4)", 4),
    "guarded": ("if __name__ == '__main__':\n        main()", 0),
    "daemon thread": (
        "import threading\n    t = threading.Thread(target=main, daemon=True)\n    t.start()\n    t.join()",
        0,
    ),
}


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_script_ends_soon_after_its_last_line(ending: str, tmp_path: Path) -> None:
    code, expected = ENDINGS[ending]
    write(tmp_path / "script.py", SCRIPT + f"    {code}\n")
    process = start(sys.executable, "script.py", cwd=tmp_path)
    assert process.stdout is not None
    assert process.stdout.readline() == "[2, 4, 6]\n"
    said = time.monotonic()
    _, problems = process.communicate(timeout=60)
    # workers that are not told to go are waited for that long
    assert time.monotonic() - said < client.PATIENCE
    assert process.returncode == expected, problems
    assert ("ValueError: meant" in problems) == (ending == "exception")
    assert "runstone" not in problems


def test_an_interpreter_that_reads_its_program_from_a_pipe_ends_too(tmp_path: Path) -> None:
    import textwrap

    found = python("-i", cwd=tmp_path, stdin=textwrap.dedent(SCRIPT) + "\nmain()\n")
    assert "[2, 4, 6]" in found.stdout
    assert found.returncode == 0


def test_a_script_that_ends_while_a_run_goes_on_leaves_nothing(tmp_path: Path) -> None:
    write(
        tmp_path / "script.py",
        """
        import os, sys, threading, time
        from runstone import Pipeline, block

        @block(output="y", mapspec="x[i] -> y[i]")
        def slow(x):
            with open("pids", "a") as file:
                file.write(f"{os.getpid()}\\n")
            time.sleep(30)

        thread = threading.Thread(
            target=lambda: Pipeline("p", [slow]).run({"x": [1, 2]}, executor="processes", show_progress=False),
            daemon=True,
        )
        thread.start()
        while not os.path.exists("pids"):
            time.sleep(0.01)
        print("going", flush=True)
        """,
    )
    process = start(sys.executable, "script.py", cwd=tmp_path)
    assert process.stdout is not None
    assert process.stdout.readline() == "going\n"
    process.communicate(timeout=20)
    pids = [int(pid) for pid in noted(tmp_path / "pids")]
    wait_until(lambda: not any(os.path.exists(f"/proc/{pid}") for pid in pids), 2.0)


def test_threads_that_wait_for_a_pool_that_is_closed_are_told() -> None:
    def slow() -> None:
        time.sleep(30)

    made = pool.Pool()
    before = pool._shared
    pool._shared = made
    caught: list[BaseException] = []

    def run() -> None:
        try:
            quick(Pipeline("p", [block(slow)]), run_folder=None)
        except BaseException as error:
            caught.append(error)

    try:
        thread = threading.Thread(target=run)
        thread.start()
        wait_until(lambda: made._workers)
        made.close()
        thread.join(10)
        assert not thread.is_alive()
        assert "ended while the run went on" in str(caught[0])
    finally:
        pool._shared = before
        let_go(made)

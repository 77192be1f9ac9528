"""A worker that dies costs the element it was on one attempt, and nothing else."""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import signal
import sys
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from runstone import Failed, Pipeline, Retries, Run, block
from tests.engine.executors.conftest import way_called
from tests.engine.executors.ways import OTHER_PROCESSES, note, noted

COUNT = 60
VICTIM = 41


def killed() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def segfault() -> None:
    import faulthandler

    faulthandler.disable()
    ctypes.string_at(0)


def exits() -> None:
    os._exit(3)


def hangs_up() -> None:
    # closes what it did not open: the connection to the driver, too
    os.closerange(3, 256)
    import time

    time.sleep(30)


DEATHS: dict[str, tuple[Callable[[], None], str]] = {
    "killed": (killed, "died by SIGKILL"),
    "segfault": (segfault, "died by SIGSEGV"),
    "exits": (exits, "ended by itself with exit code 3"),
}


def run(die: Callable[[], None], place: Path, executor: str = "processes", lives: int = 10**6, **settings: Any) -> Run:
    """Map over COUNT elements, of which the victim dies its first so many times; every call is noted."""
    calls = str(place / "calls")

    def work(x: int) -> int:
        note(calls, x)
        if x == VICTIM and noted(calls).count(str(VICTIM)) <= lives:
            die()
        return 2 * x

    blocks = [block(work, output="y", mapspec="x[i] -> y[i]", **settings)]
    return way_called(executor).run(Pipeline("p", blocks), {"x": list(range(COUNT))}, run_folder=place / "run")


@pytest.mark.parametrize("how", DEATHS)
def test_an_element_that_kills_its_worker_is_named_and_the_block_has_crashed(how: str, tmp_path: Path) -> None:
    die, words = DEATHS[how]
    found = run(die, tmp_path)
    assert (found.status, found.blocks) == ("failed", {"work": "crashed"})
    (error,) = found.errors
    assert (error.type, error.element, error.index, error.attempt, error.reason) == (
        "WorkerDied",
        VICTIM,
        (VICTIM,),
        1,
        "worker_died",
    )
    assert words in error.message
    assert error.params == {"x": VICTIM}
    assert f"work[{VICTIM}]" in (found.error or "")
    assert noted(tmp_path / "calls").count(str(VICTIM)) == 1


@pytest.mark.parametrize("how", DEATHS)
def test_tolerated_it_is_one_failed_element(how: str, tmp_path: Path) -> None:
    found = run(DEATHS[how][0], tmp_path, on_error="continue")
    assert (found.status, found.blocks) == ("degraded", {"work": "degraded"})
    cells = list(found.outputs["y"])
    assert [cell for cell in cells if not isinstance(cell, Failed)] == [2 * x for x in range(COUNT) if x != VICTIM]
    assert (cells[VICTIM].error_type, cells[VICTIM].index) == ("WorkerDied", (VICTIM,))


@pytest.mark.parametrize("how", DEATHS)
def test_each_death_spends_a_retry_and_no_element_is_recorded_twice(how: str, tmp_path: Path) -> None:
    found = run(DEATHS[how][0], tmp_path, lives=2, retries=2)
    assert (found.status, found.errors) == ("completed", [])
    assert list(found.outputs["y"]) == [2 * x for x in range(COUNT)]
    state = found._source.look().blocks["work"]
    assert (state.ok, state.retries, state.recorded) == (COUNT, 2, [(0, COUNT)])
    calls = Counter(noted(tmp_path / "calls"))
    assert calls[str(VICTIM)] == 3


def test_retries_that_run_out_tell_the_last_attempt(tmp_path: Path) -> None:
    found = run(killed, tmp_path, retries=1, on_error="continue")
    assert [(one.element, one.attempt) for one in found.errors] == [(VICTIM, 2)]
    assert noted(tmp_path / "calls").count(str(VICTIM)) == 2


def test_deaths_and_exceptions_share_the_retries_of_an_element(tmp_path: Path) -> None:
    calls = str(tmp_path / "calls")

    def work(x: int) -> int:
        note(calls, x)
        attempt = noted(calls).count(str(x))
        if x == 3 and attempt == 1:
            raise ValueError("first")
        if x == 3 and attempt == 2:
            killed()
        if x == 3:
            raise ValueError("third")
        return x

    blocks = [block(work, output="y", mapspec="x[i] -> y[i]", on_error="continue", retries=2)]
    found = way_called("processes").run(Pipeline("p", blocks), {"x": list(range(5))}, run_folder=tmp_path / "run")
    assert [(one.type, one.attempt, one.message) for one in found.errors] == [("ValueError", 3, "third")]
    assert found._source.look().blocks["work"].retries == 2


def test_retries_on_some_exceptions_only_hold_for_deaths_too(tmp_path: Path) -> None:
    found = run(killed, tmp_path, lives=1, retries=Retries(1, on=(KeyError,)))
    assert found.status == "completed"


def test_what_was_recorded_before_a_death_is_not_computed_again(tmp_path: Path) -> None:
    """One worker, one part: the elements before the victim were recorded half a second after the first of them."""
    calls = str(tmp_path / "calls")

    def work(x: int) -> int:
        import time

        note(calls, x)
        if x == 30 and noted(calls).count("30") == 1:
            time.sleep(1.2)
            killed()
        return x

    blocks = [block(work, output="y", mapspec="x[i] -> y[i]", retries=1, max_parallel=1)]
    found = way_called("processes").run(Pipeline("p", blocks), {"x": list(range(COUNT))}, run_folder=tmp_path / "run")
    assert found.status == "completed"
    twice = [x for x, count in Counter(noted(calls)).items() if count > 1]
    assert twice == ["30"]


@pytest.mark.parametrize("how", DEATHS)
def test_a_block_that_kills_its_worker_has_crashed(how: str, tmp_path: Path) -> None:
    die, words = DEATHS[how]

    def lonely() -> None:
        die()

    found = way_called("processes").run(Pipeline("p", [block(lonely)]), run_folder=tmp_path / "run")
    assert (found.status, found.blocks) == ("failed", {"lonely": "crashed"})
    (error,) = found.errors
    assert (error.type, error.element, error.attempt, error.reason) == ("WorkerDied", None, 1, "worker_died")
    assert words in error.message


def test_a_block_that_kills_its_worker_once_is_called_again(tmp_path: Path) -> None:
    calls = str(tmp_path / "calls")

    def unsteady() -> int:
        note(calls, 1)
        if len(noted(calls)) == 1:
            killed()
        return 5

    found = way_called("processes").run(Pipeline("p", [block(unsteady, retries=1)]), run_folder=tmp_path / "run")
    assert (found.status, found.outputs["unsteady"]) == ("completed", 5)
    assert found._source.look().blocks["unsteady"].attempt == 2


def test_sys_exit_in_a_worker_is_an_exception_like_any_other(tmp_path: Path) -> None:
    found = run(sys.exit, tmp_path, on_error="continue")
    assert [(one.type, one.element) for one in found.errors] == [("SystemExit", VICTIM)]
    assert len(set(noted(tmp_path / "calls"))) == COUNT


def test_code_that_closes_the_connection_of_its_worker_is_found_out(tmp_path: Path) -> None:
    found = run(hangs_up, tmp_path, on_error="continue")
    assert found.status == "degraded"
    assert [(one.type, one.element) for one in found.errors] == [("WorkerDied", VICTIM)]


@pytest.mark.parametrize("executor", [name for name in OTHER_PROCESSES if name != "processes"])
def test_halving_finds_the_element_that_breaks_the_pool_of_somebody_else(executor: str, tmp_path: Path) -> None:
    if executor == "dask":
        pytest.skip("its scheduler starts a worker that dies again and again, and takes a minute to give up")
    found = run(killed, tmp_path, executor, on_error="continue")
    assert (found.status, [(one.type, one.element) for one in found.errors]) == ("degraded", [("WorkerDied", VICTIM)])
    cells = list(found.outputs["y"])
    assert [cell for cell in cells if not isinstance(cell, Failed)] == [2 * x for x in range(COUNT) if x != VICTIM]


def test_a_tolerated_death_is_a_failed_element_also_where_nothing_is_kept(tmp_path: Path) -> None:
    calls = str(tmp_path / "calls")

    def work(x: int) -> int:
        note(calls, x)
        if x == 2:
            killed()
        return x

    blocks = [block(work, output="y", mapspec="x[i] -> y[i]", on_error="continue")]
    found = way_called("processes").run(Pipeline("p", blocks), {"x": [1, 2, 3]}, run_folder=None)
    assert found.status == "degraded"
    assert [one for one in found.outputs["y"] if not isinstance(one, Failed)] == [1, 3]


def test_who_was_computing_beside_it_when_a_pool_broke_is_not_to_blame(tmp_path: Path) -> None:
    """Which of several broken futures is seen first, and whether more is submitted meanwhile, is chance."""

    def work(x: int) -> int:
        if x % 7 == 3:
            os._exit(1)
        return x

    made = block(work, output="y", mapspec="x[i] -> y[i]", on_error="continue")
    with ProcessPoolExecutor(2, multiprocessing.get_context("forkserver")) as pool:
        found = Pipeline("p", [made]).run(
            {"x": list(range(32))}, run_folder=tmp_path / "run", executor=pool, show_progress=False
        )
    assert sorted(error.element or 0 for error in found.errors) == list(range(3, 32, 7))
    assert found.status == "degraded"

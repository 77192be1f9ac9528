"""`track`, `record_run` and `update_run`: what is recorded, and that the work never notices."""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy
import pytest

import runstone
from runstone import record_run, track, update_run
from runstone.core.statuses import RunStatus
from runstone.engine.track import complaints
from runstone.engine.track.tracked import current, step_in, step_out
from runstone.tracking import Tracked
from tests.harness.tracked import by_stage, done, execute, states

HEAVY = {"asyncio", "rich", "numpy", "pandas", "pyarrow", "polars", "apsw", "psycopg"}


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A project of its own, where nothing was complained of yet, and no run goes on."""
    (tmp_path / ".runstone").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(complaints, "_said", set())
    token = step_in(None)
    yield tmp_path
    step_out(token)


def complained(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return capsys.readouterr().err.splitlines()


# with


def test_a_run_says_what_it_did(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with track("window_0", rows_in=150, workspace="acme") as t:
        t.rows_out = 42
        t.llm_calls += 1
        t.llm_calls += 1
        t.tokens += 30
        t.metric("loss", 0.5)
        t.metric("loss", 0.1)
        t.degraded("3 of 150 skipped")
    [state] = states(project)
    assert state.run_id == t.run_id
    assert (state.stage, state.workspace, state.status) == ("window_0", "acme", RunStatus.DEGRADED)
    assert (state.rows_in, state.rows_out, state.llm_calls, state.tokens) == (150, 42, 2, 30)
    assert (state.metrics, state.message) == ({"loss": 0.1}, "3 of 150 skipped")
    assert state.duration_seconds is not None
    assert 0 < state.duration_seconds < 5
    assert (t.rows_in, t.rows_out, t.llm_calls, t.tokens, t.status, t.stage) == (150, 42, 2, 30, "degraded", "window_0")
    assert complained(capsys) == []


def test_a_run_is_running_from_its_start(project: Path) -> None:
    with track("load"):
        [state] = states(project)
        assert (state.status, state.finished_at) == (RunStatus.RUNNING, None)
        assert state.started_at is not None
    [state] = states(project)
    assert state.status is RunStatus.COMPLETED
    assert (state.rows_in, state.rows_out, state.llm_calls, state.tokens) == (None, None, None, None)


def test_numbers_of_a_run_that_goes_on_are_soon_in_the_journal(project: Path) -> None:
    with track("train") as t:
        for epoch in range(5):
            t.tokens += 100
            t.metric("epoch", epoch)
        deadline = time.monotonic() + 10
        while states(project)[0].tokens != 500:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        assert states(project)[0].metrics == {"epoch": 4}


def test_an_exception_is_recorded_whole_and_goes_on_unchanged(project: Path) -> None:
    def deep() -> None:
        raise ValueError("no rows\nat all")

    with pytest.raises(ValueError, match="no rows") as plain:
        deep()
    with pytest.raises(ValueError, match="no rows") as raised, track("load"):
        deep()
    names = [frame.name for frame in traceback.extract_tb(raised.tb)]
    assert names[1:] == [frame.name for frame in traceback.extract_tb(plain.tb)][1:] == ["deep"]
    [state] = states(project)
    assert state.status is RunStatus.FAILED
    assert state.error is not None
    assert (state.error.type, state.error.message) == ("ValueError", "no rows\nat all")
    assert state.error.short == "ValueError: no rows at all"
    assert "in deep\n" in state.error.traceback
    assert 'raise ValueError("no rows' in state.error.traceback


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (KeyboardInterrupt(), RunStatus.CANCELLED),
        (asyncio.CancelledError(), RunStatus.CANCELLED),
        (SystemExit(0), RunStatus.COMPLETED),
        (SystemExit("no"), RunStatus.FAILED),
        (MemoryError(), RunStatus.FAILED),
    ],
)
def test_what_stops_the_work_decides_the_end(project: Path, error: BaseException, status: RunStatus) -> None:
    def work() -> None:
        with track("load") as t:
            t.degraded()
            raise error

    with pytest.raises(type(error)) as raised:
        work()
    assert raised.value is error
    [state] = states(project)
    assert state.status is (RunStatus.DEGRADED if status is RunStatus.COMPLETED else status)


def test_a_traceback_that_is_too_long_is_cut_and_not_the_run(project: Path) -> None:
    with contextlib.suppress(ValueError), track("load", params={f"p{n}": "\x01" * 500 for n in range(500)}) as t:
        for n in range(200):
            t.metric(f"{n:03}" + "\x02" * 97, n)
        raise ValueError("\x03" * 100_000)
    [state] = states(project)
    assert state.status is RunStatus.FAILED
    assert state.error is not None
    assert "characters left out" in state.error.message


def test_one_object_serves_for_one_run_after_the_other(project: Path) -> None:
    again = track("again")
    ids = []
    for number in range(3):
        with again as t:
            t.rows_out = number
            ids.append(t.run_id)
    assert [(state.run_id, state.rows_out) for state in states(project)] == list(zip(ids, range(3), strict=True))


def test_async_with(project: Path) -> None:
    async def work() -> None:
        async with track("fetch") as t:
            await asyncio.sleep(0)
            t.rows_out = 7

    asyncio.run(work())
    assert by_stage(project)["fetch"].rows_out == 7


# nesting


def test_a_run_inside_of_another_is_its_child(project: Path) -> None:
    with track("outer") as outer:
        with track("inner") as inner, track("innermost"):
            pass
        with track("second"):
            pass
    with track("after"):
        pass
    found = by_stage(project)
    assert {stage: state.parent_id for stage, state in found.items()} == {
        "outer": None,
        "inner": outer.run_id,
        "innermost": inner.run_id,
        "second": outer.run_id,
        "after": None,
    }
    assert current() is None


def test_tasks_are_children_of_where_they_were_made_and_threads_of_nobody(project: Path) -> None:
    async def task(name: str) -> None:
        with track(name):
            await asyncio.sleep(0.01)
            with track(f"{name}-inner"):
                await asyncio.sleep(0.01)

    async def all_tasks() -> None:
        with track("gather"):
            await asyncio.gather(*(task(f"task{n}") for n in range(3)))

    asyncio.run(all_tasks())
    with track("main") as main:
        alone = threading.Thread(target=lambda: track("alone").__enter__().__exit__(None, None, None))
        alone.start()
        alone.join()
        with ThreadPoolExecutor(1) as pool:
            pool.submit(track("told", parent=main)(lambda: None)).result()
    found = by_stage(project)
    for n in range(3):
        assert found[f"task{n}"].parent_id == found["gather"].run_id
        assert found[f"task{n}-inner"].parent_id == found[f"task{n}"].run_id
    assert found["alone"].parent_id is None
    assert found["told"].parent_id == main.run_id


# decorators


@track
def plain(number: int) -> int:
    """Doubles."""
    return 2 * number


@track("renamed", tags=["nightly"], workspace="acme")
def named(number: int) -> int:
    return plain(number) + 1


@track()
async def fetched(number: int) -> int:
    await asyncio.sleep(0)
    return number


@track
def generated(count: int) -> Iterator[int]:
    for number in range(count):
        with track(f"step{number}"):
            pass
        yield number


@track
async def streamed(count: int) -> AsyncIterator[int]:
    for number in range(count):
        with track(f"step{number}"):
            pass
        yield number


class Loader:
    @track
    def load(self) -> str:
        return "loaded"

    @staticmethod
    @track
    def fail() -> None:
        raise KeyError("gone")


def test_every_call_of_a_function_is_a_run(project: Path) -> None:
    assert named(3) == 7
    assert asyncio.run(fetched(5)) == 5
    assert Loader().load() == "loaded"
    found = by_stage(project)
    assert list(found) == ["renamed", "plain", "fetched", "load"]
    assert (found["renamed"].tags, found["renamed"].workspace) == (["nightly"], "acme")
    assert found["plain"].parent_id == found["renamed"].run_id
    assert (plain.__name__, plain.__doc__) == ("plain", "Doubles.")
    named(1)
    assert len(states(project)) == 6


def test_an_error_leaves_a_decorated_function_without_our_frames(project: Path) -> None:
    with pytest.raises(KeyError) as raised:
        Loader.fail()
    assert [frame.name for frame in traceback.extract_tb(raised.tb)][1:] == ["fail"]
    assert by_stage(project)["fail"].status is RunStatus.FAILED


def test_the_run_of_a_generator_lasts_until_it_has_no_more(project: Path) -> None:
    given = generated(2)
    assert states(project) == []
    for number in given:
        with track(f"between{number}"):
            pass
        assert by_stage(project)["generated"].status is RunStatus.RUNNING
    found = by_stage(project)
    assert found["generated"].status is RunStatus.COMPLETED
    for number in range(2):
        assert found[f"step{number}"].parent_id == found["generated"].run_id
        assert found[f"between{number}"].parent_id is None


def test_a_generator_that_is_closed_early_was_cancelled(project: Path) -> None:
    for _ in generated(5):
        break
    assert by_stage(project)["generated"].status is RunStatus.CANCELLED


def test_the_run_of_an_async_generator_lasts_until_it_has_no_more(project: Path) -> None:
    async def all_of() -> list[int]:
        found = []
        async for number in streamed(2):
            with track(f"between{number}"):
                found.append(number)
        return found

    assert asyncio.run(all_of()) == [0, 1]
    found = by_stage(project)
    assert found["streamed"].status is RunStatus.COMPLETED
    assert found["step1"].parent_id == found["streamed"].run_id
    assert found["between1"].parent_id is None


# windows


def test_windows_are_runs_one_by_one(project: Path) -> None:
    seen = []
    for w in track.windows([[1, 2, 3], [4], iter([5])], workspace="acme"):
        with w as t:
            seen += list(t.item)
            t.rows_out = len(seen)
    assert seen == [1, 2, 3, 4, 5]
    found = states(project)
    assert [(state.stage, state.rows_in, state.rows_out, state.workspace) for state in found] == [
        ("window_0", 3, 3, "acme"),
        ("window_1", 1, 4, "acme"),
        ("window_2", None, 5, "acme"),
    ]


def test_windows_with_a_function_give_its_results(project: Path) -> None:
    def process(rows: list[int]) -> float:
        return 1 / len(rows)

    assert track.windows([[1], [1, 2]], process) == [1.0, 0.5]
    with pytest.raises(ZeroDivisionError) as raised:
        track.windows([[1], [], [1, 2]], process)
    assert [frame.name for frame in traceback.extract_tb(raised.tb)][-1] == "process"
    assert [str(state.status) for state in states(project)] == ["completed"] * 3 + ["failed"]


def test_windows_with_a_coroutine_function_are_awaited(project: Path) -> None:
    async def process(rows: str) -> str:
        await asyncio.sleep(0)
        return rows.upper()

    async def work() -> list[str]:
        return await track.windows(["ab", "c"], process)

    assert asyncio.run(work()) == ["AB", "C"]
    assert [state.rows_in for state in states(project)] == [2, 1]


# by hand


def test_a_run_can_be_told_of_by_hand(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    began = datetime.fromisoformat("2026-03-01T12:00:00")
    run_id = record_run(
        run_id="etl-1",
        stage="etl",
        status="running",
        started_at=began,
        rows_in=150,
        tenant_id="acme",
        trace_id="0af7651916cd43dd8448eb211c80319c",
        conn=None,
    )
    assert run_id == "etl-1"
    update_run(run_id, rows_out=40, metrics={"loss": 0.5})
    update_run(run_id, status="success", finished_at=began.replace(tzinfo=UTC) + timedelta(minutes=2), rows_out=42)
    [state] = states(project)
    assert (state.stage, state.workspace, state.status) == ("etl", "acme", RunStatus.COMPLETED)
    assert (state.started_at, state.finished_at) == ("2026-03-01T12:00:00.000000Z", "2026-03-01T12:02:00.000000Z")
    assert (state.duration_seconds, state.rows_in, state.rows_out) == (120.0, 150, 42)
    assert (state.trace_id, state.metrics) == ("0af7651916cd43dd8448eb211c80319c", {"loss": 0.5})
    assert complained(capsys) == []


def test_a_run_may_be_told_of_when_it_is_over(project: Path) -> None:
    run_id = record_run(
        stage="old", status="failed", started_at=1e9, finished_at=1e9 + 3, error=ValueError("bad"), rows_out=1
    )
    [state] = states(project)
    assert (state.run_id, state.status, state.duration_seconds) == (run_id, RunStatus.FAILED, 3.0)
    assert state.error is not None
    assert state.error.short == "ValueError: bad"


def test_a_run_may_wait_before_it_runs(project: Path) -> None:
    run_id = record_run(stage="etl", status="queued")
    assert states(project)[0].started_at is None
    update_run(run_id, status="running", started_at="2026-03-01T12:00:00+01:00")
    update_run(run_id, status="failed", error="the source is down", finished_at="2026-03-01T11:00:07Z")
    [state] = states(project)
    assert (state.started_at, state.duration_seconds) == ("2026-03-01T11:00:00.000000Z", 7.0)
    assert state.error is not None
    assert state.error.short == "the source is down"


def test_what_would_leave_an_end_is_refused_and_said_once(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run_id = record_run(stage="etl", status="running")
    update_run(run_id, status="pending")
    update_run(run_id, status="completed")
    update_run(run_id, status="completed")
    update_run(run_id, status="failed", error="late")
    update_run(run_id, rows_out=5)
    record_run(run_id, "etl", "running")
    with track("load") as t:
        pass
    update_run(t.run_id, status="failed")
    found = by_stage(project)
    assert [(str(state.status), state.rows_out, state.error) for state in found.values()] == [
        ("completed", None, None)
    ] * 2
    [line] = complained(capsys)
    assert line == f"runstone: update_run: run {run_id} is running, and does not become pending"


def test_a_run_of_with_may_be_updated_from_elsewhere(project: Path) -> None:
    with track("load") as t:
        update_run(t.run_id, rows_out=5, message="half")
    [state] = states(project)
    assert (state.rows_out, state.message, state.status, state.refused) == (5, "half", RunStatus.COMPLETED, 0)


def test_a_run_that_another_process_has_begun_is_gone_on_with(project: Path) -> None:
    code = (
        "from runstone import record_run; print(record_run(stage='etl', rows_in=3, started_at=1e9, metrics={'a': 1}))"
    )
    run_id = done(code, project).strip()
    update_run(run_id, status="completed", rows_out=2, finished_at=1e9 + 5, metrics={"b": 2})
    [state] = states(project)
    assert (state.status, state.rows_in, state.rows_out, state.duration_seconds) == (RunStatus.COMPLETED, 3, 2, 5.0)
    assert state.metrics == {"a": 1, "b": 2}


def test_a_run_that_nobody_knows_is_said_once(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    update_run("nobody", status="completed")
    update_run("nobody either", status="completed")
    [line] = complained(capsys)
    assert line == "runstone: update_run: no journal of this project has a run nobody; record_run(...) makes one"
    assert states(project) == []


# what is around


def test_the_commit_and_the_configuration_are_known(project: Path) -> None:
    def git(*words: str) -> str:
        said = subprocess.run(["git", *words], cwd=project, capture_output=True, text=True, check=True)
        return said.stdout.strip()

    git("init", "-q")
    (project / "code.py").write_text("x = 1\n")
    git("add", "code.py")
    git("-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", "first")
    code = "from runstone import track\nwith track('load'): pass\nwith track('own', code_ref='v7'): pass"
    done(code, project)
    (project / "code.py").write_text("x = 2\n")
    done(code.replace("load", "dirty").replace("own", "own2"), project)
    found = by_stage(project)
    head = git("rev-parse", "HEAD")
    assert found["load"].code_ref == head
    assert found["dirty"].code_ref == f"{head}+dirty"
    assert found["own"].code_ref == "v7"
    hashes = {state.config_hash for state in found.values()}
    assert len(hashes) == 1
    assert len(hashes.pop() or "") == 64


def test_the_trace_that_goes_on_is_noted_where_it_is_loaded(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    api: Any = ModuleType("opentelemetry.trace")
    context = SimpleNamespace(trace_id=0x0AF7651916CD43DD8448EB211C80319C, is_valid=True)
    api.get_current_span = lambda: SimpleNamespace(get_span_context=lambda: context)
    monkeypatch.setitem(sys.modules, "opentelemetry.trace", api)
    with track("traced"):
        pass
    context.is_valid = False
    with track("not traced"):
        pass
    api.get_current_span = None
    with track("broken"):
        pass
    assert {stage: state.trace_id for stage, state in by_stage(project).items()} == {
        "traced": "0af7651916cd43dd8448eb211c80319c",
        "not traced": None,
        "broken": None,
    }


def test_the_workspace_is_that_of_the_environment_unless_one_is_named(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RUNSTONE_WORKSPACE", "acme")
    for options in ({}, {"workspace": "w"}, {"tenant_id": "t"}):
        with track("load", **options):  # type: ignore[arg-type]
            pass
    assert sorted(state.workspace for state in states(project)) == ["acme", "t", "w"]


def test_no_run_comes_into_another_workspace_than_the_one_that_is_meant(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for wrong in ("acme corp", "../b", "", 7, "x" * 200):
        with track("load", workspace=wrong) as t:  # type: ignore[arg-type]
            t.rows_out = 1
            t.metric("loss", 0.1)
            t.degraded()
        record_run(stage="load", workspace=wrong)  # type: ignore[arg-type]
    assert states(project) == []
    [line] = complained(capsys)
    assert line.startswith("runstone: runs are not tracked: workspace='acme corp': use letters")


# what is wrong never comes into the work


@pytest.mark.parametrize(
    ("name", "value", "recorded"),
    [
        ("rows_out", "many", None),
        ("rows_out", -1, None),
        ("rows_out", 2**63, None),
        ("rows_out", True, None),
        ("rows_out", 1.5, None),
        ("rows_out", None, None),
        ("rows_out", 3.0, 3),
        ("tokens", numpy.int32(9), 9),
        ("tokens", float("nan"), None),
        ("llm_calls", object(), None),
    ],
)
def test_a_number_that_is_none_is_left_out(
    project: Path, capsys: pytest.CaptureFixture[str], name: str, value: Any, recorded: int | None
) -> None:
    with track("load") as t:
        setattr(t, name, value)
        setattr(t, name, value)
    assert getattr(states(project)[0], name) == recorded
    said = complained(capsys)
    assert len(said) == (recorded is None)
    assert all(f"runstone: {name}=" in line and "is not recorded" in line for line in said)


class Unspeakable:
    def __repr__(self) -> str:
        raise RuntimeError("no repr")

    def __str__(self) -> str:
        raise RuntimeError("no str")

    def __len__(self) -> int:
        raise RuntimeError("no len")


WRONG: list[Callable[[], Any]] = [
    lambda: track(Unspeakable()).__enter__(),  # type: ignore[call-overload]
    lambda: track("load", rows_in=Unspeakable()).__enter__(),  # type: ignore[call-overload]
    lambda: track("load", tags=7, params=8, parent=9, trace_id=1.5).__enter__(),  # type: ignore[call-overload]
    lambda: track("load", params={"a": Unspeakable(), 3: object()}).__enter__(),  # type: ignore[call-overload]
    lambda: track("load", code_ref=b"x", config_hash="short", wrong=1).__enter__(),  # type: ignore[call-overload]
    lambda: track().__enter__().metric(7, 1),  # type: ignore[arg-type]
    lambda: track("load").__enter__().metric("loss", "low"),  # type: ignore[arg-type]
    lambda: track("load").__enter__().degraded(Unspeakable()),  # type: ignore[arg-type]
    lambda: track("load").__enter__().add(tokens="x"),  # type: ignore[arg-type]
    lambda: track("\ud800\x00" * 10_000).__enter__(),
    lambda: list(track.windows([Unspeakable()])),
    lambda: track(Loader),
    lambda: record_run(Unspeakable(), stage=3, status=4),  # type: ignore[arg-type]
    lambda: record_run("x" * 1000, "a", "nonsense", started_at="yesterday", finished_at=1e300),
    lambda: record_run(stage="a", conn=object(), rows_in=[], error=Unspeakable()),  # type: ignore[arg-type]
    lambda: update_run(None, status="completed"),  # type: ignore[arg-type]
    lambda: update_run(record_run(), status="nonsense", finished_at=object(), unheard=1),  # type: ignore[arg-type]
    lambda: update_run(record_run(), metrics=[1], error="x", rows_out=-4),  # type: ignore[arg-type]
    lambda: track("load").__enter__().metric("loss", 10**400),
]


@pytest.mark.parametrize("call", WRONG, ids=range(len(WRONG)))
def test_nothing_that_users_get_wrong_is_raised(
    project: Path, capsys: pytest.CaptureFixture[str], call: Callable[[], Any]
) -> None:
    call()
    said = complained(capsys)
    assert all(line.startswith("runstone: ") for line in said)
    assert "a run is not tracked as it should be" not in "".join(said)
    call()
    assert complained(capsys) == [], "each is said once"
    states(project)


def test_a_run_whose_metric_is_no_number_is_recorded_all_the_same(project: Path) -> None:
    run_id = record_run(stage="load", status="completed", metrics={"huge": 10**400, "loss": 0.1})
    [state] = states(project)
    assert (state.run_id, state.status, state.metrics) == (run_id, RunStatus.COMPLETED, {"loss": 0.1})


def test_a_name_that_is_not_recorded_is_said(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with track("load") as t:
        t.rows_ot = 3  # type: ignore[attr-defined]
    assert complained(capsys) == ["runstone: t.rows_ot is not recorded: a tracked run has no rows_ot"]


def test_counting_what_no_run_counts_is_said_and_fails_nothing(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with track("load") as t:
        t.add(tokens=2, foo=3)  # type: ignore[call-arg, unused-ignore]
    [state] = states(project)
    assert (state.status, state.tokens) == (RunStatus.COMPLETED, 2)
    assert complained(capsys) == ["runstone: t.add knows no foo=; it is not recorded"]


LARGEST = "it is too large; the largest is 9223372036854775807"


@pytest.mark.parametrize(
    ("call", "line"),
    [
        (lambda t: setattr(t, "rows_out", 10**20), f"rows_out={10**20} is not recorded: {LARGEST}"),
        (lambda t: setattr(t, "rows_out", -1), "rows_out=-1 is not recorded: give a whole number, 0 or more"),
        (
            lambda t: track("x", parent=5).__enter__().__exit__(None, None, None),  # type: ignore[call-overload]
            "parent=5 is no id of a run: give the tracked run, or its id as a text",
        ),
        (lambda t: t.artifact(None), "artifact() was given None, and keeps nothing: give the path of a file"),
        (
            lambda t: update_run(t.run_id, status="sucess"),
            "status='sucess' is no status, and is not recorded; did you mean 'success'?",
        ),
    ],
)
def test_what_cannot_be_recorded_is_said_by_its_name(
    project: Path, capsys: pytest.CaptureFixture[str], call: Callable[[Any], Any], line: str
) -> None:
    with track("load") as t:
        call(t)
        call(t)
    assert complained(capsys) == [f"runstone: {line}"]
    assert {state.status for state in states(project)} == {RunStatus.COMPLETED}


def test_a_status_that_nobody_knows_costs_no_run(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert record_run(run_id="x1", stage="etl", status="sucess", rows_in=3) == "x1"
    assert complained(capsys) == [
        "runstone: status='sucess' is no status, and is not recorded; did you mean 'success'?"
    ]
    [state] = states(project)
    assert (state.run_id, state.stage, state.status, state.rows_in) == ("x1", "etl", RunStatus.RUNNING, 3)
    update_run("x1", status="compleet", rows_out=2)
    assert "did you mean 'completed'?" in complained(capsys)[0]
    update_run("x1", status="completed")
    [state] = states(project)
    assert (state.status, state.rows_out) == (RunStatus.COMPLETED, 2)


def test_after_the_end_nothing_changes(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with track("load") as t:
        t.rows_out = 1
    t.rows_out = 2
    t.metric("loss", 1.0)
    t.degraded("late")
    [state] = states(project)
    assert (state.rows_out, state.metrics, state.status) == (1, {}, RunStatus.COMPLETED)
    assert complained(capsys) == [f"runstone: t.rows_out is not recorded: run {t.run_id[:8]} has ended"]


def test_many_threads_may_count_in_one_run(project: Path) -> None:
    with track("load") as t, ThreadPoolExecutor(8) as pool:
        for _ in range(400):
            pool.submit(t.add, llm_calls=1, tokens=10)
    [state] = states(project)
    assert (state.llm_calls, state.tokens) == (400, 4000)


# processes

FORK = """
import os
from runstone import track
with track("parent") as t:
    pid = os.fork()
    if pid == 0:
        t.rows_out = 99
        with track("child"):
            pass
    else:
        assert os.waitpid(pid, 0)[1] == 0
        t.rows_out = 1
if pid == 0:
    os._exit(0)
"""


def test_a_forked_child_has_a_journal_of_its_own(project: Path) -> None:
    done(FORK, project)
    found = by_stage(project)
    assert found["child"].parent_id == found["parent"].run_id
    assert (found["parent"].rows_out, found["parent"].refused) == (1, 0)
    assert {state.status for state in found.values()} == {RunStatus.COMPLETED}
    assert len(list((project / ".runstone" / "track").iterdir())) == 2


def test_tracking_starts_fast_and_loads_no_database_where_there_is_none(project: Path) -> None:
    code = "import sys\nfrom runstone import track\nwith track('a'): pass\nprint(*sys.modules)"
    assert not HEAVY & set(done(code, project).split())
    assert "runstone.tracking" not in done("import sys, runstone; print(*sys.modules)", project).split()


def test_the_journal_belongs_to_the_project_one_is_in(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = project / "other"
    (other / ".runstone").mkdir(parents=True)
    (project / "below").mkdir()
    with track("here"):
        monkeypatch.chdir(other)
        with track("there"):
            pass
    monkeypatch.chdir(project / "below")
    with track("below"):
        pass
    assert set(by_stage(project)) == {"here", "below"}
    assert set(by_stage(other)) == {"there"}


def test_where_no_thread_can_be_started_the_work_goes_on(project: Path) -> None:
    code = """
import threading
def start(self): raise RuntimeError("can't start new thread")
threading.Thread.start = start
from runstone import track
with track("a") as t:
    t.rows_out = 1
print("worked")
"""
    out, err, status = execute(code, project)
    assert (out, status) == ("worked\n", 0)
    assert err.count("\n") <= 1
    assert "can't start new thread" in err


def test_the_type_of_a_run_has_a_name() -> None:
    with track("a") as t:
        assert isinstance(t, Tracked)
        assert repr(t) == f"<track 'a', run {t.run_id[:8]}, running>"
    assert runstone.track is track
    assert os.path.isdir(".runstone/track")

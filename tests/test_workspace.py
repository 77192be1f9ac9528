"""Workspaces in Python: what they answer about real runs, and that none reaches the runs of another."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import json
import os
import shutil
import subprocess
import sys
import textwrap
import time
from collections.abc import Awaitable, Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

import runstone
from runstone import Pipeline, artifact, block, track
from runstone.errors import (
    CursorError,
    FolderError,
    InputError,
    QueryError,
    RunFailed,
    RunNotFound,
    SettingError,
    Untrusted,
)
from runstone.ledger import find, projector
from runstone.ledger.detail import detail as find_detail
from runstone.workspace import (
    Run,
    RunError,
    RunNotFoundError,
    Workspace,
    WorkspaceManager,
    WorkspaceNotFound,
    sync,
    twin,
)
from runstone.workspace.books import Books
from tests.harness.postgres import Server
from tests.ledger.projects import claim

JSON = json.dumps


@block
def urls(max_urls: int = 10) -> list[int]:
    return list(range(max_urls))


@block(mapspec="urls[i] -> pages[i]")
def pages(urls: int) -> str:
    return f"page {urls}"


@block
def synthesis(pages: list[str], topic: str = "runs") -> str:
    if topic == "nothing":
        raise ValueError("nothing to say")
    Path("report.md").write_text(f"about {topic}\n")
    artifact("report.md", metadata={"topic": topic})
    Path("table.csv").write_text("a,b\n")
    artifact("table.csv")
    return f"{len(pages)} pages about {topic}"


survey = Pipeline("survey", [urls, pages, synthesis])


@block
def doubled(n: int) -> int:
    return 2 * n


doubling = Pipeline("doubling", [doubled])


@block
def waited(gate: str, seconds: float = 30.0) -> str:
    deadline = time.monotonic() + seconds
    while not os.path.exists(gate) and time.monotonic() < deadline:
        time.sleep(0.005)
    return gate


@block
def after(waited: str) -> bool:
    return bool(waited)


waiting = Pipeline("waiting", [waited, after])


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A project of its own, with the ledger that every project has."""
    folder = tmp_path / "project"
    (folder / ".runstone").mkdir(parents=True)
    monkeypatch.chdir(folder)
    monkeypatch.delenv("RUNSTONE_LEDGER")
    monkeypatch.setattr(projector, "_projectors", {})
    # who reads has everything, however busy the machine is
    monkeypatch.setattr(projector, "PATIENCE", 60.0)
    yield folder
    for each in projector._projectors.values():
        each.close()


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """A real PostgreSQL."""
    with Server() as server:
        yield server


@pytest.fixture(params=["sqlite", "postgres"])
def ledger(request: pytest.FixtureRequest, project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """For what should hold in both stores."""
    if request.param == "postgres":
        monkeypatch.setenv("RUNSTONE_LEDGER", request.getfixturevalue("server").new_schema())


@pytest.fixture
def tokyo() -> Iterator[None]:
    """Far from Greenwich."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TZ", "Asia/Tokyo")
        time.tzset()
        yield
    time.tzset()


@pytest.fixture
def acme() -> sync.Workspace:
    return sync.WorkspaceManager().create("acme")


def ids(runs: list[Any]) -> list[str]:
    return [run.run_id for run in runs]


def brought(run_id: str) -> None:
    """Wait until a tracked run is in the ledger: the first one of a process finds out first what all of them share."""
    deadline = time.monotonic() + 60
    found = None
    while found is None:
        assert time.monotonic() < deadline, "it did not come into the ledger"
        with Books().reading() as store, contextlib.suppress(RunNotFound):
            found = find.get(store, run_id, workspace=None)


# as a user of asyncio writes it


@pytest.mark.usefixtures("ledger")
def test_a_day_with_a_workspace() -> None:
    async def day() -> None:
        manager = WorkspaceManager()
        workspace = await manager.create("acme", description="for ACME")
        assert (workspace.name, workspace.id, workspace.description) == ("acme", "acme", "for ACME")
        assert (await manager.get(workspace.id)).name == "acme"
        assert [each.name for each in await manager.list()] == ["default", "acme"]

        first = await workspace.run(survey, {"max_urls": 3})
        with pytest.raises(RunFailed):
            await workspace.run(survey, {"max_urls": 2, "topic": "nothing"})
        by_name = survey.run({"max_urls": 1}, workspace="acme", tags=["small"], show_progress=False)

        runs = await workspace.list_runs(status="completed", graph_name="survey")
        assert ids(runs) == [by_name.run_id, first.run_id]
        run = runs[1]
        assert isinstance(run, Run)
        assert (run.graph_name, run.status, run.error) == ("survey", "completed", None)
        assert run.duration_seconds is not None
        assert dict(run.params) == {"max_urls": 3, "topic": "runs"}
        assert run.outputs["synthesis"] == "3 pages about runs"

        run = await workspace.get_run(first.run_id)
        found = await run.list_artifacts()
        assert run.artifacts == [each.artifact_id for each in found]
        (report,) = await run.list_artifacts(artifact_type="report")
        assert (report.path, report.artifact_type, report.size_bytes) == ("artifacts/report.md", "report", 11)
        assert (report.content_type, report.metadata) == ("text/markdown", {"topic": "runs"})
        assert run.created_at <= report.created_at <= str(run.completed_at)
        assert await run.get_result() == {
            "urls": [0, 1, 2],
            "pages": ["page 0", "page 1", "page 2"],
            "synthesis": "3 pages about runs",
        }
        assert await run.logs() == []
        assert "completed" in str(await run.why())

        job = await workspace.replay_run(first.run_id, param_overrides={"max_urls": 100})
        again = await job.wait()
        assert (again.run_id, again.job_id, again.status) == (job.run_id, job.id, "completed")
        assert again.outputs["synthesis"] == "100 pages about runs"
        assert again.status_object()["trigger"] == "replay"

        history = await workspace.get_run_history()
        assert (history.total_runs, history.completed, history.failed, history.active) == (4, 3, 1, 0)
        assert history.avg_duration_seconds is not None
        assert history.success_rate == 0.75
        exported = await workspace.export_run_history()
        assert json.loads(JSON(exported)) == exported
        assert exported["history"]["total_runs"] == len(exported["runs"]) == 4
        assert exported["runs"][0]["params"] == {"max_urls": 100, "topic": "runs"}

        compared = await workspace.compare_runs(first.run_id, again.run_id)
        assert compared.diverges is not None
        assert compared.diverges.because == ["parameter max_urls"]

        assert await workspace.delete_run(again.run_id) == 1
        with pytest.raises(RunNotFoundError):
            await workspace.get_run(again.run_id)
        assert await workspace.keep_recent(2) == 1
        assert await workspace.cleanup_runs(older_than=timedelta(days=1)) == 0
        assert await workspace.cleanup_runs(older_than="0s") == 2
        assert await workspace.list_runs() == []
        assert await manager.delete("acme") == 0
        assert [each.name for each in await manager.list()] == ["default"]

    asyncio.run(day())


def test_a_failed_run_tells_its_error_and_has_no_result(acme: sync.Workspace) -> None:
    with pytest.raises(RunFailed) as raised:
        acme.run(survey, {"topic": "nothing"})
    assert raised.value.run.workspace == "acme"
    (run,) = acme.list_runs(status=["error", "crashed"])
    assert (run.status, run.error) == ("failed", "synthesis: ValueError: nothing to say")
    with pytest.raises(RunError, match=r"ended failed.*one by one"):
        run.get_result()
    assert run.outputs["pages"][0] == "page 0"


def test_values_in_their_own_files_are_loaded_on_access(acme: sync.Workspace) -> None:
    run = acme.run(survey, {"max_urls": 50, "topic": "x" * 10_000})
    found = acme.get_run(run.run_id)
    assert len(found.params["topic"]) == 10_000
    assert found.outputs["synthesis"].startswith("50 pages about xxx")
    assert found.get_result()["pages"][49] == "page 49"


def test_a_result_leaves_out_what_was_skipped_and_has_failed_elements_in_their_place(acme: sync.Workspace) -> None:
    @block(mapspec="n[i] -> inverse[i]", on_error="continue")
    def inverse(n: int) -> float:
        return 1 / n

    @block(when=lambda wanted: wanted)
    def never() -> int:
        return 1

    run = acme.run(Pipeline("partly", [inverse, never]), {"n": [1, 0], "wanted": False})
    result = run.get_result()
    assert list(result) == ["inverse"]
    assert result["inverse"][0] == 1.0
    assert isinstance(result["inverse"][1], runstone.Failed)


# managers


def test_only_create_and_track_make_a_workspace(project: Path) -> None:
    manager = sync.WorkspaceManager()
    for attempt in (
        lambda: manager.get("acme"),
        lambda: manager.delete("acme"),
        lambda: doubling.run({"n": 1}, workspace="acme"),
        lambda: doubling.run_async({"n": 1}, workspace="acme"),
        lambda: doubling.run({"n": 1}, workspace="acme", run_folder=None),
    ):
        with pytest.raises(WorkspaceNotFound, match="no workspace 'acme'; there is default"):
            attempt()
    assert not (project / ".runstone" / "workspaces").exists()
    assert not (project / "runs").exists()
    with track("load", workspace="beta") as tracked:
        pass
    brought(tracked.run_id)
    assert manager.get("beta").name == "beta"
    assert doubling.run({"n": 1}, workspace="beta").status == "completed"


def test_a_process_that_never_heard_of_a_workspace_finds_it_in_the_ledger(acme: sync.Workspace, project: Path) -> None:
    shutil.rmtree(project / ".runstone" / "workspaces")
    assert doubling.run({"n": 1}, workspace="acme").workspace == "acme"
    with pytest.raises(WorkspaceNotFound, match="there is default, acme"):
        doubling.run({"n": 1}, workspace="acne")


def test_without_a_ledger_every_name_is_taken_and_there_is_no_manager(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RUNSTONE_LEDGER", "none")
    assert doubling.run({"n": 1}, workspace="acme").workspace == "acme"
    with pytest.raises(SettingError, match="workspaces are kept in the ledger, and it is switched off"):
        sync.WorkspaceManager()


def test_a_broken_ledger_keeps_no_run_from_its_workspace(project: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (project / ".runstone" / "ledger.db").write_bytes(b"no database" * 1000)
    assert doubling.run({"n": 1}, workspace="acme").status == "completed"
    for each in projector._projectors.values():
        each.close()
    assert "recorded in their folders alone" in capfd.readouterr().err


def test_a_name_is_taken_once(acme: sync.Workspace) -> None:
    manager = sync.WorkspaceManager()
    for name in ("acme", "default"):
        with pytest.raises(SettingError, match=f"there is a workspace '{name}' already"):
            manager.create(name)
    assert manager.create("acme", description="other", exist_ok=True).description == ""
    for wrong in ("../acme", "", "a b", "x" * 101, 7):
        with pytest.raises(SettingError, match="use letters, digits"):
            manager.create(wrong)  # type: ignore[arg-type]


def test_to_look_makes_nothing(project: Path) -> None:
    manager = sync.WorkspaceManager()
    (default,) = manager.list()
    assert default.created_at is None
    assert default.list_runs() == []
    assert default.get_run_history().total_runs == 0
    assert default.export_run_history()["runs"] == []
    with pytest.raises(RunNotFoundError):
        default.get_run("abcdef12")
    assert [each.name for each in project.iterdir()] == [".runstone"]
    assert not any((project / ".runstone").iterdir())


def test_a_workspace_goes_with_all_its_runs_and_no_other(ledger: None, acme: sync.Workspace, project: Path) -> None:
    manager = sync.WorkspaceManager()
    other = manager.create("other")
    stays = other.run(doubling, {"n": 1})
    acme.run(doubling, {"n": 1})
    with track("load", workspace="acme") as gone:
        pass
    with track("load", workspace="other") as tracked:
        pass
    brought(gone.run_id)
    brought(tracked.run_id)
    assert manager.delete("acme") == 2
    assert not (project / ".runstone" / "workspaces" / "acme").exists()
    with pytest.raises(WorkspaceNotFound):
        manager.get("acme")
    with pytest.raises(WorkspaceNotFound):
        acme.run(doubling, {"n": 1})
    assert ids(other.list_runs()) == [tracked.run_id, stays.run_id]
    # made once more, nothing of it comes back
    assert manager.create("acme").list_runs() == []


def test_a_workspace_in_which_a_run_goes_on_is_not_deleted(acme: sync.Workspace, tmp_path: Path) -> None:
    manager = sync.WorkspaceManager()
    done = acme.run(doubling, {"n": 1})
    handle = waiting.run_async({"gate": str(tmp_path / "gate")}, workspace="acme")
    try:
        with pytest.raises(RunError, match=f"nothing of it was: run {handle.run_id[:8]} stays, for it is running"):
            manager.delete("acme")
        with pytest.raises(RunError, match="cannot be deleted"):
            acme.delete_run(handle.run_id)
        assert acme.keep_recent(1) == 1
        assert ids(acme.list_runs()) == [handle.run_id] != [done.run_id]
        (run,) = acme.list_runs(status="running")
        assert (run.status, run.done) == ("running", False)
    finally:
        (tmp_path / "gate").touch()
    handle.result()
    assert run.status == "completed"
    assert manager.delete("acme") == 1


def test_what_is_no_run_is_left_and_told(acme: sync.Workspace, project: Path) -> None:
    acme.run(doubling, {"n": 1})
    kept = project / ".runstone" / "workspaces" / "acme" / "runs" / "notes.txt"
    kept.write_text("mine")
    with pytest.raises(RunError, match=r"still there: .*notes.txt is no run that can be deleted; remove it by hand"):
        sync.WorkspaceManager().delete("acme")
    assert kept.read_text() == "mine"
    kept.unlink()
    assert sync.WorkspaceManager().delete("acme") == 0


def test_the_default_workspace_stays() -> None:
    manager = sync.WorkspaceManager()
    doubling.run({"n": 1})
    with pytest.raises(SettingError, match="'default' is always there"):
        manager.delete("default")
    assert manager.get("default").keep_recent(0) == 1


# finding runs


def test_filters_all_hold_and_pages_follow_each_other(ledger: None, acme: sync.Workspace) -> None:
    made = [acme.run(doubling, {"n": n}, tags=["even"] if n % 2 == 0 else ["odd", "x"]) for n in range(5)]
    newest = [run.run_id for run in reversed(made)]
    assert ids(acme.list_runs(tags="even")) == newest[::2]
    assert ids(acme.list_runs(tags=["x", "odd"], query="param.n>1")) == [newest[1]]
    assert acme.list_runs(tags=["even", "odd"]) == []
    assert acme.list_runs(pipeline="doubling", graph_name="survey") == []
    assert ids(acme.list_runs(pipeline="doubling", status="SUCCESS")) == newest
    assert ids(acme.list_runs(query="param.n>=3")) == newest[:2]
    first = acme.list_runs(limit=2)
    second = acme.list_runs(limit=2, cursor=first.cursor)
    third = acme.list_runs(limit=2, cursor=second.cursor)
    assert ids(first) + ids(second) + ids(third) == newest
    assert third.cursor is None
    with pytest.raises(CursorError):
        acme.list_runs(limit=2, cursor=first.cursor, tags="even")


def test_runs_that_are_hard_to_find_are_found_however_many_lie_before(
    acme: sync.Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = [acme.run(doubling, {"n": n}) for n in range(8)]
    # so many are looked at for one page of the ledger
    monkeypatch.setattr(find, "WINDOW", 2)
    found = acme.list_runs(query="param.n<2", limit=5)
    assert ids(found) == [made[1].run_id, made[0].run_id]
    assert found.cursor is None
    first = acme.list_runs(query="param.n<2", limit=1)
    assert ids(acme.list_runs(query="param.n<2", limit=1, cursor=first.cursor)) == [made[0].run_id]


def test_what_is_no_name_no_run_and_no_pipeline_is_told_so(acme: sync.Workspace) -> None:
    manager: Any = sync.WorkspaceManager()
    there: Any = acme
    for call in (manager.create, manager.get, manager.delete):
        with pytest.raises(SettingError, match="None is no name of a workspace: use letters, digits"):
            call(None)
    for call in (there.get_run, there.delete_run, there.replay_run, lambda run: there.compare_runs(run, run)):
        with pytest.raises(SettingError, match="None names no run: give its id"):
            call(None)
    with pytest.raises(SettingError, match="'survey' is no pipeline: give the Pipeline itself"):
        there.run("survey")

    async def twins() -> None:
        asynchronous: Any = twin.WorkspaceManager()
        with pytest.raises(SettingError, match="is no name of a workspace"):
            await asynchronous.create(None)
        workspace: Any = await asynchronous.get("acme")
        with pytest.raises(SettingError, match="'survey' is no pipeline"):
            await workspace.run("survey")

    asyncio.run(twins())
    assert [each.name for each in manager.list()] == ["default", "acme"]


def test_a_comparison_tells_what_differs_as_text(acme: sync.Workspace) -> None:
    one, other = (acme.run(doubling, {"n": n}) for n in (1, 2))
    told = str(acme.compare_runs(one.run_id, other.run_id))
    assert told.startswith(f"A  {one.run_id[:8]}  ")
    assert "parameter n" in told
    assert len(told) < 1500


@pytest.mark.usefixtures("tokyo")
def test_times_without_a_zone_are_in_utc(acme: sync.Workspace) -> None:
    run = acme.run(doubling, {"n": 1})
    created = datetime.fromisoformat(run.created_at)
    naive = created.replace(tzinfo=None)
    tick = timedelta(microseconds=1)
    assert ids(acme.list_runs(created_after=naive, created_before=naive + tick)) == [run.run_id]
    assert ids(acme.list_runs(created_after=created.astimezone(), created_before=created + tick)) == [run.run_id]
    assert acme.list_runs(created_after=naive + tick) == []
    assert acme.list_runs(created_before=naive) == []
    assert ids(acme.list_runs(created_after="1h", created_before=date(9000, 1, 1))) == [run.run_id]
    assert ids(acme.list_runs(created_after=created.date())) == [run.run_id]
    assert acme.list_runs(created_before=created.date().isoformat()) == []


@pytest.mark.parametrize(
    ("filters", "problem"),
    [
        ({"status": "finished"}, "unknown status 'finished'; known are"),
        ({"status": []}, "name a status at least"),
        ({"tags": ""}, "tag needs a text"),
        ({"pipeline": 7}, "pipeline=7: write a text"),
        ({"created_after": 7}, "write a datetime, a date, or a text"),
        ({"created_before": "soon"}, "'soon' is no time"),
        ({"limit": 0}, "limit=0"),
        ({"name": "x"}, "there is no filter 'name'; there are status, graph_name"),
    ],
)
def test_a_filter_that_cannot_be_meant_is_told(acme: sync.Workspace, filters: Any, problem: str) -> None:
    with pytest.raises(SettingError, match=problem):
        acme.list_runs(**filters)


def test_a_query_that_cannot_be_read_is_told_with_the_place(acme: sync.Workspace) -> None:
    with pytest.raises(QueryError, match="did you mean 'status'"):
        acme.list_runs(query="statsu:failed")


def test_a_run_is_named_by_id_prefix_folder_or_name_of_that(acme: sync.Workspace, project: Path) -> None:
    made = acme.run(doubling, {"n": 1})
    folder = Path(str(made.run_folder))
    for name in (made.run_id, made.run_id[:8], folder, str(folder.relative_to(project)), folder.name):
        assert acme.get_run(name).run_id == made.run_id
    for wrong in (made.run_id[:3], "", "abcdef12", "runs/nothing", str(project), "../x"):
        with pytest.raises(RunNotFoundError):
            acme.get_run(wrong)
    copy = shutil.copytree(folder, project / "copy")
    with pytest.raises(RunNotFoundError, match="is not where a run of workspace 'acme' is"):
        acme.get_run(copy)
    assert RunNotFoundError is RunNotFound
    assert issubclass(RunNotFoundError, RunError)


# runs without a folder


def test_a_tracked_run_is_a_run_too(acme: sync.Workspace) -> None:
    with pytest.raises(KeyError), track("window_0", rows_in=3, params={"k": 1}, tags=["t"], workspace="acme"):
        raise KeyError("oops")
    with track("window_1", workspace="acme") as going:
        brought(going.run_id)
        run = acme.get_run(going.run_id)
        assert (run.status, run.done, run.duration_seconds) == ("running", False, None)
        assert run.status_object()["liveness"] == "live"
    # it is looked at again
    assert (run.status, run.done) == ("completed", True)
    (failed,) = acme.list_runs(status="failed")
    assert (failed.graph_name, failed.error, failed.tags) == ("window_0", "window_0: KeyError: 'oops'", ["t"])
    assert (dict(failed.params), dict(failed.outputs), failed.artifacts) == ({"k": 1}, {}, [])
    assert "raise KeyError" in failed.errors[0].traceback
    status = failed.status_object()
    assert (status["status_source"], status["duration_seconds"]) == ("ledger", failed.duration_seconds)
    assert run.get_result() == {}
    with pytest.raises(RunError, match="has no folder"):
        acme.replay_run(run.run_id)
    compared = acme.compare_runs(failed.run_id, run.run_id)
    assert (compared.source, [each.folder for each in compared.runs]) == ("ledger", [None, None])
    assert {entry.subject for entry in compared.sections["run"] if not entry.same} == {"stage", "status", "error"}
    assert [entry.values for entry in compared.sections["parameters"] if not entry.same] == [["1", None]]
    assert acme.delete_run(run.run_id) == 1


def test_a_tracked_run_whose_process_died_has_crashed(acme: sync.Workspace, project: Path) -> None:
    code = """
        import os
        from runstone import track
        from runstone.workspace.sync import WorkspaceManager
        track("dies", workspace="acme").__enter__()
        while not WorkspaceManager().get("acme").list_runs():
            pass
        os.kill(os.getpid(), 9)
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(code)], check=False, timeout=60)
    (run,) = acme.list_runs()
    assert (run.status, run.done) == ("crashed", False)
    status = run.status_object()
    assert (status["recorded_status"], status["liveness"], status["resumable"]) == ("running", "gone", False)


def test_of_a_run_whose_folder_is_gone_the_ledger_tells(ledger: None, acme: sync.Workspace) -> None:
    made = acme.run(survey, {"max_urls": 2})
    saved = acme.get_run(made.run_id).list_artifacts()
    before = made.status_object()
    shutil.rmtree(str(made.run_folder))
    (run,) = acme.list_runs()
    assert (run.status, run.run_folder, run.duration_seconds) == ("completed", None, made.duration_seconds)
    assert dict(run.params) == {"max_urls": 2, "topic": "runs"}
    assert run.blocks == {"urls": "completed", "pages": "completed", "synthesis": "completed"}
    assert run.list_artifacts() == saved != []
    after = run.status_object()
    same = ("id", "workspace", "status", "created_at", "started_at", "finished_at", "job_id", "tags", "trigger")
    assert {name: after[name] for name in same} == {name: before[name] for name in same}
    with pytest.raises(FolderError, match=r"has no outputs here: its folder .* is not there any more"):
        dict(run.outputs)
    assert acme.delete_run(run.run_id) == 1


def test_a_damaged_folder_breaks_no_list(acme: sync.Workspace) -> None:
    made = acme.run(doubling, {"n": 1})
    other = acme.run(doubling, {"n": 2})
    (Path(str(made.run_folder)) / "run.json").write_bytes(b"{")
    assert [(run.run_id, run.status) for run in acme.list_runs()] == [
        (other.run_id, "completed"),
        (made.run_id, "completed"),
    ]
    with pytest.raises(FolderError, match=r"run\.json"):
        dict(acme.get_run(made.run_id).outputs)


# replay


def test_a_replay_takes_the_parameters_that_the_run_had(acme: sync.Workspace) -> None:
    first = acme.run(survey, {"max_urls": 2, "topic": "x" * 10_000})
    again = acme.replay_run(first.run_id).wait(60)
    assert again.run_id != first.run_id
    assert again.outputs["synthesis"] == first.outputs["synthesis"]
    assert again.workspace == "acme"
    assert ids(acme.list_runs(query="trigger:replay")) == [again.run_id]
    assert (first.replay_of, again.replay_of) == (None, first.run_id)
    assert acme.get_run(again.run_id).replay_of == first.run_id
    with Books().reading() as store:
        told = [find_detail(store, run.run_id, workspace="acme").related for run in (first, again)]
    assert ("replayed_by", again.run_id) in [(each.how, each.run_id) for each in told[0]]
    assert ("replay_of", first.run_id) in [(each.how, each.run_id) for each in told[1]]
    assert again.run_folder is not None
    shutil.rmtree(again.run_folder)
    assert acme.get_run(again.run_id).replay_of == first.run_id, "the ledger knows it without the folder too"


def test_a_replay_tells_by_itself_how_it_ends(acme: sync.Workspace) -> None:
    first = acme.run(survey, {"max_urls": 2})
    with pytest.raises(InputError, match="max_url"):
        acme.replay_run(first.run_id, {"max_url": 3})
    job = acme.replay_run(first.run_id, {"topic": "nothing"})
    assert job.wait(60).status == "failed"
    assert job.done
    assert job.run_id[:8] in repr(job)


def test_who_stops_waiting_for_a_job_does_it_no_harm(acme: sync.Workspace, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    gate.touch()
    first = acme.run(waiting, {"gate": str(gate)})
    gate.unlink()

    async def impatient() -> str:
        workspace = await WorkspaceManager().get("acme")
        job = await workspace.replay_run(first.run_id)
        with pytest.raises(TimeoutError):
            await job.wait(0.01)
        assert not job.done
        gate.touch()
        return (await job.wait(60)).status

    assert asyncio.run(impatient()) == "completed"


def test_who_stops_awaiting_a_run_cancels_it(acme: sync.Workspace, tmp_path: Path) -> None:
    async def stopped() -> str:
        workspace = await WorkspaceManager().get("acme")
        task = asyncio.ensure_future(workspace.run(waiting, {"gate": str(tmp_path / "gate"), "seconds": 0.3}))
        while not (runs := await workspace.list_runs(status="running")):
            await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        while not runs[0].done:
            await asyncio.sleep(0.01)
        return runs[0].status

    assert asyncio.run(stopped()) == "cancelled"


def test_a_pipeline_is_found_again_in_its_file_by_another_process(acme: sync.Workspace, project: Path) -> None:
    (project / "job.py").write_text(
        "from runstone import Pipeline, block\n"
        "@block\ndef tripled(n: int) -> int:\n    return 3 * n\n"
        "job = Pipeline('job', [tripled])\n"
        "if __name__ == '__main__':\n    print(job.run({'n': 2}, workspace='acme', show_progress=False).run_id)\n"
    )
    done = subprocess.run([sys.executable, "job.py"], capture_output=True, text=True, check=True, timeout=60)
    run_id = done.stdout.strip()
    assert acme.replay_run(run_id, {"n": 5}).wait(60).outputs["tripled"] == 15
    del sys.modules["job"]
    (project / "job.py").write_text("raise OSError('not today')\n")
    with pytest.raises(RunError, match=r"names its pipeline as .*job\.py:job, which cannot be imported: OSError"):
        acme.replay_run(run_id)
    (project / "job.py").write_text("job = 7\n")
    with pytest.raises(RunError, match="which is of type int"):
        acme.replay_run(run_id)
    assert acme.replay_run(run_id, pipeline=doubling).wait(60).outputs["doubled"] == 4
    del sys.modules["job"]


def test_a_pipeline_made_inside_of_something_must_be_given(acme: sync.Workspace) -> None:
    local = Pipeline("local", [doubled])
    first = acme.run(local, {"n": 1})
    with pytest.raises(RunError, match=r"does not say where its pipeline is found.*give replay_run\(\.\.\., pipeline="):
        acme.replay_run(first.run_id)
    assert acme.replay_run(first.run_id, {"n": 4}, pipeline=local).wait(60).outputs["doubled"] == 8


def test_a_run_that_came_out_of_an_archive_is_not_replayed(acme: sync.Workspace) -> None:
    first = acme.run(doubling, {"n": 1})
    claim(Path(str(first.run_folder)), imported_from=first.run_id)
    with pytest.raises(Untrusted, match="was imported"):
        acme.replay_run(first.run_id)


# cleaning up


def test_an_age_is_told_in_many_ways(acme: sync.Workspace) -> None:
    acme.run(doubling, {"n": 1})
    hour = timedelta(hours=1)
    now = datetime.now(UTC)
    for older_than in (hour, "1h", now - hour, (now - hour).replace(tzinfo=None)):
        assert acme.cleanup_runs(older_than=older_than) == 0
    for wrong in ("soon", 30, -hour, now + hour, None):
        with pytest.raises(SettingError, match="older_than="):
            acme.cleanup_runs(older_than=wrong)  # type: ignore[arg-type]
    for wrong in (-1, 1.5, True, "2"):
        with pytest.raises(SettingError, match="write how many runs to keep"):
            acme.keep_recent(wrong)  # type: ignore[arg-type]
    assert acme.keep_recent(0) == 1


# apart


def reaches(workspace: sync.Workspace) -> dict[str, Callable[[Any], Any]]:
    """Every method that takes a run, to be called with one."""
    own = ids(workspace.list_runs())[0]
    return {
        "get_run": workspace.get_run,
        "replay_run": workspace.replay_run,
        "delete_run": workspace.delete_run,
        "compare_runs": lambda run: workspace.compare_runs(own, run),
        "compare_runs, first": lambda run: workspace.compare_runs(run, own),
    }


WITHOUT_A_RUN = {"run", "list_runs", "get_run_history", "export_run_history", "cleanup_runs", "keep_recent"}


def test_no_method_reaches_a_run_of_another_workspace(
    ledger: None, acme: sync.Workspace, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    manager = sync.WorkspaceManager()
    beta = manager.create("beta")
    theirs = acme.run(survey, {"max_urls": 2, "topic": "secret"}, tags=["secret-tag"])
    with track("secret-stage", workspace="acme", params={"word": "secret"}) as tracked:
        pass
    brought(tracked.run_id)
    mine = [beta.run(doubling, {"n": 1}).run_id, beta.run(doubling, {"n": 2}).run_id]
    folder = Path(str(theirs.run_folder))
    (project / "link").symlink_to(folder)
    (project / ".runstone" / "workspaces" / "beta" / "runs" / "link").symlink_to(folder)
    thief = Path(shutil.copytree(folder, project / ".runstone" / "workspaces" / "beta" / "runs" / "thief"))
    liar = Path(shutil.copytree(folder, project / ".runstone" / "workspaces" / "beta" / "runs" / "liar"))
    claim(liar, workspace="beta")
    names: list[Any] = [
        theirs.run_id,
        theirs.run_id[:8],
        tracked.run_id,
        tracked.run_id[:8],
        theirs.job_id or "acme",
        folder,
        str(folder.relative_to(project)),
        folder.name,
        f"{folder}/",
        f"{folder}/synthesis",
        f"../../acme/runs/{folder.name}",
        f".runstone/workspaces/beta/runs/../../acme/runs/{folder.name}",
        "link",
        project / "link",
        thief,
        "thief",
        liar,
        "liar",
        "%",
        f"{theirs.run_id[:4]}%",
    ]
    monkeypatch.setenv("RUNSTONE_WORKSPACE", "acme")
    calls = reaches(beta)
    assert {name.partition(",")[0] for name in calls} | WITHOUT_A_RUN == {
        name for name, _ in inspect.getmembers(sync.Workspace, inspect.isfunction) if not name.startswith("_")
    }
    for what, call in calls.items():
        for name in names:
            with pytest.raises(RunNotFoundError) as raised:
                call(name)
            assert "secret" not in str(raised.value), what

    asking = asyncio.run(WorkspaceManager().get("beta"))
    for place in (folder, project / "link", thief, folder.parent / "new"):
        for how in ({"resume": True}, {"overwrite": True}, {}):
            with pytest.raises(RunNotFoundError, match="is not for runs of workspace 'beta'"):
                beta.run(survey, {"max_urls": 2, "topic": "secret"}, run_folder=place, **how)
            with pytest.raises(RunNotFoundError, match="is not for runs of workspace 'beta'"):
                asyncio.run(asking.run(survey, {"max_urls": 2, "topic": "secret"}, run_folder=place, **how))

    newest = mine[::-1]
    queries = [
        "",
        f"id:{theirs.run_id[:8]}",
        "tag:secret-tag",
        "pipeline:survey",
        "pipeline~s",
        "kind:stage",
        "param.topic:secret",
        "param.word:secret",
        f"parent:{theirs.run_id}",
        "status:completed",
        "secret",
        "-nothing",
        "last_run_failed:false",
    ]
    for query in queries:
        assert set(ids(beta.list_runs(query=query))) <= set(mine), query
        assert beta.get_run_history(query=query).total_runs <= 2, query
        assert {run["run_id"] for run in beta.export_run_history(query=query)["runs"]} <= set(mine), query
    assert ids(beta.list_runs(created_after="1h", status="completed")) == newest
    assert beta.list_runs(tags="secret-tag") == beta.list_runs(graph_name="survey") == []
    with pytest.raises(CursorError):
        beta.list_runs(cursor=acme.list_runs(limit=1).cursor)
    history = beta.get_run_history()
    assert (history.total_runs, [group.name for group in history.pipelines]) == (2, ["doubling"])
    exported = JSON(beta.export_run_history())
    for word in ("secret", "survey", "acme", theirs.run_id, tracked.run_id):
        assert word not in exported

    shutil.rmtree(thief)
    shutil.rmtree(liar)
    os.unlink(project / ".runstone" / "workspaces" / "beta" / "runs" / "link")
    assert beta.keep_recent(1) == 1
    assert beta.cleanup_runs(older_than="0s") == 1
    assert manager.delete("beta") == 0
    # and what was theirs is as it was
    assert ids(acme.list_runs()) == [tracked.run_id, theirs.run_id]
    assert acme.get_run(theirs.run_id).get_result()["synthesis"] == "2 pages about secret"


def test_a_folder_in_which_another_run_lies_now_is_not_taken_for_the_one_that_was_there(acme: sync.Workspace) -> None:
    beta = sync.WorkspaceManager().create("beta")
    mine = beta.run(doubling, {"n": 1})
    theirs = acme.run(doubling, {"n": 21})
    shutil.rmtree(str(mine.run_folder))
    shutil.copytree(str(theirs.run_folder), str(mine.run_folder))
    run = beta.get_run(mine.run_id)
    assert (run.run_id, dict(run.params), run.run_folder) == (mine.run_id, {"n": 1}, None)
    compared = beta.compare_runs(mine.run_id, mine.run_id)
    assert (compared.source, [each.folder for each in compared.runs]) == ("ledger", [None, None])


# twins


@pytest.mark.parametrize("name", ["WorkspaceManager", "Workspace", "Run", "Job"])
def test_twins_have_the_same_names_and_parameters(name: str) -> None:
    def public(module: Any) -> dict[str, Any]:
        members = inspect.getmembers(getattr(module, name))
        return {each: value for each, value in members if not each.startswith("_") and each != "of"}

    one, other = public(sync), public(twin)
    assert one.keys() == other.keys()
    for each, value in one.items():
        if isinstance(value, property) or value is other[each]:
            assert value is other[each]
        elif each != "logs":
            assert inspect.iscoroutinefunction(other[each]), each
            assert _named(value) == _named(other[each]), each


def _named(function: Callable[..., Any]) -> list[tuple[str, Any]]:
    return [(each.name, each.default) for each in inspect.signature(function).parameters.values()]


def test_many_threads_may_share_a_workspace(acme: sync.Workspace) -> None:
    made = acme.run(doubling, {"n": 1})

    async def together(workspace: Workspace) -> list[Run]:
        calls: list[Awaitable[Run]] = [workspace.get_run(made.run_id) for _ in range(20)]
        return list(await asyncio.gather(*calls))

    assert set(ids(asyncio.run(together(twin.Workspace(acme))))) == {made.run_id}


def test_figures_are_of_the_runs_that_are_meant(acme: sync.Workspace) -> None:
    acme.run(doubling, {"n": 1}, tags=["a"])
    with pytest.raises(RunFailed):
        acme.run(survey, {"topic": "nothing"})
    figures = acme.get_run_history(tags="a")
    assert (figures.total_runs, figures.completed, figures.success_rate) == (1, 1, 1.0)
    assert acme.get_run_history(status="failed").failed == 1
    whole = msgspec.to_builtins(acme.get_run_history())
    assert whole["statuses"] == {"completed": 1, "failed": 1}
    assert [group["name"] for group in whole["pipelines"]] == ["doubling", "survey"]


# values


def told(x: Any, y: Any) -> list[str]:
    found = asyncio.run(runstone.diff(x, y))
    assert found.same is (str(found) == "")
    return str(found).splitlines()


@pytest.mark.parametrize("value", ["a", 1, 1.5, None, b"x", [1, "a"], (1,), {}, {"a": {"b": [1]}}, True])
def test_what_is_the_same_does_not_differ(value: Any) -> None:
    assert told(value, value) == []


@pytest.mark.parametrize(
    ("x", "y", "lines"),
    [
        ("one\ntwo\nthree", "one\n2\nthree", ["@@ -1,3 +1,3 @@", "one", "-two", "+2", "three"]),
        (10, 12, ["10 -> 12", "+2 (+20 %)"]),
        (1, 1.0, ["1 -> 1.0"]),
        (1, True, ["1 -> True"]),
        ([1, 2, 3], [1, 5, 3, 4], ["1 of 3 elements differ: 1", "3 elements against 4"]),
        ({"a": 1, "b": 2}, {"a": 1, "c": 3}, ["b: 2 -> nothing", "c: nothing -> 3"]),
        ({"a": 1}, 7, ["-> 7"]),
        ({}, {"a": 1}, ["->"]),
    ],
)
def test_what_differs_is_told(x: Any, y: Any, lines: list[str]) -> None:
    found = told(x, y)
    for line in lines:
        assert any(line in each for each in found), found


def test_outputs_of_runs_are_compared_by_their_elements(acme: sync.Workspace) -> None:
    few, many = (acme.run(survey, {"max_urls": number}).outputs["pages"] for number in (2, 3))
    assert any("2 elements against 3" in line for line in told(few, many))
    assert told(few, ["page 0", "page 1"]) == []


def test_what_only_looks_alike_is_said_to() -> None:
    class Own:
        def __repr__(self) -> str:
            return "own"

    found = asyncio.run(runstone.diff(Own(), Own()))
    assert (found.same, found.sure) == (True, False)

"""The record of a run: the same in the process that made it, in any other, and where nothing is kept."""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

import runstone
from runstone import (
    Failed,
    FolderError,
    InputError,
    Pipeline,
    Run,
    RunFailed,
    RunNotFound,
    SettingError,
    Untrusted,
    artifact,
    block,
)
from runstone.core.status import KEYS
from runstone.folder import observe
from tests import samples, scripts


@block
def add(x: int, y: int = 1) -> int:
    return x + y


adding = Pipeline("adding", [add], tags=["a"], version="7", description="Adds")


PROPERTIES = """
    id run_id pipeline graph_name workspace workspace_id job_id run_folder tags status done created_at started_at
    finished_at completed_at duration_seconds progress blocks stages error artifacts
"""


def told(run: Run) -> dict[str, Any]:
    """All that a run tells about itself."""
    found = {name: getattr(run, name) for name in PROPERTIES.split()}
    found |= {"manifest": run.manifest(), "status object": run.status_object()}
    return {**found, "explain": run.explain(), "repr": repr(run)}


def test_a_run_opened_from_its_folder_tells_the_same(tmp_path: Path) -> None:
    run = samples.run_survey(tmp_path / "kept", tmp_path)
    opened = runstone.open(tmp_path / "kept")
    assert type(opened) is type(run) is Run
    assert told(opened) == told(run)
    assert list(opened.outputs) == list(run.outputs) == ["files", "stats", "sizes", "report", "text"]
    for name in run.outputs:
        one, other = opened.outputs[name], run.outputs[name]
        # a failed element is equal to itself only
        assert list(map(repr, one)) == list(map(repr, other))
    assert dict(opened.params) == dict(run.params)
    assert [vars(one).keys() for one in opened.errors] == [vars(one).keys() for one in run.errors]
    assert opened.list_artifacts() == run.list_artifacts()


def test_both_spellings_of_its_names_are_there_and_read_only() -> None:
    run = adding.run({"x": 1}, workspace="team")
    assert (run.run_id, run.graph_name, run.workspace_id, run.completed_at) == (
        run.id, run.pipeline, run.workspace, run.finished_at,
    ) == (run.id, "adding", "team", run.finished_at)  # fmt: skip
    for name in ("id", "status", "outputs", "pipeline"):
        with pytest.raises(AttributeError):
            setattr(run, name, "x")


def test_the_manifest_is_on_disk_and_can_be_built_at_any_moment() -> None:
    run = adding.run({"x": 1})
    path = Path(str(run.run_folder), "manifest.json")
    content = json.loads(path.read_bytes())
    assert content == run.manifest()
    assert list(content) == [
        "run_id", "workspace_id", "job_id", "graph_name", "status", "created_at", "completed_at", "duration_seconds",
        "params", "outputs", "artifacts", "error", "stages",
    ]  # fmt: skip
    assert content["params"] == {"x": 1, "y": 1}
    assert [stage["name"] for stage in content["stages"]] == ["add"]
    path.unlink()
    assert runstone.open(str(run.run_folder)).manifest() == content


def test_without_a_folder_it_goes_to_runs_below_the_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = adding.run({"x": 1})
    assert run.run_folder == str(tmp_path / "runs" / f"adding-{run.id[:8]}")
    (tmp_path / "runstone.toml").write_text("")
    (tmp_path / "deep" / "er").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "deep" / "er")
    run = adding.run({"x": 1})
    assert run.run_folder == str(tmp_path / "runs" / f"adding-{run.id[:8]}")


@pytest.mark.parametrize("folder", ["here", "deep/er", "./here/", "with space ümlaut", Path("path")])
def test_a_given_folder_is_made_with_its_parents(tmp_path: Path, folder: Any) -> None:
    run = adding.run({"x": 1}, run_folder=folder)
    assert run.run_folder == str(tmp_path / folder)
    assert runstone.open(run.run_folder).outputs["add"] == 2


def test_a_folder_that_holds_a_run_is_refused_and_stays_as_it_is() -> None:
    run = adding.run({"x": 1}, run_folder="here")
    before = observe.status(str(run.run_folder))
    with pytest.raises(InputError, match=r"there is a run in .*here already.* give another run_folder"):
        adding.run({"x": 2}, run_folder="here")
    assert observe.status(str(run.run_folder)) == before


def test_a_folder_with_other_things_in_it_keeps_them() -> None:
    Path("here").mkdir()
    Path("here/mine.txt").write_text("mine")
    assert adding.run({"x": 1}, run_folder="here").status == "completed"
    assert Path("here/mine.txt").read_text() == "mine"


def test_a_file_in_the_place_of_the_folder_is_refused() -> None:
    Path("file").write_text("mine")
    with pytest.raises(InputError, match="is a file; give a folder"):
        adding.run({"x": 1}, run_folder="file")
    with pytest.raises(FolderError, match="not a folder"):
        adding.run({"x": 1}, run_folder="file/below")


def test_what_is_refused_before_the_run_leaves_nothing_behind() -> None:
    for settings, params, error in (
        ({}, {"z": 1}, InputError),
        ({}, {}, InputError),
        ({"retries": -1}, {"x": 1}, SettingError),
        ({"timeout": 5, "executor": "inline"}, {"x": 1}, SettingError),
        ({"show_progress": "loud"}, {"x": 1}, SettingError),
        ({"workspace": "no spaces"}, {"x": 1}, SettingError),
        ({"nonsense": 1}, {"x": 1}, SettingError),
    ):
        with pytest.raises(error):
            adding.run(params, run_folder="here", **settings)  # type: ignore[arg-type]
    assert os.listdir() == []


# Where nothing is kept


def test_a_run_that_keeps_nothing_still_has_everything_of_its_own() -> None:
    @block(mapspec="x[i] -> ys[i]", on_error="continue")
    def each(x: int) -> int:
        if x == 1:
            raise ValueError("one")
        return x

    run = Pipeline("p", [each]).run({"x": [0, 1, 2]}, run_folder=None)
    assert os.listdir() == []
    assert (run.status, run.run_folder, run.outputs["ys"][2]) == ("degraded", None, 2)
    assert isinstance(run.outputs["ys"][1], Failed)
    assert [error.message for error in run.errors] == ["one"]
    assert dict(run.params) == {"x": [0, 1, 2]}
    status = run.status_object()
    assert tuple(status) == KEYS
    assert (status["run_folder"], status["status"]) == (None, "degraded")
    assert run.manifest()["status"] == "degraded"
    assert "runstone show" not in run.explain()


def test_a_run_that_keeps_nothing_takes_values_that_cannot_be_stored() -> None:
    import threading

    @block
    def give(lock: Any) -> Any:
        return lock

    lock = threading.Lock()
    assert Pipeline("p", [give]).run({"lock": lock}, run_folder=None).outputs["give"] is lock


def test_a_run_that_keeps_nothing_has_no_place_for_artifacts() -> None:
    @block
    def save() -> None:
        Path("x").write_text("x")
        artifact("x")

    with pytest.raises(RunFailed, match="needs a run folder"):
        Pipeline("p", [save]).run(run_folder=None)


# Finding runs again


def test_a_run_is_found_by_folder_name_id_and_the_beginning_of_its_id(tmp_path: Path) -> None:
    run = adding.run({"x": 1})
    folder = str(run.run_folder)
    for name in (folder, Path(folder), os.path.relpath(folder), f"{folder}/", run.id, run.id[:8], run.id[:4],
                 os.path.basename(folder)):  # fmt: skip
        assert runstone.open(name).id == run.id


def test_a_renamed_folder_is_still_found_by_the_id() -> None:
    run = adding.run({"x": 1}, run_folder="runs/mine")
    os.rename("runs/mine", "runs/yours")
    assert runstone.open(run.id).outputs["add"] == runstone.open(run.id[:6]).outputs["add"] == 2
    with pytest.raises(RunNotFound):
        runstone.open("mine")


def test_a_beginning_that_fits_several_runs_names_them() -> None:
    run = adding.run({"x": 1})
    shutil.copytree(str(run.run_folder), f"runs/copy-{run.id[:8]}")
    with pytest.raises(RunNotFound, match=r"fits 2 runs: adding-.*, copy-.*; give more characters"):
        runstone.open(run.id[:8])


@pytest.mark.parametrize("name", ["nothing", "abc", "./nowhere", "/nowhere/at/all", "", "0123456789"])
def test_what_is_no_run_is_not_found(name: str) -> None:
    with pytest.raises(RunNotFound):
        runstone.open(name)


def test_a_folder_without_a_run_is_told_from_a_damaged_one(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(RunNotFound, match=r"run.json is not there"):
        runstone.open(tmp_path / "empty")
    (tmp_path / "empty" / "run.json").write_text("{")
    with pytest.raises(FolderError, match=r"run.json is damaged"):
        runstone.open(tmp_path / "empty")


# What it made


def test_outputs_are_loaded_one_by_one_when_they_are_asked_for() -> None:
    @block
    def good() -> list[int]:
        return list(range(9000))

    @block
    def bad() -> list[int]:
        return list(range(9000))

    run = Pipeline("p", [good, bad]).run()
    Path(str(run.run_folder), "outputs/bad.0001.pack").unlink()
    opened = runstone.open(str(run.run_folder))
    assert opened.outputs["good"] is opened.outputs["good"]
    assert opened.outputs["good"] == list(range(9000))
    assert list(opened.outputs) == ["good", "bad"]
    with pytest.raises(FolderError, match=r"'bad' .*has no value"):
        opened.outputs["bad"]
    assert not opened.status_object()["all_complete"]


def test_names_that_are_none_of_its_outputs_are_a_key_error_with_those_there_are() -> None:
    run = adding.run({"x": 1})
    with pytest.raises(KeyError, match=r"'sum' is not one of the outputs of this run.* add"):
        run.outputs["sum"]
    assert "sum" not in run.outputs
    assert len(run.outputs) == 1
    with pytest.raises(KeyError, match=r"parameters of this run.* x, y"):
        run.params["z"]


def test_a_failed_run_has_what_was_made_before() -> None:
    @block
    def fail(add: int) -> int:
        raise ValueError("no")

    run = Pipeline("p", [add, fail]).run({"x": 1}, raise_on_error=False)
    for found in (run, runstone.open(str(run.run_folder))):
        assert found.outputs["add"] == 2
        with pytest.raises(FolderError, match=r"'fail' .*has no value"):
            found.outputs["fail"]


def test_pickles_are_opened_only_with_trust() -> None:
    run = adding.run({"x": 1, "y": 2})
    assert runstone.open(str(run.run_folder), trust=False).outputs["add"] == 3

    @block
    def give() -> set[int]:
        return {1, 2}

    run = Pipeline("p", [give]).run()
    assert runstone.open(str(run.run_folder)).outputs["give"] == {1, 2}
    with pytest.raises(Untrusted, match="trust=True"):
        runstone.open(str(run.run_folder), trust=False).outputs["give"]


def test_stored_arrays_behave_like_lists_along_their_first_axis() -> None:
    @block(mapspec="x[i], y[j] -> z[i, j]")
    def each(x: int, y: int) -> int:
        return 10 * x + y

    made = Pipeline("p", [each]).run({"x": [1, 2, 3], "y": [4, 5]}).outputs["z"]
    whole = [[14, 15], [24, 25], [34, 35]]
    assert (made.shape, len(made), list(made), made.to_list()) == ((3, 2), 3, whole, whole)
    assert (made[0], made[-1], made[1, 1], made[-1, -2], made[1:]) == ([14, 15], [34, 35], 25, 34, whole[1:])
    assert made == whole
    assert made.to_numpy().tolist() == whole
    assert 15 in made[0]
    for wrong in (3, -4, (0, 2), (0, 0, 0)):
        with pytest.raises(IndexError):
            made[wrong]
    assert "3 x 2" in repr(made)


def test_artifacts_tell_their_name_type_size_and_checksum() -> None:
    import hashlib

    @block(mapspec="x[i] -> y[i]")
    def save(x: int) -> int:
        Path("report.md").write_text(f"# {x}")
        made = artifact("report.md", metadata={"x": x})
        assert made.element == x
        return x

    run = Pipeline("p", [save]).run({"x": [0, 1]})
    found = run.list_artifacts()
    assert [one.path for one in found] == ["artifacts/report.md", "artifacts/report-2.md"]
    assert [one.metadata for one in found] == [{"x": 0}, {"x": 1}]
    for number, one in enumerate(found):
        content = Path(str(run.run_folder), one.path).read_bytes()
        assert content == f"# {number}".encode()
        assert (one.sha256, one.size_bytes) == (hashlib.sha256(content).hexdigest(), 3)
        assert (one.name, one.artifact_type, one.content_type, one.block) == (
            "report.md",
            "report",
            "text/markdown",
            "save",
        )
    assert run.artifacts == [one.artifact_id for one in found]
    assert run.list_artifacts("image") == []
    assert Path("report.md").exists()


# From another process


def test_another_process_sees_a_run_in_progress_and_then_its_end(tmp_path: Path) -> None:
    script = scripts.write(
        tmp_path / "script.py",
        """
        import time
        from pathlib import Path
        from runstone import Pipeline, block

        @block(mapspec="x[i] -> y[i]")
        def each(x):
            if x == 3:
                Path("reached").touch()
                while not Path("go").exists():
                    time.sleep(0.01)
            return x

        Pipeline("p", [each]).run({"x": list(range(6))}, run_folder="run")
        """,
    )
    process = scripts.start(sys.executable, str(script), cwd=tmp_path)
    try:
        scripts.wait_for(tmp_path / "reached")
        run = runstone.open("./run")
        assert (run.status, run.done, run.finished_at, run.duration_seconds) == ("running", False, None, None)
        assert run.blocks == {"each": "running"}
        assert repr(run).endswith(": running>")
        assert "is running" in run.explain()
        status = run.status_object()
        assert (status["liveness"], status["stale"], status["driver"]["pid"]) == ("live", False, process.pid)
        while not run.progress:  # a chunk is closed half a second after its first result
            assert process.poll() is None
        assert [run.outputs["y"][at] for at in range(3)] == [0, 1, 2]
        with pytest.raises(FolderError, match="element 3 of 'y' was not recorded"):
            run.outputs["y"][3]
        assert run.manifest()["status"] == "running"
        (tmp_path / "go").touch()
        assert process.wait(30) == 0
        assert (run.status, run.done, run.outputs["y"].to_list()) == ("completed", True, list(range(6)))
    finally:
        (tmp_path / "go").touch()
        process.communicate()


def test_a_run_whose_process_was_killed_is_crashed_and_keeps_what_it_recorded(tmp_path: Path) -> None:
    script = scripts.write(
        tmp_path / "script.py",
        """
        import os, signal
        from runstone import Pipeline, block

        @block
        def first():
            return 1

        @block
        def second(first):
            os.kill(os.getpid(), signal.SIGKILL)

        Pipeline("p", [first, second]).run(run_folder="run")
        """,
    )
    assert scripts.python(str(script), cwd=tmp_path).returncode == -9
    run = runstone.open("./run")
    assert (run.status, run.done, run.blocks) == ("crashed", False, {"first": "completed", "second": "crashed"})
    assert run.outputs["first"] == 1
    assert run.status_object()["recorded_status"] == "running"
    assert "is gone and wrote no end" in run.explain()


# Runs inside of runs


def test_a_block_may_run_another_pipeline() -> None:
    @block(mapspec="x[i] -> y[i]")
    def outer(x: int) -> int:
        Path(f"{x}.txt").write_text("outer")
        artifact(f"{x}.txt")
        inner = Pipeline("inner", [save]).run({"x": x}, run_folder=f"inner-{x}")
        artifact(f"{x}.txt", name=f"after-{x}.txt")
        return int(inner.outputs["save"])

    @block
    def save(x: int) -> int:
        Path("inner.txt").write_text("inner")
        artifact("inner.txt")
        return x + 1

    run = Pipeline("outer", [outer]).run({"x": [1, 2]})
    assert run.outputs["y"].to_list() == [2, 3]
    assert [one.name for one in run.list_artifacts()] == ["1.txt", "after-1.txt", "2.txt", "after-2.txt"]
    assert [one.element for one in run.list_artifacts()] == [0, 0, 1, 1]
    assert [one.name for one in runstone.open("./inner-1").list_artifacts()] == ["inner.txt"]


def test_a_failure_of_the_inner_run_fails_the_block_around_it() -> None:
    @block
    def bad() -> None:
        raise ValueError("deep inside")

    @block
    def outer() -> None:
        Pipeline("inner", [bad]).run(run_folder="inner")

    run = Pipeline("outer", [outer]).run(raise_on_error=False)
    (error,) = run.errors
    assert error.type == "RunFailed"
    assert "deep inside" in error.message
    assert "deep inside" in error.traceback
    assert runstone.open("./inner").status == "failed"


@pytest.mark.parametrize(("count", "length"), [(2000, 10), (3000, 3000)])
def test_thousands_of_parameters_are_kept_and_the_run_stays_readable(count: int, length: int) -> None:
    def take(**more: str) -> int:
        return len(more)

    params = {f"parameter_{number}": "v" * length for number in range(count)}
    run = Pipeline("p", [take]).run(params)
    opened = runstone.open(str(run.run_folder))
    assert (opened.status, opened.outputs["take"]) == ("completed", count)
    assert opened.params[f"parameter_{count - 1}"] == "v" * length
    assert list(opened.params) == list(params)


def test_a_run_that_no_reader_would_read_is_refused_before_it_begins() -> None:
    def take(**more: str) -> int:
        return len(more)

    with pytest.raises(InputError, match=r"at most 4,194,304 fit run.json"):
        Pipeline("p", [take]).run({f"{'n' * 200}_{number}": 1 for number in range(20_000)}, run_folder="here")
    assert Pipeline("p", [take]).run({"a": 1}, run_folder="here").status == "completed"

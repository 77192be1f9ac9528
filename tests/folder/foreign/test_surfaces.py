"""Whoever looks at runs looks at those of pipefunc too: the commands, the listing, the resolver, `runstone.open`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import runstone
from runstone.core import block_status
from runstone.core.status import KEYS
from runstone.errors import FolderError, ForeignFolder, RunNotFound
from runstone.folder.listing import list_runs
from runstone.folder.resolve import locate
from tests import samples
from tests.cli.command import complaint
from tests.cli.command import runstone as command
from tests.folder.foreign import zarr_layout
from tests.folder.spy import picture

real = pytest.importorskip("tests.folder.foreign.real", reason="pipefunc is not installed")

X = {"x": [1, 2, 3]}


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A project with runs of ours and of pipefunc, named by how they stand, the oldest first."""
    runs = tmp_path / "runs"
    real.sync(runs / "lost", [real.double, real.follow], X, fixed_indices={"i": 0})
    real.age(runs / "lost", 7200)
    samples.run_tiny(runs / "ours")
    real.asynchronous(runs / "failed", [real.fragile, real.follow], X, chunksizes=1)
    real.sync(runs / "degraded", real.FRAGILE, X, error_handling="continue")
    (runs / "broken").mkdir()
    (runs / "broken/run_info.json").write_text("{")
    (runs / "nothing").mkdir()
    return tmp_path


def answer(place: Path, *arguments: str) -> tuple[int, Any]:
    done = command(*arguments, at=place)
    assert done.stderr == ""
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    return done.returncode, lines[-1]


def test_status_has_every_key_and_exits_0_however_the_run_stands(place: Path) -> None:
    for name, word in (("lost", "incomplete"), ("failed", "failed"), ("degraded", "degraded")):
        code, status = answer(place, "status", name)
        assert (code, status["status"]) == (0, word)
        assert tuple(status) == KEYS
    code, status = answer(place, "status", "runs/broken")
    assert (code, status["status"], len(status)) == (1, "error", 4)
    code, status = answer(place, "status", "runs/nothing")
    assert (code, status["status"]) == (1, "missing")


def test_the_values_have_the_types_of_those_of_our_own_runs(place: Path) -> None:
    _, ours = answer(place, "status", "ours")
    _, theirs = answer(place, "status", "degraded")
    for key, value in theirs.items():
        if value is not None and ours[key] is not None:
            assert type(value) is type(ours[key]), key
        assert (value is None) <= (ours[key] is None or key in ("reason", "driver", "output_ref")), key
    assert theirs["errors"][0].keys() == {
        "block", "element", "index", "attempt", "type", "message", "reason", "retryable", "occurred_at",
    }  # fmt: skip
    assert theirs["pipeline"].keys() == ours["pipeline"].keys()
    assert theirs["progress"].keys() == ours["progress"].keys()
    for output in theirs["outputs"].values():
        assert output.keys() == {"type", "progress", "complete", "bytes"}


def test_run_info_is_added_when_asked_for(place: Path) -> None:
    _, status = answer(place, "status", "degraded", "--include-run-info")
    assert status["run_info"] == json.loads((place / "runs/degraded/run_info.json").read_text())


def test_watch_ends_with_the_run_and_when_nobody_is_there_to_end_it(place: Path) -> None:
    real.sync(place / "runs/done", [real.double], X)
    real.asynchronous(place / "runs/removed", [real.double], X)
    (place / "runs/removed/outputs/y/__0__.pickle").unlink()
    ends = {"done": 0, "degraded": 0, "failed": 1, "lost": 1, "broken": 1, "removed": 1}
    assert {name: answer(place, "watch", name, "--timeout", "20")[0] for name in ends} == ends
    assert answer(place, "watch", "degraded", "--strict")[0] == 1


def test_watch_goes_on_as_long_as_there_is_life(tmp_path: Path) -> None:
    process = real.start("asynchronous", tmp_path / "run")
    try:
        code, status = answer(tmp_path, "watch", str(tmp_path / "run"), "--timeout", "0.2", "--interval", "0.05")
        assert (code, status["status"], status["liveness"]) == (2, "running", "live")
        real.sync(tmp_path / "new", real.FRAGILE, {"x": [2]})
        code, status = answer(tmp_path, "watch", str(tmp_path / "new"), "--timeout", "0.2", "--interval", "0.05")
        assert (code, status["status"], status["status_source"]) == (2, "pending", "disk_heuristic")
    finally:
        process.kill()
        process.wait()


def test_runs_of_both_kinds_are_listed_together_the_newest_first(place: Path) -> None:
    code, listed = answer(place, "list-runs")

    names = [Path(run["run_folder"]).name for run in listed["runs"]]
    assert code == 0
    assert names == ["broken", "degraded", "failed", "ours", "lost"]
    assert listed["total_count"] == len(listed["runs"]) == 5
    assert listed["scanned_directories"] == 6
    for run in listed["runs"]:
        if "error" not in run:
            assert tuple(run) == tuple(key for key in KEYS if key != "outputs")
    newest = list_runs(str(place / "runs"), 2)["runs"]
    assert [Path(run["run_folder"]).name for run in newest] == ["broken", "degraded"]


def test_what_a_run_wrote_last_decides_its_place_in_the_list(place: Path) -> None:
    """The description is old, and so is the folder: only an element deep in it is new."""
    element = place / "runs/lost/outputs/y/__2__.pickle"
    element.write_bytes(b"\x80\x05K\x04.")
    os.utime(element, (element.stat().st_mtime + 5, element.stat().st_mtime + 5))

    (newest,) = list_runs(str(place / "runs"), 1)["runs"]
    assert Path(newest["run_folder"]).name == "lost"


def test_a_chunk_that_was_written_last_decides_too(place: Path) -> None:
    deep = place / "runs/deep"
    zarr_layout.write_run(deep, (3,), version=3)
    new = zarr_layout.chunk(deep, "array", (2,), version=3)
    new.unlink()
    real.age(deep, 7200)
    new.write_bytes(b"x")

    (newest,) = list_runs(str(place / "runs"), 1)["runs"]
    assert Path(newest["run_folder"]).name == "deep"


def test_a_block_is_named_as_pipefunc_names_its_function_or_by_what_it_makes(place: Path) -> None:
    real.asynchronous(place / "runs/namesakes", real.NAMESAKES, X)
    shown = json.loads(command("show", "namesakes", "--json", at=place).stdout)
    assert {block["name"] for block in shown["blocks"]} == {"y", "again"}
    code, status = answer(place, "status", "failed/fragile")
    assert code == 0
    assert tuple(status["block"]) == block_status.KEYS
    assert (status["block"]["status"], status["block"]["reason"]) == ("failed", "exception")
    assert answer(place, "status", "runs/lost/y")[1]["block"]["status"] == "incomplete"
    assert answer(place, "status", "runs/degraded/y")[1]["block"]["elements"] == {
        "total": 3,
        "ok": 2,
        "failed": 1,
        "upstream_failed": 0,
    }
    assert locate(str(place / "runs/lost/after")).block == "after"
    with pytest.raises(RunNotFound, match="has no block 'afte'"):
        locate(str(place / "runs/lost/afte"))


def test_show_tells_a_person_all_of_it(place: Path) -> None:
    shown = command("show", "degraded", at=place)

    assert shown.returncode == 0
    for text in ("degraded", "about", "pipefunc 0.", "1 not called", "y[1]", "ValueError: two is", "KeyError: 'nope'"):
        assert text in shown.stdout
    assert "def double" not in shown.stdout
    assert "raise ValueError" in shown.stdout, "the traceback is there"
    for useless in ("runstone output", "runstone.open", "runstone graph"):
        assert useless not in shown.stdout
    block = command("show", "degraded/y", at=place)
    assert block.returncode == 0
    assert "runstone output" not in block.stdout
    as_json = json.loads(command("show", "degraded", "--json", at=place).stdout)
    assert as_json["foreign"]
    assert [block["name"] for block in as_json["blocks"]] == ["y", "after", "broken"]
    assert as_json["blocks"][1]["upstream"] == ["y"]


@pytest.mark.parametrize("arguments", [("output", "degraded", "y"), ("graph", "degraded")])
def test_what_needs_more_than_a_look_is_refused_in_one_line(place: Path, arguments: tuple[str, ...]) -> None:
    refused = command(*arguments, at=place)

    assert refused.returncode != 0
    assert refused.stdout == ""
    assert "was made by pipefunc: status, list-runs, watch and show tell how it stands" in complaint(refused)


def test_nothing_is_written_to_it(place: Path) -> None:
    runs = place / "runs"
    before = picture(runs)
    for arguments in (("cancel", "lost"), ("cancel", "lost", "--unproven"), ("logs", "degraded")):
        assert "was made by pipefunc" in complaint(command(*arguments, at=place))
    (place / "mine.py").write_text(
        "from runstone import Pipeline, block\n@block\ndef one() -> int: return 1\nmine = Pipeline('mine', [one])\n"
    )
    refused = command("run", "mine.py", "--run-folder", "runs/lost", at=place)
    assert refused.returncode == 2
    assert "was made by pipefunc, and is not touched" in complaint(refused)
    assert picture(runs) == before


def test_opening_is_refused_with_what_to_do(place: Path) -> None:
    with pytest.raises(ForeignFolder, match=r"its values are loaded by pipefunc\.map\.load_outputs") as refusal:
        runstone.open(place / "runs/degraded")
    assert isinstance(refusal.value, FolderError)


def test_pipefunc_is_not_needed_and_nothing_heavy_is_loaded(place: Path) -> None:
    code = (
        "import sys; sys.modules['pipefunc'] = None\n"
        "from runstone.cli.main import main\n"
        "sys.argv = ['runstone', 'status', sys.argv[1]]\n"
        "try:\n    main()\nfinally:\n    print(*sys.modules, file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(place / "runs/degraded")], capture_output=True, text=True, check=True
    )

    assert json.loads(done.stdout)["status"] == "degraded"
    loaded = set(done.stderr.split())
    assert not {"asyncio", "rich", "numpy", "pandas", "pyarrow", "polars", "cloudpickle", "pickle"} & loaded

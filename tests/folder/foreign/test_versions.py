"""Folders of older versions: what they wrote differently, put into a folder of today as they wrote it.

The differences were found by running each version; all else is the same in all of them.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from runstone.folder import find, observe

real = pytest.importorskip("tests.folder.foreign.real", reason="pipefunc is not installed")


def of_0_86(info: dict[str, Any]) -> None:
    """The folder as the user gave it, and every path with it in front."""
    of_0_88(info)
    info["pipefunc_version"] = "0.86.0"
    info["run_folder"] = "runs/first"
    info["defaults_path"] = f"runs/first/{info['defaults_path']}"
    info["input_paths"] = {name: f"runs/first/{path}" for name, path in info["input_paths"].items()}


def of_0_88(info: dict[str, Any]) -> None:
    """Errors are never values."""
    info["pipefunc_version"] = "0.88.0"
    del info["error_handling"]


def before_versions_were_written(info: dict[str, Any]) -> None:
    of_0_88(info)
    del info["pipefunc_version"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    real.sync(tmp_path / "run", real.EVERYTHING, real.INPUTS)
    return tmp_path / "run"


def rewrite(folder: Path, change: Callable[[dict[str, Any]], None]) -> None:
    path = folder / "run_info.json"
    info = json.loads(path.read_text())
    change(info)
    path.write_text(json.dumps(info, indent=4))


@pytest.mark.parametrize("change", [of_0_86, of_0_88, before_versions_were_written])
def test_an_older_folder_is_read_as_one_of_today(folder: Path, change: Callable[[dict[str, Any]], None]) -> None:
    of_today = observe.status(str(folder))
    rewrite(folder, change)

    older = observe.status(str(folder))

    same = set(of_today) - {"id", "created_at", "updated_at", "last_modified", "started_at", "finished_at"}
    same -= {"status_changed_at", "duration_seconds"}
    assert {key: older[key] for key in same} == {key: of_today[key] for key in same}


@pytest.mark.parametrize("change", [of_0_86, of_0_88])
def test_run_info_is_shown_mended_as_pipefunc_shows_it(folder: Path, change: Callable[[dict[str, Any]], None]) -> None:
    rewrite(folder, change)

    status = find.status_of(str(folder), include_run_info=True)

    assert status["run_info"] == real.own_answer(folder)["run_info"]
    assert status["run_info"]["error_handling"] == "raise"
    assert status["run_info"]["defaults_path"] == "defaults/defaults.cloudpickle"


def test_errors_are_not_looked_for_where_they_cannot_be(folder: Path) -> None:
    rewrite(folder, of_0_88)
    array = folder / "outputs/y/__0__.pickle"
    real.sync(folder.parent / "errors", real.FRAGILE, {"x": [2]}, error_handling="continue")
    array.write_bytes((folder.parent / "errors/outputs/y/__0__.pickle").read_bytes())

    # a value may well be an error that somebody returned
    assert observe.status(str(folder))["status"] == "completed"


@pytest.mark.parametrize(
    "key", ["run_folder", "defaults_path", "storage", "all_output_names", "resolved_shapes", "shape_masks"]
)
def test_a_folder_without_what_every_version_wrote_is_an_error(folder: Path, key: str) -> None:
    rewrite(folder, lambda info: info.pop(key))

    status = observe.status(str(folder))

    assert status == {
        "run_folder": str(folder),
        "status": "error",
        "status_source": "disk_heuristic",
        "error": f"run_info.json is damaged: Object missing required field `{key}`",
    }
    assert real.own_answer(folder)["status"] == "error"

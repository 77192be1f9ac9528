"""`runstone list-runs`: one JSON object with the newest runs of a folder."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from runstone.core.status import KEYS
from tests import samples, scripts


@pytest.fixture
def place(tmp_path: Path) -> Path:
    for name in ("first", "second", "third"):
        samples.run_tiny(tmp_path / "runs" / name)
    (tmp_path / "runs" / "notes.txt").write_text("")
    (tmp_path / "runs" / "empty").mkdir()
    return tmp_path


def names(answer: dict[str, list[dict[str, str]]]) -> list[str]:
    return [Path(run["run_folder"]).name for run in answer["runs"]]


def test_the_newest_comes_first(place: Path) -> None:
    done = scripts.runstone("list-runs", cwd=place)
    assert (done.returncode, done.stderr) == (0, "")
    answer = json.loads(done.stdout)
    assert list(answer) == ["runs", "total_count", "folder", "scanned_directories", "error"]
    assert names(answer) == ["third", "second", "first"]
    assert (answer["total_count"], answer["folder"], answer["scanned_directories"]) == (3, "runs", 4)
    assert all(tuple(run) == tuple(key for key in KEYS if key != "outputs") for run in answer["runs"])


def test_a_limit_a_folder_and_indentation(place: Path) -> None:
    done = scripts.runstone("list-runs", str(place / "runs"), "--max-runs", "2", "--pretty", cwd=place)
    answer = json.loads(done.stdout)
    assert names(answer) == ["third", "second"]
    assert answer["total_count"] == 2
    assert '\n  "total_count": 2' in done.stdout
    assert json.loads(scripts.runstone("list-runs", "--max-runs", "0", cwd=place).stdout)["total_count"] == 3


def test_a_broken_run_is_an_entry_and_changes_no_exit_code(place: Path) -> None:
    (place / "runs" / "second" / "run.json").write_text("{")
    done = scripts.runstone("list-runs", cwd=place)
    assert done.returncode == 0
    answer = json.loads(done.stdout)
    (broken,) = (run for run in answer["runs"] if run["status"] == "error")
    assert "run.json is damaged" in broken["error"]
    assert answer["total_count"] == 3
    assert answer["error"] is None


@pytest.mark.parametrize("folder", ["nowhere", "runs/notes.txt"])
def test_a_folder_that_cannot_be_read_exits_1_with_the_same_keys(place: Path, folder: str) -> None:
    done = scripts.runstone("list-runs", folder, cwd=place)
    assert (done.returncode, done.stderr) == (1, "")
    answer = json.loads(done.stdout)
    assert list(answer) == ["runs", "total_count", "folder", "scanned_directories", "error"]
    assert answer["runs"] == []
    assert folder in answer["error"]


def test_an_empty_folder_is_an_empty_list(place: Path) -> None:
    done = scripts.runstone("list-runs", "runs/empty", cwd=place)
    assert (done.returncode, json.loads(done.stdout)["runs"]) == (0, [])


def test_only_runs_with_a_status_are_listed_under_any_of_its_names(place: Path) -> None:
    samples.run_survey(place / "runs" / "fourth", place)
    (place / "runs" / "first" / "run.json").write_text("{")

    def listed(*options: str) -> list[str]:
        return names(json.loads(scripts.runstone("list-runs", *options, cwd=place).stdout))

    assert listed("--status", "completed") == ["third", "second"]
    assert listed("--status", "SUCCESS", "--max-runs", "1") == ["third"]
    assert listed("--status", "Partial_Success") == ["fourth"]
    assert listed("--status", "degraded", "--status", "completed") == ["fourth", "third", "second"]
    assert listed("--status", "error") == listed("--status", "running") == []


def test_a_status_that_is_none_is_wrong_use(place: Path) -> None:
    done = scripts.runstone("list-runs", "--status", "fine", cwd=place)
    assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (2, "", 1)
    assert "unknown status 'fine'; known are scheduled, pending" in done.stderr

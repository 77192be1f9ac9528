"""`runstone delete`, as a user types it."""

from __future__ import annotations

import json
import os
import re
import shutil
from pathlib import Path

import pytest

from tests.cli.command import RUNSTONE, complaint, make_lab, runstone
from tests.terminal import Screen, execute


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("lab")
    make_lab(folder)
    return folder / "run"


@pytest.fixture
def project(lab: Path, tmp_path: Path) -> Path:
    """A project with one run, `runs/lab`, that is in its ledger."""
    (tmp_path / "runs").mkdir()
    shutil.copytree(lab, tmp_path / "runs" / "lab")
    synced = runstone("ledger", "sync", at=tmp_path, RUNSTONE_LEDGER="")
    assert synced.returncode == 0, synced.stderr
    return tmp_path


def delete(*arguments: str, at: Path) -> tuple[int, str]:
    done = runstone("delete", *arguments, at=at, RUNSTONE_LEDGER="")
    return done.returncode, done.stdout + done.stderr


def test_it_goes_from_folder_and_ledger(project: Path) -> None:
    code, said = delete("runs/lab", "--yes", at=project)
    assert code == 0, said
    assert said.startswith("deleted 1 run, ")
    assert os.listdir(project / "runs") == []
    told = runstone("ledger", "info", "--json", at=project, RUNSTONE_LEDGER="")
    assert json.loads(told.stdout)["tables"]["pipeline_run"] == 0


def test_a_dry_run_shows_what_would_go_and_touches_nothing(project: Path) -> None:
    code, said = delete("lab", "--dry-run", at=project)
    assert code == 0
    assert "degraded" in said
    assert "would delete 1 run, " in said
    assert (project / "runs" / "lab" / "run.json").exists()
    told = runstone("delete", "lab", "--dry-run", "--json", at=project, RUNSTONE_LEDGER="")
    answer = json.loads(told.stdout)
    assert answer["dry_run"] is True
    assert answer["bytes"] == answer["runs"][0]["bytes"] > 0


@pytest.mark.parametrize(
    ("columns", "titles", "where"),
    [
        ("", ["run", "pipeline", "status", "last active", "frees", "where"], "runs/a-folder-with-a-rather-long-name"),
        ("120", ["run", "pipeline", "status", "last active", "frees", "where"], "rather-long-name"),
        ("80", ["run", "status", "last active", "frees", "where"], "a-folder-with-a-rather-long-name"),
        ("60", ["run", "status", "last active", "frees", "where"], "ather-long-name"),
    ],
)
def test_it_shows_where_each_run_lies(project: Path, columns: str, titles: list[str], where: str) -> None:
    named = "runs/a-folder-with-a-rather-long-name"
    (project / "runs" / "lab").rename(project / named)
    shown = runstone("delete", named, "--dry-run", at=project, RUNSTONE_LEDGER="", COLUMNS=columns)
    head, line, total = shown.stdout.splitlines()
    assert re.split(r"\s{2,}", head) == titles
    assert line.endswith(where)
    assert total.startswith("would delete 1 run, ")
    assert max(map(len, (head, line))) < int(columns or "1000")


def test_where_nobody_can_be_asked_it_has_to_be_said(project: Path) -> None:
    refused = runstone("delete", "lab", at=project, RUNSTONE_LEDGER="")
    assert refused.returncode == 2
    assert "add --yes" in complaint(refused)
    assert (project / "runs" / "lab").exists()


@pytest.mark.parametrize("width", [60, 120])
@pytest.mark.parametrize(("typed", "is_there"), [("\n", True), ("n\n", True), ("y\n", False)])
def test_in_a_terminal_it_shows_and_asks(project: Path, width: int, typed: str, is_there: bool) -> None:
    said, code = execute(
        [*RUNSTONE, "delete", "lab"],
        project,
        width=width,
        environment={"RUNSTONE_LEDGER": ""},
        answer=("[y/N]: ", typed),
    )
    screen = Screen(width).feed(said)
    assert screen.wrapped == 0
    assert "degraded" in screen.text
    assert "Delete 1 run, " in screen.text
    assert ((project / "runs" / "lab").exists(), code == 0) == (is_there, not is_there)


def test_one_that_is_not_there_stops_all(project: Path) -> None:
    refused = runstone("delete", "lab", "nothing", "--yes", at=project, RUNSTONE_LEDGER="")
    assert refused.returncode == 1
    assert "nothing" in complaint(refused)
    assert (project / "runs" / "lab").exists()


def test_one_whose_process_may_live_stops_all(project: Path) -> None:
    """A copy of a run that goes on: nobody can tell."""
    shutil.copytree(project / "runs" / "lab", project / "runs" / "open")
    journal = project / "runs" / "open" / "journal" / "0001.jsonl"
    journal.write_bytes(b"".join(journal.read_bytes().splitlines(keepends=True)[:-1]))
    (project / "runs" / "open" / "status.json").unlink()
    refused = runstone("delete", "runs/lab", "runs/open", "--yes", at=project, RUNSTONE_LEDGER="none")
    assert refused.returncode == 1
    assert "not proven dead" in complaint(refused)
    assert sorted(os.listdir(project / "runs")) == ["lab", "open"]
    done = runstone("delete", "runs/open", "--yes", "--unproven", at=project, RUNSTONE_LEDGER="none")
    assert done.returncode == 0, done.stderr
    assert os.listdir(project / "runs") == ["lab"]

"""`runstone archive` and `runstone import`, as a user types them."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import pytest

from tests.cli.command import complaint, make_lab, runstone


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with a run, and its archive `lab.zip`."""
    folder = tmp_path_factory.mktemp("lab")
    make_lab(folder)
    made = runstone("archive", "run", "lab.zip", at=folder)
    assert made.returncode == 0, made.stderr
    assert " is in lab.zip: " in made.stdout
    return folder


def test_a_run_moves_to_another_project_and_is_shown_there(lab: Path, tmp_path: Path) -> None:
    done = runstone("import", str(lab / "lab.zip"), "--json", at=tmp_path, RUNSTONE_LEDGER="")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert Path(told["folder"]).parent == tmp_path / "runs"
    shown = runstone("show", told["run_id"][:8], at=tmp_path)
    assert "report.md" in shown.stdout
    assert "degraded" in shown.stdout
    again = runstone("import", str(lab / "lab.zip"), at=tmp_path, RUNSTONE_LEDGER="")
    assert again.returncode == 0
    assert "is here already" in again.stdout
    assert (tmp_path / ".runstone" / "ledger.db").exists()


def test_it_lands_in_the_workspace_of_the_caller(lab: Path, tmp_path: Path) -> None:
    done = runstone("import", str(lab / "lab.zip"), "--workspace", "team", at=tmp_path)
    assert done.returncode == 0, done.stderr
    (folder,) = (tmp_path / ".runstone" / "workspaces" / "team" / "runs").iterdir()
    assert json.loads((folder / "run.json").read_bytes())["workspace"] == "team"
    assert json.loads(runstone("status", str(folder), at=tmp_path).stdout)["workspace"] == "team"


def test_its_pickles_need_trust(lab: Path, tmp_path: Path) -> None:
    told = json.loads(runstone("import", str(lab / "lab.zip"), "--json", at=tmp_path).stdout)
    closed = runstone("output", told["folder"], "fit", at=lab)
    assert "Model" in closed.stdout
    assert "--trust opens it" in closed.stderr
    refused = runstone("resume", told["folder"], at=lab)
    assert refused.returncode == 1
    assert "was imported" in complaint(refused)


def test_what_cannot_be_done_is_told_in_a_line(lab: Path, tmp_path: Path) -> None:
    again = runstone("archive", "run", "lab.zip", at=lab)
    assert (again.returncode, "nothing is overwritten" in complaint(again)) == (1, True)
    nothing = runstone("import", "nothing.zip", at=tmp_path)
    assert (nothing.returncode, "there is no file nothing.zip" in complaint(nothing)) == (2, True)
    with zipfile.ZipFile(tmp_path / "other.zip", "w") as other:
        other.writestr("hello.txt", "hello")
    stranger = runstone("import", "other.zip", at=tmp_path)
    assert (stranger.returncode, "no archive of a run" in complaint(stranger)) == (1, True)
    assert not (tmp_path / "runs").exists()


def test_what_an_archive_says_of_itself_cannot_command_a_terminal(lab: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(lab / "lab.zip") as archived:
        files = {name: archived.read(name) for name in archived.namelist()}
    told = json.loads(files["runstone-archive.json"])
    files["runstone-archive.json"] = json.dumps(told | {"pipeline": "../\x1b]0;x", "status": "\x1b]0;evil"}).encode()
    with zipfile.ZipFile(tmp_path / "odd.zip", "w") as made:
        for name, data in files.items():
            made.writestr(name, data)
    done = runstone("import", "odd.zip", at=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "\x1b" not in done.stdout
    assert [path.parent for path in tmp_path.rglob("run.json")] == [
        tmp_path / "runs" / path.name for path in (tmp_path / "runs").iterdir()
    ]


def test_a_ledger_that_cannot_be_opened_is_a_warning(lab: Path, tmp_path: Path) -> None:
    (tmp_path / "broken.db").write_text("this is no database, and long enough to be seen as none " * 20)
    done = runstone("import", str(lab / "lab.zip"), at=tmp_path, RUNSTONE_LEDGER="broken.db")
    assert done.returncode == 0
    assert done.stderr.startswith("runstone: warning: ")
    assert len(list((tmp_path / "runs").iterdir())) == 1

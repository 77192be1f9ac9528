"""`runstone tag` and `runstone note`, as a user types them."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest

from runstone.ledger.opening import open_ledger
from runstone.ledger.place import Place
from runstone.workspace.sync import WorkspaceManager
from tests import scripts
from tests.cli.command import complaint, make_lab, runstone


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("lab")
    make_lab(folder)
    return folder / "run"


@pytest.fixture
def project(lab: Path, tmp_path: Path) -> Path:
    shutil.copytree(lab, tmp_path / "runs" / "lab")
    return tmp_path


def test_tags_are_given_and_taken_away_and_shown(project: Path) -> None:
    given = runstone("tag", "lab", "+best", "for paper", at=project)
    assert (given.returncode, given.stderr) == (0, "")
    assert given.stdout.endswith("has the tags demo, best, for paper\n")
    taken = runstone("tag", "lab", "--remove", "demo", "--remove", "never", "best", at=project)
    assert taken.stdout.endswith("has the tags best, for paper\n")
    assert runstone("tag", "lab", at=project).stdout == "best\nfor paper\n"
    assert json.loads(runstone("status", "lab", at=project).stdout)["tags"] == ["best", "for paper"]
    # what is so already is not said once more
    assert len((project / "runs" / "lab" / "annotations.jsonl").read_text().splitlines()) == 3


def test_notes_are_shown_and_cannot_command_a_terminal(project: Path) -> None:
    assert runstone("note", "lab", "learning rate was [bold]too\x1b[31m high\nnext: 0.1", at=project).returncode == 0
    shown = runstone("show", "lab", at=project).stdout
    assert "[bold]too" in shown
    assert "next: 0.1" in shown
    assert "\x1b" not in shown
    told = json.loads(runstone("show", "lab", "--json", at=project).stdout)
    assert [note["text"] for note in told["notes"]] == ["learning rate was [bold]too\x1b[31m high\nnext: 0.1"]


def test_tags_are_found_in_the_ledger(project: Path) -> None:
    synced = runstone("ledger", "sync", at=project, RUNSTONE_LEDGER="")
    assert synced.returncode == 0, synced.stderr
    tagged = runstone("tag", "lab", "best", "--remove", "demo", at=project, RUNSTONE_LEDGER="")
    assert tagged.returncode == 0, tagged.stderr
    shutil.rmtree(project / "runs" / "lab")
    told = tagged.stdout.split()[1]
    # the row alone can be spoken of as well
    assert runstone("tag", told, at=project, RUNSTONE_LEDGER="").stdout == "best\n"
    assert runstone("note", told, "its folder is gone", at=project, RUNSTONE_LEDGER="").returncode == 0


def test_where_the_ledger_is_locked_the_folder_has_it_and_that_is_what_is_told(project: Path) -> None:
    assert runstone("ledger", "sync", at=project, RUNSTONE_LEDGER="").returncode == 0
    holder = open_ledger(Place("sqlite", str(project / ".runstone" / "ledger.db")))
    with holder.writing():
        tagged = runstone("tag", "lab", "best", at=project, RUNSTONE_LEDGER="")
    holder.close()
    assert tagged.returncode == 0
    assert tagged.stdout.endswith("has the tags demo, best\n")
    assert "in the folder of the run, and not in the ledger yet; runstone ledger sync brings it" in complaint(tagged)
    assert runstone("tag", "lab", at=project).stdout == "demo\nbest\n"
    assert runstone("runs", "list", "--query", "tag:best", at=project, RUNSTONE_LEDGER="").stdout == ""
    assert runstone("ledger", "sync", at=project, RUNSTONE_LEDGER="").returncode == 0
    assert "lab" in runstone("runs", "list", "--query", "tag:best", at=project, RUNSTONE_LEDGER="").stdout


def test_what_was_noted_is_told_of_runs_of_pipelines_and_tracked_ones(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(project)
    monkeypatch.setenv("RUNSTONE_LEDGER", "")
    (project / "tracks.py").write_text(
        "from runstone import track\nwith track('load', tags=['own']) as t:\n    pass\nprint(t.run_id)\n"
    )
    done = scripts.python("tracks.py", cwd=project, RUNSTONE_LEDGER="")
    tracked = done.stdout.strip()
    assert runstone("ledger", "sync", at=project).returncode == 0
    for run in ("lab", tracked):
        assert runstone("note", run, "first [bold]\x1b[31m\nand a second line", at=project).returncode == 0
        assert runstone("note", run, "then", at=project).returncode == 0
        assert runstone("tag", run, "best", at=project).returncode == 0
    lab = json.loads(runstone("status", "lab", at=project).stdout)["id"]
    for rebuilt in (False, True):
        if rebuilt:
            assert runstone("ledger", "rebuild", at=project).returncode == 0
        for run in (lab, tracked):
            shown = runstone("runs", "show", run, at=project).stdout
            assert re.search(r"\nNotes\n  .*\n    first \[bold\]�?", shown), shown
            assert "and a second line" in shown
            assert "\x1b" not in shown
            assert re.search(r"tags +best, (demo|own)", shown), shown
            told = json.loads(runstone("runs", "show", run, "--json", at=project).stdout)
            assert [note["text"].splitlines()[-1] for note in told["notes"]] == ["and a second line", "then"]
            assert set(told["run"]["tags"]) - {"demo", "own"} == {"best"}
            found = WorkspaceManager().get("default").get_run(run)
            assert [note.text.splitlines()[-1] for note in found.notes] == ["and a second line", "then"]
            assert found.notes[0].said_by
            assert set(found.tags) - {"demo", "own"} == {"best"}


def test_wrong_use_is_told_in_a_line(project: Path) -> None:
    for arguments, problem, code in [
        (["tag", "lab", " x"], "cannot be a tag", 2),
        (["tag", "nothing", "x"], "nothing", 1),
        (["note", "lab", " "], "nothing to note", 2),
        (["note", "lab", "x" * 10_001], "at most 10,000", 2),
    ]:
        refused = runstone(*arguments, at=project)
        assert refused.returncode == code
        assert problem in complaint(refused)
    assert not (project / "runs" / "lab" / "annotations.jsonl").exists()

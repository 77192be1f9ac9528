"""`runstone tag` and `runstone note`, as a user types them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

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

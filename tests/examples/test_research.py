"""The research example, run as its readers run it, over texts that say what is expected of it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from runstone.workspace.sync import Workspace, WorkspaceManager

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "research.py"
RUNSTONE = [sys.executable, "-m", "runstone"]
TEXTS = {
    "long.md": "# Invoices\n\nAn invoice is sent by `billing` to the customer Ada Lovelace.\n\n"
    + "The office in Turin keeps `ledger.py` and nothing else worth a word.\n\n" * 40,
    "deep/middle.txt": "Late invoices are found by `billing` every Monday.\n\n" * 12,
    "short.rst": "Nothing is said here about what was asked for.\n",
    "picture.png": "no text",
}


def run(arguments: list[str], place: Path) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if name != "RUNSTONE_LEDGER"}
    return subprocess.run(
        arguments, cwd=place, env=environment, capture_output=True, text=True, timeout=120, check=False
    )


@pytest.fixture
def place(tmp_path: Path) -> Path:
    for name, text in TEXTS.items():
        path = tmp_path / "texts" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path


def study(place: Path) -> subprocess.CompletedProcess[str]:
    return run([sys.executable, str(EXAMPLE), "--root", "texts", "--topic", "invoice", "--few", "1"], place)


def workspace(place: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    monkeypatch.chdir(place)
    monkeypatch.delenv("RUNSTONE_LEDGER", raising=False)
    return WorkspaceManager().get("research")


def test_two_runs_their_artifacts_and_what_made_the_difference(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answer = study(place)
    assert (answer.returncode, answer.stderr) == (0, "")
    assert "1 sentence about 'invoice' in 1 of 1 document\n" in answer.stdout
    assert "13 sentences about 'invoice' in 2 of 3 documents" in answer.stdout
    assert "They part at the block 'discover': parameter max_documents." in answer.stdout
    whole, first = workspace(place, monkeypatch).list_runs()
    assert (first.status, first.params["max_documents"], first.outputs["discover"]) == ("completed", 1, ["long.md"])
    assert whole.outputs["discover"] == ["long.md", "deep/middle.txt", "short.rst"]
    assert whole.replay_of == first.run_id
    report, figures = whole.list_artifacts()
    assert report.metadata == {"topic": "invoice", "documents": 3}
    counted = json.loads(Path(whole.run_folder or "", figures.path).read_text())
    assert (counted["billing"], counted["Ada Lovelace"], counted["ledger.py"]) == (13, 1, 40)
    text = Path(whole.run_folder or "", report.path).read_text()
    assert "13 sentences in 2 documents. Mentioned beside it most often: billing (13)" in text


def test_the_commands_that_it_names_work_as_they_stand(place: Path) -> None:
    said = study(place).stdout
    commands = re.findall(r"^  runstone (.+)$", said, re.MULTILINE)
    assert [command.split()[0] for command in commands] == ["tail", "show", "compare"]
    for command in commands:
        answer = run([*RUNSTONE, *command.split()], place)
        assert answer.returncode == 0, answer.stderr
        assert "research" in answer.stdout


def test_what_show_says_can_be_done_next_can_be_typed_as_it_stands(place: Path) -> None:
    said = study(place).stdout
    (show,) = re.findall(r"^  runstone (show .+)$", said, re.MULTILINE)
    steps = re.findall(r"^  runstone ([^#]+?) +#", run([*RUNSTONE, *show.split()], place).stdout, re.MULTILINE)
    assert [step.split()[0] for step in steps] == ["output", "graph"]
    for step in steps:
        answer = run([*RUNSTONE, *step.split()], place)
        assert answer.returncode == 0, answer.stderr


def test_a_document_that_cannot_be_read_fails_alone(place: Path) -> None:
    (place / "texts" / "latin.txt").write_bytes("Größte Rechnung".encode("latin-1") * 5)
    answer = study(place)
    assert answer.returncode == 0, answer.stderr
    assert "The same again, in all documents: degraded" in answer.stdout
    assert "13 sentences about 'invoice' in 2 of 3 documents" in answer.stdout


def test_a_folder_without_texts_is_told_without_a_traceback(place: Path) -> None:
    answer = run([sys.executable, str(EXAMPLE), "--root", "nowhere"], place)
    assert answer.returncode == 1
    assert "Traceback" not in answer.stderr
    assert "no texts" in answer.stderr.splitlines()[0]
    assert "nowhere" in answer.stderr.splitlines()[0]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--few", "0"], "--few: '0' is no number of documents: write 1 or more"),
        (["--few=-1"], "--few: '-1' is no number of documents"),
        (["--few", "many"], "--few: 'many' is no number of documents"),
        (["--topic", " "], "--topic: write a word"),
    ],
)
def test_what_cannot_be_meant_is_refused_before_anything_is_made(place: Path, arguments: list[str], says: str) -> None:
    done = run([sys.executable, str(EXAMPLE), "--root", "texts", *arguments], place)
    assert done.returncode == 2
    assert says in done.stderr
    assert not (place / ".runstone").exists()

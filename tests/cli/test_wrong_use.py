"""Every command, used wrongly, and asked for help."""

from __future__ import annotations

import os
import shlex
import subprocess
from pathlib import Path

import pytest

from runstone.cli.main import invoke
from tests.cli.command import RUNSTONE, complaint, make_lab, runstone


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_lab(tmp_path_factory.mktemp("lab"))


WRONG_USES = [
    ["sho"],
    ["--nope"],
    ["show"],
    ["show", "run", "more"],
    ["show", "run", "--jsn"],
    ["status"],
    ["status", "run", "--prety"],
    ["watch"],
    ["watch", "run", "--timeout", "x"],
    ["watch", "run", "--timeout", "-1"],
    ["watch", "run", "--interval", "0"],
    ["list-runs", "--max-runs", "x"],
    ["list-runs", "--max-runs", "-3"],
    ["list-runs", "a", "b"],
    ["run"],
    ["run", "nope.py"],
    ["run", "lab"],
    ["run", "lab.py:nope"],
    ["run", "nomodule:x"],
    ["run", "lab.py"],
    ["run", "lab.py", "-p", "n"],
    ["run", "lab.py", "-p", "n=x", "-p", "ys=[1]"],
    ["run", "lab.py", "-p", "n=1", "-p", "ys=[1]", "-p", "m=1"],
    ["run", "lab.py", "-p", "n=1", "-p", "ys=[1]", "--run-folder", "run"],
    ["run", "lab.py", "-p", "n=1", "-p", "ys=[1]", "--run-folder", ""],
    ["run", "lab.py", "-p", "n=1", "-p", "ys=[1]", "--resume"],
    ["run", "lab.py", "-p", "n=1", "-p", "ys=[1]", "--run-folder", "new", "--take-over"],
    ["run", "lab.py", "--params", "nope.json"],
    ["run", "lab.py", "--params", "lab.py"],
    ["run", "lab.py", "--bogus"],
    ["output", "run"],
    ["output", "run", "nope"],
    ["output", "run", "xs", "--format", "xml"],
    ["output", "run", "xs", "-o", ""],
    ["output", "run", "xs", "-o", "m.xls"],
    ["output", "run", "xs", "-o", "m.csv.gz"],
    ["list-runs", "--status", "fine"],
    ["output", "run", "xs", "-o", "nofolder/x"],
    ["output", "run", "xs", "-o", "run"],
    ["output", "run", "blob", "--format", "csv"],
    ["output", "run", "fit", "--format", "parquet"],
    ["graph"],
    ["graph", "nope.py"],
    ["graph", "lab.py:nope"],
    ["graph", "lab:"],
    ["graph", "run", "-o", "graph.png"],
    ["graph", "run", "-o", "nofolder/graph.svg"],
    ["completion"],
    ["completion", "tcsh"],
]


@pytest.mark.parametrize("arguments", WRONG_USES, ids=" ".join)
def test_wrong_use_is_one_line_that_says_what_to_do(
    lab: Path, arguments: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(lab.parent)
    assert invoke(arguments) == 2
    told = capsys.readouterr()
    assert not told.out
    assert told.err.startswith("runstone: ")
    assert told.err.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["watch", "run", "--timeout", "x"], "'x' is no number;"),
        (["tail", "-n", "x"], "'x' is no whole number;"),
        (["runs", "list", "-n", "0"], "0 is out of range, which is 1<=x<=1000;"),
        (["ledger", "rebuild", "nowhere"], "there is no folder nowhere, and no run of it in the ledger;"),
    ],
)
def test_a_value_that_does_not_fit_is_told_in_plain_words(lab: Path, arguments: list[str], said: str) -> None:
    answer = runstone(*arguments, at=lab.parent, RUNSTONE_LEDGER="")
    assert answer.returncode == 2
    assert said in complaint(answer)


@pytest.mark.parametrize("arguments", [["sho"], ["output", "run", "cel"], ["run", "lab.py", "-p", "m=1"]])
def test_a_misspelt_word_gets_a_suggestion(lab: Path, arguments: list[str]) -> None:
    answer = runstone(*arguments, at=lab.parent)
    assert answer.returncode == 2
    assert "did you mean" in complaint(answer) or "it has 'n', 'ys'" in complaint(answer)


def test_what_a_users_file_raises_is_shown_from_that_file_on(tmp_path: Path) -> None:
    (tmp_path / "broken.py").write_text("import math\nmath.sqrt(-1)\n", encoding="utf-8")
    for command in ("run", "graph"):
        answer = runstone(command, "broken.py", at=tmp_path)
        assert answer.returncode == 2
        lines = answer.stderr.splitlines()
        assert lines[0] == "Traceback (most recent call last):"
        assert lines[1].endswith('broken.py", line 2, in <module>')
        assert lines[-1].startswith("runstone: broken.py cannot be imported: ValueError")


@pytest.mark.parametrize("width", [60, 100])
@pytest.mark.parametrize(
    "command", [[], ["run"], ["status"], ["list-runs"], ["watch"], ["show"], ["output"], ["graph"], ["completion"]]
)
def test_help_fits_the_terminal(
    command: list[str], width: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    assert invoke([*command, "--help"]) == 0
    shown = capsys.readouterr().out
    assert shown.startswith("Usage: runstone")
    assert max(map(len, shown.splitlines())) <= width


@pytest.mark.parametrize("command", [[], ["runs"], ["ledger"], ["workspace"], ["cache"]])
def test_no_line_about_a_command_is_cut(
    command: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    assert invoke([*command, "--help"]) == 0
    listed = capsys.readouterr().out.partition("Commands:\n")[2]
    assert listed
    assert "..." not in listed


def test_a_complaint_cannot_command_the_terminal(tmp_path: Path) -> None:
    answer = runstone("show", "./a\x9b31m\x07b", at=tmp_path)
    assert answer.returncode == 1
    assert "\x9b" not in complaint(answer)
    assert "\x07" not in complaint(answer)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs a device that is always full")
@pytest.mark.parametrize(
    "command", [["show", "run"], ["status", "run"], ["output", "run", "xs"], ["--help"]], ids=" ".join
)
def test_output_that_nobody_can_take_is_one_line(lab: Path, command: list[str]) -> None:
    with open("/dev/full", "w") as full:
        answer = subprocess.run(
            [*RUNSTONE, *command], cwd=lab.parent, stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    assert (answer.returncode, answer.stderr) == (
        1,
        "runstone: the output cannot be written: no space left on device\n",
    )


def test_a_folder_that_is_gone_is_one_line(tmp_path: Path) -> None:
    script = f"cd {tmp_path}/here && rmdir ../here && exec {shlex.join([*RUNSTONE, 'show', 'run'])}"
    (tmp_path / "here").mkdir()
    answer = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=False)
    assert answer.returncode == 1
    assert complaint(answer) == "runstone: the current folder is gone; go to one that exists"

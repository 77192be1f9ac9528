"""`runstone why`: the answer first, on any terminal, and exit codes that tell an answer from a mistake."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import msgspec
import pytest

from runstone.folder.why import Explanation, explain
from tests import scripts
from tests.cli.command import complaint, in_terminal, make_lab, runstone


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_lab(tmp_path_factory.mktemp("lab"))


def test_the_answer_comes_first_and_then_what_shows_it(lab: Path) -> None:
    answer = runstone("why", "run/multiply", at=lab.parent)
    assert answer.returncode == 0
    assert answer.stderr == ""
    first, empty, *rest = answer.stdout.splitlines()
    assert first.startswith("multiply ended degraded: 2 of 12 elements failed, first multiply[2, 2]: ValueError: ")
    assert first.endswith("[bold]six[/] \ufffd[31m2 by 3")
    assert empty == ""
    assert any(line.split()[:2] == ["arguments", "xs"] for line in rest)
    assert any("where" in line and "lab.py:" in line and line.endswith("in multiply") for line in rest)


def test_an_element_is_asked_for_by_its_number_or_by_its_index(lab: Path) -> None:
    by_number = runstone("why", "run/multiply/8", at=lab.parent)
    by_index = runstone("why", "run/multiply/2,2", at=lab.parent)
    assert by_number.stdout == by_index.stdout
    assert by_number.stdout.startswith("multiply[2, 2] failed: ValueError: ")
    assert "(attempt 2 of 2)" in by_number.stdout.splitlines()[0]
    assert runstone("why", "run/multiply/0", at=lab.parent).stdout.startswith("multiply[0, 0] completed\n")


def test_what_it_offers_to_type_works(lab: Path) -> None:
    page = runstone("why", "run/multiply/8", at=lab.parent).stdout
    commands = [line.strip() for line in page.partition("\nNext\n")[2].splitlines() if not line.startswith("  #")]
    assert [command.split()[0] for command in commands] == ["python", "runstone", "runstone"]
    logs = runstone(*commands[1].split()[1:], at=lab.parent)
    assert logs.returncode == 0, logs.stderr
    again = scripts.call("sh", "-c", commands[0].replace("python", sys.executable, 1), cwd=lab.parent)
    assert "ValueError" in again.stderr


def test_as_json_it_is_the_whole_explanation(lab: Path) -> None:
    for asked in ("run", "run/multiply", "run/multiply/8"):
        answer = runstone("why", asked, "--json", at=lab.parent)
        assert answer.returncode == 0
        found = json.loads(answer.stdout)
        assert list(found) == list(Explanation.__struct_fields__)
        _, *inside = asked.split("/")
        wanted = explain(str(lab), *inside[:1], *map(int, inside[1:]))
        assert found["answer"] == wanted.answer
        assert found["chain"] == json.loads(msgspec.json.encode(wanted.chain))


def test_a_block_or_element_that_is_not_there_is_wrong_use(lab: Path) -> None:
    for asked, meant in (
        ("run/multiplie", "did you mean run/multiply?"),
        ("run/multiplie/3", "did you mean run/multiply?"),
        ("run/7", "run run has no block '7'; it has xs, multiply"),
        ("run/multiply/12", "it has 12 elements, 0 to 11"),
        ("run/multiply/0,3", "it is 4 x 3"),
        ("run/multiply/0,0,0", "2 axes"),
        ("run/xs/0", "'xs' is not mapped"),
        ("run/multiply/x", "'x' names no element"),
        ("run/multiply/-1", "'-1' names no element"),
    ):
        answer = runstone("why", asked, at=lab.parent)
        assert answer.returncode == 2, asked
        assert meant in complaint(answer)
        assert answer.stdout == ""


def test_a_run_that_cannot_be_read_is_no_wrong_use(lab: Path, tmp_path: Path) -> None:
    for asked in ("nothing", "nothing/block", "nothing/block/3", str(tmp_path)):
        answer = runstone("why", asked, at=lab.parent)
        assert answer.returncode == 1, asked
        complaint(answer)
    (tmp_path / "run.json").write_text("{")
    assert "damaged" in complaint(runstone("why", str(tmp_path), at=lab.parent))


def test_it_fits_a_narrow_terminal(lab: Path) -> None:
    for asked in ("run", "run/multiply", "run/multiply/8", "run/collect"):
        page, code = in_terminal("why", asked, at=lab.parent, width=60)
        assert code == 0
        told = page.replace("\r", "").partition("\nNext\n")[0]
        assert max(map(len, told.splitlines())) <= 60, asked
        assert "\x1b" not in told


def test_a_folder_that_pipefunc_wrote_is_answered_in_a_sentence(tmp_path: Path) -> None:
    scripts.write(
        tmp_path / "foreign.py",
        """
        from pipefunc import Pipeline, pipefunc

        @pipefunc("y", mapspec="x[i] -> y[i]")
        def double(x: int) -> int:
            return 2 * x

        Pipeline([double]).map({"x": [1, 2]}, run_folder="theirs", parallel=False, show_progress=False)
        """,
    )
    made = scripts.python("-W", "ignore", "foreign.py", cwd=tmp_path, PYTHONWARNINGS="ignore")
    assert made.returncode == 0, made.stderr
    answer = runstone("why", "theirs", at=tmp_path)
    assert answer.returncode == 0, answer.stderr
    assert answer.stdout.splitlines()[0].endswith(" is completed")
    assert "made by  pipefunc" in answer.stdout
    assert runstone("why", "theirs/y", at=tmp_path).stdout.startswith("y is completed\n")
    assert "does not record how each" in runstone("why", "theirs/y/1", at=tmp_path).stdout
    assert "did you mean theirs/y?" in complaint(runstone("why", "theirs/yy", at=tmp_path))

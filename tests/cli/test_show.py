"""`runstone show`: real runs, on pipes and terminals."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

from runstone.cli.sections import stack_lines
from runstone.drawing.lettering import cells
from tests import scripts
from tests.cli.command import RUNSTONE, complaint, in_terminal, make_lab, runstone
from tests.terminal import Screen

SLOW = """
import time
from runstone import Pipeline, block

@block
def first(n: int) -> int:
    return n

@block(mapspec="xs[i] -> ys[i]")
def waits(first: int, xs: int) -> int:
    time.sleep(0.05 if xs < 20 else 60)
    return xs

slow = Pipeline("slow", [first, waits])
"""


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_lab(tmp_path_factory.mktemp("lab"))


@pytest.fixture
def copied(lab: Path, tmp_path: Path) -> Path:
    shutil.copytree(lab, tmp_path / "copy")
    return tmp_path / "copy"


def section(page: str, title: str) -> list[str]:
    """The lines below a title."""
    lines = page.splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith(title)) + 1
    found = []
    for line in lines[start:]:
        if not line:
            break
        found.append(line.strip())
    return found


def test_a_person_sees_how_a_run_ended_and_where_it_is(lab: Path) -> None:
    answer = runstone("show", "run", at=lab.parent)
    assert answer.returncode == 0, answer.stderr
    head = answer.stdout.split("\n\n")[0].splitlines()
    assert head[0] == "lab 1.2"
    assert re.fullmatch(r"status +● degraded after [\d.]+ m?s", head[1])
    assert re.fullmatch(r"message +multiply: 2 of 12 elements failed", head[2])
    assert f"where    {lab}" in head
    assert any(
        re.fullmatch(r"started +\d{4}-\d\d-\d\d \d\d:\d\d:\d\d \S+ \(.*ago\)|.*just now\)", line) for line in head
    )
    assert "tags     demo" in head


def test_every_block_has_a_row_with_its_outputs(lab: Path) -> None:
    rows = section(runstone("show", "run", at=lab.parent).stdout, "Blocks")
    assert rows[0].split() == ["block", "status", "elements", "failed", "time", "output", "type", "size"]
    assert re.fullmatch(r"multiply +degraded +12/12 \(4 × 3\) +2 +[\d.]+ m?s +cell +10 × dict +\d+ B", rows[2])
    assert re.fullmatch(r"collect +completed +[\d.]+ m?s +table +pandas.DataFrame\[10 x 3\] +[\d.]+ kB", rows[3])
    assert re.fullmatch(r"matrix +numpy.ndarray\[float64, \(10, 2\)\] +\d+ B", rows[4])
    assert re.fullmatch(r"fit_each +completed +4/4 +[\d.]+ m?s +models +4 × lab.Model +\d+ B", rows[6])


def test_errors_are_told_with_arguments_and_the_first_with_its_traceback(lab: Path) -> None:
    page = runstone("show", "run", at=lab.parent).stdout
    errors = section(page, "Errors: 2")
    assert errors[0] == "multiply[2, 2]  ValueError: [bold]six[/] �[31m2 by 3  attempt 2"
    assert errors[1] == "and 1 more like it: [3, 1]"
    assert errors[2:5] == ["xs = 2", "ys = 3", "Traceback (most recent call last):"]
    assert errors[-1] == "and more"


RARE = """
from runstone import Pipeline, block

@block(mapspec="xs[i] -> ys[i]", on_error="continue")
def parse(xs: int) -> int:
    if xs == WHEN:
        raise KeyError("rare")
    if xs % 2:
        return xs
    raise ValueError(f"row {xs} is bad" if ALIKE else "bad " + "".join(chr(97 + int(c)) for c in str(xs)))

rare = Pipeline("rare", [parse])
"""


def make_rare(folder: Path, *, alike: bool) -> Path:
    """A run with 200 errors, one of which is another one."""
    code = RARE.replace("WHEN", "301").replace("ALIKE", str(alike))
    (folder / "rare.py").write_text(code, encoding="utf-8")
    made = runstone("run", "rare.py", "-p", f"xs={list(range(398))}", "--run-folder", "run", at=folder)
    assert made.returncode == 0, made.stderr
    return folder


def test_a_rare_error_is_seen_among_hundreds_of_equal_ones(tmp_path: Path) -> None:
    make_rare(tmp_path, alike=True)
    for run in ("run", "run/parse"):
        errors = section(runstone("show", run, at=tmp_path).stdout, "Errors: 200")
        assert errors[0] == "parse[0]  ValueError: row 0 is bad"
        assert errors[1] == "and 198 more like it: [2], [4], [6], [8], [10], [12], [14], [16], [18], ..."
        assert errors[-1] == "parse[301]  KeyError: 'rare'"
    told = json.loads(runstone("show", "run", "--json", at=tmp_path).stdout)
    assert [each["element"] for each in told["errors"]] == list(range(0, 40, 2))
    assert [(group["count"], group["first"]["type"]) for group in told["error_groups"]] == [
        (199, "ValueError"),
        (1, "KeyError"),
    ]
    assert told["error_groups"][1]["elements"] == [301]
    assert told["error_groups"][1]["first"]["traceback"].endswith("KeyError: 'rare'\n")


@pytest.mark.parametrize("width", [60, 80])
def test_a_rare_error_is_seen_among_hundreds_of_different_ones(tmp_path: Path, width: int) -> None:
    make_rare(tmp_path, alike=False)
    errors = section(runstone("show", "run", at=tmp_path).stdout, "Errors: 200")
    told = [line for line in errors if line.startswith("parse[")]
    assert len(told) == 10
    assert told[:3] == [
        "parse[0]  ValueError: bad a",
        "parse[301]  KeyError: 'rare'",
        "parse[2]  ValueError: bad c",
    ]
    assert errors[-1] == "and 190 with other messages; runstone show run --json tells more of them"
    written, _ = in_terminal("show", "run", at=tmp_path, width=width)
    assert not Screen(width).feed(written.partition("Next")[0]).wrapped


CALLED = """
import time
from runstone import Pipeline, block

@block
def raises(n: int) -> int:
    return 1 // n

@block(timeout=0.2)
def late(n: int) -> int:
    time.sleep(30)

@block(when=lambda n: 1 // n)
def unsure(n: int) -> int:
    return n

raising, timing, deciding = Pipeline("p", [raises]), Pipeline("p", [late]), Pipeline("p", [unsure])
"""


@pytest.mark.parametrize(("name", "offered"), [("raising", True), ("timing", False), ("deciding", False)])
def test_only_what_would_raise_again_is_offered_to_be_called(tmp_path: Path, name: str, offered: bool) -> None:
    (tmp_path / "called.py").write_text(CALLED)
    assert runstone("run", f"called.py:{name}", "-p", "n=0", "--run-folder", "run", at=tmp_path).returncode == 1
    (block,) = json.loads(runstone("show", "run", "--json", at=tmp_path).stdout)["blocks"]
    commands = (["show", "run"], ["show", f"run/{block['name']}"], ["why", "run"])
    for command in commands:
        page = runstone(*command, at=tmp_path).stdout
        assert ("reproduce" in page) is offered
    record = json.loads((tmp_path / "run/run.json").read_text())
    (tmp_path / "run/run.json").write_text(json.dumps(record | {"imported_from": record["id"]}))
    for command in commands:
        assert "reproduce" not in runstone(*command, at=tmp_path).stdout


def test_what_cannot_be_called_again_is_not_offered_to_be(tmp_path: Path) -> None:
    typed = "from runstone import *\n@block\ndef bad(n):\n    return 1 // n\n"
    typed += "Pipeline('typed', [bad]).run({'n': 0}, run_folder='run')"
    scripts.python("-c", typed, cwd=tmp_path)
    for command in (["show", "run"], ["show", "run/bad"], ["why", "run"]):
        page = runstone(*command, at=tmp_path).stdout
        assert "ZeroDivisionError" in page
        assert "reproduce" not in page


def test_parameters_artifacts_and_next_steps_are_told(lab: Path) -> None:
    page = runstone("show", "run", at=lab.parent).stdout
    assert section(page, "Parameters") == ["n   4", "ys  [1, 2, 3]"]
    (artifact,) = section(page, "Artifacts")
    assert re.fullmatch(rf"report\.md +report +8 B +{lab}/artifacts/report\.md", artifact)
    commands = [line.partition("#")[0].strip() for line in section(page, "Next")]
    assert commands[0] == "runstone output run fit"
    assert commands[1] == "runstone graph run -o lab.svg"


def test_the_next_steps_work_when_they_are_typed(lab: Path) -> None:
    page = runstone("show", "run", at=lab.parent).stdout
    bin_folder = Path(RUNSTONE[0]).parent
    for line in section(page, "Next"):
        answer = subprocess.run(
            line,
            shell=True,
            cwd=lab.parent,
            capture_output=True,
            text=True,
            timeout=60,
            env={**os.environ, "PATH": f"{bin_folder}:{os.environ['PATH']}"},
            check=False,
        )
        if "reproduce" in line:
            assert "ValueError: [bold]six[/]" in answer.stderr
        else:
            assert answer.returncode == 0, answer.stderr


def test_as_json_it_tells_the_same_in_full(lab: Path) -> None:
    answer = runstone("show", "run", "--json", at=lab.parent)
    found = json.loads(answer.stdout)
    assert found["status"] == json.loads(runstone("status", "run", at=lab.parent).stdout)
    assert [block["name"] for block in found["blocks"]][:3] == ["xs", "multiply", "collect"]
    multiply = found["blocks"][1]
    assert (multiply["ok"], multiply["failed"], multiply["total"], multiply["shape"]) == (10, 2, 12, [4, 3])
    assert multiply["outputs"][0]["name"] == "cell"
    assert [error["index"] for error in found["errors"]] == [[2, 2], [3, 1]]
    assert found["error_count"] == 2
    assert found["artifacts"][0]["present"] is True
    assert found["params"][0] == {"name": "n", "type": "int", "preview": 4, "source": "caller"}


@pytest.mark.parametrize("width", [60, 80, 120])
def test_on_a_terminal_it_fits_and_has_colours(lab: Path, width: int) -> None:
    written, code = in_terminal("show", "run", at=lab.parent, width=width)
    assert code == 0
    before_commands = written.partition("Next")[0]
    screen = Screen(width).feed(before_commands)
    assert not screen.wrapped
    assert screen.text.startswith("╭─ lab 1.2 ─")
    assert re.search("\x1b\\[1;33mdegraded", written)
    assert "[bold]six[/] �[31m2 by 3" in " ".join(screen.text.split())


@pytest.mark.parametrize("width", [60, 80, 120])
def test_without_colour_it_is_plain_text_that_fits_the_terminal(lab: Path, width: int) -> None:
    written, _ = in_terminal("show", "run", at=lab.parent, width=width, NO_COLOR="1")
    assert "\x1b" not in written
    assert "╭" not in written
    lines = written.partition("Next")[0].splitlines()
    assert max(map(cells, lines)) <= width


LONG = """
from runstone import Pipeline, block

@block
def load(n: int) -> list[int]:
    return list(range(n))

@block(mapspec="load[i] -> the_halves_of_all_the_numbers_that_were_loaded_before[i]")
def halves_everything_that_was_loaded_before(load: int) -> int:
    return load // 2

long = Pipeline("long", [load, halves_everything_that_was_loaded_before])
"""


@pytest.mark.parametrize("width", [60, 80, 120])
@pytest.mark.parametrize("command", [["show"], ["runs", "show"]], ids="-".join)
def test_names_are_in_one_piece_however_narrow_it_is(tmp_path: Path, width: int, command: list[str]) -> None:
    (tmp_path / "long.py").write_text(LONG)
    made = runstone("run", "long.py", "-p", "n=3", "--run-folder", "runs/r", at=tmp_path, RUNSTONE_LEDGER="")
    assert made.returncode == 0, made.stderr
    said, code = in_terminal(*command, "runs/r", at=tmp_path, width=width, RUNSTONE_LEDGER="")
    screen = Screen(width).feed(said)
    assert code == 0
    words = screen.text.split()
    assert "halves_everything_that_was_loaded_before" in words
    # a path is broken only where one of its folders ends
    assert any(word.endswith("runs/r") or word == "r" for word in words)
    # what stands beside a name is beside those that fit, or below one that does not
    rows = section(screen.text, "Blocks")
    assert re.match(r"load  +completed ", rows[1])
    below = rows[3] if rows[2].endswith("_before") else rows[2].partition("_before")[2]
    assert re.match(r" *completed +3/3 ", below), rows
    if command == ["show"]:
        assert "the_halves_of_all_the_numbers_that_were_loaded_before" in words
        assert "3 × int" in screen.text


def test_on_a_pipe_no_line_is_broken_and_none_ends_in_spaces(lab: Path) -> None:
    page = runstone("show", "run", at=lab.parent).stdout
    assert "\x1b" not in page
    assert f"  report.md  report  8 B  {lab}/artifacts/report.md\n" in page
    assert not [line for line in page.splitlines() if line != line.rstrip()]


def test_a_terminal_without_unicode_gets_question_marks_and_no_traceback(lab: Path) -> None:
    answer = runstone("show", "run", at=lab.parent, PYTHONIOENCODING="ascii")
    assert answer.returncode == 0, answer.stderr
    assert "? degraded" in answer.stdout


def test_a_run_is_shown_while_it_goes_on_and_after_its_process_was_killed(tmp_path: Path) -> None:
    (tmp_path / "slow.py").write_text(SLOW, encoding="utf-8")
    process = subprocess.Popen(
        [*RUNSTONE, "run", "slow.py", "-p", "n=1", "-p", f"xs={list(range(30))}", "--run-folder", "run"],
        cwd=tmp_path,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        deadline = time.monotonic() + 30
        page = ""
        while "20/30" not in page and time.monotonic() < deadline:
            time.sleep(0.1)
            page = runstone("show", "run", at=tmp_path).stdout
        assert re.search(r"status +● running for [\d.]+ m?s, 83% done", page)
        assert re.search(r"waits +running +20/30 +[\d.]+ s", page)
        assert "runstone watch run" in page
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    page = runstone("show", "run", at=tmp_path).stdout
    assert re.search(r"status +● crashed after", page)
    assert re.search(r"waits +crashed +20/30", page)
    assert "is gone and wrote no end" in page
    assert "runstone watch" not in page


def test_a_copy_whose_outputs_were_deleted_says_what_is_missing(copied: Path) -> None:
    for pack in (copied / "outputs").glob("collect*"):
        pack.unlink()
    (copied / "artifacts" / "report.md").unlink()
    page = runstone("show", "copy", at=copied.parent).stdout
    assert "missing on disk" in section(page, "lab 1.2")[1]
    assert re.search(r"collect +completed.*table +missing on disk", page)
    assert re.search(r"report\.md +report +8 B +missing on disk", page)


def test_without_journal_and_checkpoint_the_outputs_speak(copied: Path) -> None:
    shutil.rmtree(copied / "journal")
    (copied / "status.json").unlink()
    page = runstone("show", "copy", at=copied.parent).stdout
    assert "inferred from outputs/" in page
    assert re.search(r"xs +completed", page)
    assert re.search(r"multiply +incomplete +12/12 \(4 × 3\) +2", page)


def test_without_journal_the_checkpoint_tells_the_errors(copied: Path) -> None:
    shutil.rmtree(copied / "journal")
    page = runstone("show", "copy", at=copied.parent).stdout
    assert section(page, "Errors: 2")[0].startswith("multiply[2, 2]  ValueError: [bold]six[/]")


def test_looking_changes_nothing(copied: Path) -> None:
    def content() -> dict[str, tuple[int, bytes]]:
        return {str(path): (path.stat().st_mtime_ns, path.read_bytes()) for path in copied.rglob("*") if path.is_file()}

    before = content()
    for command in (["show"], ["show", "--json"], ["graph"]):
        assert runstone(*command, "copy", at=copied.parent).returncode == 0
    assert content() == before


def test_a_hostile_folder_cannot_command_the_terminal(copied: Path) -> None:
    evil = "\x1b[31m[bold red]EVIL[/]\x07\u202e\n\x9b2J"
    record = json.loads((copied / "run.json").read_text())
    record["pipeline"] |= {"name": evil, "description": evil * 3, "version": evil}
    record["started_by"] = {"command": evil, "user": evil, "host": evil}
    record["tags"] = [evil]
    deep = json.loads("[" * 400 + "]" * 400)
    record["params"] = {
        evil: {
            "type": evil,
            "preview": {"type": evil, "items": [evil, {"type": evil, "entries": [[evil]]}], "length": 1},
        },
        "deep": {"type": "list", "preview": deep},
        "odd": {"type": "dict", "preview": {"type": "dict", "entries": 3, "items": {"a": 1}}},
    }
    record["blocks"][0]["name"] = evil
    record["blocks"][0]["outputs"] = [evil]
    (copied / "run.json").write_text(json.dumps(record))
    for arguments in (["show", "copy"], ["graph", "copy"], ["show", "copy", "--json"]):
        written, code = in_terminal(*arguments, at=copied.parent)
        assert code == 0
        assert "EVIL" in written
        assert not re.search("[\x00-\x08\x0b-\x1a\x1c-\x1f\x7f-\x9f\u202e]", written)
        assert not re.search("\x1b(?!\\[[0-9;]*m)", written)
        assert "\x1b[31m[bold red]" not in written


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (None, "no run in folder: run.json is not there"),
        ("{", "folder: run.json is damaged"),
        ('{"format": 99}', "install a newer Runstone"),
    ],
)
@pytest.mark.parametrize("command", ["show", "output", "graph"])
def test_a_folder_that_cannot_be_read_is_one_line(tmp_path: Path, command: str, content: str | None, told: str) -> None:
    (tmp_path / "folder").mkdir()
    if content is not None:
        (tmp_path / "folder" / "run.json").write_text(content)
    answer = runstone(command, "folder", at=tmp_path)
    assert answer.returncode == 1
    assert told in complaint(answer)
    assert not answer.stdout


@pytest.mark.parametrize("command", ["show", "output", "graph"])
def test_a_run_that_is_not_there_is_one_line(tmp_path: Path, command: str) -> None:
    answer = runstone(command, "nothing", at=tmp_path)
    assert answer.returncode == 1
    assert "no run 'nothing'" in complaint(answer)


def test_paths_of_artifacts_are_whole_in_a_narrow_terminal(tmp_path: Path) -> None:
    deep = tmp_path / "a-folder-with-a-long-name" / "and-another-one-below-it"
    deep.mkdir(parents=True)
    run = make_lab(deep)
    page, code = in_terminal("show", str(run), at=deep, width=80)
    assert code == 0
    assert "  artifacts/report.md" in page
    assert f"{run}/artifacts/report.md" in runstone("show", str(run), at=deep).stdout


def test_an_error_without_frames_has_no_title_of_frames() -> None:
    title = "Traceback (most recent call last):"
    frames = '  File "a.py", line 1, in f\n    f()'
    assert stack_lines(f"{title}\nValueError: no\n") == ["ValueError: no"]
    assert stack_lines(f"{title}\n{frames}\nValueError: no\n") == [title, *frames.split("\n"), "ValueError: no"]
    assert stack_lines(title) == []


def test_where_there_is_no_such_run_other_workspaces_are_pointed_at(tmp_path: Path) -> None:
    for command in ("show", "why", "logs"):
        said = complaint(runstone(command, "abcd1234", at=tmp_path))
        assert said.endswith("in runs (workspace default; --workspace W looks into another)"), said

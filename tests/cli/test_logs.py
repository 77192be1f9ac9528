"""`runstone logs`."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests import samples, scripts
from tests.cli.command import complaint, in_terminal, runstone

TALK = """
import logging, sys
from runstone import Pipeline, block

@block
def load(n: int) -> list[int]:
    print("loading", n)
    logging.getLogger("loader").warning("slow\\nvery slow")
    return list(range(n))

@block(mapspec="load[i] -> squares[i]", retries=1)
def square(load: int) -> int:
    print("square of", load)
    if load == 2 and not hasattr(square, "tried"):
        square.tried = True
        raise ValueError(load)
    print("\\x1b[31mred\\x1b[0m and \\x1b]0;title\\x07\\u202eturned \\x9b", file=sys.stderr)
    return load ** 2

talk = Pipeline("talk", [load, square])
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("talk")
    (folder / "talk.py").write_text(TALK)
    made = runstone("run", "talk.py", "-p", "n=3", "--run-folder", "run", at=folder)
    assert made.returncode == 0, made.stderr
    return folder


def shown(place: Path, *arguments: str) -> list[str]:
    """The lines of the answer, without their times."""
    answer = runstone("logs", *arguments, at=place)
    assert (answer.returncode, answer.stderr) == (0, "")
    return [re.sub(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z ", "", line) for line in answer.stdout.splitlines()]


def test_lines_are_shown_with_kind_block_element_and_attempt(place: Path) -> None:
    assert [line for line in shown(place, "./run") if "red" not in line] == [
        "stdout   load  loading 3",
        "WARNING  load  loader: slow",
        "    very slow",
        "stdout   square[0]  square of 0",
        "stdout   square[1]  square of 1",
        "stdout   square[2]  square of 2",
        "stdout   square[2] attempt 2  square of 2",
    ]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["./run/load"], ["loading 3", "slow", "    very slow"]),
        (["./run", "--block", "load", "--level", "warning"], ["slow", "    very slow"]),
        (["./run", "--element", "1", "--grep", "^square"], ["square of 1"]),
        (["./run", "--grep", "of [12]", "-n", "2"], ["square of 2", "square of 2"]),
        (["./run", "-n", "0"], []),
        (["./run", "--grep", "no such thing"], []),
        (["./run/load", "--level", "critical"], []),
        (["./run/square", "--block", "square", "--follow", "--grep", "of 0"], ["square of 0"]),
    ],
)
def test_only_what_is_asked_for_is_shown(place: Path, options: list[str], expected: list[str]) -> None:
    assert [
        line if line.startswith(" ") else re.split(r"  |loader: ", line)[-1] for line in shown(place, *options)
    ] == (expected)


def test_nothing_that_was_printed_commands_the_terminal(place: Path) -> None:
    written, _ = in_terminal("logs", "./run", "--element", "0", at=place, NO_COLOR="1")
    assert "stderr   square[0]  red and \ufffdturned \ufffd\n" in written
    assert "\x1b" not in written
    coloured, _ = in_terminal("logs", "./run", "--level", "WARNING", at=place)
    assert "\x1b[33mWARNING \x1b[0m" in coloured
    assert not set(re.findall(r"\x1b[^m]*m", coloured)) - {"\x1b[2m", "\x1b[0m", "\x1b[33m"}
    as_json, _ = in_terminal("logs", "./run", "--json", at=place)
    assert "\x1b" not in as_json
    assert "\x9b" not in as_json


def test_json_is_one_object_a_line_with_every_field(place: Path) -> None:
    answer = runstone("logs", "./run", "--json", at=place)
    objects = [json.loads(line) for line in answer.stdout.splitlines()]
    assert {tuple(each) for each in objects} == {
        ("at", "level", "stream", "block", "element", "attempt", "logger", "pid", "message")
    }
    assert [each["message"] for each in objects if each["element"] == 0][1] == (
        "\x1b[31mred\x1b[0m and \x1b]0;title\x07\u202eturned \x9b"
    )


def test_a_run_that_was_killed_tells_its_last_line(tmp_path: Path) -> None:
    code = """
        import os
        from runstone import Pipeline, block

        @block
        def dies() -> None:
            for number in range(1000):
                print("line", number)
            os.kill(os.getpid(), 9)

        Pipeline("p", [dies]).run(run_folder="run", show_progress=False)
    """
    died = scripts.python(str(scripts.write(tmp_path / "script.py", code)), cwd=tmp_path)
    assert died.returncode == -signal.SIGKILL
    for options in ([], ["-n", "1"], ["--follow", "-n", "1"]):
        assert shown(tmp_path, "./run", *options)[-1] == "stdout   dies  line 999"


def test_a_run_can_be_followed_while_it_goes_on(tmp_path: Path) -> None:
    code = """
        import sys
        from runstone import Pipeline, block

        @block
        def says() -> None:
            for line in sys.stdin:
                print("heard", line.strip())

        Pipeline("p", [says]).run(run_folder="run", show_progress=False)
    """
    scripts.write(tmp_path / "script.py", code)
    run = scripts.start(sys.executable, "script.py", cwd=tmp_path, stdin=subprocess.PIPE)
    scripts.wait_for(tmp_path / "run/run.json")
    following = scripts.start(scripts.RUNSTONE, "logs", "./run", "--follow", cwd=tmp_path)
    assert run.stdin is not None
    assert following.stdout is not None
    for word in ("one", "two"):
        run.stdin.write(word + "\n")
        run.stdin.flush()
        assert following.stdout.readline().endswith(f"says  heard {word}\n")
    run.communicate(timeout=30)
    assert following.communicate(timeout=30) == ("", "")
    assert following.returncode == 0


def test_wrong_use_is_one_line_that_says_what_to_do(place: Path) -> None:
    for arguments, said in [
        (["--block", "sqare"], "this run has no block 'sqare'; did you mean 'square'?"),
        (["--block", "xyz"], "this run has no block 'xyz'; there are load, square"),
        (["--grep", "("], "grep='(' is no regular expression"),
        (["--level", "loud"], "Invalid value for '--level'"),
        (["--element", "-1"], "Invalid value for '--element'"),
        (["--element", "77"], "this run has no element 77; counted from 0 there are 3 in square; see runstone logs"),
        (["--element", "3", "--follow"], "this run has no element 3; counted from 0 there are 3 in square"),
        (["--element", "3", "--grep", "square"], "this run has no element 3"),
        (["--block", "square", "--element", "9"], "block 'square' has no element 9; counted from 0"),
        (["--block", "load", "--element", "0"], "block 'load' is not mapped, so it has no elements"),
    ]:
        answer = runstone("logs", "./run", *arguments, at=place)
        assert answer.returncode == 2
        assert said in complaint(answer)
    answer = runstone("logs", "./run/load", "--block", "square", at=place)
    assert "--block square does not go with load" in complaint(answer)


def test_a_run_that_is_not_there_or_cannot_be_read_exits_1(tmp_path: Path) -> None:
    assert "no run" in complaint(missing := runstone("logs", "./nothing", at=tmp_path))
    samples.run_tiny(tmp_path / "run")
    (tmp_path / "run/run.json").write_text("{")
    assert "run.json" in complaint(broken := runstone("logs", "./run", at=tmp_path))
    assert (missing.returncode, broken.returncode) == (1, 1)


QUIET = """
from runstone import Pipeline, block

@block(mapspec="x[i] -> y[i]")
def talks(x: int) -> int:
    if x:
        print("said", x)
    return x

@block
def total(y: list) -> int:
    return sum(y)

quiet = Pipeline("quiet", [talks, total])
"""


def test_where_nothing_was_said_a_line_beside_it_tells_that_and_what_there_is(tmp_path: Path) -> None:
    (tmp_path / "quiet.py").write_text(QUIET)
    assert runstone("run", "quiet.py", "-p", "x=[0, 1]", "--run-folder", "run", at=tmp_path).returncode == 0
    for arguments, told in [
        (["./run", "--element", "0"], "element 0 of this run has printed, logged and warned of nothing"),
        (["./run/talks", "--element", "0", "--json"], "element 0 of block 'talks' has printed"),
        (["./run/total"], "block 'total' has printed, logged and warned of nothing; there are logs of talks"),
        (["./run", "--block", "total", "--follow"], "block 'total' has printed, logged and warned of nothing"),
    ]:
        answer = runstone("logs", *arguments, at=tmp_path)
        assert (answer.returncode, answer.stdout) == (0, "")
        assert told in complaint(answer)
        assert complaint(answer).endswith("there are logs of talks")


def test_a_run_that_said_nothing_shows_nothing(tmp_path: Path) -> None:
    samples.run_tiny(tmp_path / "run")
    assert shown(tmp_path, "./run", "-n", "0") == shown(tmp_path, "./run", "--level", "error") == []
    for options in ([], ["-n", "5"], ["--follow"]):
        answer = runstone("logs", "./run", *options, at=tmp_path)
        assert (answer.returncode, answer.stdout) == (0, "")
        assert complaint(answer) == "runstone: this run has printed, logged and warned of nothing"


def test_looking_changes_nothing(place: Path) -> None:
    def state() -> dict[str, tuple[float, int]]:
        return {str(path): (path.stat().st_mtime, path.stat().st_size) for path in (place / "run").rglob("*")}

    before = state()
    shown(place, "./run", "--grep", "square", "-n", "2")
    assert state() == before


def test_a_reader_that_goes_away_ends_it_quietly(place: Path) -> None:
    many = b"".join((place / "run/logs/square.0001.jsonl").read_bytes() for _ in range(3000))
    (place / "long").mkdir()
    (place / "long/run.json").write_bytes((place / "run/run.json").read_bytes())
    (place / "long/logs").mkdir()
    (place / "long/logs/square.0001.jsonl").write_bytes(many)
    command = f"{scripts.RUNSTONE} logs ./long | head -n 1; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(
        ["bash", "-c", command], cwd=place, capture_output=True, text=True, check=False, env=scripts.environment()
    )
    assert done.stderr == ""
    assert len(done.stdout.splitlines()) == 1
    assert done.returncode in (0, 1, 141)

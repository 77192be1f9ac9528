"""`runstone run`: finds the pipeline, converts what it is given, records, and exits as the run ended."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import pytest

import runstone
from tests import scripts

TYPED = """
from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, Optional
from runstone import Pipeline, block

@block
def tell(text: str, number: int, ratio: float, flag: bool, items: list[int], path: Path, kind: Literal["a", "b"] = "a",
         maybe: Optional[int] = None, table: dict[str, float] = {}, free=None, anything: Any = None):
    return [repr(value) for value in (text, number, ratio, flag, items, path, kind, maybe, table, free, anything)]

pipeline = Pipeline("typed", [tell])
"""

ENDS = """
from runstone import Pipeline, block

@block(mapspec="x[i] -> y[i]", on_error="continue")
def each(x: int) -> int:
    if x < 0:
        raise ValueError(f"negative: {x}")
    return x

@block
def fine(n: int = 1) -> int:
    return n

mapped = Pipeline("mapped", [each])
other = Pipeline("other", [fine])
"""

PARAMS = ["-p", "text=5", "-p", "number=5", "-p", "ratio=5", "-p", "flag=true", "-p", "items=[1,2]", "-p", "path=a/b"]


def output(folder: Path, name: str) -> object:
    return runstone.open(folder).outputs[name]


def test_values_are_converted_by_their_annotations(tmp_path: Path) -> None:
    scripts.write(tmp_path / "typed.py", TYPED)
    done = scripts.runstone("run", "typed.py", *PARAMS, "--run-folder", "run", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert output(tmp_path / "run", "tell") == [
        "'5'", "5", "5.0", "True", "[1, 2]", "PosixPath('a/b')", "'a'", "None", "{}", "None", "None",
    ]  # fmt: skip


@pytest.mark.parametrize(("said", "meant"), [("yes", True), ("No", False), ("on", True), ("0", False)])
def test_a_bool_is_what_people_say(tmp_path: Path, said: str, meant: bool) -> None:
    scripts.write(tmp_path / "typed.py", TYPED)
    done = scripts.runstone("run", "typed.py", *PARAMS, "-p", f"flag={said}", "--run-folder", "run", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    told = output(tmp_path / "run", "tell")
    assert isinstance(told, list)
    assert told[3] == str(meant)


def test_what_is_no_bool_is_told_what_is_one(tmp_path: Path) -> None:
    scripts.write(tmp_path / "typed.py", TYPED)
    done = scripts.runstone("run", "typed.py", *PARAMS, "-p", "flag=maybe", cwd=tmp_path)
    assert done.returncode == 2
    assert "'maybe' is not of type bool; say true or false, yes or no" in done.stderr


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (["-p", "free=5", "-p", "anything=text"], ["5", "'text'"]),
        (["-p", "free=true", "-p", "anything=null"], ["True", "None"]),
        (["-p", 'free={"a": [1.5]}', "-p", "anything=[1"], ["{'a': [1.5]}", "'[1'"]),
        (["-p", "free=a=b", "-p", "anything="], ["'a=b'", "''"]),
        (["-p", 'free="5"', "-p", "anything=-1e3"], ["'5'", "-1000.0"]),
        (["-p", "free=nan", "-p", "anything=007"], ["'nan'", "'007'"]),
    ],
)
def test_without_an_annotation_it_is_json_or_text(tmp_path: Path, given: list[str], expected: list[str]) -> None:
    scripts.write(tmp_path / "typed.py", TYPED)
    done = scripts.runstone("run", "typed.py", *PARAMS, *given, "--run-folder", "run", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    found = output(tmp_path / "run", "tell")
    assert isinstance(found, list)
    assert found[-2:] == expected


@pytest.mark.parametrize(
    "wrong",
    [
        "number=x",
        "number=1.5",
        "ratio=x",
        "flag=maybe",
        "items=5",
        "items=[x]",
        "kind=c",
        "maybe=x",
        "table=[1]",
        "nmber=1",
    ],
)
def test_values_that_do_not_fit_are_wrong_use(tmp_path: Path, wrong: str) -> None:
    scripts.write(tmp_path / "typed.py", TYPED)
    done = scripts.runstone("run", "typed.py", *PARAMS, "-p", wrong, cwd=tmp_path)
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert wrong.partition("=")[0] in done.stderr
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("ending", ["json", "toml"])
def test_parameters_come_from_a_file_and_options_win(tmp_path: Path, ending: str) -> None:
    scripts.write(tmp_path / "typed.py", TYPED)
    content = {
        "json": '{"text": "t", "number": 1, "ratio": 2.5, "flag": false, "items": [1], "path": "p", "free": {"a": 1}}',
        "toml": 'text = "t"\nnumber = 1\nratio = 2.5\nflag = false\nitems = [1]\npath = "p"\nfree = {a = 1}\n',
    }[ending]
    (tmp_path / f"params.{ending}").write_text(content)
    done = scripts.runstone(
        "run", "typed.py", "--params", f"params.{ending}", "-p", "number=7", "--run-folder", "run", cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    found = output(tmp_path / "run", "tell")
    assert isinstance(found, list)
    assert (found[:5], found[9]) == (["'t'", "7", "2.5", "False", "[1]"], "{'a': 1}")


@pytest.mark.parametrize(
    ("name", "content"), [("p.json", "{"), ("p.json", "[1]"), ("p.toml", "a ="), ("p.txt", "{}"), ("p.json", None)]
)
def test_a_file_of_parameters_that_is_none_is_wrong_use(tmp_path: Path, name: str, content: str | None) -> None:
    scripts.write(tmp_path / "typed.py", TYPED)
    if content is not None:
        (tmp_path / name).write_text(content)
    done = scripts.runstone("run", "typed.py", "--params", name, cwd=tmp_path)
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)
    assert name in done.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "word"),
    [
        (["ends.py:mapped", "-p", "x=[1,2]"], 0, "completed"),
        (["ends.py:mapped", "-p", "x=[1,-2]"], 0, "degraded"),
        (["ends.py:mapped", "-p", "x=[1,-2]", "--strict"], 1, "degraded"),
        (["ends.py:mapped", "-p", "x=[-1,-2]"], 0, "degraded"),
        (["ends:other"], 0, "completed"),
        (["package.ends:other", "-p", "n=3"], 0, "completed"),
    ],
)
def test_it_exits_as_the_run_ended(tmp_path: Path, arguments: list[str], code: int, word: str) -> None:
    scripts.write(tmp_path / "ends.py", ENDS)
    scripts.write(tmp_path / "package" / "ends.py", ENDS)
    done = scripts.runstone("run", *arguments, "--run-folder", "run", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (code, "")
    assert f"ended {word}" in done.stderr
    assert runstone.open(tmp_path / "run").status == word
    assert runstone.open(tmp_path / "run").status_object()["trigger"] == "command"


def test_a_failed_run_exits_1_and_says_why(tmp_path: Path) -> None:
    scripts.write(tmp_path / "ends.py", ENDS.replace(', on_error="continue"', ""))
    done = scripts.runstone("run", "ends.py:mapped", "-p", "x=[1,-2]", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    assert "ValueError: negative: -2" in done.stderr
    assert "runstone show runs/mapped-" in done.stderr
    assert "Traceback" not in done.stderr


def test_json_prints_the_status_object_and_nothing_else_on_standard_output(tmp_path: Path) -> None:
    scripts.write(tmp_path / "ends.py", ENDS + "\nprint('hello from the module')\n")
    done = scripts.runstone("run", "ends.py:other", "--json", "--run-folder", "run", cwd=tmp_path)
    assert done.returncode == 0
    status = json.loads(done.stdout.splitlines()[-1])
    assert status == runstone.open(tmp_path / "run").status_object()


@pytest.mark.parametrize("arguments", [["ends.py"], ["ends.py:nope"], ["ends.py:fine"], ["nothing.py"], ["ends"]])
def test_a_pipeline_that_is_not_found_is_wrong_use_that_names_those_there_are(
    tmp_path: Path, arguments: list[str]
) -> None:
    scripts.write(tmp_path / "ends.py", ENDS)
    done = scripts.runstone("run", *arguments, cwd=tmp_path)
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)
    if arguments[0].startswith("ends.py"):
        assert "mapped" in done.stderr
        assert "other" in done.stderr


@pytest.mark.parametrize(
    "code",
    ["import nothing_at_all", "1 / 0", "def broken(:", "raise SystemExit(3)",
     "from runstone import Pipeline\nPipeline('p', [])",
     "from runstone import Pipeline, block\n@block(retries=-1)\ndef f(): ...\np = Pipeline('p', [f])"],
)  # fmt: skip
def test_a_file_that_cannot_be_imported_is_told_with_its_place(tmp_path: Path, code: str) -> None:
    scripts.write(tmp_path / "broken.py", code)
    done = scripts.runstone("run", "broken.py", cwd=tmp_path)
    assert done.returncode == 2
    assert done.stdout == ""
    last = done.stderr.splitlines()[-1]
    assert last.startswith("runstone: ")
    assert "/runstone/cli/" not in done.stderr
    assert not (tmp_path / "runs").exists()


def test_a_folder_that_holds_a_run_is_wrong_use(tmp_path: Path) -> None:
    scripts.write(tmp_path / "ends.py", ENDS)
    assert scripts.runstone("run", "ends.py:other", "--run-folder", "run", cwd=tmp_path).returncode == 0
    done = scripts.runstone("run", "ends.py:other", "--run-folder", "run", cwd=tmp_path)
    assert done.returncode == 2
    assert "there is a run in" in done.stderr


def test_a_script_next_to_its_modules_finds_them_from_anywhere(tmp_path: Path) -> None:
    scripts.write(tmp_path / "place" / "helper.py", "VALUE = 42\n")
    scripts.write(
        tmp_path / "place" / "main.py",
        """
        import helper
        from runstone import Pipeline, block

        @block
        def answer():
            from helper import VALUE
            return VALUE

        p = Pipeline("p", [answer])

        if __name__ == "__main__":
            raise SystemExit("not as a script")
        """,
    )
    done = scripts.runstone("run", "place/main.py", "--run-folder", "run", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert output(tmp_path / "run", "answer") == 42


FAILS = """
from runstone import Pipeline, block

@block
def divide(n: int) -> int:
    return 1 // n

divides = Pipeline("divides", [divide])
"""


@pytest.mark.parametrize("folder", ["my run", "it's", "$(touch made)", "a;b"])
def test_a_folder_is_quoted_in_commands_to_type(tmp_path: Path, folder: str) -> None:
    scripts.write(tmp_path / "divides.py", FAILS)
    done = scripts.runstone("run", "divides.py", "-p", "n=0", "--run-folder", folder, cwd=tmp_path)
    command = done.stderr.splitlines()[-1].partition("see it: ")[2]
    assert shlex.split(command) == ["runstone", "show", folder]
    shown = scripts.call("sh", "-c", command.replace("runstone", scripts.RUNSTONE, 1), cwd=tmp_path)
    assert shown.returncode == 0, shown.stderr
    assert "ZeroDivisionError" in shown.stdout
    assert not (tmp_path / "made").exists()


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs a file system in which nothing can be made")
@pytest.mark.parametrize("folder", ["/proc/x", "/proc/x/y"])
def test_a_place_in_which_nothing_can_be_made_is_named(tmp_path: Path, folder: str) -> None:
    scripts.write(tmp_path / "divides.py", FAILS)
    done = scripts.runstone("run", "divides.py", "-p", "n=1", "--run-folder", folder, cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr == (
        "runstone: cannot write /proc/x: the system lets nothing be made in /proc; choose another run_folder\n"
    )


def test_a_parameter_without_its_option_is_told_how_it_is_written(tmp_path: Path) -> None:
    scripts.write(tmp_path / "job.py", "from runstone import Pipeline\njob = Pipeline('job', [])\n")
    for stray, said in (("count=5", "write -p count=5; see"), ("hello", "unexpected argument 'hello'; see")):
        done = scripts.runstone("run", "job.py", stray, cwd=tmp_path)
        assert (done.returncode, done.stdout) == (2, "")
        assert said in done.stderr

"""`runstone status`: one JSON object, at once, whatever became of the run."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
from pathlib import Path

import pytest

from runstone.core.status import KEYS
from runstone.folder import observe
from tests import samples, scripts


@pytest.fixture
def survey(tmp_path: Path) -> Path:
    samples.run_survey(tmp_path / "runs" / "mine", tmp_path)
    return tmp_path / "runs" / "mine"


def test_it_prints_one_line_of_json_and_nothing_else(survey: Path, tmp_path: Path) -> None:
    done = scripts.runstone("status", str(survey), cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.count("\n") == 1
    status = json.loads(done.stdout)
    assert tuple(status) == KEYS
    assert status == observe.status(str(survey))


def test_pretty_is_the_same_indented(survey: Path, tmp_path: Path) -> None:
    plain = scripts.runstone("status", str(survey), cwd=tmp_path).stdout
    pretty = scripts.runstone("status", str(survey), "--pretty", cwd=tmp_path).stdout
    assert json.loads(pretty) == json.loads(plain)
    assert pretty.splitlines()[1].startswith('  "id": ')


def test_run_info_is_the_content_of_run_json(survey: Path, tmp_path: Path) -> None:
    done = scripts.runstone("status", str(survey), "--include-run-info", cwd=tmp_path)
    status = json.loads(done.stdout)
    assert tuple(status) == (*KEYS, "run_info")
    assert status["run_info"] == json.loads((survey / "run.json").read_text())


def test_a_run_is_named_by_folder_name_or_id(survey: Path, tmp_path: Path) -> None:
    run_id = observe.status(str(survey))["id"]
    for name in (str(survey), "runs/mine", "./runs/mine/", "mine", run_id, run_id[:8], run_id[:4]):
        done = scripts.runstone("status", name, cwd=tmp_path)
        assert (done.returncode, json.loads(done.stdout)["id"]) == (0, run_id)


@pytest.mark.parametrize("name", ["nothing", "./nowhere", "/nowhere/at/all", "abcd1234", "", "runs"])
def test_what_is_no_run_is_missing(survey: Path, tmp_path: Path, name: str) -> None:
    done = scripts.runstone("status", name, cwd=tmp_path)
    assert done.returncode == 1
    answer = json.loads(done.stdout)
    assert answer["status"] == "missing"
    assert answer["error"]
    assert done.stderr == ""


@pytest.mark.parametrize("content", ["", "{", "[]", '{"format": 99}', "\0" * 100])
def test_what_cannot_be_read_is_an_error(survey: Path, tmp_path: Path, content: str) -> None:
    (survey / "run.json").write_text(content)
    for more in ([], ["--include-run-info"]):
        done = scripts.runstone("status", str(survey), *more, cwd=tmp_path)
        assert (done.returncode, done.stderr) == (1, "")
        answer = json.loads(done.stdout)
        assert list(answer) == ["run_folder", "status", "status_source", "error"]
        assert answer["status"] == "error"


WORKING = """
import os, time
from pathlib import Path
from runstone import Pipeline, block

@block
def first():
    return 1

@block
def second(first):
    Path("reached").touch()
    while not Path("go").exists():
        time.sleep(0.01)
    if Path("go").read_text() == "fail":
        raise ValueError("told to")
    return 2

Pipeline("p", [first, second]).run(run_folder="run")
"""


@pytest.mark.parametrize("how", ["completed", "failed", "crashed"])
def test_it_follows_a_run_of_another_process_to_its_end(tmp_path: Path, how: str) -> None:
    scripts.write(tmp_path / "script.py", WORKING)
    process = scripts.start(sys.executable, "script.py", cwd=tmp_path)
    scripts.wait_for(tmp_path / "reached")
    running = json.loads(scripts.runstone("status", "./run", cwd=tmp_path).stdout)
    assert (running["status"], running["done"], running["liveness"]) == ("running", False, "live")
    assert running["blocks"] == {"completed": 1, "running": 1}
    if how == "crashed":
        process.send_signal(signal.SIGKILL)
    else:
        (tmp_path / "half").write_text("fail" if how == "failed" else "")
        os.rename(tmp_path / "half", tmp_path / "go")
    process.communicate(timeout=30)
    done = scripts.runstone("status", "./run", cwd=tmp_path)
    status = json.loads(done.stdout)
    assert (done.returncode, status["status"], status["done"]) == (0, how, how != "crashed")
    assert status["resumable"] == (how != "completed")
    if how == "failed":
        assert "told to" in status["message"]


def test_a_stopped_process_is_alive(tmp_path: Path) -> None:
    scripts.write(tmp_path / "script.py", WORKING)
    process = scripts.start(sys.executable, "script.py", cwd=tmp_path)
    scripts.wait_for(tmp_path / "reached")
    process.send_signal(signal.SIGSTOP)
    assert json.loads(scripts.runstone("status", "./run", cwd=tmp_path).stdout)["status"] == "running"
    process.send_signal(signal.SIGCONT)
    (tmp_path / "go").touch()
    process.communicate(timeout=30)
    assert json.loads(scripts.runstone("status", "./run", cwd=tmp_path).stdout)["status"] == "completed"


def test_a_copy_of_a_live_run_is_neither_live_nor_crashed(tmp_path: Path) -> None:
    scripts.write(tmp_path / "script.py", WORKING)
    process = scripts.start(sys.executable, "script.py", cwd=tmp_path)
    scripts.wait_for(tmp_path / "reached")
    shutil.copytree(tmp_path / "run", tmp_path / "copy")
    (tmp_path / "go").touch()
    process.communicate(timeout=30)
    status = json.loads(scripts.runstone("status", "./copy", cwd=tmp_path).stdout)
    assert (status["status"], status["liveness"], status["done"]) == ("running", "lost", False)
    assert "this folder is a copy" in status["message"]


def test_it_needs_no_heavy_library(survey: Path, tmp_path: Path) -> None:
    code = """
import sys
from runstone.cli.main import invoke
invoke(["status", "mine"])
heavy = {"numpy", "pandas", "pyarrow", "polars", "rich", "asyncio", "cloudpickle", "psutil"}
print(sorted(heavy & sys.modules.keys()), file=sys.stderr)
"""
    assert scripts.python("-c", code, cwd=tmp_path).stderr == "[]\n"

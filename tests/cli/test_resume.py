"""`runstone resume RUN` and `runstone run ... --resume`: who is gone on with, by what code, and how they exit."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

import runstone
from tests import scripts
from tests.cli.command import complaint
from tests.harness import ground

FLOW = """
import json, os, signal
from runstone import Pipeline, block

def obey(call: str) -> None:
    with open("calls", "a") as file:
        file.write(call + "\\n")
    with open("orders") as file:
        orders = json.load(file)
    if call in orders.get("die", []):
        os.kill(os.getpid(), signal.SIGKILL)
    if call in orders.get("fail", []):
        raise ValueError(call)

@block
def numbers(size: int = 4) -> list[int]:
    obey("numbers")
    return list(range(size))

@block(mapspec="numbers[i] -> doubled[i]")
def double(numbers: int, by: int = 2) -> int:
    obey(f"double:{numbers}")
    return numbers * by

@block
def total(doubled: list[int]) -> int:
    obey("total")
    return sum(doubled)

flow = Pipeline("flow", [numbers, double, total])

if __name__ == "__main__":
    flow.run({}, run_folder="run", show_progress=False)
"""


@pytest.fixture
def place(tmp_path: Path) -> Path:
    scripts.write(tmp_path / "flow.py", FLOW)
    orders(tmp_path)
    return tmp_path


def orders(place: Path, **told: Any) -> None:
    (place / "orders").write_text(json.dumps(told))


def calls(place: Path) -> Counter[str]:
    """The calls since the last time they were asked for."""
    path = place / "calls"
    found = Counter(path.read_text().split()) if path.exists() else Counter()
    path.unlink(missing_ok=True)
    return found


def do(place: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return scripts.runstone(*arguments, cwd=place)


def killed(place: Path, at: str = "total", *arguments: str) -> str:
    """A run in `run` that `runstone run` has begun, and that was killed; returns its id."""
    orders(place, die=[at])
    done = do(place, "run", "flow.py", "--run-folder", "run", *arguments)
    assert done.returncode not in (0, 2), done
    calls(place)
    orders(place)
    found = json.loads(do(place, "status", "run").stdout)
    assert found["status"] == "crashed"
    return str(found["id"])


def resumed(place: Path, *arguments: str) -> dict[str, Any]:
    """The status at the end of `runstone resume` or `run`, which must have gone well."""
    done = do(place, *arguments, "--json")
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


WAYS = {
    "resume": ["resume", "run"],
    "run --resume": ["run", "flow.py", "--run-folder", "run", "--resume"],
}


@pytest.mark.parametrize("way", WAYS)
def test_a_killed_run_goes_on(place: Path, way: str) -> None:
    first = killed(place)
    done = do(place, *WAYS[way])
    assert done.returncode == 0, done.stderr
    assert f"run {first[:8]} of 'flow', goes on in run" in done.stderr
    run = runstone.open(place / "run")
    assert (run.id, run.status, run.outputs["total"]) == (first, "completed", 12)
    assert calls(place) == Counter(["total"])


def test_a_run_is_named_by_its_id_and_goes_on_with_its_parameters(place: Path) -> None:
    orders(place, die=["double:1"])
    do(place, "run", "flow.py", "-p", "size=3", "-p", "by=5")
    (folder,) = (place / "runs").iterdir()
    first = runstone.open(folder).id
    orders(place)
    found = resumed(place, "resume", first[:6])
    assert (found["id"], found["status"], found["epoch"]) == (first, "completed", 2)
    assert runstone.open(folder).outputs["total"] == 15


@pytest.mark.parametrize("way", WAYS)
def test_a_failed_run_is_followed_by_another_that_computes_the_rest(place: Path, way: str) -> None:
    orders(place, fail=["double:3"])
    assert do(place, "run", "flow.py", "--run-folder", "run").returncode == 1
    calls(place)
    assert do(place, *WAYS[way]).returncode == 1
    assert calls(place) == Counter(["double:3"])
    orders(place)
    found = resumed(place, *WAYS[way])
    assert (Path(found["run_folder"]).name, found["status"]) == ("run.3", "completed")
    assert calls(place) == Counter(["double:3", "total"])


@pytest.mark.parametrize("way", WAYS)
def test_a_completed_run_is_left_as_it_is(place: Path, way: str) -> None:
    assert do(place, "run", "flow.py", "--run-folder", "run").returncode == 0
    calls(place)
    before = {path: path.stat().st_mtime_ns for path in (place / "run").rglob("*")}
    done = do(place, *WAYS[way])
    assert done.returncode == 0
    assert "run in run has completed" in done.stderr.replace(runstone.open(place / "run").id[:8] + " ", "")
    assert calls(place) == Counter()
    assert {path: path.stat().st_mtime_ns for path in (place / "run").rglob("*")} == before
    assert not (place / "run.2").exists()


def test_other_parameters_make_another_run(place: Path) -> None:
    first = killed(place)
    found = resumed(place, *WAYS["run --resume"], "-p", "by=3")
    assert (Path(found["run_folder"]).name, found["retry_of"]) == ("run.2", first)
    assert calls(place) == Counter(["total", *(f"double:{number}" for number in range(4))])
    assert runstone.open(place / "run.2").outputs["total"] == 18
    # and it is the newest that is looked at next time
    assert resumed(place, *WAYS["run --resume"], "-p", "by=3")["id"] == found["id"]
    assert resumed(place, "resume", "run.2")["id"] == found["id"]
    assert calls(place) == Counter()


def test_other_code_makes_another_run(place: Path) -> None:
    killed(place)
    path = place / "flow.py"
    path.write_text(path.read_text().replace("numbers * by", "numbers * by + 1"))
    found = resumed(place, "resume", "run")
    assert Path(found["run_folder"]).name == "run.2"
    assert calls(place) == Counter(["total", *(f"double:{number}" for number in range(4))])


def test_a_run_of_a_script_goes_on_by_the_command(place: Path) -> None:
    orders(place, die=["double:2"])
    assert scripts.python("flow.py", cwd=place).returncode == -signal.SIGKILL
    orders(place)
    calls(place)
    found = resumed(place, "resume", "run")
    assert (found["status"], found["epoch"]) == ("completed", 2)
    assert calls(place)["numbers"] == 0


def test_a_run_of_a_program_from_nowhere_says_how_it_can_go_on(place: Path) -> None:
    orders(place, die=["double:2"])
    assert scripts.python("-", cwd=place, stdin=FLOW).returncode == -signal.SIGKILL
    refused = do(place, "resume", "run")
    assert refused.returncode == 2
    assert "runstone run FILE.py --run-folder run --resume" in complaint(refused)


def test_a_file_that_is_gone_or_moved_is_said_to_be_so(place: Path) -> None:
    first = killed(place)
    (place / "elsewhere").mkdir()
    (place / "flow.py").rename(place / "elsewhere" / "flow.py")
    refused = do(place, "resume", "run")
    assert refused.returncode == 2
    assert f"there is no file {place / 'flow.py'}" in complaint(refused)
    assert "runstone run FILE.py --run-folder run --resume" in complaint(refused)
    found = resumed(place, "run", "elsewhere/flow.py", "--run-folder", "run", "--resume")
    assert (found["id"], found["status"]) == (first, "completed")
    assert calls(place) == Counter(["total"])


def test_a_pipeline_that_is_not_in_its_file_any_more_is_said_to_be_so(place: Path) -> None:
    killed(place)
    path = place / "flow.py"
    path.write_text(path.read_text().replace("flow = Pipeline", "river = Pipeline").replace("flow.run", "river.run"))
    refused = do(place, "resume", "run")
    assert refused.returncode == 2
    assert "there is no 'flow' in" in complaint(refused)


def test_a_module_that_is_missing_is_said_to_be_so(place: Path) -> None:
    (place / "parts").mkdir()
    (place / "flow.py").rename(place / "parts" / "stream.py")
    orders(place, die=["total"])
    do(place, "run", "parts.stream:flow", "--run-folder", "run")
    orders(place)
    (place / "parts").rename(place / "elsewhere")
    refused = do(place, "resume", "run")
    assert refused.returncode == 2
    assert "there is no module 'parts.stream'" in complaint(refused)
    (place / "elsewhere").rename(place / "parts")
    assert resumed(place, "resume", "run")["status"] == "completed"


@pytest.mark.parametrize("what", ["--resume", "--overwrite"])
def test_a_folder_must_be_named(place: Path, what: str) -> None:
    refused = do(place, "run", "flow.py", what)
    assert refused.returncode == 2
    assert "--run-folder" in complaint(refused)


def test_what_is_there_is_refused_and_both_ways_out_are_named(place: Path) -> None:
    killed(place)
    refused = do(place, "run", "flow.py", "--run-folder", "run")
    assert refused.returncode == 2
    assert "resume" in complaint(refused)
    assert "overwrite" in complaint(refused)
    both = do(place, "run", "flow.py", "--run-folder", "run", "--resume", "--overwrite")
    assert both.returncode == 2
    complaint(both)
    assert do(place, "run", "flow.py", "--run-folder", "run", "--overwrite").returncode == 0
    assert len(list((place / ".trash").iterdir())) == 1
    assert runstone.open(place / "run").status == "completed"


def test_what_is_no_run_is_refused_in_one_line(place: Path) -> None:
    (place / "empty").mkdir()
    (place / "broken").mkdir()
    (place / "broken" / "run.json").write_text('{"format": 1, "id"')
    (place / "foreign").mkdir()
    (place / "foreign" / "run_info.json").write_text('{"inputs": {}, "all_output_names": ["y"], "run_folder": "x"}')
    for name, code in {"./empty": 1, "./broken": 1, "./foreign": 1, "./nowhere": 1}.items():
        refused = do(place, "resume", name)
        assert (name, refused.returncode) == (name, code), refused.stderr
        assert name.removeprefix("./") in complaint(refused)


def test_a_driver_on_another_host_is_taken_over_by_a_persons_word(place: Path) -> None:
    first = killed(place)
    journal = place / "run/journal/0001.jsonl"
    started, _, rest = journal.read_bytes().partition(b"\n")
    fields = json.loads(started)
    del fields["crc"]
    fields["driver"].update(host="elsewhere", machine_id="f" * 32, boot_id="another")
    journal.write_bytes(ground.line(fields) + rest)
    (place / "run/status.json").unlink(missing_ok=True)
    refused = do(place, "resume", "run")
    assert refused.returncode == 1
    assert "on elsewhere" in complaint(refused)
    assert "runstone resume" in complaint(refused)
    assert "--take-over" in complaint(refused)
    assert calls(place) == Counter()
    found = resumed(place, "resume", "run", "--take-over")
    assert (found["id"], found["status"], found["epoch"]) == (first, "completed", 2)
    assert calls(place) == Counter(["total"])


def test_a_living_driver_is_refused_also_against_a_persons_word(place: Path) -> None:
    path = place / "flow.py"
    path.write_text(path.read_text().replace('obey("total")', 'obey("total"); import time; time.sleep(600)'))
    child = scripts.start(scripts.RUNSTONE, "run", "flow.py", "--run-folder", "run", cwd=place)
    try:
        while "total" not in (place / "calls").read_text() if (place / "calls").exists() else True:
            assert child.poll() is None
        pid = json.loads(do(place, "status", "run").stdout)["driver"]["pid"]
        os.kill(pid, signal.SIGSTOP)
        for more in ([], ["--take-over"]):
            refused = do(place, "resume", "run", *more)
            assert refused.returncode == 1
            assert f"held by pid {pid}" in complaint(refused)
            assert "alive" in complaint(refused)
        os.kill(pid, signal.SIGKILL)
    finally:
        child.kill()
        child.communicate()


def test_who_kills_the_process_is_told_how_to_go_on(place: Path) -> None:
    path = place / "flow.py"
    path.write_text(path.read_text().replace('obey("total")', 'obey("total"); import time; time.sleep(600)'))
    child = scripts.start(scripts.RUNSTONE, "run", "flow.py", "--run-folder", "run", cwd=place)
    try:
        while "total" not in (place / "calls").read_text() if (place / "calls").exists() else True:
            assert child.poll() is None
        os.kill(json.loads(do(place, "status", "run").stdout)["driver"]["pid"], signal.SIGKILL)
        _, said = child.communicate(timeout=30)
    finally:
        child.kill()
        child.communicate()
    assert child.returncode == 128 + signal.SIGKILL
    line = said.splitlines()[-1]
    assert line == (
        "the process that executed the run was killed by SIGKILL; what it recorded is kept in run: runstone resume run"
    )
    path.write_text(path.read_text().replace("; import time; time.sleep(600)", ""))
    assert resumed(place, *line.rpartition(": runstone ")[2].split())["status"] == "completed"


def test_a_process_that_dies_before_anything_is_recorded_is_told_so(place: Path) -> None:
    (place / "dies.py").write_text("import os, signal\nos.kill(os.getpid(), signal.SIGKILL)\n")
    done = do(place, "run", "dies.py")
    assert done.returncode == 128 + signal.SIGKILL
    said = "the process that was to execute the run was killed by SIGKILL, before it was recorded\n"
    assert done.stderr == said

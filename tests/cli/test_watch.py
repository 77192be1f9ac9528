"""`runstone watch`: whole JSON objects, one for each change, and an exit code that tells the end."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from runstone import Pipeline, block
from tests import samples, scripts

STEPS = """
import time
from pathlib import Path
from runstone import Pipeline, block

def wait(name):
    Path(f"at-{name}").touch()
    while not Path(name).exists():
        time.sleep(0.005)

@block
def first():
    wait("one")
    return 1

@block(on_error="continue")
def second(first):
    wait("two")
    if Path("two").read_text() == "fail":
        raise ValueError("told to")
    return 2

Pipeline("p", [first, second]).run(run_folder="run", raise_on_error=False)
"""


class Following:
    """A run in one process, and `runstone watch` in another."""

    def __init__(self, place: Path, *arguments: str) -> None:
        self.place = place
        scripts.write(place / "script.py", STEPS)
        self.run = scripts.start(sys.executable, "script.py", cwd=place)
        scripts.wait_for(place / "at-one")
        self.watch = scripts.start(scripts.RUNSTONE, "watch", "./run", *arguments, cwd=place)
        assert self.watch.stdout is not None
        self.seen = [json.loads(self.watch.stdout.readline())]

    def let(self, name: str, text: str = "") -> None:
        (self.place / "half").write_text(text)
        os.rename(self.place / "half", self.place / name)

    def next(self) -> dict[str, Any]:
        assert self.watch.stdout is not None
        self.seen.append(json.loads(self.watch.stdout.readline()))
        return self.seen[-1]

    def end(self) -> tuple[int, dict[str, Any]]:
        out, err = self.watch.communicate(timeout=30)
        self.run.communicate(timeout=30)
        assert err == ""
        self.seen.extend(json.loads(line) for line in out.splitlines())
        return self.watch.returncode, self.seen[-1]


def test_every_change_is_told_and_the_last_one_is_the_end(tmp_path: Path) -> None:
    following = Following(tmp_path, "--interval", "20")
    following.let("one")
    while following.next()["blocks"].get("completed", 0) < 1:
        pass
    following.let("two")
    code, last = following.end()
    assert (code, last["status"], last["done"]) == (0, "completed", True)
    numbers = [one["seq"] for one in following.seen]
    assert numbers == sorted(set(numbers)), "something was told twice, or went back"


def test_a_degraded_end_exits_0_unless_strict(tmp_path: Path) -> None:
    for number, (more, expected) in enumerate((([], 0), (["--strict"], 1))):
        place = tmp_path / str(number)
        place.mkdir()
        following = Following(place, *more)
        following.let("two", "fail")
        following.let("one")
        code, last = following.end()
        assert (code, last["status"]) == (expected, "degraded")


def test_a_killed_run_ends_it_as_crashed(tmp_path: Path) -> None:
    following = Following(tmp_path, "--interval", "0.1")
    following.run.send_signal(signal.SIGKILL)
    killed = time.monotonic()
    following.run.wait()
    code, last = following.end()
    assert time.monotonic() - killed < 25
    assert (code, last["status"], last["recorded_status"], last["done"]) == (1, "crashed", "running", False)


def test_a_timeout_exits_2_and_leaves_the_run_alone(tmp_path: Path) -> None:
    following = Following(tmp_path, "--timeout", "0.2")
    out, err = following.watch.communicate(timeout=30)
    following.seen.extend(map(json.loads, out.splitlines()))
    assert (following.watch.returncode, err, following.seen[-1]["status"]) == (2, "", "running")
    following.let("one")
    following.let("two")
    following.run.communicate(timeout=30)
    done = scripts.runstone("watch", "./run", cwd=tmp_path)
    assert (done.returncode, json.loads(done.stdout)["status"]) == (0, "completed")


def test_control_c_exits_130_without_a_traceback(tmp_path: Path) -> None:
    following = Following(tmp_path)
    following.watch.send_signal(signal.SIGINT)
    _, err = following.watch.communicate(timeout=30)
    assert following.watch.returncode == 130
    assert "Traceback" not in err
    following.let("one")
    following.let("two")
    following.run.communicate(timeout=30)


@pytest.mark.parametrize(("status", "code"), [("completed", 0), ("failed", 1), ("missing", 1), ("error", 1)])
def test_what_has_ended_is_told_once(tmp_path: Path, status: str, code: int) -> None:
    folder = tmp_path / "run"
    if status == "failed":

        @block
        def fail() -> None:
            raise ValueError("no")

        Pipeline("p", [fail]).run(run_folder=folder, raise_on_error=False)
    elif status != "missing":
        samples.run_tiny(folder)
        if status == "error":
            (folder / "run.json").write_text("{")
    done = scripts.runstone("watch", str(folder), cwd=tmp_path)
    assert (done.returncode, done.stderr) == (code, "")
    (line,) = done.stdout.splitlines()
    assert json.loads(line)["status"] == status


def test_pretty_is_indented(tmp_path: Path) -> None:
    samples.run_tiny(tmp_path / "run")
    done = scripts.runstone("watch", "./run", "--pretty", cwd=tmp_path)
    assert json.loads(done.stdout)["status"] == "completed"
    assert '\n  "status": "completed"' in done.stdout


@pytest.mark.parametrize(
    "options", [["--interval", "nan"], ["--interval", "inf"], ["--timeout", "nan"], ["--interval", "-1"]], ids=" ".join
)
def test_times_that_are_none_are_wrong_use(tmp_path: Path, options: list[str]) -> None:
    samples.run_tiny(tmp_path / "run")
    done = scripts.runstone("watch", "./run", *options, cwd=tmp_path)
    assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (2, "", 1)


def test_a_reader_that_goes_away_ends_it_quietly(tmp_path: Path) -> None:
    samples.run_tiny(tmp_path / "run")
    command = f"{scripts.RUNSTONE} watch ./run | true; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(
        ["bash", "-c", command], cwd=tmp_path, capture_output=True, text=True, check=False, env=scripts.environment()
    )
    assert done.stderr == ""
    assert done.returncode in (0, 1, 141)


TRACKED = """
import sys, time
from pathlib import Path
from runstone import track
try:
    with track("window", rows_in=3) as run:
        print(run.run_id, flush=True)
        while sys.argv[1:] and not Path("go").exists():
            time.sleep(0.01)
        if sys.argv[2:]:
            raise ValueError("told to")
except ValueError:
    pass
"""


@pytest.mark.parametrize(("arguments", "code", "end"), [([], 0, "completed"), (["", "fail"], 1, "failed")])
def test_a_tracked_run_that_has_ended_is_told_as_status_tells_it(
    tmp_path: Path, arguments: list[str], code: int, end: str
) -> None:
    scripts.write(tmp_path / "tracked.py", TRACKED)
    (tmp_path / "go").touch()
    run = scripts.python("tracked.py", *arguments, cwd=tmp_path).stdout.strip()
    assert scripts.runstone("ledger", "sync", cwd=tmp_path).returncode == 0
    done = scripts.runstone("watch", run[:8], cwd=tmp_path)
    assert (done.returncode, done.stderr) == (code, "")
    assert json.loads(done.stdout)["status"] == end
    assert done.stdout == scripts.runstone("status", run[:8], cwd=tmp_path).stdout


def test_a_tracked_run_that_goes_on_is_followed_to_its_end(tmp_path: Path) -> None:
    scripts.write(tmp_path / "tracked.py", TRACKED)
    tracked = scripts.start(sys.executable, "tracked.py", "wait", cwd=tmp_path)
    assert tracked.stdout is not None
    run = tracked.stdout.readline().strip()
    assert scripts.runstone("ledger", "sync", cwd=tmp_path).returncode == 0
    waited = scripts.runstone("watch", run, "--timeout", "0.1", cwd=tmp_path)
    assert (waited.returncode, json.loads(waited.stdout)["status"]) == (2, "running")
    watch = scripts.start(scripts.RUNSTONE, "watch", run, "--interval", "0.05", cwd=tmp_path)
    assert watch.stdout is not None
    seen = [watch.stdout.readline()]
    (tmp_path / "go").touch()
    seen += watch.communicate(timeout=30)[0].splitlines()
    tracked.communicate(timeout=30)
    assert [json.loads(line)["status"] for line in seen] == ["running", "completed"]
    assert watch.returncode == 0


def test_a_block_of_a_run_without_a_folder_is_missing(tmp_path: Path) -> None:
    scripts.write(tmp_path / "tracked.py", TRACKED)
    run = scripts.python("tracked.py", cwd=tmp_path).stdout.strip()
    assert scripts.runstone("ledger", "sync", cwd=tmp_path).returncode == 0
    done = scripts.runstone("watch", f"{run}/block", cwd=tmp_path)
    assert (done.returncode, json.loads(done.stdout)["status"]) == (1, "missing")

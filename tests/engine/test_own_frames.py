"""What a script shows when its run fails or is interrupted: its own frames, where it is recorded, what to do next."""

from __future__ import annotations

import re
import signal
import sys
import traceback
from pathlib import Path

import pytest

import runstone
from runstone import Pipeline, RunFailed, StorageError, block
from tests import scripts

SCRIPT = """
import asyncio, sys, time
from pathlib import Path
from runstone import Pipeline, block

def divide(x):
    return 1 // x

@block(mapspec="x[i] -> y[i]")
def each(x):
    return divide(x)

@block
def sleeps():
    Path("reached").touch()
    time.sleep(60)

failing = Pipeline("failing", [each])
sleeping = Pipeline("sleeping", [sleeps])

async def awaits():
    await failing.run_async({"x": [1, 0]}, run_folder="my run")

if __name__ == "__main__":
"""
WAYS = {
    "run": 'failing.run({"x": [1, 0]}, run_folder="my run")',
    "threads": 'failing.run({"x": [1, 0]}, run_folder="my run", executor="threads")',
    "processes": 'failing.run({"x": [1, 0]}, run_folder="my run", executor="processes")',
    "result": 'failing.run_async({"x": [1, 0]}, run_folder="my run").result()',
    "await": "asyncio.run(awaits())",
}
INTERRUPTED = {
    "run": 'sleeping.run(run_folder="my run")',
    "processes": 'sleeping.run(run_folder="my run", executor="processes", grace=0)',
    "result": 'sleeping.run_async(run_folder="my run", executor="processes", grace=0).result()',
}
RUNSTONE_FILES = re.escape(str(Path(runstone.__file__).parent))


def script(folder: Path, call: str) -> Path:
    return scripts.write(folder / "script.py", f"{SCRIPT}    {call}\n")


def frames(told: str) -> list[tuple[str, str]]:
    """File and function of every frame that is shown."""
    return [(Path(file).name, function) for file, function in re.findall(r'File "(.+)", line \d+, in (.+)', told)]


@pytest.mark.parametrize("way", WAYS)
def test_a_script_whose_run_fails_shows_its_own_frames_and_what_to_do(tmp_path: Path, way: str) -> None:
    told = scripts.python(str(script(tmp_path, WAYS[way])), cwd=tmp_path).stderr
    assert not re.search(RUNSTONE_FILES, told)
    shown = frames(told)
    # what raised in another process has no frames here
    expected = [] if way == "processes" else [("script.py", "each"), ("script.py", "divide")]
    calls = [("script.py", "<module>")] + ([("script.py", "awaits")] if way == "await" else [])
    assert [frame for frame in shown if frame[0] == "script.py"] == expected + calls
    assert "ZeroDivisionError: integer division or modulo by zero\n\nThe above exception was the direct cause" in told
    *_, headline, where, see, on = told.splitlines()
    assert re.fullmatch(
        r"runstone.errors.RunFailed: run \w{8} of 'failing' ended failed: "
        r"each\[1\]: ZeroDivisionError: integer division or modulo by zero",
        headline,
    )
    line = SCRIPT.splitlines().index("    return 1 // x") + 1
    assert where == f"  where:  script.py:{line}, in divide"
    assert see == "  see it: runstone show 'my run'"
    assert on == "  go on:  run(..., run_folder='my run', resume=True)"


def test_a_run_that_is_not_kept_has_nothing_to_be_gone_on_with(tmp_path: Path) -> None:
    call = 'failing.run({"x": [0]}, run_folder=None)'
    told = scripts.python(str(script(tmp_path, call)), cwd=tmp_path).stderr
    assert told.splitlines()[-1].startswith("  where:  script.py:")


@pytest.mark.parametrize("way", INTERRUPTED)
def test_a_script_that_is_interrupted_says_where_it_is_recorded(tmp_path: Path, way: str) -> None:
    process = scripts.start(sys.executable, str(script(tmp_path, INTERRUPTED[way])), cwd=tmp_path)
    scripts.wait_for(tmp_path / "reached")
    process.send_signal(signal.SIGINT)
    told = process.communicate(timeout=30)[1]
    assert process.returncode != 0
    said = [line for line in told.splitlines() if line.startswith("run ")]
    assert len(said) == 1
    assert re.fullmatch(
        r"run \w{8} is recorded in my run; go on: run\(\.\.\., run_folder='my run', resume=True\)", said[0]
    )
    assert not re.search(RUNSTONE_FILES, told)
    own = [function for file, function in frames(told) if file == "script.py"]
    assert own == (["<module>", "sleeps"] if way == "run" else ["<module>"])
    assert told.splitlines()[-1] == "KeyboardInterrupt"


def test_going_on_as_the_message_says_works(tmp_path: Path) -> None:
    done = tmp_path / "mended"

    @block
    def step() -> int:
        if not done.exists():
            raise ValueError("not yet")
        return 1

    pipeline = Pipeline("mending", [step])
    with pytest.raises(RunFailed) as caught:
        pipeline.run(run_folder=tmp_path / "my run")
    done.touch()
    go_on = str(caught.value).splitlines()[-1].partition("run(..., ")[2]
    again = eval(f"pipeline.run({go_on}", {"pipeline": pipeline})
    assert again.outputs["step"] == 1
    assert again.status_object()["retry_of"] == caught.value.run.id


def test_what_the_block_raised_is_the_cause() -> None:
    @block
    def fails() -> None:
        raise KeyError("mine")

    with pytest.raises(RunFailed) as caught:
        Pipeline("p", [fails]).run(run_folder=None)
    cause = caught.value.__cause__
    assert isinstance(cause, KeyError)
    assert [frame.name for frame in traceback.extract_tb(cause.__traceback__)] == ["fails"]


def test_every_other_error_keeps_all_of_its_traceback(tmp_path: Path) -> None:
    broken = tmp_path / "run"

    @block
    def breaks() -> int:
        for path in sorted(broken.rglob("*"), reverse=True):
            path.rmdir() if path.is_dir() else path.unlink()
        broken.rmdir()
        return 1

    @block
    def after(breaks: int) -> bytes:
        return bytes(100_000)

    with pytest.raises(StorageError) as caught:
        Pipeline("p", [breaks, after]).run(run_folder=broken, show_progress=False)
    files = [frame.filename for frame in traceback.extract_tb(caught.value.__traceback__)]
    assert any(re.match(RUNSTONE_FILES, file) for file in files)


def test_other_types_of_errors_are_named_beside_the_first() -> None:
    @block(mapspec="x[i] -> y[i]", on_error="continue")
    def each(x: int) -> int:
        raise KeyError("rare") if x == 7 else ValueError(x)

    run = Pipeline("p", [each]).run({"x": list(range(20))}, raise_on_error=False)
    assert "each[0]: ValueError: 0 (and 19 more errors, also KeyError)" in run.explain()
    two = Pipeline("p", [each]).run({"x": [1, 2]}, raise_on_error=False)
    assert "each[0]: ValueError: 1 (and 1 more error)\n" in two.explain()

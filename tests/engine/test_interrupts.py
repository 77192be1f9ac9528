"""Ctrl-C: a real signal to a real process. The run is recorded as cancelled and KeyboardInterrupt goes on."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from runstone.folder import observe
from tests import scripts

HEAD = """
import sys, time
from pathlib import Path
from runstone import Pipeline, block

def reached(name="reached"):
    Path(name).touch()
"""

SLEEPING = """
@block
def before():
    return 1

@block
def sleeps(before):
    reached()
    time.sleep(60)

@block
def after(sleeps):
    return 2

pipeline = Pipeline("interrupted", [before, sleeps, after])
"""

MAPPED = """
@block(mapspec="x[i] -> y[i]")
def each(x):
    if x == 5:
        reached()
        time.sleep(60)
    return x

pipeline = Pipeline("interrupted", [each])
"""

BUSY = """
@block
def busy():
    reached()
    while True:
        pass

pipeline = Pipeline("interrupted", [busy])
"""

RETRYING = """
from runstone import Retries

@block(retries=Retries(5, delay=60, jitter=False))
def flaky():
    reached()
    raise ValueError("no")

pipeline = Pipeline("interrupted", [flaky])
"""

CONDITION = """
def slow():
    reached()
    time.sleep(60)

@block(when=slow)
def skipped():
    return 1

pipeline = Pipeline("interrupted", [skipped])
"""

STUBBORN = """
@block
def stubborn():
    reached()
    try:
        time.sleep(60)
    except KeyboardInterrupt:
        pass
    return "finished anyway"

@block
def after(stubborn):
    return 1

pipeline = Pipeline("interrupted", [stubborn, after])
"""

RUN = """
try:
    pipeline.run({"x": list(range(10))} if "each" in pipeline.blocks else {}, run_folder="run")
except KeyboardInterrupt:
    print("interrupted")
    sys.exit(7)
"""


def interrupted(process: subprocess.Popen[str], place: Path, *, times: int = 1) -> tuple[int, str, str]:
    """Wait for the process to be where it wants to be interrupted, do so, and tell how it ended."""
    scripts.wait_for(place / "reached")
    time.sleep(0.05)
    for _ in range(times):
        process.send_signal(signal.SIGINT)
        time.sleep(0.002)
    out, err = process.communicate(timeout=20)
    return process.returncode, out, err


@pytest.mark.parametrize(
    "code", [SLEEPING, MAPPED, BUSY, RETRYING, CONDITION], ids=["sleep", "map", "busy", "retry", "when"]
)
@pytest.mark.parametrize("times", [1, 3])
def test_it_ends_user_code_at_once_and_is_recorded_as_cancelled(tmp_path: Path, code: str, times: int) -> None:
    scripts.write(tmp_path / "script.py", HEAD + code + RUN)
    process = scripts.start(sys.executable, "script.py", cwd=tmp_path)
    started = time.monotonic()
    returned, out, err = interrupted(process, tmp_path, times=times)
    assert time.monotonic() - started < 15
    # a later one may reach the script behind the run
    assert returned in ((7,) if times == 1 else (7, -signal.SIGINT, 1)), err
    assert times > 1 or out == "interrupted\n"
    status = observe.status(str(tmp_path / "run"))
    assert (status["status"], status["recorded_status"], status["done"]) == ("cancelled", "cancelled", True)
    assert status["reason"] == "cancel_requested"
    assert status["cancel_requested_at"] is not None
    assert not {"pending", "queued", "running", "retrying"} & status["blocks"].keys()
    if code is MAPPED:
        assert status["progress"]["done"] >= 5
    if code is SLEEPING:
        assert status["blocks"] == {"completed": 1, "cancelled": 2}


def test_code_that_swallows_it_still_ends_the_run_as_cancelled(tmp_path: Path) -> None:
    scripts.write(tmp_path / "script.py", HEAD + STUBBORN + RUN)
    process = scripts.start(sys.executable, "script.py", cwd=tmp_path)
    returned, out, err = interrupted(process, tmp_path)
    assert (returned, out) == (7, "interrupted\n"), err
    status = observe.status(str(tmp_path / "run"))
    assert (status["status"], status["blocks"]) == ("cancelled", {"completed": 1, "cancelled": 1})


def test_nothing_of_it_remains_after_the_run(tmp_path: Path) -> None:
    code = """
    import signal
    signal_before = signal.getsignal(signal.SIGINT)
    try:
        pipeline.run(run_folder="run")
    except KeyboardInterrupt:
        assert signal.getsignal(signal.SIGINT) is signal_before
        fine = Pipeline("fine", [before]).run(run_folder="fine")
        print(fine.status)
    """
    scripts.write(tmp_path / "script.py", HEAD + SLEEPING + "\n".join(line[4:] for line in code.splitlines()))
    process = scripts.start(sys.executable, "script.py", cwd=tmp_path)
    returned, out, err = interrupted(process, tmp_path)
    assert (returned, out) == (0, "completed\n"), err


def test_the_command_exits_130(tmp_path: Path) -> None:
    scripts.write(tmp_path / "script.py", HEAD + SLEEPING)
    process = scripts.start(scripts.RUNSTONE, "run", "script.py", "--run-folder", "run", cwd=tmp_path)
    returned, _, err = interrupted(process, tmp_path)
    assert returned == 130
    assert "cancelled" in err
    assert "Traceback" not in err
    assert observe.status(str(tmp_path / "run"))["status"] == "cancelled"


WAITING = """
handle = pipeline.run_async(run_folder="run")
try:
    handle.result()
except KeyboardInterrupt:
    print("interrupted")
"""

AWAITING = """
import asyncio

async def main():
    await pipeline.run_async(run_folder="run")

try:
    asyncio.run(main())
except KeyboardInterrupt:
    print("interrupted")
"""

STEPS = """
@block(mapspec="x[i] -> y[i]")
def each(x):
    reached()
    time.sleep(0.05)
    return x

pipeline = Pipeline("interrupted", [each])
pipeline.graph.run_parameters
"""


@pytest.mark.parametrize("code", [WAITING, AWAITING], ids=["result", "await"])
def test_in_a_thread_that_waits_for_a_run_it_cancels_the_run(tmp_path: Path, code: str) -> None:
    code = code.replace("run_async(", 'run_async({"x": list(range(1000))}, ')
    scripts.write(tmp_path / "script.py", HEAD + STEPS + code)
    process = scripts.start(sys.executable, "script.py", cwd=tmp_path)
    started = time.monotonic()
    returned, out, err = interrupted(process, tmp_path)
    assert time.monotonic() - started < 15, "the program waited for the whole run"
    assert (returned, out) == (0, "interrupted\n"), err
    assert observe.status(str(tmp_path / "run"))["status"] == "cancelled"


NESTED = """
inner = pipeline

@block
def outer():
    inner.run(run_folder="inner")
    return 1

pipeline = Pipeline("outer", [outer])
"""


def test_a_run_inside_of_a_block_and_the_run_around_it_are_both_cancelled(tmp_path: Path) -> None:
    scripts.write(tmp_path / "script.py", HEAD + SLEEPING + NESTED + RUN)
    process = scripts.start(sys.executable, "script.py", cwd=tmp_path)
    returned, out, err = interrupted(process, tmp_path)
    assert (returned, out) == (7, "interrupted\n"), err
    assert observe.status(str(tmp_path / "inner"))["status"] == "cancelled"
    assert observe.status(str(tmp_path / "run"))["status"] == "cancelled"


def test_a_program_that_handles_the_signal_itself_keeps_doing_so(tmp_path: Path) -> None:
    code = """
    import signal
    seen = []
    signal.signal(signal.SIGINT, lambda number, frame: seen.append(number))

    @block
    def waits():
        reached()
        while not seen:
            time.sleep(0.01)
        return len(seen)

    print(Pipeline("own", [waits]).run(run_folder="run").outputs["waits"])
    """
    scripts.write(tmp_path / "script.py", HEAD + "\n".join(line[4:] for line in code.splitlines()))
    process = scripts.start(sys.executable, "script.py", cwd=tmp_path)
    returned, out, err = interrupted(process, tmp_path)
    assert (returned, out) == (0, "1\n"), err


def test_a_handler_that_a_block_installs_stays(tmp_path: Path) -> None:
    code = """
    import signal

    def mine(number, frame):
        pass

    @block
    def installs():
        signal.signal(signal.SIGINT, mine)

    Pipeline("own", [installs]).run(run_folder="run")
    print(signal.getsignal(signal.SIGINT) is mine)
    """
    scripts.write(tmp_path / "script.py", HEAD + "\n".join(line[4:] for line in code.splitlines()))
    assert scripts.python("script.py", cwd=tmp_path).stdout == "True\n"

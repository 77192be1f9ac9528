"""Run folders that the installed pipefunc writes, in every way it can, and what its own reader says about them.

Also a program: `python real.py MODE FOLDER` is a run of its own process, which a test may follow and kill. It writes a
file `<FOLDER>.calls/<n>` at the beginning of every call.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import os
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from pipefunc import PipeFunc, Pipeline, pipefunc

PLAIN_STORAGES = ("file_array", "dict", "shared_memory_dict")
ZARR_STORAGES = ("zarr_file_array", "zarr_memory", "zarr_shared_memory")


@pipefunc("y", mapspec="x[i] -> y[i]")
def double(x: int) -> int:
    return 2 * x


@pipefunc("total")
def add(y: Any) -> int:
    return int(sum(y))


@pipefunc(("low", "high"), mapspec="x[i], z[j] -> low[i, j], high[i, j]")
def both(x: int, z: int) -> tuple[int, int]:
    return min(x, z), max(x, z)


@pipefunc("made", mapspec="... -> made[k]")
def make() -> list[int]:
    return list(range(4))


@pipefunc("more", mapspec="made[k] -> more[k]")
def increase(made: int) -> int:
    return made + 1


@pipefunc("wide", mapspec="x[i] -> wide[i, n]", internal_shape=(3,))
def widen(x: int) -> list[int]:
    return [x, x, x]


@pipefunc("lab.note")
def note() -> str:
    return "x" * 1000


@pipefunc("kept", mapspec="x[i] -> kept[i]")
def keep(x: int) -> int:
    return x


EVERYTHING = [double, add, both, make, increase, widen, note]
INPUTS = {"x": [1, 2, 3], "z": [10, 20]}


@pipefunc("y", mapspec="x[i] -> y[i]")
def fragile(x: int) -> int:
    if x == 2:
        raise ValueError("two is\nbad")
    return x


@pipefunc(("one", "other"), mapspec="x[i] -> one[i], other[i]")
def fragile_pair(x: int) -> tuple[int, int]:
    if x == 2:
        raise ValueError("no pair")
    return x, x


@pipefunc("after", mapspec="y[i] -> after[i]")
def follow(y: int) -> int:
    return y


@pipefunc("broken")
def break_down() -> int:
    raise KeyError("nope")


@pipefunc("y", mapspec="x[i] -> y[i]")
def quote(x: int) -> str:
    return "pipefunc.exceptions ErrorSnapshot " * 10


@pipefunc("y", mapspec="x[i] -> y[i]")
def overload(x: int, load: str) -> int:
    if x == 2:
        raise ValueError("too much")
    return x


@pipefunc("table")
def tabulate() -> Any:
    import polars

    return polars.DataFrame({"a": [1, 2]})


@pipefunc("tables", mapspec="x[i] -> tables[i]")
def tabulate_each(x: int) -> Any:
    import polars

    return polars.DataFrame({"a": [x]})


# two functions of the same name
NAMESAKES = [double, PipeFunc(double.func, "again", mapspec="x[i] -> again[i]")]
FRAGILE = [fragile, follow, break_down]


def sync(folder: Path, functions: list[Any], inputs: dict[str, Any], **options: Any) -> None:
    """A run in this process that is not asynchronous. What it raises is swallowed: the folder is what counts."""
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(Exception):
        warnings.simplefilter("ignore")
        Pipeline(functions).map(inputs, run_folder=folder, parallel=False, **options)
    assert (folder / "run_info.json").exists(), "it was refused"


def asynchronous(folder: Path, functions: list[Any], inputs: dict[str, Any], **options: Any) -> None:
    """The same with a heartbeat."""

    async def run() -> None:
        with ThreadPoolExecutor(1) as pool, contextlib.suppress(Exception):
            started = Pipeline(functions).map_async(
                inputs, run_folder=folder, executor=pool, show_progress="headless", **options
            )
            await started.task

    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        asyncio.run(run())
    assert (folder / "pipefunc_status.json").exists(), "it was refused"


def own_answer(folder: Path) -> dict[str, Any]:
    """What pipefunc itself says; on a copy of the folder that it may change."""
    from pipefunc._run_status import status_from_run_folder

    return status_from_run_folder(folder, include_run_info=True)


def age(folder: Path, seconds: float) -> None:
    """Let a folder lie for so long: the times of its files, and the one its heartbeat speaks of, become older."""
    from datetime import datetime, timedelta

    beat = folder / "pipefunc_status.json"
    if beat.exists():
        content = json.loads(beat.read_text())
        content["updated_at"] = str(
            (datetime.fromisoformat(content["updated_at"]) - timedelta(seconds=seconds)).isoformat()
        )
        stood = beat.stat()
        beat.write_text(json.dumps(content))
        os.utime(beat, (stood.st_mtime, stood.st_mtime))
    for path in [*folder.rglob("*"), folder]:
        found = path.lstat()
        os.utime(path, (found.st_atime - seconds, found.st_mtime - seconds), follow_symlinks=False)


def start(mode: str, folder: Path) -> subprocess.Popen[bytes]:
    """A run in a process of its own; returns once it is in its third call, and has written all it will before that."""
    process = subprocess.Popen(
        [sys.executable, __file__, mode, str(folder)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    wait_for(lambda: Path(f"{folder}.calls", "2").exists() or process.poll() is not None)
    assert process.poll() is None, f"it has ended: {process.returncode}"
    if mode == "asynchronous":
        beat = folder / "pipefunc_status.json"
        wait_for(lambda: json.loads(beat.read_text())["outputs"]["y"]["n_completed"] == 2)
    return process


def wait_for(condition: Callable[[], bool], seconds: float = 60.0) -> None:
    """Wait until something is so."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.01)


def _main(mode: str, folder: str) -> None:
    calls = Path(f"{folder}.calls")
    calls.mkdir()

    @pipefunc("y", mapspec="x[i] -> y[i]")
    def slow(x: int) -> int:
        (calls / str(x)).touch()
        if x >= 2:
            time.sleep(3600)
        return x

    functions, inputs = [slow, add], {"x": list(range(10))}
    if mode == "sync":
        sync(Path(folder), functions, inputs)
    else:
        asynchronous(Path(folder), functions, inputs, chunksizes=1)


if __name__ == "__main__":
    _main(*sys.argv[1:])

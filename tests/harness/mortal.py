"""A pipeline that writes every shape of record a run can have, and an oracle that knows what was really executed.

Every function notes its call in a file of its own, by one `write`, just before it returns or raises. So the oracle
never misses what could have been recorded, whenever the process dies.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Any

import runstone
from runstone import Pipeline, block
from runstone.engine import collect, launch
from runstone.folder import identity, writer
from tests.harness import faults, trace

AXIS = [0, 10, 20]
BULK = 20_000
_oracle = -1
_pause = 0.0
_bulk = BULK


def watch_with(path: str) -> None:
    """From now on note every call in the file at `path`."""
    global _oracle
    _oracle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o666)


def ran(name: str, element: int = 0, outcome: str = "ok") -> None:
    """Note a call."""
    if _oracle >= 0:
        os.write(_oracle, f"{name} {element} {outcome} {time.clock_gettime_ns(time.CLOCK_BOOTTIME)}\n".encode())


def _work() -> None:
    if _pause:
        time.sleep(_pause)


def fails(element: int) -> bool:
    """Which elements of `shaky` fail."""
    return element % 5 == 3


@block
def seeds(size: int) -> list[int]:
    ran("seeds")
    return list(range(size))


@block
def weight(ballast: list[int]) -> int:
    ran("weight")
    return sum(ballast)


@block
def bulk(weight: int) -> bytes:
    ran("bulk")
    return b"\xb5" * _bulk


@block(output=("low", "high"), mapspec="seeds[i] -> low[i], high[i]")
def split(seeds: int) -> tuple[int, str]:
    _work()
    ran("split", seeds)
    return seeds * 3, f"high {seeds}"


@block(output="shaken", mapspec="low[i] -> shaken[i]", on_error="continue", retries=1)
def shaky(low: int) -> float:
    _work()
    if fails(low // 3):
        ran("shaky", low // 3, "failed")
        raise ValueError(f"{low} is unlucky")
    ran("shaky", low // 3)
    return low / 2


@block(output="settled", mapspec="shaken[i] -> settled[i]", on_error="continue")
def settle(shaken: float) -> dict[str, Any]:
    _work()
    ran("settle", round(shaken * 2) // 3)
    return {"shaken": shaken, "text": "x" * 300}


@block
def axis() -> list[int]:
    ran("axis")
    return list(AXIS)


@block(output="grid", mapspec="low[i], axis[j] -> grid[i, j]")
def cross(low: int, axis: int) -> bytes:
    _work()
    ran("cross", low // 3 * len(AXIS) + axis // 10)
    return f"{low}x{axis}".encode() * 60


@block(missing="drop")
def report(settled: list[dict[str, Any]], bulk: bytes, scratch: str) -> dict[str, int]:
    path = os.path.join(scratch, f"report-{os.getpid()}.txt")
    with open(path, "w") as file:
        file.write("what is worth reading\n" * 50)
    runstone.artifact(path, name="report.txt", metadata={"lines": 50})
    os.unlink(path)
    ran("report")
    return {"settled": len(settled), "bulk": len(bulk)}


@block(when=lambda weight: weight < 0)
def never(weight: int) -> int:
    ran("never")
    return weight


@block
def farewell(report: dict[str, int], grid: list[list[bytes]]) -> str:
    ran("farewell")
    return f"{report['settled']} of {len(grid)}"


@block(output="slow", mapspec="seeds[i] -> slow[i]")
def dawdle(seeds: int) -> int:
    _work()
    ran("dawdle", seeds)
    return seeds + 1


everything = Pipeline(
    "everything", [seeds, weight, bulk, split, shaky, settle, axis, cross, report, never, farewell], tags=["mortal"]
)
"""Chains, maps, several outputs, failures, an outer product, large values and parameters, an artifact, a condition."""

patient = Pipeline("patient", [seeds, dawdle])
"""One map that takes as long as it is told to."""


def expected(output: str, element: int, size: int) -> Any:
    """What an output must hold; element: flat number, for outputs of mapped blocks."""
    values: dict[str, Callable[[], Any]] = {
        "seeds": lambda: list(range(size)),
        "weight": lambda: sum(ballast()),
        "bulk": lambda: b"\xb5" * BULK,
        "low": lambda: element * 3,
        "high": lambda: f"high {element}",
        "shaken": lambda: element * 3 / 2,
        "settled": lambda: {"shaken": element * 3 / 2, "text": "x" * 300},
        "axis": lambda: AXIS,
        "grid": lambda: f"{element // 3 * 3}x{AXIS[element % 3]}".encode() * 60,
        "report": lambda: {"settled": sum(not fails(each) for each in range(size)), "bulk": BULK},
        "farewell": lambda: f"{sum(not fails(each) for each in range(size))} of {size}",
        "slow": lambda: element + 1,
    }
    return values[output]()


def ballast() -> list[int]:
    """A parameter that is too large for run.json."""
    return [number * 7919 for number in range(2_000)]


def live(
    folder: str,
    oracle: str,
    *,
    pipeline: str = "everything",
    size: int = 12,
    pause: float = 0.0,
    heartbeat: float = 0.02,
    chunk: int = 5,
    lease: float | None = None,
    fault: dict[str, Any] | None = None,
    traced: str | None = None,
    slow: float = 0.0,
    bulk: int = BULK,
    without: str | None = None,
    reboots: bool = False,
) -> dict[str, Any]:
    """Run a pipeline in this process, to its end or the process's.

    heartbeat, chunk: so short that a small run has many of both. bulk: length of the large value, in bytes.
    fault: see `faults.arm`. without: a protection to take out, see `faults.take_out`. traced: where the trace of
    everything done to the disk goes. slow: how many seconds every sync takes longer then. reboots: this process says
    that it is of another boot of the machine, as all are that wrote before a reboot.
    """
    global _pause, _bulk
    _pause, _bulk = pause, bulk
    watch_with(oracle)
    writer.HEARTBEAT_SECONDS = heartbeat
    collect.CLOSE_ELEMENTS = collect.BATCH = chunk
    if lease is not None:
        launch.LEASE_SECONDS = lease
    if reboots:
        identity.boot_id = lambda: "the boot before"
    calls = faults.arm(**fault) if fault is not None else []
    tracer = trace.Tracer(slow) if traced is not None else None
    if tracer is not None:
        tracer.install()
    if without is not None:
        faults.take_out(without)
    chosen = {"everything": everything, "patient": patient}[pipeline]
    params: dict[str, Any] = {"size": size}
    if chosen is everything:
        params.update(ballast=ballast(), scratch=os.path.dirname(oracle))
    try:
        run = chosen.run(params, run_folder=folder, show_progress=False, raise_on_error=False)
    finally:
        if tracer is not None and traced is not None:
            tracer.save(traced)
    return {"status": run.status, "calls": calls}


def cancel(folder: str, oracle: str, *, name: str, count: int) -> dict[str, Any]:
    """Run everything, and cancel it once a block has been called so many times."""
    global _pause
    _pause = 0.01
    watch_with(oracle)
    params = {"size": 12, "ballast": ballast(), "scratch": os.path.dirname(oracle)}
    handle = everything.run_async(params, run_folder=folder, show_progress=False, raise_on_error=False)
    while not handle.done:
        with open(oracle) as file:
            if sum(line.startswith(f"{name} ") for line in file) >= count:
                break
        time.sleep(0.002)
    handle.cancel()
    return {"status": handle.result(30).status}


def hold(
    folder: str,
    oracle: str,
    *,
    seconds: float,
    lease: float,
    how: str = "sleep",
    exponent: int = 2_500_000,
    length: int = 24,
) -> dict[str, Any]:
    """Run a block that does not let go of the interpreter, so that no other thread of this process gets on.

    how: sleep (in C), or power (to this exponent), or match (of a pattern that backtracks with a text of this length):
    these two are as long as the machine is slow, `seconds` is then ignored.
    """
    watch_with(oracle)
    launch.LEASE_SECONDS = lease

    def greedy(size: int) -> int:
        ran("seeds")
        if how == "sleep":
            import ctypes

            ctypes.PyDLL(None).usleep(ctypes.c_uint(int(seconds * 1e6)))
        elif how == "power":
            7 ** (exponent + size)
        else:
            import re

            re.match(r"(a+)+$", "a" * length + "b")
        ran("weight")
        return size

    run = Pipeline("greedy", [block(greedy)]).run({"size": 1}, run_folder=folder, show_progress=False)
    return {"status": run.status}

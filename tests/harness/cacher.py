"""Processes that keep results in the cache, each killed before another one of its steps there: `cacher.py KIND EVERY`,
before each step, or every so manyth.

Steps are SQL statements, and files of the cache that are opened, renamed, made or removed. What is called is noted in
`calls.txt`. After each kill another process does the same work, and a line of JSON tells how that went.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
from typing import Any

import apsw

from runstone import Pipeline, block, track

CALLS = "calls.txt"
_taken = 0
_fatal = 0


def step() -> None:
    """One more; the last one, if it is the fatal one."""
    global _taken
    _taken += 1
    if _taken == _fatal:
        os.kill(os.getpid(), signal.SIGKILL)


def _traced(connection: apsw.Connection) -> None:
    def before(cursor: Any, statement: str, bindings: Any) -> bool:
        step()
        return True

    connection.exec_trace = before


def _audited(event: str, arguments: tuple[Any, ...]) -> None:
    if event in ("open", "os.rename", "os.mkdir", "os.remove") and "/cache/" in str(arguments[0]):
        step()


def note(what: object) -> None:
    """Say that something was called."""
    with open(CALLS, "a") as file:
        file.write(f"{what}\n")


@block(output="y", mapspec="x[i] -> y[i]")
def small(x: int) -> str:
    note(f"small {x}")
    return f"value {x}"


@block(output="big", mapspec="x[i] -> big[i]")
def large(x: int) -> bytes:
    note(f"large {x}")
    return bytes([x]) * 400_000


@block(output="end")
def joined(y: list[str], big: list[bytes]) -> tuple[str, int]:
    note("joined")
    return "".join(y), sum(map(len, big))


def window(rows: list[int]) -> int:
    """What is done with a window."""
    note(f"window {rows}")
    return sum(rows)


def work(kind: str) -> object:
    """What is done and kept; always the same."""
    if kind == "track":
        return track.windows([[2, 3]], window, cache=True)
    run = Pipeline("cached", [small, large, joined], cache=True).run({"x": [1, 2, 3, 4]}, show_progress=False)
    return [run.outputs["end"], list(run.outputs["y"]), [each[:3] for each in run.outputs["big"]]]


def child(kind: str, fatal: int) -> tuple[int, str, int, int]:
    """Do the work in a process of its own, to be killed before this step, or never; returns how it ended, what came of
    it, how many steps it took and how many calls it made."""
    reading, writing = os.pipe()
    pid = os.fork()
    if not pid:
        global _fatal
        _fatal = fatal
        apsw.connection_hooks.append(_traced)
        sys.addaudithook(_audited)
        try:
            said = f"{work(kind)}"
            os.write(writing, f"{_taken} {said}".encode())
        finally:
            os._exit(0)
    os.close(writing)
    with open(reading) as pipe:
        steps, _, said = pipe.read().partition(" ")
    _, status = os.waitpid(pid, 0)
    made = 0
    if os.path.exists(CALLS):
        with open(CALLS) as file:
            made = len(file.readlines())
        os.unlink(CALLS)
    return status, said, int(steps or 0), made


def main() -> None:
    """Kill one process for each of these steps, from the last one on."""
    kind = sys.argv[1]
    _, expected, steps, calls = child(kind, 0)
    _, again, _, made = child(kind, 0)
    print(
        json.dumps(
            {"expected": expected, "calls": calls, "again": again == expected, "made_again": made, "steps": steps}
        )
    )
    for step_to_die in range(steps, 0, -int(sys.argv[2])):
        shutil.rmtree(".runstone")
        status, _, _, before = child(kind, step_to_die)
        _, said, _, after = child(kind, 0)
        told = {"step": step_to_die, "killed": status == signal.SIGKILL, "before": before, "after": after, "said": said}
        print(json.dumps(told), flush=True)


if __name__ == "__main__":
    main()

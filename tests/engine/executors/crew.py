"""A run for processes that are to die: every call of a block is noted, whichever process makes it."""

from __future__ import annotations

import os
import time
from typing import Any

from runstone import Pipeline, Retries, block
from tests.engine.executors.ways import note

MARK = "RUNSTONE_CREW"
ENOUGH = Retries(200, on=(KeyError,))
"""For every kill of a worker; what the blocks raise themselves is not tried again."""


@block(output="y", mapspec="x[i] -> y[i]", retries=ENOUGH)
def spread(x: int, oracle: str, pause: float) -> int:
    time.sleep(pause)
    note(oracle, f"spread {x}")
    return 3 * x


@block(output="z", mapspec="y[i] -> z[i]", retries=ENOUGH, on_error="continue")
def shaky(y: int, oracle: str, pause: float) -> int:
    time.sleep(pause)
    note(oracle, f"shaky {y // 3}")
    if fails(y // 3):
        raise ValueError(f"{y} is unlucky")
    return y + 1


@block(missing="drop", retries=ENOUGH)
def total(z: list[int], oracle: str) -> int:
    note(oracle, "total 0")
    return sum(z)


@block(retries=ENOUGH)
def beside(oracle: str, pause: float) -> bytes:
    time.sleep(10 * pause)
    note(oracle, "beside 0")
    return b"b" * 100_000


crew = Pipeline("crew", [spread, shaky, total, beside])


def fails(number: int) -> bool:
    """Which elements of `shaky` fail."""
    return number % 5 == 3


def right(size: int) -> int:
    """What comes out in the end."""
    return sum(3 * number + 1 for number in range(size) if not fails(number))


def live(
    folder: str, oracle: str, *, mark: str, executor: str, size: int, pause: float, resume: bool = False
) -> dict[str, Any]:
    """Run it, as a process whose descendants all carry a mark."""
    os.environ[MARK] = mark
    # one run of its own code and parameters, whichever process is asked to go on with it
    settings: dict[str, Any] = {"resume": True} if resume else {}
    params = {"x": list(range(size)), "oracle": oracle, "pause": pause}
    run = crew.run(params, run_folder=folder, executor=executor, show_progress=False, raise_on_error=False, **settings)
    return {"status": run.status, "total": run.outputs["total"]}

"""The same work, written for Runstone and for pipefunc."""

from __future__ import annotations

import itertools
import os
import signal
import time
from typing import Any

CHAIN = 10


def double(x: int) -> int:
    return x * 2


def double_or_fail(x: int) -> int:
    if x % 10 == 3:
        raise ValueError("boom")
    return x * 2


def deadly(x: int) -> int:
    """Like `double`; in a process that says so, it dies in the middle, when what came before is recorded."""
    if x == 5_000 and os.environ.get("DIE"):
        time.sleep(1)
        os.kill(os.getpid(), signal.SIGKILL)
    return x * 2


def pause(v: int) -> int:
    time.sleep(0.05)
    return v


def total(y: list[int]) -> int:
    return sum(y)


def _step(number: int) -> Any:
    names: dict[str, Any] = {}
    exec(f"def f{number}(v{number}): return v{number} + 1", names)
    return names[f"f{number}"]


def chain() -> Any:
    from runstone import Pipeline, block

    return Pipeline("chain", [block(_step(n), output=f"v{n + 1}") for n in range(CHAIN)])


def fan() -> Any:
    from runstone import Pipeline, block

    return Pipeline("fan", [block(double, mapspec="x[i] -> y[i]"), block(total, output="s")])


def fan_with_failures() -> Any:
    from runstone import Pipeline, block

    mapped = block(double_or_fail, mapspec="x[i] -> y[i]", on_error="continue")
    return Pipeline("fan_with_failures", [mapped, block(total, output="s", missing="drop")])


def mortal() -> Any:
    from runstone import Pipeline, block

    return Pipeline("mortal", [block(deadly, mapspec="x[i] -> y[i]"), block(total, output="s")])


def slow_chain() -> Any:
    from runstone import Pipeline, block

    names = [f"w{number}" for number in range(41)]
    return Pipeline(
        "slow",
        [block(pause, name=new, output=new, renames={"v": old}) for old, new in itertools.pairwise(names)],
    )


def peer_chain() -> Any:
    from pipefunc import PipeFunc, Pipeline

    return Pipeline([PipeFunc(_step(n), f"v{n + 1}") for n in range(CHAIN)])


def peer_fan() -> Any:
    from pipefunc import PipeFunc, Pipeline

    def sum_all(y: Any) -> int:
        return int(sum(y))

    return Pipeline([PipeFunc(double, "y", mapspec="x[i] -> y[i]"), PipeFunc(sum_all, "s")])

"""A pipeline of every shape a block can have, that notes every call when it begins, and is gone on with until it ends.

What is in the environment is no part of the code of a block: so every process that computes one, however it was
started, notes its calls in the same file.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

import runstone
from runstone import Failed, Pipeline, Retries, block
from runstone.engine import collect
from runstone.folder import writer

CALLS = "RUNSTONE_TEST_CALLS"
PAUSE = "RUNSTONE_TEST_PAUSE"
EXECUTORS = ("inline", "threads", "processes", "auto", "mixed")
_MIX = ("processes", "threads", "inline")


def called(name: str, element: int = 0) -> None:
    """Note a call, and take as long as calls take."""
    descriptor = os.open(os.environ[CALLS], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
    os.write(descriptor, f"{name} {element}\n".encode())
    os.close(descriptor)
    pause = float(os.environ.get(PAUSE, "0"))
    if pause:
        time.sleep(pause)


def fails(element: int) -> bool:
    """Which elements of `shaky` fail."""
    return element % 5 == 3


def seeds(size: int) -> list[int]:
    called("seeds")
    return list(range(size))


def weight(ballast: list[int]) -> int:
    called("weight")
    return sum(ballast)


def bulk(weight: int) -> bytes:
    called("bulk")
    return b"\xb5" * 20_000


def split(seeds: int) -> tuple[int, str]:
    called("split", seeds)
    return seeds * 3, f"high {seeds}"


def shaky(low: int) -> float:
    called("shaky", low // 3)
    if fails(low // 3):
        raise ValueError(f"{low} is unlucky")
    return low / 2


def settle(shaken: float) -> dict[str, Any]:
    called("settle", round(shaken * 2) // 3)
    return {"shaken": shaken, "text": "x" * 300}


def axis() -> list[int]:
    called("axis")
    return [0, 10, 20]


def cross(low: int, axis: int) -> np.ndarray:
    called("cross", low // 3 * 3 + axis // 10)
    return np.full(4, low + axis, dtype=np.float32)


def column(grid: list[np.ndarray]) -> float:
    called("column", int(grid[0][0]) // 10)
    return float(np.sum(np.stack(grid)))


def spread(low: int) -> list[int]:
    called("spread", low // 3)
    return [low, low + 1, low + 2]


def crest(wave: int) -> int:
    called("crest", wave)
    return -wave


def table(low: int) -> pd.DataFrame:
    called("table", low // 3)
    return pd.DataFrame({"low": [low, low + 1], "name": ["a", "b"]})


def joined(tables: list[pd.DataFrame]) -> pd.DataFrame:
    called("joined")
    return pd.concat(list(tables), ignore_index=True)


def told(settled: list[Any]) -> list[str]:
    called("told")
    return [one.explain() if isinstance(one, Failed) else "well" for one in settled]


def leaflet(axis: int, scratch: str) -> int:
    called("leaflet", axis // 10)
    _saved(scratch, f"leaflet-{axis}.txt", f"about {axis}\n")
    return axis


def report(settled: list[dict[str, Any]], bulk: bytes, scratch: str) -> dict[str, int]:
    called("report")
    _saved(scratch, "report.txt", "what is worth reading\n" * 50)
    return {"settled": len(settled), "bulk": len(bulk)}


def _saved(scratch: str, name: str, text: str) -> None:
    path = os.path.join(scratch, f"{os.getpid()}-{name}")
    with open(path, "w") as file:
        file.write(text)
    runstone.artifact(path, name=name, metadata={"length": len(text)})
    os.unlink(path)


def never(weight: int) -> int:
    called("never")
    return weight


def farewell(
    report: dict[str, int], column: list[float], crest: list[list[int]], joined: pd.DataFrame, leaf: list[int]
) -> str:
    called("farewell")
    return f"{report['settled']} {sum(column)} {sum(map(sum, crest))} {len(joined)} {leaf}"


BLOCKS: list[tuple[Callable[..., Any], dict[str, Any]]] = [
    (seeds, {}),
    (weight, {}),
    (bulk, {}),
    (split, {"output": ("low", "high"), "mapspec": "seeds[i] -> low[i], high[i]"}),
    (shaky, {"output": "shaken", "mapspec": "low[i] -> shaken[i]", "on_error": "continue"}),
    (settle, {"output": "settled", "mapspec": "shaken[i] -> settled[i]", "on_error": "continue"}),
    (axis, {}),
    (cross, {"output": "grid", "mapspec": "low[i], axis[j] -> grid[i, j]"}),
    (column, {"mapspec": "grid[:, j] -> column[j]"}),
    (spread, {"output": "wave", "mapspec": "low[i] -> wave[i, k]"}),
    (crest, {"mapspec": "wave[i, k] -> crest[i, k]"}),
    (table, {"output": "tables", "mapspec": "low[i] -> tables[i]"}),
    (joined, {}),
    (told, {"missing": "keep"}),
    (leaflet, {"output": "leaf", "mapspec": "axis[j] -> leaf[j]"}),
    (report, {"missing": "drop"}),
    (never, {"when": lambda weight: weight < 0}),
    (farewell, {}),
]


def pipeline(executor: str) -> Pipeline:
    """Executed so; "mixed" gives the blocks executors in turn."""
    made = []
    for number, (function, settings) in enumerate(BLOCKS):
        own = {"executor": _MIX[number % len(_MIX)]} if executor == "mixed" else {}
        made.append(block(**settings, **own)(function))
    return Pipeline("survivor", made, **({} if executor == "mixed" else {"executor": executor}))  # type: ignore[arg-type]


def elements(size: int) -> dict[str, set[int]]:
    """Every element of every block that is called in a run."""
    whole = dict.fromkeys(("seeds", "weight", "bulk", "axis", "joined", "told", "report", "farewell"), frozenset({0}))
    lows = frozenset(range(size))
    mapped = {
        **dict.fromkeys(("split", "shaky", "spread", "table"), lows),
        "settle": frozenset(each for each in lows if not fails(each)),
        **dict.fromkeys(("cross", "crest"), frozenset(range(size * 3))),
        **dict.fromkeys(("column", "leaflet"), frozenset(range(3))),
    }
    return {name: set(numbers) for name, numbers in {**whole, **mapped}.items()}


def live(
    folder: str,
    oracle: str,
    *,
    executor: str = "inline",
    size: int = 12,
    pause: float = 0.0,
    heartbeat: float = 0.05,
    chunk: int = 5,
    mark: str = "RUNSTONE_TEST_MARK",
) -> dict[str, Any]:
    """Go on with the run in a folder, or begin it, to its end or this process's. mark: goes into the environment."""
    os.environ.update({CALLS: oracle, PAUSE: str(pause), mark: "1"})
    writer.HEARTBEAT_SECONDS = heartbeat
    collect.CLOSE_ELEMENTS = collect.BATCH = chunk
    params = {"size": size, "ballast": list(range(0, 15_000, 7)), "scratch": os.path.dirname(oracle)}
    run = pipeline(executor).run(
        params,
        run_folder=folder,
        resume=True,
        show_progress=False,
        raise_on_error=False,
        # attempts that die with their process must not be the last
        retries=Retries(6),
    )
    return {"status": run.status, "id": run.id, "folder": run.run_folder, "epoch": run.status_object()["epoch"]}

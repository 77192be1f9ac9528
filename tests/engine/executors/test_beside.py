"""Blocks that do not need each other are executed beside each other."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import pytest

from runstone import Pipeline, block
from tests.engine.executors.conftest import way_called
from tests.engine.executors.ways import EVERY, Way, note, noted


def spans(path: Path) -> dict[str, tuple[float, float]]:
    found: dict[str, tuple[float, float]] = {}
    for line in noted(path):
        name, begun, ended = line.split()
        found[name] = float(begun), float(ended)
    return found


def sleeper(way: Way, name: str, path: Path, **settings: Any) -> Any:
    def sleeps(x: int) -> str:
        begun = time.time()
        time.sleep(0.6)
        note(path, f"{name} {begun} {time.time()}")
        return name

    return way.block(sleeps, name=name, **settings)


def overlap(one: tuple[float, float], other: tuple[float, float]) -> bool:
    return max(one[0], other[0]) < min(one[1], other[1])


@pytest.mark.parametrize("executor", [name for name in EVERY if name not in ("inline", "auto", "awaited")])
def test_independent_blocks_overlap(executor: str, tmp_path: Path) -> None:
    way = way_called(executor)
    path = tmp_path / "spans"
    blocks = [sleeper(way, "a", path), sleeper(way, "b", path), block(lambda a, b: a + b, name="c")]
    found = way.run(Pipeline("p", blocks), {"x": 1}, run_folder=tmp_path / "run")
    assert (found.status, found.outputs["c"]) == ("completed", "ab")
    times = spans(path)
    assert overlap(times["a"], times["b"])


def test_inline_blocks_go_on_meanwhile_in_the_thread_that_called(tmp_path: Path) -> None:
    way = way_called("threads")
    path = tmp_path / "spans"
    here = threading.get_ident()

    def inline_one(x: int) -> bool:
        begun = time.time()
        time.sleep(0.1)
        note(path, f"inline {begun} {time.time()}")
        return threading.get_ident() == here

    blocks = [
        sleeper(way, "a", path),
        block(inline_one, executor="inline"),
        sleeper(way, "b", path, executor="processes"),
    ]
    found = way.run(Pipeline("p", blocks), {"x": 1}, run_folder=tmp_path / "run")
    assert (found.status, found.outputs["inline_one"]) == ("completed", True)
    times = spans(path)
    assert overlap(times["a"], times["inline"])
    assert overlap(times["a"], times["b"])


@pytest.mark.parametrize("executor", ["threads", "processes"])
@pytest.mark.parametrize("on_error", ["fail", "continue"])
def test_after_a_failure_what_runs_ends_and_what_follows_from_it_depends(
    executor: str, on_error: Any, tmp_path: Path
) -> None:
    way = way_called(executor)
    path = tmp_path / "spans"

    def fails(x: int) -> int:
        time.sleep(0.1)
        raise ValueError("meant")

    blocks = [way.block(fails), sleeper(way, "beside", path), way.block(lambda beside: beside, name="then")]
    found = way.run(Pipeline("p", blocks, on_error=on_error), {"x": 1}, run_folder=tmp_path / "run")
    assert found.status == "failed"
    then = "completed" if on_error == "continue" else "cancelled"
    assert found.blocks == {"fails": "failed", "beside": "completed", "then": then}

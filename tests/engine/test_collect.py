"""Elements are recorded in chunks while others are computed: however they are cut, each is recorded once, as it was."""

from __future__ import annotations

import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import runstone
from runstone import Failed, Pipeline, block
from runstone.core.events import Chunk
from runstone.core.ranges import numbers
from runstone.engine import collect, encode
from runstone.folder import observe, scan

COUNT = 40


def what_is_there(values: Any) -> list[Any]:
    return [f"{one.status} {one.error_type.rpartition('.')[2]}" if isinstance(one, Failed) else one for one in values]


def chunks(folder: Path, name: str) -> list[Chunk]:
    with (folder / f"outputs/{name}.0001.pack").open("rb") as file:
        return scan.scan_pack(file.fileno(), 0, file.seek(0, 2), verify_all=True).records  # type: ignore[return-value]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    failing=st.sets(st.integers(0, COUNT - 1), max_size=8),
    unstorable=st.sets(st.integers(0, COUNT - 1), max_size=6),
    failing_later=st.sets(st.integers(0, COUNT - 1), max_size=8),
    unstorable_later=st.sets(st.integers(0, COUNT - 1), max_size=6),
    chunk_bytes=st.sampled_from([1, 60, 400, 10**6]),
    close_elements=st.sampled_from([1, 3, 10, 1000]),
    most_ranges=st.sampled_from([1, 2, 1000]),
    size=st.sampled_from([0, 5, 100]),
    two=st.booleans(),
)
def test_every_element_is_recorded_once_and_as_it_ended(
    failing: set[int],
    unstorable: set[int],
    failing_later: set[int],
    unstorable_later: set[int],
    chunk_bytes: int,
    close_elements: int,
    most_ranges: int,
    size: int,
    two: bool,
) -> None:
    def result(value: Any) -> Any:
        return (value, value) if two else value

    def first(x: int) -> Any:
        if x in failing:
            raise ValueError
        return result([threading.Lock()] if x in unstorable else [x, "v" * size])

    def second(y: list[Any]) -> Any:
        x = y[0]
        if x in failing_later:
            raise KeyError
        return result([threading.Lock()] if x in unstorable_later else [x, y])

    y = "x[i] -> y[i], y2[i]" if two else "x[i] -> y[i]"
    z = "y[i] -> z[i], z2[i]" if two else "y[i] -> z[i]"
    pipeline = Pipeline(
        "p", [block(first, mapspec=y, on_error="continue"), block(second, mapspec=z, on_error="continue")]
    )
    ys: list[Any] = [
        "failed ValueError" if x in failing else "failed NotStorable" if x in unstorable else [x, "v" * size]
        for x in range(COUNT)
    ]
    zs: list[Any] = [
        f"upstream_{value}"
        if isinstance(value, str)
        else "failed KeyError"
        if x in failing_later
        else "failed NotStorable"
        if x in unstorable_later
        else [x, value]
        for x, value in enumerate(ys)
    ]
    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory() as place:
        patch.setattr(encode, "CHUNK_BYTES", chunk_bytes)
        patch.setattr(encode, "_RANGES", most_ranges)
        patch.setattr(collect, "CLOSE_ELEMENTS", close_elements)
        patch.setattr(collect, "BATCH", close_elements)
        folder = Path(place, "run")
        pipeline.run({"x": list(range(COUNT))}, run_folder=folder, raise_on_error=False, show_progress=False)
        run = runstone.open(folder)
        for name, expected in (("y", ys), ("y2", ys), ("z", zs), ("z2", zs)):
            if name in run.outputs and (name[0] == "y" or (folder / "outputs/second.0001.pack").exists()):
                assert what_is_there(run.outputs[name]) == expected, name
        for name in ("first", "second"):
            if (folder / f"outputs/{name}.0001.pack").exists():
                recorded = [number for chunk in chunks(folder, name) for number in numbers(chunk.elements)]
                assert sorted(recorded) == list(range(COUNT)), "an element is in two frames, or in none"
        (folder / "status.json").unlink()
        status = observe.status(str(folder))
        bad = sum(isinstance(value, str) for value in ys)
        assert status["progress"]["failed"] == bad + sum(str(value).startswith("failed") for value in zs)
        assert status["warnings"] == []


def test_a_value_that_cannot_be_stored_in_a_later_batch_costs_only_itself(tmp_path: Path) -> None:
    """As it was found: the batch is cut by what the cells of the one before took, and the first cuts are recorded."""

    def give(x: int) -> dict[str, Any]:
        if x == 1500:
            time.sleep(collect.CLOSE_SECONDS + 0.3)
        return {"x": threading.Lock() if x == 2750 else x, "filling": "v" * 1000}

    run = Pipeline("p", [block(give, mapspec="x[i] -> y[i]", on_error="continue")]).run(
        {"x": list(range(3000))}, run_folder=tmp_path / "run", show_progress=False
    )
    assert run.status == "degraded"
    assert [error.element for error in run.errors] == [2750]
    assert [one["x"] for one in run.outputs["y"] if not isinstance(one, Failed)] == [
        x for x in range(3000) if x != 2750
    ]
    assert len(chunks(tmp_path / "run", "give")) > 2


def test_a_chunk_is_closed_half_a_second_after_its_first_result_also_while_an_element_works(tmp_path: Path) -> None:
    seen: list[Any] = []

    def slow(x: int) -> int:
        if x == 3:
            deadline = time.monotonic() + 30
            while not seen and time.monotonic() < deadline:
                time.sleep(0.02)
                done = observe.status(str(tmp_path / "run"))["progress"]["done"]
                if done:
                    seen.append(done)
        return x

    started = time.monotonic()
    Pipeline("p", [block(slow, mapspec="x[i] -> y[i]")]).run(
        {"x": [0, 1, 2, 3]}, run_folder=tmp_path / "run", show_progress=False
    )
    assert seen == [3]
    assert time.monotonic() - started < 10


def test_every_other_element_failing_upstream_takes_time_in_proportion(tmp_path: Path) -> None:
    """Many ranges, which must be cut, counted and found again without going through all of them each time."""

    def odd(x: int) -> int:
        if x % 2:
            raise ValueError
        return x

    def same(y: int) -> int:
        return y

    pipeline = Pipeline(
        "p", [block(odd, mapspec="x[i] -> y[i]", on_error="continue"), block(same, mapspec="y[i] -> z[i]")]
    )
    used = []
    for count in (20_000, 100_000):
        start = time.process_time()
        run = pipeline.run({"x": range(count)}, run_folder=tmp_path / str(count), show_progress=False)
        used.append(time.process_time() - start)
        assert run.status_object()["progress"]["done"] == 2 * count
    assert used[1] < 12 * used[0], "five times as many took far more than five times as long"

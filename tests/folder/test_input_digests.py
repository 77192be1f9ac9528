"""Digests of parameters: equal for equal values, before a run and after it, and never by opening a pickle."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from runstone import Pipeline, block
from runstone.core.records import ParamInfo
from runstone.folder import input_digests, inputs
from runstone.folder.look import Look
from runstone.folder.read import read_info


@block
def take(value: Any) -> int:
    return 1


class Custom:
    """Pickled, wherever it is kept."""

    def __init__(self, number: int) -> None:
        self.number = number

    def __reduce__(self) -> Any:
        return Custom, (self.number,)


def new(value: Any) -> str | None:
    return input_digests.of_new(*inputs.describe({"value": value}, {}))["value"]


def stored(folder: Path, value: Any) -> str | None:
    Pipeline("digests", [take]).run({"value": value}, run_folder=folder, show_progress=False)
    with Look(str(folder)) as look:
        return input_digests.of_run(look, read_info(look).params)["value"]


VALUES: list[Any] = [
    None, True, 1, 1.0, -0.0, 0.1 + 0.2, 1e300, math.inf, 2**62, 2**80, "text", "ü\ud800", b"bytes", [1, [2, "x"]],
    (1, 2), {"a": 1, "b": [2]}, {"$npy": 1}, "x" * 10_000, list(range(5_000)), b"\0" * 10_000, [0.5] * 3_000,
    Custom(3), [Custom(3)] * 2_000, {1, 2},
]  # fmt: skip


@pytest.mark.parametrize("number", range(len(VALUES)))
def test_before_and_after_a_run_the_digest_is_the_same(tmp_path: Path, number: int) -> None:
    value = VALUES[number]
    assert new(value) == stored(tmp_path / "run", value) is not None


def test_different_values_have_different_digests() -> None:
    found = [
        new(value) for value in (*VALUES, 2, 1.5, "1", b"1", [1], (1,), {"a": 1}, {"b": 1}, Custom(4), "x" * 10_001)
    ]
    assert len(set(found)) == len(found)


def test_arrays_and_tables_are_told_apart_by_what_they_hold(tmp_path: Path) -> None:
    np = pytest.importorskip("numpy")
    for size in (3, 10_000):
        assert new(np.arange(size)) == stored(tmp_path / f"run{size}", np.arange(size))
        assert len({new(np.arange(size)), new(np.arange(size) + 1), new(np.arange(size, dtype=float))}) == 3


def test_a_damaged_or_missing_parameter_has_no_digest(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    assert stored(folder, "x" * 10_000) is not None
    pack = folder / "inputs" / "inputs.pack"
    data = bytearray(pack.read_bytes())
    data[-1] ^= 1
    pack.write_bytes(data)
    with Look(str(folder)) as look:
        infos = read_info(look).params
        assert input_digests.of_run(look, infos) == {"value": None}
        pack.unlink()
        assert input_digests.of_run(look, infos) == {"value": None}
        assert input_digests.of_run(look, {"other": ParamInfo(type="int", value=1)})["other"] is not None

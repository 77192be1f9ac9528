"""The fingerprint of what tracked code is given: the same for the same, in every process, or none."""

from __future__ import annotations

import collections
import datetime
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from runstone import Pipeline, block, record_run, track
from runstone.engine.track import fingerprint
from runstone.ledger.opening import open_ledger
from runstone.ledger.place import Place
from runstone.ledger.sync import sync
from tests.harness.tracked import ROOT, by_stage

SHA = "0123456789abcdef" * 4


class Page:
    def __init__(self, text: str) -> None:
        self.text = text


UNKNOWN = object()


class Vague:
    """What it does follows from something of which nothing can be said."""

    def read(self) -> object:
        return UNKNOWN


class Unwilling:
    """Whatever is done with it raises; that it is pickled is told."""

    def __getattribute__(self, name: str) -> Any:
        raise RuntimeError(name)

    def __repr__(self) -> str:
        raise RuntimeError

    def __len__(self) -> int:
        raise RuntimeError


class Pickled:
    """Runs code when it is pickled."""

    count = 0

    def __reduce__(self) -> Any:
        Pickled.count += 1
        return Pickled, ()


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / ".runstone").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RUNSTONE_LEDGER", "none")
    return tmp_path


def values() -> dict[str, Any]:
    """Each other than all others."""
    return {
        "none": {},
        "int": {"a": 1},
        "float": {"a": 1.0},
        "bool": {"a": True},
        "text": {"a": "1"},
        "name": {"b": 1},
        "two": {"a": 1, "b": 2},
        "alone": 1,
        "list": [1, 2],
        "tuple": (1, 2),
        "set": {"a", "b", "c"},
        "rows": [{"id": number, "when": datetime.date(2026, 1, 1)} for number in range(3)],
        "many": list(range(10_000)),
        "array": np.arange(5),
        "arrays": [np.arange(5), np.arange(6)],
        "wide": np.arange(5, dtype="int32"),
        "page": Page("a"),
        "other page": Page("b"),
        "path": Path("a"),
        "by number": {1: "a"},
        "without a name": {"": 1, "a": 1},
    }


def test_the_same_has_the_same_fingerprint_in_every_process_and_nothing_else_has(tmp_path: Path) -> None:
    here = {name: fingerprint.of(value) for name, value in values().items()}
    assert all(found is not None and len(found) == 64 for found in here.values()), here
    assert len(set(here.values())) == len(here)
    code = (
        "from tests.engine.test_track_fingerprint import values; from runstone.engine.track import fingerprint\n"
        "print({name: fingerprint.of(value) for name, value in values().items()})"
    )
    for seed in ("1", "2"):
        environment = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}"}
        said = subprocess.run(
            [sys.executable, "-c", code], env=environment, cwd=tmp_path, capture_output=True, text=True, check=True
        )
        assert said.stdout.strip() == str(here)


def test_names_may_come_in_any_order() -> None:
    assert fingerprint.of({"a": 1, "b": [2]}) == fingerprint.of({"b": [2], "a": 1})


@pytest.mark.parametrize(
    "make",
    [
        object,
        lambda: [object()],
        lambda: {"a": object()},
        lambda: iter([1]),
        Unwilling,
        lambda: [Unwilling()],
        Vague,
        lambda: np.array([object()]),
    ],
    ids=["object", "list", "dict", "iterator", "unwilling", "list of them", "vague", "array of objects"],
)
def test_what_is_not_sure_to_be_the_same_elsewhere_has_none(make: Callable[[], Any]) -> None:
    assert fingerprint.of(make()) is None


def test_nothing_is_pickled_for_it() -> None:
    before = Pickled.count
    for value in (Pickled(), [Pickled()], np.array([Pickled()]), pd.DataFrame({"a": [Pickled()]})):
        fingerprint.of(value)
    assert Pickled.count == before


def test_the_code_of_a_class_counts() -> None:
    def made(answer: int) -> Any:
        names: dict[str, Any] = {"__name__": "pages", "__qualname__": "pages"}
        source = f"class Page:\n    def read(self):\n        return {answer}\n"
        exec(compile(source, str(Path(__file__).with_name("pages.py")), "exec"), names)
        return names["Page"]()

    assert fingerprint.of(made(1)) == fingerprint.of(made(1))
    assert fingerprint.of(made(1)) != fingerprint.of(made(2))


def test_what_is_huge_is_left_in_bounded_time() -> None:
    endless: list[Any] = []
    endless.append(endless)
    deep: Any = []
    for _ in range(100_000):
        deep = [deep]
    begun = time.monotonic()
    for value in (endless, deep, "x" * 50_000_000, list(range(10_000_000)), [["x" * 1000] * 1000] * 1000):
        assert fingerprint.of(value) is None
    assert time.monotonic() - begun < 5
    while deep:
        # so that nothing nested as deep is let go of at once
        deep = deep[0]
    endless.clear()


@pytest.mark.parametrize(
    "make",
    [
        lambda: bytearray(300_000_000),
        lambda: collections.deque([0]) * 10_000_000,
        lambda: collections.OrderedDict.fromkeys(range(5_000_000)),
        lambda: pd.DataFrame({"a": ["x"] * 2_000_000}, dtype=object),
    ],
    ids=["bytearray", "deque", "ordered dict", "table of objects"],
)
def test_a_huge_argument_is_neither_copied_nor_gone_through_at_each_call(make: Callable[[], Any]) -> None:
    value = make()
    begun = time.process_time()
    for _ in range(10):
        assert fingerprint.of({"value": value}, fingerprint.CALL_LIMIT) is None
    assert time.process_time() - begun < 0.5


def test_a_pipeline_with_these_parameters_has_the_same(project: Path) -> None:
    @block
    def read(rows: Any, limit: int, table: Any) -> int:
        return limit

    params = {"rows": list(range(5_000)), "limit": 3, "table": np.ones((3, 4))}
    Pipeline("reading", [read]).run(params)
    store = open_ledger(Place("sqlite", str(project / "ledger.db")))
    assert sync(store).taken == 1
    [(said,)] = store.rows("SELECT input_fingerprint FROM pipeline_run")
    store.close()
    assert said == fingerprint.of(params)


def test_what_is_said_of_the_input_decides(project: Path) -> None:
    rows = [{"a": 1}]
    with track("inputs", inputs=rows, params={"model": "x"}):
        pass
    with track("params", params={"model": "x"}):
        pass
    with track("explicit", inputs=rows, input_fingerprint=SHA):
        pass
    with track("none"):
        pass
    with track("odd", inputs=object()):
        pass
    record_run(stage="by hand", inputs=rows)
    found = {stage: state.input_fingerprint for stage, state in by_stage(project).items()}
    assert found == {
        "inputs": fingerprint.of(rows),
        "params": fingerprint.of({"model": "x"}),
        "explicit": SHA,
        "none": None,
        "odd": None,
        "by hand": fingerprint.of(rows),
    }


def test_the_input_of_a_window_is_its_item(project: Path) -> None:
    for w in track.windows([["a"], ["b"]]):
        with w:
            pass
    found = {stage: state.input_fingerprint for stage, state in by_stage(project).items()}
    assert found == {"window_0": fingerprint.of(["a"]), "window_1": fingerprint.of(["b"])}


def test_the_input_of_a_function_is_its_arguments_by_their_names(project: Path) -> None:
    def scaled(rows: list[int], by: int = 2) -> list[int]:
        return [row * by for row in rows]

    assert track("position")(scaled)([1]) == [2]
    assert track("name")(scaled)(by=2, rows=[1]) == [2]
    assert track("other")(scaled)([2]) == [4]
    assert track("said", inputs=7)(scaled)([2]) == [4]
    assert len(track("much")(scaled)([1] * 100_000)) == 100_000
    with pytest.raises(TypeError, match="too_many"):
        track("wrong")(scaled)([1], 2, too_many=3)  # type: ignore[call-arg]
    found = {stage: state.input_fingerprint for stage, state in by_stage(project).items()}
    assert found["position"] == found["name"] == fingerprint.of({"rows": [1], "by": 2})
    assert found["other"] == fingerprint.of({"rows": [2], "by": 2})
    assert found["said"] == fingerprint.of(7)
    assert (found["much"], found["wrong"]) == (None, None)

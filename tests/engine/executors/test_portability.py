"""Functions and values travel to other processes, wherever they were written; what cannot, is named."""

from __future__ import annotations

import json
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from runstone import NotPortable, Pipeline, RunFailed, block
from tests.engine.executors.conftest import way_called
from tests.engine.executors.ways import OTHER_PROCESSES, Way
from tests.scripts import python, runstone, write


@pytest.fixture(params=OTHER_PROCESSES)
def way(request: pytest.FixtureRequest) -> Way:
    return way_called(request.param)


def test_closures_lambdas_and_partials_travel(way: Way, tmp_path: Path) -> None:
    import functools

    factor = 7

    def make(offset: int) -> Any:
        def inner(x: int) -> int:
            return x * factor + offset

        return inner

    def power(x: int, exponent: int) -> int:
        return int(x**exponent)

    blocks = [
        block(make(3), output="a", mapspec="x[i] -> a[i]"),
        block(lambda x: x + factor, name="plus", output="b", mapspec="x[i] -> b[i]"),
        block(functools.partial(power, exponent=2), name="square", output="c", mapspec="x[i] -> c[i]"),
        block(make(0), name="one", output="e", renames={"x": "y"}),
    ]
    found = way.run(Pipeline("p", blocks), {"x": [1, 2], "y": 5})
    assert found.status == "completed", found.error
    assert [list(found.outputs[name]) for name in "abc"] == [[10, 17], [8, 9], [1, 4]]
    assert found.outputs["e"] == 35


def test_an_object_that_is_called_travels(way: Way) -> None:
    class Minus:
        def __init__(self, by: int) -> None:
            self.by = by

        def __call__(self, x: int) -> int:
            return x - self.by

    found = way.run(Pipeline("p", [block(Minus(1), name="less", output="d", mapspec="x[i] -> d[i]")]), {"x": [1, 2]})
    assert (found.status, found.error) == ("completed", None)


@pytest.mark.parametrize("mapped", [True, False])
def test_a_closure_that_cannot_travel_is_one_clear_error(mapped: bool, way: Way, tmp_path: Path) -> None:
    lock = threading.Lock()

    def locked(x: int) -> int:
        with lock:
            return x

    made = block(locked, output="y", mapspec="x[i] -> y[i]" if mapped else None)
    found = way.run(Pipeline("p", [made]), {"x": [1] if mapped else 1}, run_folder=tmp_path / "run")
    assert (found.status, found.blocks) == ("failed", {"locked": "failed"})
    (error,) = found.errors
    assert (error.type, error.reason) == ("NotPortable", "not_portable")
    assert error.message.startswith("the function of block 'locked' cannot be sent to another process: ")
    assert error.message.endswith("use executor='inline' or 'threads'")
    assert "lock" in error.message
    assert "\n" not in error.message
    with pytest.raises(RunFailed) as caught:
        Pipeline("p", [made]).run({"x": [1] if mapped else 1}, executor=way.executor, run_folder=None)
    assert isinstance(caught.value.__cause__, NotPortable)


def test_a_parameter_that_cannot_travel_is_named(way: Way) -> None:
    made = block(lambda x, key: x, name="b", output="y", mapspec="x[i] -> y[i]")
    found = way.run(Pipeline("p", [made]), {"x": [1], "key": threading.Lock()}, run_folder=None)
    (error,) = found.errors
    assert (error.type, error.reason) == ("NotPortable", "not_portable")
    assert "parameter 'key' of block 'b' cannot be sent to another process" in error.message


def test_what_does_not_unpickle_there_is_told(way: Way) -> None:
    class Refuses:
        def __reduce__(self) -> Any:
            return _explode, ()

    made = block(lambda x, key: x, name="b", output="y", mapspec="x[i] -> y[i]")
    found = way.run(Pipeline("p", [made]), {"x": [1], "key": Refuses()}, run_folder=None)
    assert (found.status, found.blocks) == ("failed", {"b": "failed"})
    (error,) = found.errors
    assert error.reason == "not_portable"
    assert "does not like it here" in error.message


def _explode() -> None:
    raise FileNotFoundError("it does not like it here")


def test_a_module_that_only_the_driver_has_is_told(way: Way) -> None:
    """Made by hand, so nobody else can import it."""
    import types

    module = types.ModuleType("handmade_module")
    exec("def triple(x):\n    return 3 * x\n", vars(module))
    sys.modules["handmade_module"] = module
    try:
        made = block(module.triple, output="y", mapspec="x[i] -> y[i]")
        found = way.run(Pipeline("p", [made]), {"x": [1, 2]}, run_folder=None)
    finally:
        del sys.modules["handmade_module"]
    if found.status == "completed":
        assert list(found.outputs["y"]) == [3, 6]
        return
    (error,) = found.errors
    assert error.reason == "not_portable"
    assert "handmade_module" in error.message


def test_a_module_found_on_the_path_of_the_driver_is_found_by_workers(way: Way, tmp_path: Path) -> None:
    write(tmp_path / "place" / "on_my_path.py", "def triple(x):\n    return 3 * x\n")
    sys.path.insert(0, str(tmp_path / "place"))
    try:
        import on_my_path  # type: ignore[import-not-found]  # written by this test

        found = way.run(Pipeline("p", [block(on_my_path.triple, output="y", mapspec="x[i] -> y[i]")]), {"x": [1, 2]})
    finally:
        sys.path.remove(str(tmp_path / "place"))
        sys.modules.pop("on_my_path", None)
    assert (found.status, found.error) == ("completed", None)


def test_what_a_block_does_to_its_globals_stays_in_its_process() -> None:
    seen: list[int] = []

    def appends(x: int) -> int:
        seen.append(x)
        return len(seen)

    found = way_called("processes").run(
        Pipeline("p", [block(appends, output="y", mapspec="x[i] -> y[i]")]), {"x": [1, 2]}
    )
    assert found.status == "completed"
    assert seen == []


MAIN = """
    import os, sys
    with open("imported", "a") as file:
        file.write(f"{os.getpid()}\\n")
    from runstone import Pipeline, block

    FACTOR = 3

    class Point:
        def __init__(self, x):
            self.x = x

    def helper(x):
        return Point(x * FACTOR)

    @block(output="y", mapspec="x[i] -> y[i]")
    def triple(x):
        return helper(x).x

    @block(output="p", mapspec="x[i] -> p[i]")
    def points(x):
        return Point(x)

    @block
    def total(y, p):
        assert all(isinstance(one, Point) for one in p)
        return sum(y), sum(one.x for one in p)

    pipeline = Pipeline("p", [triple, points, total], executor="processes")
"""


def test_a_script_is_never_imported_again(tmp_path: Path) -> None:
    write(
        tmp_path / "script.py",
        MAIN + '    found = pipeline.run({"x": [1, 2, 3]}, show_progress=False)\n    print(found.outputs["total"])\n',
    )
    done = python("script.py", cwd=tmp_path)
    assert (done.stdout, done.stderr) == ("(18, 6)\n", "")
    assert len((tmp_path / "imported").read_text().splitlines()) == 1


def test_a_file_that_the_command_loads_is_not_imported_again_either(tmp_path: Path) -> None:
    write(tmp_path / "file.py", MAIN)
    done = runstone("run", "file.py", "-p", "x=[1,2,3]", "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    imported = (tmp_path / "imported").read_text().splitlines()
    assert len(imported) == len(set(imported))
    assert json.loads(done.stdout)["status"] == "completed"


def test_functions_of_a_notebook_travel(tmp_path: Path) -> None:
    write(
        tmp_path / "cells.py",
        """
        import sys, types
        main = sys.modules["__main__"]
        cells = [
            "from runstone import Pipeline, block",
            "n = 5",
            "def helper(x):\\n    return x + n",
            "@block(output='y', mapspec='x[i] -> y[i]')\\ndef plus(x):\\n    return helper(x)",
            "run = Pipeline('p', [plus]).run({'x': [1, 2]}, executor='processes', run_folder=None)",
            "print(list(run.outputs['y']))",
            "n = 10",
            "run = Pipeline('p', [plus]).run({'x': [1, 2]}, executor='processes', run_folder=None)",
            "print(list(run.outputs['y']))",
        ]
        for number, cell in enumerate(cells):
            exec(compile(cell, f"<cell {number}>", "exec"), vars(main))
        """,
    )
    done = python("cells.py", cwd=tmp_path)
    assert (done.stdout, done.stderr) == ("[6, 7]\n[11, 12]\n", "")


def test_workers_see_the_directory_and_the_environment_of_each_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import os

    def where(x: int) -> tuple[str, str | None]:
        return os.getcwd(), os.environ.get("RUNSTONE_TEST_WHERE")

    pipeline = Pipeline("p", [block(where, output="y", mapspec="x[i] -> y[i]")])
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        monkeypatch.chdir(tmp_path / name)
        monkeypatch.setenv("RUNSTONE_TEST_WHERE", name)
        found = way_called("processes").run(pipeline, {"x": [1, 2]}, run_folder=None)
        assert list(found.outputs["y"]) == [(str(tmp_path / name), name)] * 2

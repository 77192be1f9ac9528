"""Errors are kept with what it takes to call the function again, here and in another process."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import runstone
from runstone import Failed, Pipeline, RunError, block
from tests import scripts


def failed_run(blocks: list[Any], params: dict[str, Any] | None = None, **settings: Any) -> Any:
    run = Pipeline("p", blocks).run(params or {}, raise_on_error=False, show_progress=False, **settings)
    assert run.errors
    return run


def again(run: Any, number: int = 0) -> str:
    """What the error's function raises when it is called again."""
    with pytest.raises(Exception) as caught:  # noqa: PT011
        run.errors[number].reproduce()
    return f"{type(caught.value).__name__}: {caught.value}"


FOLDERS = pytest.mark.parametrize("kept", [True, False], ids=["kept", "not kept"])


def settings_for(kept: bool) -> dict[str, Any]:
    return {} if kept else {"run_folder": None}


@FOLDERS
def test_a_block_is_called_again_with_its_arguments(kept: bool) -> None:
    @block(renames={"a": "first"})
    def f(a: int, /, b: list[int], *, c: str = "c") -> None:
        raise ValueError(repr((a, b, c)))

    run = failed_run([f], {"first": 1, "b": [2, 3] * 3000}, **settings_for(kept))
    assert again(run) == f"ValueError: {(1, [2, 3] * 3000, 'c')!r}"


@FOLDERS
def test_an_element_is_called_again_with_its_own_arguments(kept: bool) -> None:
    @block(mapspec="x[i], y[j] -> z[i, j]", on_error="continue")
    def f(x: int, y: int, k: int) -> int:
        if (x, y) in ((1, 20), (2, 10)):
            raise ValueError(f"{x}, {y}, {k}")
        return x

    run = failed_run([f], {"x": [1, 2], "y": [10, 20], "k": 7}, **settings_for(kept))
    assert [error.index for error in run.errors] == [(0, 1), (1, 0)]
    assert [again(run, number) for number in (0, 1)] == ["ValueError: 1, 20, 7", "ValueError: 2, 10, 7"]


@FOLDERS
def test_what_came_from_other_blocks_is_loaded(kept: bool) -> None:
    @block
    def numbers() -> list[int]:
        return [1, 2, 3]

    @block(mapspec="numbers[i] -> doubled[i]", on_error="continue")
    def double(numbers: int) -> int:
        if numbers == 2:
            raise KeyError(numbers)
        return 2 * numbers

    @block(missing="keep")
    def total(doubled: list[Any], numbers: list[int]) -> int:
        raise ValueError([type(one).__name__ for one in doubled])

    run = failed_run([numbers, double, total], **settings_for(kept))
    assert again(run, 0) == "KeyError: 2"
    assert again(run, 1) == "ValueError: ['int', 'Failed', 'int']"


@FOLDERS
def test_slices_arrays_and_extra_parameters_come_as_they_did(kept: bool) -> None:
    @block(mapspec="x[i, :] -> y[i]")
    def rows(x: np.ndarray, **more: Any) -> int:  # type: ignore[type-arg]
        raise ValueError(f"{type(x).__name__} {x.tolist()} {more}")

    run = failed_run([rows], {"x": np.arange(6).reshape(2, 3), "extra": 5}, **settings_for(kept))
    assert again(run) == "ValueError: ndarray [0, 1, 2] {'extra': 5}"


@FOLDERS
def test_a_function_that_works_by_now_gives_its_result(kept: bool) -> None:
    broken = [True]

    @block
    def f(x: int) -> int:
        if broken:
            raise ValueError("broken")
        return x + 1

    run = failed_run([f], {"x": 1}, **settings_for(kept))
    broken.clear()
    assert run.errors[0].reproduce() == 2


def test_an_element_that_was_never_called_has_no_error_of_its_own() -> None:
    @block(mapspec="x[i] -> y[i]", on_error="continue")
    def f(x: int) -> int:
        if x == 1:
            raise ValueError("one")
        return x

    @block(mapspec="y[i] -> z[i]")
    def g(y: int) -> int:
        return y

    run = failed_run([f, g], {"x": [0, 1, 2]})
    assert [(error.block, error.element) for error in run.errors] == [("f", 1)]
    mark = run.outputs["z"][1]
    assert isinstance(mark, Failed)
    assert (
        mark.explain()
        == "element 1 of block 'g' was not called, because element 1 of block 'f' failed with ValueError: one"
    )


SCRIPT = """
from runstone import Pipeline, block
from helper import half

@block(mapspec="x[i] -> y[i]", on_error="continue")
def each(x: int) -> float:
    return half(x, 0 if x == 3 else 2)

@block
def total(z: dict) -> int:
    return sum(z.values())

pipeline = Pipeline("odd", [each, total])

if __name__ == "__main__":
    run = pipeline.run({"x": [1, 2, 3], "z": {"a": 1, "b": "two"}}, run_folder="run", raise_on_error=False)
    for error in run.errors:
        try:
            error.reproduce()
        except Exception as again:
            print(type(again).__name__, again)
"""

HELPER = """
def half(x, by):
    return x / by
"""

LOOK = """
import runstone
run = runstone.open("./run")
assert run.errors, run.status
for error in run.errors:
    try:
        error.reproduce()
    except Exception as again:
        print(type(again).__name__, again)
"""

EXPECTED = "ZeroDivisionError division by zero\nTypeError unsupported operand type(s) for +: 'int' and 'str'\n"


@pytest.mark.parametrize("how", ["script", "-m", "command"])
def test_a_new_process_finds_the_function_again(tmp_path: Path, how: str) -> None:
    scripts.write(tmp_path / "odd.py", SCRIPT)
    scripts.write(tmp_path / "helper.py", HELPER)
    if how == "command":
        params = ("-p", "x=[1,2,3]", "-p", 'z={"a": 1, "b": "two"}')
        ran = scripts.runstone("run", "odd.py", *params, "--run-folder", "run", cwd=tmp_path)
        assert ran.returncode == 1, ran.stderr
    else:
        arguments = ["odd.py"] if how == "script" else ["-m", "odd"]
        ran = scripts.python(*arguments, cwd=tmp_path, PYTHONPATH=str(tmp_path))
        assert (ran.stdout, ran.stderr) == (EXPECTED, "")
    for where in (tmp_path, tmp_path / "elsewhere"):
        where.mkdir(exist_ok=True)
        look = scripts.write(where / "look.py", LOOK.replace("./run", str(tmp_path / "run")))
        found = scripts.python(str(look), cwd=where)
        assert (found.stdout, found.stderr) == (EXPECTED, ""), how


@pytest.mark.parametrize("how", ["-c", "stdin"])
def test_a_function_that_has_no_file_is_reproduced_where_it_ran_only(tmp_path: Path, how: str) -> None:
    code = SCRIPT.replace("from helper import half", HELPER)
    ran = scripts.python("-c", code, cwd=tmp_path) if how == "-c" else scripts.python("-", cwd=tmp_path, stdin=code)
    assert (ran.stdout, ran.stderr) == (EXPECTED, "")
    found = scripts.python("-c", LOOK, cwd=tmp_path)
    assert found.stdout.count("RunError") == 2
    assert "reproduce it in the process that ran it" in found.stdout


def test_a_function_made_inside_another_one_cannot_be_found_from_outside() -> None:
    def make() -> Any:
        def inner() -> None:
            raise ValueError("inside")

        return inner

    run = failed_run([block(make())])
    assert again(run) == "ValueError: inside"
    opened = runstone.open(str(run.run_folder))
    with pytest.raises(RunError, match="no name under which it could be found again"):
        opened.errors[0].reproduce()


def test_a_script_that_is_gone_is_named(tmp_path: Path) -> None:
    scripts.write(tmp_path / "odd.py", SCRIPT.replace("from helper import half", HELPER))
    scripts.python("odd.py", cwd=tmp_path)
    (tmp_path / "odd.py").unlink()
    opened = runstone.open(tmp_path / "run")
    with pytest.raises(RunError, match=r"cannot be found at .*odd\.py:each: FileNotFoundError"):
        opened.errors[0].reproduce()


def test_inputs_that_are_gone_are_named() -> None:
    @block
    def f(x: list[int]) -> None:
        raise ValueError("x")

    run = failed_run([f], {"x": list(range(9000))})
    Path(str(run.run_folder), "inputs/inputs.pack").unlink()
    with pytest.raises(runstone.FolderError, match=r"inputs/inputs.pack is missing, and with it the parameter 'x'"):
        run.errors[0].reproduce()


def test_importing_a_script_again_does_not_run_it_as_main(tmp_path: Path) -> None:
    code = SCRIPT.replace("from helper import half", HELPER) + "\nprint('imported as', __name__)\n"
    scripts.write(tmp_path / "odd.py", code)
    scripts.python("odd.py", cwd=tmp_path)
    found = scripts.python("-c", LOOK, cwd=tmp_path)
    assert found.stdout == "imported as odd\n" + EXPECTED


def test_errors_tell_what_happened() -> None:
    @block(mapspec="x[i] -> y[i]", on_error="continue")
    def f(x: dict[str, int]) -> None:
        raise ValueError("no")

    (error,) = failed_run([f], {"x": [{"a": 1}]}).errors
    assert (error.type, error.message, error.block, error.element, error.index) == ("ValueError", "no", "f", 0, (0,))
    assert (error.attempt, error.reason) == (1, "exception")
    assert error.params["x"]["type"].startswith("dict")
    assert repr(error) == "<f[0]: ValueError: no>"
    assert error.occurred_at.endswith("Z")


def test_of_thousands_of_errors_the_first_thousand_are_kept_and_all_counted() -> None:
    @block(mapspec="x[i] -> y[i]", on_error="continue")
    def f(x: int) -> int:
        if x:
            raise ValueError(str(x))
        return x

    run = Pipeline("p", [f]).run({"x": list(range(2500))})
    assert run.status == "degraded"
    assert len(run.errors) == 1000
    status = run.status_object()
    assert status["progress"]["failed"] == 2499
    assert len(status["errors"]) == 50
    assert run.outputs["y"][2400].message == "2400"


def test_raising_in_main_chains_to_the_original(tmp_path: Path) -> None:
    code = SCRIPT.replace("from helper import half", HELPER).replace(", raise_on_error=False", "")
    scripts.write(tmp_path / "odd.py", code)
    ran = scripts.python("odd.py", cwd=tmp_path)
    assert ran.returncode == 1
    assert "TypeError: unsupported operand" in ran.stderr
    assert "The above exception was the direct cause" in ran.stderr
    assert "runstone.errors.RunFailed: run " in ran.stderr
    assert sys.executable


def test_a_condition_that_raised_is_not_taken_for_its_block() -> None:
    called = []

    def guard(x: int) -> bool:
        raise ValueError("guard")

    @block(when=guard)
    def guarded(x: int) -> int:
        called.append(x)
        return x

    run = failed_run([guarded], {"x": 1})
    assert run.errors[0].reason == "condition_error"
    assert again(run) == (
        "RunError: it was the condition of block 'guarded' that raised; its function was not called, and is not now"
    )
    assert called == []


@FOLDERS
@pytest.mark.parametrize(("missing", "taken"), [("drop", [0, 2]), ("keep", [0, "Failed", 2])])
def test_failed_elements_are_left_out_or_kept_as_they_were(kept: bool, missing: str, taken: list[Any]) -> None:
    @block(mapspec="x[i] -> y[i]", on_error="continue")
    def f(x: int) -> int:
        if x == 1:
            raise ValueError("one")
        return x

    @block(missing=missing)
    def g(y: list[Any]) -> None:
        raise KeyError([type(one).__name__ if isinstance(one, Failed) else one for one in y])

    run = failed_run([f, g], {"x": [0, 1, 2]}, **settings_for(kept))
    assert again(run, 1) == f"KeyError: {taken}"
    if kept:
        opened = runstone.open(str(run.run_folder))
        assert again(run, 1) == f"KeyError: {taken}"
        assert [type(one).__name__ for one in opened.outputs["y"]] == ["int", "Failed", "int"]

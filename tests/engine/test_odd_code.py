"""User code may raise, return and be anything: the run ends, says why, and the record stays readable."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

import runstone
from runstone import Failed, InputError, Pipeline, Run, RunFailed, SettingError, artifact, block
from runstone.core.events import EVENT_LIMIT


def run_one(function: Any, params: dict[str, Any] | None = None, **settings: Any) -> Run:
    made = function if isinstance(function, runstone.Block) else block(function, name="f", **settings)
    return Pipeline("odd", [made]).run(params or {}, raise_on_error=False, show_progress=False)


def reopened(run: Run) -> Run:
    """The same from its folder, as another process would see it."""
    assert run.run_folder is not None
    found = runstone.open(run.run_folder)
    assert found.status == run.status
    assert all(len(line) < EVENT_LIMIT for line in Path(run.run_folder, "journal/0001.jsonl").read_bytes().splitlines())
    return found


# Exceptions


class NoText(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text")

    __repr__ = __str__


class NoCause(Exception):
    @property
    def __cause__(self) -> Any:
        raise RuntimeError("no cause")


class Leaving(BaseException):
    pass


def chained() -> Exception:
    try:
        raise ValueError("first")
    except ValueError as error:
        second = KeyError("second")
        second.__cause__ = error
        return second


ODD_ERRORS = [
    NoText(), NoCause(), Leaving("bye"), SystemExit(3), SystemExit(), GeneratorExit(), MemoryError(), StopIteration(7),
    RecursionError(), ExceptionGroup("several", [ValueError(1), TypeError(2)]), BaseExceptionGroup("g", [Leaving()]),
    SyntaxError("odd", ("file.py", 3, 1, "x = = 2", 3, 6)), UnicodeDecodeError("utf-8", b"\xff", 0, 1, "no"), chained(),
    OSError(2, "absent", "file"), ValueError(object()), ValueError(), KeyError("\ud800"),
    AssertionError("a\nb\0c\x1b[31m"),
]  # fmt: skip


@pytest.mark.parametrize("error", ODD_ERRORS, ids=lambda error: type(error).__name__)
def test_whatever_is_raised_is_recorded_and_ends_the_run(error: BaseException) -> None:
    def alone() -> None:
        raise error

    def one_of(x: int) -> int:
        if x == 1:
            raise error
        return x

    def condition() -> bool:
        raise error

    def never() -> None: ...

    for run, status in (
        (run_one(alone), "failed"),
        (run_one(one_of, {"x": [0, 1, 2]}, mapspec="x[i] -> y[i]", on_error="continue"), "degraded"),
        (run_one(never, when=condition), "failed"),
    ):
        assert run.status == status
        found = reopened(run)
        (recorded,) = found.errors
        assert recorded.type.rpartition(".")[2] == type(error).__qualname__
        assert recorded.traceback
        assert found.error
        assert "\ud800" not in found.explain()
        msgspec.json.encode(found.status_object())


@pytest.mark.parametrize("text", ["\0", "\u4e2d", "\U0001f600", '"\\', "\ud800", "x\n"], ids=ascii)
def test_however_long_an_error_is_its_record_fits(text: str) -> None:
    long = text * 30_000

    def fail(**parameters: Any) -> None:
        try:
            raise ValueError(long)
        except ValueError as error:
            raise KeyError(long) from error

    params = {f"p{number}": [long] for number in range(25)}
    run = run_one(fail, params)
    (error,) = reopened(run).errors
    assert "characters left out" in error.message
    assert "raise ValueError(long)" in error.traceback
    assert error.params


def test_endless_recursion_is_an_error_with_a_short_traceback() -> None:
    def endless(n: int = 0) -> int:
        return endless(n + 1)

    for run in (run_one(endless), run_one(endless, {"n": [1, 2]}, mapspec="n[i] -> y[i]", on_error="continue")):
        assert run.errors[0].type == "RecursionError"
        assert "more calls" in run.errors[0].traceback
        assert len(run.errors[0].traceback) < 10_000


def test_a_traceback_begins_at_the_users_function() -> None:
    def inner() -> None:
        raise ValueError("here")

    def outer() -> None:
        inner()

    (error,) = run_one(outer).errors
    lines = error.traceback.splitlines()
    assert lines[0] == "Traceback (most recent call last):"
    assert lines[1].endswith("in outer")
    assert lines[2].strip() == "inner()"
    assert lines[-1] == "ValueError: here"


def test_run_failed_is_chained_to_what_was_raised_and_carries_the_run() -> None:
    error = ValueError("the cause")

    def fail() -> None:
        raise error

    with pytest.raises(RunFailed) as caught:
        Pipeline("p", [block(fail)]).run()
    assert caught.value.__cause__ is error
    assert caught.value.run.status == "failed"
    assert "ValueError: the cause" in str(caught.value)
    assert "runstone show runs" in str(caught.value)


# Values


class NoReduce:
    def __reduce__(self) -> Any:
        raise RuntimeError("stays here")


class NoRepr:
    def __repr__(self) -> str:
        raise RuntimeError("no repr")


class Proxy:
    """Like a proxy that is bound to nothing."""

    @property
    def __class__(self) -> Any:
        raise RuntimeError("working outside of context")


class NoAttributes:
    def __getattr__(self, name: str) -> Any:
        raise RuntimeError(name)


class NoTruth:
    __hash__ = None  # type: ignore[assignment]

    def __bool__(self) -> bool:
        raise RuntimeError("no truth")

    def __eq__(self, other: object) -> bool:
        raise RuntimeError("no equal")


class NoLength(list):  # type: ignore[type-arg]
    def __len__(self) -> int:
        raise RuntimeError("no length")


# Made when they are used: pytest itself stumbles over some of them.
ODD_VALUES: dict[str, Callable[[], Any]] = {
    "no reduce": NoReduce, "no repr": NoRepr, "proxy": Proxy, "no attributes": NoAttributes, "no truth": NoTruth,
    "no length": lambda: NoLength([1]), "lock": threading.Lock, "generator": lambda: (n for n in range(3)),
    "none": lambda: None, "ellipsis": lambda: ..., "not implemented": lambda: NotImplemented, "large": lambda: 10**5000,
    "nan": lambda: float("nan"), "complex": lambda: 1j, "set": lambda: {1, 2}, "text": lambda: {"\ud800": "\udfff"},
    "function": lambda: print, "lambda": lambda: lambda: 1, "module": lambda: os, "class": lambda: NoRepr,
    "range": lambda: range(3), "array without axes": lambda: np.array(5), "array": lambda: np.ones((2, 2)),
    "objects": lambda: np.array([1, "a", None], dtype=object), "ragged": lambda: [[1], [1, 2]],
    "failed": lambda: Failed("b", (0,), "E", "m"),
}  # fmt: skip


@pytest.mark.parametrize("odd", ODD_VALUES)
def test_whatever_is_returned_the_run_ends_and_can_be_looked_at(odd: str) -> None:
    value = ODD_VALUES[odd]()

    def give() -> Any:
        return value

    def give_each(x: int) -> Any:
        return value

    def take(y: Any) -> int:
        return 1

    def take_array(y: np.ndarray) -> int:  # type: ignore[type-arg]
        return len(y)

    each = {"x": [1, 2]}
    for blocks, params in (
        ([block(give)], {}),
        ([block(give, output=["a", "b"])], {}),
        ([block(give_each, mapspec="x[i] -> y[i]"), block(take_array)], each),
        ([block(give_each, mapspec="x[i] -> y[i, j]"), block(take, mapspec="y[i, j] -> z[i, j]")], each),
        ([block(give, output="y"), block(take, mapspec="y[i] -> z[i]")], {}),
        ([block(give, output="y"), block(take, mapspec="y[i, j] -> z[i, j]")], {}),
        ([block(take, when=give, output="z")], {"y": 1}),
    ):
        run = Pipeline("odd", blocks).run(params, raise_on_error=False, show_progress=False)
        assert run.status in ("completed", "failed")
        found = reopened(run)
        assert (run.status == "failed") == bool(found.errors)
        for name, status in found.blocks.items():
            output = found.status_object()["outputs"]
            assert status in ("completed", "failed", "upstream_failed", "condition_failed"), name
            assert all(one["progress"] is None or 0 <= one["progress"] <= 1 for one in output.values())


@pytest.mark.parametrize("odd", ODD_VALUES)
def test_whatever_is_returned_a_run_that_keeps_nothing_ends_too(odd: str) -> None:
    value = ODD_VALUES[odd]()

    def give_each(x: int) -> Any:
        return value

    def take(y: Any) -> int:
        return 1

    pipeline = Pipeline(
        "odd",
        [block(give_each, mapspec="x[i] -> y[i, j]"), block(take, mapspec="y[i, j] -> z[i, j]", on_error="continue")],
    )
    run = pipeline.run({"x": [1, 2]}, run_folder=None, raise_on_error=False)
    assert run.status in ("completed", "failed", "degraded")


def test_a_fault_of_the_machinery_ends_the_run_as_crashed_and_is_raised() -> None:
    """Here: a value whose pickling leaves through all handlers."""

    class Exits:
        def __reduce__(self) -> Any:
            raise Leaving("out of here")

    def give() -> Any:
        return Exits()

    with pytest.raises(Leaving):
        Pipeline("odd", [block(give)]).run(run_folder="run")
    found = runstone.open("./run")
    assert (found.status, found.done, found.blocks) == ("crashed", True, {"give": "crashed"})
    assert "out of here" in found.status_object()["message"]


# Text that cannot be written


def test_text_that_is_no_unicode_is_refused_where_it_is_ours_and_escaped_where_it_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def take(**parameters: Any) -> int:
        return 1

    with pytest.raises(SettingError, match="tags"):
        Pipeline("p", [take], tags=["\ud800"])
    with pytest.raises(InputError, match="name of a parameter"):
        Pipeline("p", [take]).run({"\ud800": 1})
    take.__doc__ = "\ud800 doc"
    odd = os.fsdecode(os.fsencode(tmp_path) + b"/\xff")
    os.mkdir(odd)
    monkeypatch.chdir(odd)
    run = Pipeline("p", [take], description="\ud800").run()
    assert run.status == reopened(run).status == "completed"


# Artifacts


def saving(**about: Any) -> Run:
    def save() -> None:
        Path("file.txt").write_text("x")
        artifact("file.txt", **about)

    return run_one(save)


@pytest.mark.parametrize(
    "about",
    [
        {"metadata": {"x": object()}}, {"metadata": {"x": "y" * 100_000}}, {"metadata": {"\ud800": 1}},
        {"name": "\ud800.txt"}, {"artifact_type": "\ud800"}, {"name": "../x"}, {"name": ".hidden"}, {"name": "a\0b"},
    ],
)  # fmt: skip
def test_an_artifact_that_cannot_be_recorded_is_not_copied(about: dict[str, Any]) -> None:
    run = saving(**about)
    assert run.status == "failed"
    assert run.errors[0].type == "InputError"
    assert not Path(str(run.run_folder), "artifacts").exists()
    assert reopened(run).list_artifacts() == []

"""`block`: a function becomes part of a pipeline and stays a function."""

from __future__ import annotations

import asyncio
import functools
import inspect
import pickle
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import cloudpickle
import pytest

from runstone.blocks import Block, block
from runstone.core.graph import NO_DEFAULT
from runstone.core.settings import Missing, OnError, Retries
from runstone.errors import MapSpecError, PipelineError, SettingError


@block
def plain(x: int, y: int = 2) -> int:
    """Add."""
    return x + y


@block(mapspec="files[i] -> stats[i], sizes[i]", retries=2, on_error="continue", missing="keep", tags=["a"])
def parse(files: str, *, depth: int = 1) -> tuple[dict[str, int], int]:
    return {files: depth}, len(files)


def load(path: str, /, depth: int = 1) -> str:
    return path * depth


def test_a_block_is_called_like_its_function() -> None:
    assert plain(1) == 3
    assert plain(1, y=5) == 6
    assert parse("ab", depth=3) == ({"ab": 3}, 2)


def test_a_block_looks_like_its_function() -> None:
    assert (plain.__name__, plain.__doc__, plain.__module__) == ("plain", "Add.", __name__)
    assert inspect.signature(plain) == inspect.signature(plain.function)
    assert repr(plain) == "<block 'plain'>"


def test_outputs_are_named_by_output_then_mapspec_then_the_block() -> None:
    assert plain.outputs == ("plain",)
    assert parse.outputs == ("stats", "sizes")
    assert block(load, output="text").outputs == ("text",)
    assert block(lambda path: path, name="f", output=["b", "a"], mapspec="path[i] -> a[i], b[i]").outputs == ("b", "a")
    assert block(load, name="load_a").outputs == ("load_a",)


def test_the_signature_is_read_once_and_completely() -> None:
    def every(a: int, /, b: str, c: float = 1.5, *, d: bytes, e: None = None, **rest: Any) -> None: ...

    made = block(every, renames={"a": "foo.a", "d": "data"})
    assert [p.name for p in made.parameters] == ["foo.a", "b", "c", "data", "e"]
    assert [p.python_name for p in made.parameters] == ["a", "b", "c", "d", "e"]
    assert [p.keyword_only for p in made.parameters] == [False, False, False, True, True]
    assert [p.default for p in made.parameters] == [NO_DEFAULT, NO_DEFAULT, 1.5, NO_DEFAULT, None]
    assert [p.annotation for p in made.parameters] == [int, str, float, bytes, type(None)]
    assert made.takes_extra
    assert not plain.takes_extra


def test_settings_are_read() -> None:
    settings = parse.settings
    assert (settings.retries, settings.on_error, settings.missing) == (Retries(2), OnError.CONTINUE, Missing.KEEP)
    assert plain.settings.retries is None
    record = parse.graph_block()
    assert (record.name, record.on_error, record.missing) == ("parse", OnError.CONTINUE, Missing.KEEP)
    assert record.returns == {"stats": dict[str, int], "sizes": int}


def test_settings_that_are_wrong_name_the_block() -> None:
    with pytest.raises(SettingError, match="block 'load': there is no setting 'retrys'; did you mean 'retries'"):
        block(load, retrys=2)  # type: ignore[call-overload]
    with pytest.raises(SettingError, match="block 'l2': timeout=-5"):
        block(load, name="l2", timeout=-5)


def test_a_rename_of_nothing_is_refused_with_a_suggestion() -> None:
    with pytest.raises(PipelineError, match="block 'load' has no parameter 'pth' to rename; did you mean 'path'"):
        block(load, renames={"pth": "files"})
    with pytest.raises(PipelineError, match="two parameters called 'depth'"):
        block(load, renames={"path": "depth"})


def test_a_condition_uses_the_names_of_the_graph() -> None:
    record = block(load, renames={"path": "files"}, when=lambda path, depth, other=1: True).graph_block()
    assert [parameter.name for parameter in record.condition] == ["files", "depth", "other"]
    assert record.condition[2].default == 1
    with pytest.raises(PipelineError, match=r"takes \*\*kwargs"):
        block(load, when=lambda **rest: True)


async def waits(x: int) -> int:
    return x


async def streams(x: int) -> Any:
    yield x


def yields(x: int) -> Any:
    yield x


class Waits:
    async def __call__(self, x: int) -> int:
        return x


@pytest.mark.parametrize(
    ("function", "match"),
    [
        (streams, "async generator; make it a plain function"),
        (functools.partial(streams, 1), "async generator; make it a plain function"),
        (yields, "generator function; return a list"),
        (lambda *many: many, r"takes \*many"),
        (max, "does not tell its parameters"),
        (3, "blocks of functions, not of 3"),
        (plain, "'plain' is a block already"),
    ],
)
def test_what_cannot_be_a_block_is_refused(function: Any, match: str) -> None:
    with pytest.raises(PipelineError, match=match):
        block(function, name="f")


@pytest.mark.parametrize("function", [waits, functools.partial(waits, x=1), Waits()])
def test_an_async_function_is_a_block_that_is_awaited(function: Any) -> None:
    made = block(function, name="f")
    assert made.is_async
    assert not block(plain.function, name="g").is_async


def test_a_condition_is_not_awaited() -> None:
    with pytest.raises(PipelineError, match="async function; make it a plain function"):
        block(plain.function, name="f", when=waits)


def test_a_plain_function_around_an_async_one_is_a_block() -> None:
    @functools.wraps(waits)
    def runs(x: int) -> int:
        return asyncio.run(waits(x))

    assert block(runs, name="runs")(3) == 3


def test_whatever_can_be_called_can_be_a_block() -> None:
    class Adder:
        def __call__(self, x: int) -> int:
            return x + 1

    class Point:
        def __init__(self, x: int, y: int = 0) -> None:
            self.x = x

    assert block(Adder(), name="add")(1) == 2
    assert [p.name for p in block(Point).parameters] == ["x", "y"]
    assert block(Point)(3).x == 3
    assert [p.name for p in block(functools.partial(load, "a"), name="p").parameters] == ["depth"]
    assert block(Point).graph_block().returns == {"Point": Point}
    assert [p.annotation for p in block(functools.partial(load, "a"), name="p").parameters] == [int]


@pytest.mark.parametrize("function", [lambda x: x, functools.partial(load, "a")])
def test_what_has_no_name_needs_one(function: Callable[..., Any]) -> None:
    with pytest.raises(PipelineError, match="add name="):
        block(function)
    assert block(function, name="named").name == "named"


@pytest.mark.parametrize(
    "name",
    ["", "../x", "a/b", "a b", ".", "..", "a.b.c", ".a", "a.", "1a", "a\0", "a\n", "x" * 101, "ü" * 51, 7, "a-b"],
)
def test_names_that_could_not_be_file_names_are_refused(name: Any) -> None:
    for wrong in ({"name": name}, {"output": (name,)}, {"renames": {"path": name}}):
        with pytest.raises(PipelineError, match=r"cannot be|is text"):
            block(load, **wrong)


def test_a_scope_may_stand_before_a_name() -> None:
    made = block(
        load, name="lab.load", output="lab.text", renames={"path": "lab.path"}, mapspec="lab.path[i] -> lab.text[i]"
    )
    assert (made.name, made.outputs, made.parameters[0].name) == ("lab.load", ("lab.text",), "lab.path")


def test_a_block_without_output_is_refused() -> None:
    with pytest.raises(PipelineError, match="has no output"):
        block(load, output=())


def test_a_mapspec_that_cannot_be_read_is_refused_at_the_block() -> None:
    with pytest.raises(MapSpecError):
        block(load, mapspec="path -> y[i]")
    with pytest.raises(PipelineError, match="is text such as"):
        block(load, mapspec=["path[i] -> y[i]"])  # type: ignore[call-overload]


def test_several_outputs_need_a_tuple() -> None:
    def three(x: int) -> tuple[int, int, int]: ...  # type: ignore[empty-body]

    def one(x: int) -> int: ...  # type: ignore[empty-body]

    with pytest.raises(PipelineError, match=r"has 2 outputs, but returns tuple\[int, int, int\]"):
        block(three, output=("a", "b"))
    with pytest.raises(PipelineError, match="has 2 outputs, so it must return a tuple, but int is not tuple"):
        block(one, output=("a", "b"))


def test_a_block_of_a_module_is_pickled_as_a_reference() -> None:
    assert pickle.loads(pickle.dumps(plain)) is plain
    assert len(pickle.dumps(plain)) < 100


def test_a_block_that_cannot_be_imported_travels_by_value() -> None:
    made = block(lambda x: x + 1, name="inc", when=lambda x: x > 0)
    copy: Block[..., int] = cloudpickle.loads(cloudpickle.dumps(made))
    assert copy(1) == 2
    assert copy.name == "inc"
    assert copy.outputs == ("inc",)
    assert copy.graph_block().parameters[0].default is NO_DEFAULT


def test_a_block_of_a_script_travels_to_another_process() -> None:
    script = """
import cloudpickle, sys
from runstone.blocks import block

@block(mapspec="x[i] -> y[i]")
def double(x):
    return 2 * x

sys.stdout.buffer.write(cloudpickle.dumps(double))
"""
    sent = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True).stdout
    received = cloudpickle.loads(sent)
    assert received(4) == 8
    assert str(received.mapspec) == "x[i] -> y[i]"


def test_attributes_of_the_function_do_not_replace_those_of_the_block() -> None:
    def odd(x: int) -> int:
        return x

    odd.name = odd.outputs = "nonsense"  # type: ignore[attr-defined]
    made = block(odd)
    assert (made.name, made.outputs) == ("odd", ("odd",))

"""The record of a run, as Python code asks for it."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path

import pytest

from runstone import Block, InputError, Pipeline, RunFailed, block
from runstone import open as open_run
from runstone.core.settings import ARGUMENTS, Level


@block
def tells_much(text: str) -> None:
    raise ValueError("\n  first of all\n\n    then this\r\nand that\n")


@block
def says_nothing(text: str) -> None:
    raise ValueError


@pytest.mark.parametrize(
    ("function", "error"),
    [
        (tells_much, "tells_much: ValueError: first of all then this and that"),
        (says_nothing, "says_nothing: ValueError"),
    ],
)
def test_an_error_is_one_line_whatever_its_message(function: Block[..., None], error: str, tmp_path: Path) -> None:
    with pytest.raises(RunFailed) as caught:
        Pipeline("p", [function]).run({"text": ""}, run_folder=tmp_path / "run", show_progress=False)
    run = open_run(tmp_path / "run")
    assert caught.value.run.error == run.error == run.manifest()["error"] == error
    assert str(caught.value).splitlines()[0].endswith(f"ended failed: {error}")
    assert run.errors[0].message.strip() != error


@pytest.mark.parametrize(
    ("level", "called"),
    [
        (Level.RUN, Pipeline.run),
        (Level.RUN, Pipeline.run_async),
        (Level.PIPELINE, Pipeline.__init__),
        (Level.BLOCK, block),
    ],
)
def test_every_argument_beside_the_settings_can_be_suggested(level: Level, called: Callable[..., object]) -> None:
    parameters = inspect.signature(called).parameters.values()
    assert {each.name for each in parameters if each.kind is each.KEYWORD_ONLY} == ARGUMENTS[level]


def test_parameters_that_are_given_by_keyword_are_told_where_they_go() -> None:
    pipeline = Pipeline("p", [tells_much])
    with pytest.raises(InputError, match=r"write run\(\{\.\.\.\}\), not run\(params=\.\.\.\)"):
        pipeline.run(params={"text": ""})  # type: ignore[call-arg]
    with pytest.raises(InputError, match=r"write run\(\{'text': \.\.\.\}\), not run\(text=\.\.\.\)"):
        pipeline.run(text="")  # type: ignore[call-arg]

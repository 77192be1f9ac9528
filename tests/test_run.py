"""The record of a run, as Python code asks for it."""

from __future__ import annotations

from pathlib import Path

import pytest

from runstone import Block, Pipeline, RunFailed, block
from runstone import open as open_run


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

"""What a user is told whose block returns what no format can keep."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from runstone import NotStorable, Pipeline, Run, RunFailed, block
from tests import scripts
from tests.cli.command import runstone

HOW = ["inline", "threads", "processes"]


@block
def words(text: str) -> Iterator[str]:
    return (word for word in text.split())


@block(mapspec="xs[i] -> lines[i]", on_error="continue")
def each(xs: int) -> Any:
    return (str(x) for x in range(xs)) if xs != 1 else [xs]


@block(output=("size", "model"))
def fit(text: str) -> tuple[int, dict[str, Any]]:
    return len(text), {"lock": threading.Lock()}


def failed(made: Any, params: dict[str, Any], executor: str) -> tuple[Run, BaseException | None]:
    with pytest.raises(RunFailed) as caught:
        Pipeline("p", [made]).run(params, executor=executor, run_folder="run", overwrite=True, show_progress=False)
    return caught.value.run, caught.value.__cause__


@pytest.mark.parametrize("executor", HOW)
def test_a_generator_is_named_with_its_block_and_the_cure(executor: str) -> None:
    run, cause = failed(words, {"text": "a b"}, executor)
    told = "block 'words' returned a generator, which cannot be stored; return list(...) of it"
    assert run.error == f"words: NotStorable: {told}"
    (error,) = run.errors
    assert (error.reason, error.message, error.traceback) == ("output_not_storable", told, "")
    assert isinstance(cause, NotStorable)
    assert (cause.__cause__, cause.__context__, cause.__traceback__) == (None, None, None)


@pytest.mark.parametrize("executor", HOW)
def test_so_is_one_that_an_element_returned(executor: str) -> None:
    run = Pipeline("p", [each]).run({"xs": [0, 1, 2]}, executor=executor)
    told = "block 'each' returned a generator, which cannot be stored; return list(...) of it"
    # workers record theirs as they come
    found = sorted((error.element, error.message, error.traceback) for error in run.errors)
    assert found == [(0, told, ""), (2, told, "")]
    assert run.outputs["lines"][1] == [1]


LOG = open(os.devnull)  # noqa: SIM115  # that is what a block may return


@pytest.fixture(scope="module", autouse=True)
def closed() -> Iterator[None]:
    yield
    LOG.close()


@block
def opened(text: str) -> Any:
    return {"log": LOG}


@block
def viewed(text: str) -> Any:
    return memoryview(text.encode())


@pytest.mark.parametrize("executor", HOW)
@pytest.mark.parametrize(
    ("made", "params", "told"),
    [
        (
            opened,
            {"text": "a"},
            "block 'opened' returned a dict, but a _io.TextIOWrapper cannot be stored: TypeError: an open file would "
            "come back as a copy of its text; return it without that (at value['log'])",
        ),
        (
            viewed,
            {"text": "a"},
            "block 'viewed' returned a memoryview, but a memoryview cannot be stored: TypeError: a memoryview would "
            "come back as bytes; return what can be stored, such as the data it was made of",
        ),
    ],
)
def test_what_would_come_back_as_another_thing_is_refused(
    made: Any, params: dict[str, Any], told: str, executor: str
) -> None:
    run, cause = failed(made, params, executor)
    (error,) = run.errors
    assert (error.reason, error.message) == ("output_not_storable", told)
    assert isinstance(cause, NotStorable)


def test_the_standard_streams_of_the_process_may_be_part_of_a_value(tmp_path: Path) -> None:
    code = """
        import sys
        from runstone.folder.values.pickled import pickle_value, unpickle_value

        class Printer:
            out, err = sys.stdout, sys.stderr

        kept = unpickle_value(pickle_value([Printer(), sys.stdout]), trust=True)
        print(kept[1] is sys.stdout and kept[0].err is sys.stderr)
    """
    scripts.write(tmp_path / "printing.py", code)
    done = subprocess.run([sys.executable, "printing.py"], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "True"


@pytest.mark.parametrize("executor", HOW)
def test_of_several_outputs_the_one_is_named_and_the_place_in_it(executor: str) -> None:
    run, _ = failed(fit, {"text": "a b"}, executor)
    assert run.errors[0].message == (
        "block 'fit' returned a dict as 'model', but a _thread.lock cannot be stored: TypeError: "
        "cannot pickle '_thread.lock' object; return it without that (at value['lock'])"
    )


def test_what_is_no_iterator_is_told_why() -> None:
    run, _ = failed(block(lambda: threading.Lock(), name="odd"), {}, "inline")
    assert run.errors[0].message.startswith(
        "block 'odd' returned a _thread.lock, but a _thread.lock cannot be stored: "
    )
    assert run.errors[0].message.endswith("return what can be stored, such as the data it was made of")


def test_nothing_is_suggested_that_would_not_fail_again(tmp_path: Path) -> None:
    code = """
        from runstone import Pipeline, block

        @block
        def words(text):
            return (word for word in text.split())

        wordy = Pipeline("wordy", [words])
    """
    scripts.write(tmp_path / "wordy.py", code)
    assert runstone("run", "wordy.py", "-p", "text=a b", "--run-folder", "run", at=tmp_path).returncode == 1
    for command in (["show", "run"], ["show", "run/words"], ["why", "run"]):
        page = runstone(*command, at=tmp_path).stdout
        assert "block 'words' returned a generator, which cannot be stored; return list(...) of it" in page
        assert not re.search("reproduce|pickle|Traceback", page)

"""The names that users import, and that each of them is one thing wherever it is looked for."""

from __future__ import annotations

import ast
import importlib
import inspect
import subprocess
import sys
from pathlib import Path

import pytest

import runstone

NAMES = """
    Block FailedElement Failed FolderError InputError MapSpecError NotPortable NotStorable OutOfMemory Pipeline
    PipelineError Retries Run RunError RunFailed RunNotFound RunstoneError Secret SettingError StorageError TimedOut
    Untrusted WorkerDied __version__ artifact block diff open
    record_run track update_run
"""


def declared() -> dict[str, tuple[str, str]]:
    """What type checkers see: name -> module and name there."""
    tree = ast.parse(Path(runstone.__file__).read_text())
    (checked,) = (node.body for node in tree.body if isinstance(node, ast.If) and isinstance(node.test, ast.Name))
    imported: dict[str, tuple[str, str]] = {}
    found: dict[str, tuple[str, str]] = {}
    for statement in checked:
        if isinstance(statement, ast.Assign):
            (target,) = statement.targets
            assert isinstance(target, ast.Name)
            assert isinstance(statement.value, ast.Name)
            found[target.id] = imported[statement.value.id]
        else:
            assert isinstance(statement, ast.ImportFrom)
            for alias in statement.names:
                # without `as` a name is not exported
                (found if alias.asname else imported)[alias.asname or alias.name] = (str(statement.module), alias.name)
    return found


def test_these_are_the_public_names() -> None:
    assert {*declared(), "__version__"} == set(NAMES.split()) == set(dir(runstone))


@pytest.mark.parametrize("name", sorted(declared()))
def test_a_name_is_what_type_checkers_think_it_is(name: str) -> None:
    module, inner = declared()[name]
    assert getattr(runstone, name) is getattr(importlib.import_module(module), inner)


def test_import_star_takes_everything_but_what_would_hide_a_builtin() -> None:
    namespace: dict[str, object] = {}
    exec("from runstone import *", namespace)
    taken = {name for name in namespace if name != "__builtins__"}
    assert taken <= set(NAMES.split())
    assert "open" not in taken
    assert {"Pipeline", "block", "Run", "Failed", "Retries", "artifact", "RunFailed"} <= taken


def test_every_error_is_of_one_tree() -> None:
    errors = [
        getattr(runstone, name)
        for name in NAMES.split()
        if inspect.isclass(getattr(runstone, name)) and issubclass(getattr(runstone, name), BaseException)
    ]
    assert len(errors) > 8
    assert all(issubclass(error, runstone.RunstoneError) for error in errors)


def test_a_name_that_does_not_exist_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'runstone' has no attribute 'pipeline_'"):
        runstone.pipeline_  # noqa: B018


def test_block_is_the_decorator_whatever_was_imported_before() -> None:
    """A module of the same name would shadow it."""
    for first in ("import runstone.blocks", "import runstone.run", "from runstone.pipeline import Pipeline", "pass"):
        code = f"{first}\nfrom runstone import block, open\nprint(callable(block), callable(open))"
        done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=True)
        assert done.stdout == "True True\n"


def test_the_version_is_that_of_the_distribution() -> None:
    from importlib.metadata import version

    assert runstone.__version__ == version("runstone")


@pytest.mark.parametrize("name", [name for name in NAMES.split() if name != "__version__"])
def test_every_public_name_says_what_it_is_for(name: str) -> None:
    text = inspect.getdoc(getattr(runstone, name))
    assert text
    assert text.splitlines()[0].endswith((".", ":"))

"""The command that calls again what failed, for errors of which another process can do that."""

from __future__ import annotations

import json
import shlex

from runstone import config
from runstone.folder.error_detail import ErrorDetail


def can_be_called_again(error: ErrorDetail, loader: str | None) -> bool:
    """Whether another process can call what raised this, and it would raise there.

    loader: under which name the function of its block is found; None for what was typed into an interpreter or a
    notebook, and for functions without a name. What ended a process, took too long, or returned what does not fit or
    cannot be stored raises nothing when it is called. Without a traceback the error is not among those that were
    recorded.
    """
    return loader is not None and error.reason == "exception" and bool(error.traceback)


def command_to_call_again(run: str, error: ErrorDetail) -> str:
    """What to type. run: as the user names it."""
    chosen = f"e.block == {_quoted(str(error.block))}"
    if error.element is not None:
        chosen += f" and e.element == {error.element}"
    return _python(f"next(e for e in runstone.open({_quoted(run)}).errors if {chosen}).reproduce()")


def command_to_call_nth_again(run: str, number: int) -> str:
    """The same for one of all errors, counted from 0."""
    return _python(f"runstone.open({_quoted(run)}).errors[{number}].reproduce()")


def _quoted(text: str) -> str:
    # double quotes, as the whole goes between single ones
    return json.dumps(text, ensure_ascii=False)


def _python(call: str) -> str:
    workspace = config.chosen_workspace()
    said = "" if workspace is None else f"{config.WORKSPACE_VARIABLE}={shlex.quote(workspace)} "
    return f"{said}python -c {shlex.quote(f'import runstone; {call}')}"

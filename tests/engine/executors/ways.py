"""The ways in which a block can be executed, all behind one name."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from concurrent.futures import Executor
from pathlib import Path
from typing import Any

from runstone import Block, Failed, Pipeline, Run, block

INLINE = "inline"
AWAITED = "awaited"
NAMED = (INLINE, "threads", "processes", "auto")
PASSED = ("thread pool", "process pool", "dask")
EVERY = (*NAMED, AWAITED, *PASSED)
OTHER_PROCESSES = ("processes", "process pool", "dask")


class Way:
    """One way to execute blocks. name: of EVERY; executor: what a run is given."""

    def __init__(self, name: str, executor: str | Executor) -> None:
        self.name = name
        self.executor = executor

    def block(self, function: Callable[..., Any], **settings: Any) -> Block[..., Any]:
        """A block of this function; where blocks are awaited, of an async twin of it."""
        return block(awaited(function) if self.name == AWAITED else function, **settings)

    def run(self, pipeline: Pipeline, params: dict[str, Any] | None = None, **more: Any) -> Run:
        """Run to the end, however that is."""
        given: dict[str, Any] = {"show_progress": False, "raise_on_error": False, **more}
        return pipeline.run(params or {}, executor=self.executor, **given)


def awaited(function: Callable[..., Any]) -> Callable[..., Any]:
    """An async function that does the same."""
    import functools

    @functools.wraps(function)
    async def twin(*arguments: Any, **keywords: Any) -> Any:
        return function(*arguments, **keywords)

    # wraps() makes it look like a plain function that is to be called
    del twin.__wrapped__  # type: ignore[attr-defined]  # set by functools.wraps
    twin.__signature__ = _signature(function)  # type: ignore[attr-defined]  # what inspect.signature asks first
    return twin


def _signature(function: Callable[..., Any]) -> Any:
    import inspect

    return inspect.signature(function, eval_str=True)


def told(run: Run) -> dict[str, Any]:
    """Everything about a run that does not depend on how its blocks were executed.

    Of many errors of a block, which one came first and which thousand were kept does depend on that.
    """
    state = run._source.look()
    found = run.status_object()
    errors = [(one.block, one.element, one.attempt, one.index, one.type, one.message, one.reason) for one in run.errors]
    arguments = [repr((one.block, one.element, one.attempt, one.params)) for one in run.errors]
    few = len(errors) < 1000
    return {
        "status": run.status,
        "reason": found["reason"],
        "message": found["message"],
        "error": bool(run.error),
        "blocks": run.blocks,
        "counts": {
            name: (one.total, one.ok, one.failed, one.upstream_failed, one.retries, one.recorded if one.total else [])
            for name, one in state.blocks.items()
        },
        "messages": {name: one.message.partition("; the first: ")[0] for name, one in state.blocks.items()},
        "progress": found["progress"],
        "outputs": {name: _value(run, name) for name in run.outputs},
        "errors": sorted(errors, key=repr) if few else len(errors),
        "arguments": sorted(arguments) if few else len(arguments),
    }


def _value(run: Run, name: str) -> Any:
    try:
        return plain(run.outputs[name])
    except Exception as error:
        return f"<{type(error).__name__}>"


def plain(value: Any) -> Any:
    """A value in a form that can be compared with ==."""
    if isinstance(value, Failed):
        return ("failed", value.block, value.index, value.status, value.error_type, value.message)
    if hasattr(value, "to_dict"):
        return (type(value).__name__, value.to_dict())
    if hasattr(value, "tolist"):
        return (type(value).__name__, str(getattr(value, "dtype", "")), plain(value.tolist()))
    if type(value).__name__ == "OutputArray" or (hasattr(value, "shape") and hasattr(value, "__iter__")):
        return ("array", tuple(value.shape), [plain(one) for one in value])
    if isinstance(value, (list, tuple)):
        return type(value)(plain(one) for one in value)
    if isinstance(value, dict):
        return {key: plain(one) for key, one in value.items()}
    return value


def note(path: str | Path, text: object) -> None:
    """Note a call, in a file to which any number of processes append."""
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
    try:
        os.write(file, f"{text}\n".encode())
    finally:
        os.close(file)


def noted(path: str | Path) -> list[str]:
    """What was noted."""
    try:
        return Path(path).read_text().splitlines()
    except FileNotFoundError:
        return []


def wait_until(holds: Callable[[], Any], seconds: float = 20.0) -> None:
    """Wait until something holds."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "it never came to hold"
        time.sleep(0.005)

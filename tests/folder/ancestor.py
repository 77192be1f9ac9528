"""A run that others take over from: values small and large, maps with elements that fail, an artifact."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import runstone
from runstone import Pipeline, block
from runstone.engine import collect
from runstone.folder.load import Loader

UNLUCKY = {3, 8}


@block
def names(size: int) -> list[str]:
    return [f"n{number}" for number in range(size)]


@block
def large(size: int) -> bytes:
    return bytes(range(256)) * 100 * size


@block(output=("low", "high"))
def pair(size: int) -> tuple[int, bytes]:
    return size, b"h" * 20_000


@block(mapspec="names[i] -> read[i]", on_error="continue")
def reading(names: str) -> int:
    # told by the environment, which is neither code nor input
    if f",{names[1:]}," in os.environ.get("UNLUCKY", ""):
        raise ValueError(names)
    return int(names[1:]) * 10


@block(output="grid", mapspec="read[i], cols[j] -> grid[i, j]", on_error="continue")
def cross(read: int, cols: int) -> str:
    return f"{read}-{cols}"


@block
def report(names: list[str], scratch: str) -> int:
    path = os.path.join(scratch, "report.txt")
    Path(path).write_text("worth reading\n" * len(names))
    runstone.artifact(path, metadata={"lines": len(names)})
    return len(names)


everything = Pipeline("everything", [names, large, pair, reading, cross, report])


def made(folder: Path, params: dict[str, Any], unlucky: set[int] | None = None, chunk: int = 4) -> Path:
    """A run of everything; which elements of `reading` fail can be told."""
    os.environ["UNLUCKY"] = "".join(f",{number}," for number in unlucky or ())
    before = collect.BATCH, collect.CLOSE_ELEMENTS
    collect.BATCH = collect.CLOSE_ELEMENTS = chunk
    try:
        everything.run(params, run_folder=folder, show_progress=False, raise_on_error=False)
    finally:
        collect.BATCH, collect.CLOSE_ELEMENTS = before
        del os.environ["UNLUCKY"]
    return folder


def outputs(folder: Path) -> dict[str, Any]:
    """Every output, as plain values."""
    loader = Loader(str(folder), trust=False)
    found = {name: loader.output(name) for name in ("names", "large", "low", "high", "read", "grid", "report")}
    return {name: value.to_list() if hasattr(value, "to_list") else value for name, value in found.items()}

"""A run that takes over from an earlier one, in a process that may die of it at any point."""

from __future__ import annotations

from typing import Any

from runstone.folder import adopt as adopting
from tests.folder.ancestor import everything
from tests.folder.successor import Successor
from tests.harness import faults, trace


def live(
    folder: str,
    oracle: str,
    *,
    earlier: str,
    params: dict[str, Any],
    fault: dict[str, Any] | None = None,
    traced: str | None = None,
    ranges: int = 2,
) -> dict[str, Any]:
    """Begin a run that adopts what it can, and end it. ranges: so few an event that there are many events."""
    adopting.RANGES_AN_EVENT = ranges
    calls = faults.arm(**fault) if fault is not None else []
    tracer = trace.Tracer() if traced is not None else None
    if tracer is not None:
        tracer.install()
    successor = Successor(everything, earlier, params)
    successor.begin(folder)
    successor.writer.sync()
    if tracer is not None and traced is not None:
        tracer.save(traced)
    return {"calls": calls}

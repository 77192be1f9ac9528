"""Processes that take a run over, and one that brings it to its end in the next epoch, by the writer's own means."""

from __future__ import annotations

import errno
import os
import time
from typing import Any

from runstone.core import events as ev
from runstone.core.ranges import missing_ranges
from runstone.core.statuses import BlockStatus, RunStatus
from runstone.errors import FolderError
from runstone.folder.takeover import take_over
from runstone.folder.values import encode_column
from tests.harness import faults, mortal


def contend(
    folder: str,
    gate: str,
    close: str,
    *,
    unproven: bool = False,
    links: bool = True,
    without: str | None = None,
    fault: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Wait for the file `gate`, try to take over, and keep what was won until the file `close` is there.

    links: whether the file system has any. fault: see `faults.arm`.
    """
    if without is not None:
        faults.take_out(without)
    if fault is not None:
        faults.arm(**fault)
    _have_links(links)
    while not os.path.exists(gate):
        time.sleep(0.0002)
    try:
        writer = take_over(folder, unproven=unproven)
    except FolderError as error:
        return {"won": False, "why": str(error)}
    writer.event(ev.Warned, code="won", message=f"by {os.getpid()}")
    writer.sync()
    while not os.path.exists(close):
        time.sleep(0.002)
    writer.close()
    return {"won": True, "epoch": writer.epoch}


def _have_links(links: bool) -> None:
    if not links:
        os.link = _refused  # type: ignore[assignment]


def _refused(*arguments: Any, **keywords: Any) -> None:
    raise OSError(errno.EPERM, "no links here")


def go_on(
    folder: str,
    oracle: str,
    *,
    fault: dict[str, Any] | None = None,
    chunk: int = 3,
    unproven: bool = False,
    links: bool = True,
) -> dict[str, Any]:
    """Take over a run of `mortal.patient` that died in its map, and bring it to its end."""
    mortal.watch_with(oracle)
    _have_links(links)
    calls = faults.arm(**fault) if fault is not None else []
    writer = take_over(folder, by="a test", unproven=unproven)
    state = writer.state.blocks["dawdle"]
    if state.status is not BlockStatus.COMPLETED:
        total = state.total
        assert total is not None
        writer.event(ev.BlockStarted, block="dawdle", attempt=2, shape=[total])
        writer.flush()
        for low, high in missing_ranges(list(state.recorded), total):
            for start in range(low, high, chunk):
                _record(writer, start, min(high, start + chunk), total)
        writer.close_pack("dawdle")
        writer.event(ev.BlockEnded, block="dawdle", status=BlockStatus.COMPLETED)
        writer.write_checkpoint()
    writer.end(RunStatus.COMPLETED)
    writer.close()
    return {"epoch": writer.epoch, "calls": calls}


def _record(writer: Any, start: int, stop: int, total: int) -> None:
    for number in range(start, stop):
        mortal.ran("dawdle", number)
    column = encode_column([number + 1 for number in range(start, stop)])
    meta = ev.ColumnMeta(name="slow", bytes=column.size, count=stop - start, meta=column.meta, type="int")
    elements = [(start, stop)]
    header = ev.Chunk(seq=0, at="", block="dawdle", elements=elements, ok=stop - start, columns=[meta], shape=[total])
    writer.chunk(header, list(column.data))

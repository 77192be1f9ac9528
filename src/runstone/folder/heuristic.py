"""What `outputs/` alone says about a run whose journal and checkpoint cannot be read."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator

from runstone.core import fold, run_state
from runstone.core.events import Chunk
from runstone.core.records import RunInfo
from runstone.core.statuses import Liveness, RunStatus
from runstone.folder import layout, scan
from runstone.folder.epochs import packs
from runstone.folder.look import Look
from runstone.folder.reading import Reading


def infer(look: Look, reading: Reading) -> None:
    """Count what is stored, and guess from that how the run stands."""
    reading.source = "disk_heuristic"
    reading.notes.append("journal and status.json cannot be read; this is inferred from outputs/")
    newest = 0.0
    for name, chunk, modified in _chunks(look, reading.info):
        newest = max(newest, modified)
        if name == layout.VALUES_PACK:
            _count_values(reading, chunk)
        else:
            fold.count_chunk(reading.state, chunk)
    reading.heuristic = _guess(reading, newest)
    done = reading.heuristic is RunStatus.COMPLETED
    reading.liveness = Liveness.ENDED if done else Liveness.LOST


def _chunks(look: Look, info: RunInfo) -> Iterator[tuple[str, Chunk, float]]:
    """Every chunk, with the pack it stands in and when that was changed for the last time."""
    allowance = scan.Allowance()
    found = packs(look, info)
    for name in (*(name for epoch in sorted(found) for name in found[epoch]), layout.VALUES_PACK):
        descriptor = look.open(name)
        if descriptor is None:
            continue
        try:
            about = os.fstat(descriptor)
            records = scan.scan_pack(descriptor, 0, about.st_size, allowance=allowance).records
        except OSError:
            continue
        finally:
            os.close(descriptor)
        for record in records:
            yield name, record, about.st_mtime  # type: ignore[misc]  # a pack holds nothing but chunks


def _count_values(reading: Reading, chunk: Chunk) -> None:
    makers = reading.info.outputs
    for column in chunk.columns:
        if column.name in makers:
            block = reading.state.blocks[makers[column.name].name]
            block.outputs[column.name] = run_state.OutputState(
                type=column.type[: run_state.TYPE_KEPT], stored=1, bytes=max(0, column.bytes)
            )


def _guess(reading: Reading, newest: float) -> RunStatus | str:
    expected = 0
    there = 0
    any_output = False
    for block in reading.info.blocks:
        state = reading.state.blocks[block.name]
        for output in block.outputs:
            expected += 1
            stored = state.outputs[output].stored if output in state.outputs else 0
            any_output = any_output or stored > 0
            total = 1 if state.shape is None else state.total
            there += stored > 0 and total is not None and stored >= total
    if expected == there:
        return RunStatus.COMPLETED
    if not any_output:
        return RunStatus.PENDING
    fresh = time.time() - newest < reading.info.lease_seconds
    return RunStatus.RUNNING if fresh else "incomplete"

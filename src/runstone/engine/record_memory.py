"""Recording a run that is not kept: its fold and its errors, in memory."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from runstone.core import events as ev
from runstone.core import fold, run_state
from runstone.core.moves import BLOCK_DONE
from runstone.core.ranges import numbers
from runstone.core.reasons import Reason
from runstone.core.receipts import Receipt
from runstone.core.records import RunInfo
from runstone.core.shapes import unravel
from runstone.core.statuses import BlockStatus, RunStatus
from runstone.engine.record import E, Elements, Encoded
from runstone.errors import RunError
from runstone.folder import artifacts, clock, identity
from runstone.folder.cells import decode_cells
from runstone.folder.logs import LogWriter
from runstone.folder.preview import type_name
from runstone.folder.values import decode_column, decode_small


class MemoryRecorder:
    """Keeps the fold and the errors of a run that is not kept anywhere else."""

    def __init__(self, info: RunInfo) -> None:
        self.folder: str | None = None
        self.run_id = info.id
        self.logs: LogWriter | None = None
        self.info = info
        self.state = run_state.initial(block.name for block in info.blocks)
        self.errors: list[ev.ErrorRaised] = []
        self.ticks: list[Callable[[float], None]] = []
        # what was computed in other processes, by flat number
        self._cells: dict[str, dict[int, Any]] = {}
        self._lock = threading.RLock()

    @property
    def heart(self) -> MemoryRecorder:
        """What the pulse ticks."""
        return self

    def tick(self, now: float) -> None:
        """Let the block that is collecting say how far it is."""
        for tick in tuple(self.ticks):
            tick(now)

    def forked(self) -> None:
        """A forked child goes on in its own memory."""
        self._lock = threading.RLock()

    def close(self) -> None:
        return

    def start(self) -> None:
        """The run begins, in this process."""
        self.event(ev.RunStarted, driver=identity.this_process())

    def event(self, kind: type[E], **fields: Any) -> E:
        with self._lock:
            event = kind(seq=self.state.seq + 1, at=clock.now(), **fields)
            fold.apply(self.state, event)  # type: ignore[arg-type]  # every kind of event is a Record
            if isinstance(event, ev.ErrorRaised) and event.final:
                self.errors.append(event)
            return event

    def flush(self) -> None:
        return

    def elements(self, ended: Elements) -> None:
        upstream = sum(ended.cells[position].origin is not None for position in ended.bad)
        good = len(ended.cells) - len(ended.bad)
        with self._lock:
            chunk = ev.Chunk(
                seq=self.state.seq + 1,
                at=clock.now(),
                block=ended.block,
                elements=ended.ranges,
                ok=good,
                failed=len(ended.bad) - upstream,
                upstream_failed=upstream,
                columns=[ev.ColumnMeta(name=name, bytes=0, count=good) for name in ended.outputs],
                shape=ended.shape,
                retries=ended.retries,
                cpu_seconds=ended.cpu_seconds,
            )
            fold.apply(self.state, chunk)
            if ended.bad:
                # they have failed, or were not called: nobody sends cells for them from elsewhere
                which = list(numbers(ended.ranges))
                for name in ended.outputs:
                    kept = self._cells.setdefault(name, {})
                    kept.update((which[position], ended.cells[position]) for position in ended.bad)

    def values(self, block: str, values: Mapping[str, Any]) -> dict[str, ev.StoredValue]:
        return {name: ev.StoredValue(value=None, type=type_name(value)) for name, value in values.items()}

    def chunk(self, encoded: Encoded) -> None:
        payload = memoryview(b"".join(encoded.payload))
        with self._lock:
            header = msgspec.structs.replace(encoded.header, seq=self.state.seq + 1, at=clock.now())
            fold.apply(self.state, header)
            for column in header.columns:
                found = decode_cells(
                    header, payload, column.name, lambda number: unravel(number, header.shape or ()), _open
                )
                self._cells.setdefault(column.name, {}).update(zip(numbers(header.elements), found, strict=False))

    def keep_small(self, small: Mapping[str, ev.StoredValue]) -> None:
        for name, stored in small.items():
            self._cells[name] = {0: decode_small(stored.value, trust=True)}

    def made(self, output: str, count: int | None) -> Any:
        cells = self._cells.pop(output, {})
        return cells[0] if count is None else [cells[number] for number in range(count)]

    def close_block(self, block: str) -> None:
        return

    def artifact(self, block: str, element: int | None, source: str, **fields: Any) -> ev.ArtifactSaved:
        raise RunError(artifacts.NO_FOLDER.format(os.path.basename(source)))

    def end(self, status: RunStatus, reason: Any = None, message: str = "", receipts: Sequence[Receipt] = ()) -> None:
        self.event(ev.RunEnded, status=status, reason=reason, message=message, receipts=list(receipts))

    def abandon(self, why: str, reason: Reason) -> None:
        for name, block in self.state.blocks.items():
            if block.status not in BLOCK_DONE:
                end = BlockStatus.CRASHED if block.started_at else BlockStatus.CANCELLED
                self.event(ev.BlockEnded, block=name, status=end, reason=reason)
        self.end(RunStatus.CRASHED, reason, why)


def _open(column: ev.ColumnMeta, data: memoryview) -> list[Any]:
    return decode_column(column.meta, data, column.count, trust=True)

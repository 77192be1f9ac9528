"""A new run that takes over from an earlier one, as far as its folder goes: begun, planned, adopted, and finished."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from runstone import Pipeline
from runstone.core import events as ev
from runstone.core.inputs import check_inputs
from runstone.core.ranges import count, numbers
from runstone.core.records import RunInfo
from runstone.core.reuse import BlockPlan, Side, plan, reasons
from runstone.core.statuses import BlockStatus, RunStatus
from runstone.engine.launch import new_id
from runstone.engine.record import Elements
from runstone.engine.record_folder import FolderRecorder
from runstone.folder import clock, input_digests, inputs, writer
from runstone.folder.adopt import Adoption, adopt
from runstone.folder.earlier import EarlierRun, read_earlier


class Successor:
    """earlier: what is taken over from. plans: what is to happen to every block."""

    def __init__(self, pipeline: Pipeline, earlier: Path | str, params: Mapping[str, Any] | None = None) -> None:
        described, blocks = pipeline.described
        given = params or {}
        values = check_inputs(pipeline.graph, given)
        infos, self._large = inputs.describe(values, given)
        self.earlier: EarlierRun = read_earlier(str(earlier))
        self.side = Side(blocks=blocks, parameters=input_digests.of_new(infos, self._large))
        self.plans: dict[str, BlockPlan] = plan(self.earlier.compared, self.side)
        self.info = RunInfo(
            id=new_id(),
            created_at=clock.now(),
            pipeline=described,
            blocks=blocks,
            params=infos,
            retry_of=self.earlier.reading.info.id,
            reuse=reasons(self.plans),
        )

    def begin(self, folder: Path | str) -> Adoption:
        """Make the folder and adopt what is planned."""
        save = functools.partial(inputs.save, str(folder), self._large) if self._large else None
        self.writer = writer.begin(str(folder), self.info, "inline", save)
        return adopt(self.writer, self.earlier, self.plans)

    def compute(self, block: str, cells: Sequence[Any], outputs: tuple[str, ...] | None = None) -> None:
        """Record what the elements give that are left of a mapped block, and its end."""
        left = self.plans[block].elements
        shape = self.earlier.reading.state.blocks[block].shape
        assert left is not None
        assert shape is not None
        assert count(left) == len(list(numbers(left))) == len(cells)
        recorder = FolderRecorder(self.writer)
        self.writer.event(ev.BlockStarted, block=block, shape=shape)
        names = outputs or tuple(next(each.outputs for each in self.info.blocks if each.name == block))
        recorder.elements(Elements(block=block, outputs=names, ranges=left, cells=cells, bad=[], shape=shape))
        self.writer.close_pack(block)
        self.writer.event(ev.BlockEnded, block=block, status=BlockStatus.COMPLETED)

    def give(self, block: str, **values: Any) -> None:
        """Record that a block that is not mapped gave these values."""
        self.writer.event(ev.BlockStarted, block=block)
        small = FolderRecorder(self.writer).values(block, values)
        self.writer.close_pack(block)
        self.writer.event(ev.BlockEnded, block=block, status=BlockStatus.COMPLETED, values=small)

    def end(self, status: RunStatus = RunStatus.COMPLETED) -> None:
        """Record the end of the run."""
        self.writer.end(status)
        self.writer.close()

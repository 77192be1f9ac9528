"""Gathering the records of a run from journals and packs, and folding them in the order of their numbers."""

from __future__ import annotations

import contextlib
import gc
import operator
import os
import sys
from collections.abc import Iterator

from runstone.core import fold, run_state
from runstone.core.events import Record, RunEnded, RunTakenOver
from runstone.core.statuses import BlockStatus
from runstone.errors import FolderError
from runstone.folder import layout, scan
from runstone.folder.epochs import packs
from runstone.folder.look import Look
from runstone.folder.reading import Reading

_number = operator.attrgetter("seq")


def fold_records(look: Look, reading: Reading, limits: dict[str, int], *, verify_all: bool, bounded: bool) -> None:
    """Apply every record behind what `reading.ends` says, epoch by epoch, in order, up to the first gap.

    A gap that nobody will fill any more (its epoch was taken over, or has an end, or its driver is gone) is stepped
    over as lost. bounded: take no more than a `scan.Allowance`; then `reading.notes` says if that was not all.
    """
    with _no_collections():
        _fold(_Sources(look, reading, limits, verify_all=verify_all, bounded=bounded), reading, verify_all=verify_all)


def _fold(sources: _Sources, reading: Reading, *, verify_all: bool) -> None:
    state, newest = reading.state, reading.epochs[-1]
    # Journals first, and the names of packs after them: a journal that speaks of the end was not read too early.
    journals = {epoch: sources.records(layout.journal(epoch), epoch) for epoch in reading.epochs}
    found_packs = packs(sources.look, reading.info)
    for epoch in reading.epochs:
        found = journals.pop(epoch)
        for name in found_packs.get(epoch, ()):
            found.extend(sources.records(name, epoch))
        found.sort(key=_number)
        closed = epoch < newest or verify_all or reading.gone or any(type(record) is RunEnded for record in found[-1:])
        for record in found:
            number = record.seq
            if number <= state.seq:
                continue
            if number > state.seq + 1:
                if not closed and type(record) is not RunTakenOver:
                    break
                fold.lose(state, number - 1, told=not sources.unread)
            fold.apply(state, record)
    if sources.unread:
        _take_for_whole(reading)
        others = len(sources.unread) - 1
        which = sources.unread[0] + (f" and {others} other{'s' * (others > 1)}" if others else "")
        reading.notes.append(
            f"only a part of {which} was read: without a {layout.CHECKPOINT} that holds them these are more records "
            "than are read at once; counts and errors may be more than is told here"
        )


def _take_for_whole(reading: Reading) -> None:
    """Where not all chunks were read: a block that has completed has all its values, for that is what it means."""
    for described in reading.info.blocks:
        block = reading.state.blocks[described.name]
        if block.status not in (BlockStatus.COMPLETED, BlockStatus.REUSED, BlockStatus.DEGRADED):
            continue
        outputs = [block.outputs.setdefault(name, run_state.OutputState()) for name in described.outputs]
        if block.status is BlockStatus.DEGRADED:
            continue
        total = block.total
        if total:
            block.ok, block.failed, block.upstream_failed, block.recorded = total, 0, 0, [(0, total)]
        for output in outputs:
            output.stored = 1 if total is None else total


@contextlib.contextmanager
def _no_collections() -> Iterator[None]:
    """Without the collector of reference cycles, which records have none of.

    It would go through all of them again and again: of 200,000 it makes reading five times as slow.
    """
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


class _Sources:
    """The files that records are read from, and what may still be read. unread: those that were not read whole."""

    def __init__(
        self, look: Look, reading: Reading, limits: dict[str, int], *, verify_all: bool, bounded: bool
    ) -> None:
        """limits: how much of each file of a closed epoch counts; the newest counts as far as it goes."""
        self.look = look
        self._reading = reading
        self._limits = limits
        self._verify_all = verify_all
        self._journals = scan.Allowance() if bounded else None
        self._packs = scan.Allowance() if bounded else scan.Allowance(records=sys.maxsize, size=sys.maxsize)
        self.unread: list[str] = []

    def records(self, name: str, epoch: int) -> list[Record]:
        """The records of one file; what is wrong with it is noted."""
        reading = self._reading
        try:
            descriptor = self.look.open(name)
        except FolderError as error:
            reading.notes.append(str(error))
            return []
        if descriptor is None:
            return []
        start = reading.ends.get(name, 0)
        try:
            stop = os.fstat(descriptor).st_size
            if epoch < reading.epochs[-1]:
                stop = min(stop, self._limits.get(name, 0))
            found = self._scan(descriptor, name, start, stop)
        except OSError as error:
            reading.notes.append(f"{name} cannot be read: {error.strerror}")
            return []
        finally:
            os.close(descriptor)
        reading.ends[name] = found.end
        if found.damaged:
            reading.notes.append(f"{name} is damaged in the middle")
        if found.unread:
            self.unread.append(name)
        return found.records

    def _scan(self, descriptor: int, name: str, start: int, stop: int) -> scan.Scan:
        if name.startswith(layout.JOURNAL):
            return scan.scan_journal(descriptor, start, stop, self._journals)
        return scan.scan_pack(descriptor, start, stop, verify_all=self._verify_all, allowance=self._packs)

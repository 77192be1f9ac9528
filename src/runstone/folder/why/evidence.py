"""What the journal of a run holds that its fold does not: errors in full, receipts, requests, takeovers."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import msgspec

from runstone.core import events as ev
from runstone.core.records import BlockInfo
from runstone.core.status import Observation, block_statuses, status_object
from runstone.folder import layout, requests, scan
from runstone.folder.journal import decode_lines
from runstone.folder.look import Look, read_at
from runstone.folder.observe import observation
from runstone.folder.read import Reading, read_look

_RETRIES_TOLD = 10


class Evidence:
    """A run in a folder, as far as explanations need it; takes bounded time and memory whatever lies there.

    blocks: as `run.json` describes them; words: for each the one to act on; status: the status object. errors: of every
    block the first that ended it or one of its elements. ends, starts, retrying, looked_up: of every block the last
    such event.
    Raises FileNotFoundError, NotADirectoryError, OSError, FolderError.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        with Look(path) as look:
            self.reading: Reading = read_look(look)
            self.asked = None if self.reading.state.done else requests.pending(path, requests.CANCEL)
            self._take(_events(look, self.reading))
        self.info, self.state = self.reading.info, self.reading.state
        self.seen: Observation = observation(self.reading, path)
        self.status: dict[str, Any] = status_object(self.info, self.state, self.seen)
        self.words = block_statuses(self.info, self.state, self.seen, self.status["outputs"])
        self.blocks: dict[str, BlockInfo] = {block.name: block for block in self.info.blocks}

    def _take(self, events: Iterator[ev.Event]) -> None:
        self.cancelling: list[ev.RunCancelling] = []
        self.takeovers: list[ev.RunTakenOver] = []
        self.end: ev.RunEnded | None = None
        self.starts: dict[str, ev.BlockStarted] = {}
        self.retrying: dict[str, ev.BlockRetrying] = {}
        self.ends: dict[str, ev.BlockEnded] = {}
        self.errors: dict[str, ev.ErrorRaised] = {}
        self.looked_up: dict[str, ev.BlockLookedUp] = {}
        known = self.reading.state.blocks
        for event in events:
            if isinstance(event, ev.RunEnded):
                self.end = self.end or event
            elif isinstance(event, ev.RunCancelling):
                # the first tells who asked, the last how it stands
                del self.cancelling[1:]
                self.cancelling.append(event)
            elif isinstance(event, ev.RunTakenOver):
                del self.takeovers[:-1]
                self.takeovers.append(msgspec.structs.replace(event, files={}))
            elif isinstance(event, ev.BlockEnded) and event.block in known:
                self.ends[event.block] = event
            elif isinstance(event, ev.BlockStarted) and event.block in known:
                self.starts[event.block] = event
            elif isinstance(event, ev.BlockLookedUp) and event.block in known:
                self.looked_up[event.block] = event
            elif isinstance(event, ev.BlockRetrying) and event.block in known:
                self.retrying[event.block] = event
            elif isinstance(event, ev.ErrorRaised) and event.final and event.block in known:
                self.errors.setdefault(event.block, event)

    def attempts(self, block: str, element: int | None) -> list[ev.ErrorRaised]:
        """What went wrong with a block, or with one element of it, in order; at most some attempts, the last of all."""
        found: list[ev.ErrorRaised] = []
        with Look(self.path) as look:
            for event in _events(look, self.reading):
                if isinstance(event, ev.ErrorRaised) and event.block == block and event.element == element:
                    del found[_RETRIES_TOLD:]
                    found.append(event)
        return found


def _events(look: Look, reading: Reading) -> Iterator[ev.Event]:
    """The events that the fold has taken, with all they hold; of very many the first, and those at the end."""
    left = scan.RECORDS
    for epoch in reading.epochs:
        name = layout.journal(epoch)
        descriptor = look.open(name)
        if descriptor is None:
            continue
        try:
            # what lies behind was written after the fold was made, or does not count
            stop = min(os.fstat(descriptor).st_size, reading.ends.get(name, 0))
            at = 0
            for behind, event in _lines(descriptor, 0, min(stop, scan.RECORD_BYTES)):
                at, left = behind, left - 1
                if event is not None:
                    yield event
                if left <= 0:
                    break
            if at < stop:
                for _, event in _lines(descriptor, max(at, stop - 2 * ev.EVENT_LIMIT), stop):
                    if event is not None:
                        yield event
        finally:
            os.close(descriptor)


def _lines(descriptor: int, start: int, stop: int) -> Iterator[tuple[int, ev.Event | None]]:
    """Every complete line between two offsets, as (offset behind it, event or None if damaged)."""
    data, base = b"", start
    while base + len(data) < stop:
        more = read_at(descriptor, base + len(data), min(scan.WINDOW, stop - base - len(data)))
        if not more:
            return
        data += more
        done = 0
        for done, event in decode_lines(data):
            yield base + done, event
        base, data = base + done, data[done:]
        if len(data) >= ev.EVENT_LIMIT:
            # no line is that long: look for the next one behind it
            base, data = base + len(data), b""

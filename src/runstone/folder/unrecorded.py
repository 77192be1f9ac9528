"""What attempts told whose own end was not recorded when their driver died: they are made again, and tell it again."""

from __future__ import annotations

from runstone.core import events as ev
from runstone.core.moves import BLOCK_DONE
from runstone.core.ranges import add_range, contains
from runstone.core.run_state import RunState
from runstone.folder.load import Loader
from runstone.folder.writer import RunWriter

_RANGES = 1000
"""So many of them fit a line of the journal, whatever the numbers are."""


def void(writer: RunWriter) -> None:
    """Record that the errors and artifacts of elements and blocks without a recorded end count no more."""
    errors: list[tuple[int, int]] = []
    artifacts: list[tuple[int, int]] = []
    for event in Loader(writer.folder, trust=False).events():
        if not isinstance(event, ev.ErrorRaised | ev.ArtifactSaved) or not _is_made_again(writer.state, event):
            continue
        if isinstance(event, ev.ArtifactSaved):
            add_range(artifacts, event.seq, event.seq + 1)
        elif event.final:
            add_range(errors, event.seq, event.seq + 1)
    for start in range(0, len(errors), _RANGES):
        writer.event(ev.RecordsVoided, errors=errors[start : start + _RANGES])
    for start in range(0, len(artifacts), _RANGES):
        writer.event(ev.RecordsVoided, artifacts=artifacts[start : start + _RANGES])


def _is_made_again(state: RunState, event: ev.ErrorRaised | ev.ArtifactSaved) -> bool:
    block = state.blocks.get(event.block or "")
    if block is None or block.status in BLOCK_DONE:
        return False
    return event.element is None or not contains(block.recorded, event.element)

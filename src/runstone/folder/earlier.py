"""An earlier run as something to take over from: what it was, what it was given, and what of it is still there."""

from __future__ import annotations

import msgspec

from runstone.core.resumption import FoundRun
from runstone.core.reuse import Earlier, Side
from runstone.core.status import Observation, status_object
from runstone.folder import input_digests
from runstone.folder.holdings import Holdings, holdings
from runstone.folder.look import Look
from runstone.folder.read import read_look
from runstone.folder.reading import Reading


class EarlierRun(msgspec.Struct, frozen=True, kw_only=True):
    """A run in a folder, read and verified."""

    folder: str
    reading: Reading
    holdings: Holdings
    side: Side

    @property
    def compared(self) -> Earlier:
        """What `core.reuse.plan` asks for."""
        held = {name: holding.elements for name, holding in self.holdings.blocks.items()}
        return Earlier(side=self.side, state=self.reading.state, held=held)


def found_run(reading: Reading, *, same: bool) -> FoundRun:
    """What `core.resumption.next_step` asks for. same: it has the code and the parameters that are asked for."""
    state = reading.state
    seen = Observation(liveness=reading.liveness, source=reading.source, run_folder=None, missing=reading.missing)
    return FoundRun(
        status=state.status,
        done=state.done,
        whole=bool(status_object(reading.info, state, seen)["all_complete"]),
        gone=reading.gone,
        same=same,
    )


def read_earlier(folder: str) -> EarlierRun:
    """Read a run to take over from it. Raises FileNotFoundError, NotADirectoryError, FolderError."""
    with Look(folder) as look:
        reading = read_look(look, bounded=False)
        digests = input_digests.of_run(look, reading.info.params)
        return EarlierRun(
            folder=folder,
            reading=reading,
            holdings=holdings(look, reading),
            side=Side.of(reading.info, digests),
        )

"""Recording a run into its folder: elements become chunks, values go into events or packs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from runstone.core import events as ev
from runstone.core.reasons import Reason
from runstone.core.receipts import Receipt
from runstone.core.statuses import RunStatus
from runstone.engine.capture import complain, finish_block
from runstone.engine.encode import ElementEncoder, encode_values
from runstone.engine.record import E, Elements, Encoded, Stored
from runstone.engine.stored_secrets import StoredSecrets
from runstone.folder import artifacts, manifest
from runstone.folder.logs import LogWriter
from runstone.folder.writer import RunWriter

if TYPE_CHECKING:
    from runstone.engine.caching.keeper import Keeper


class FolderRecorder:
    """Records into a run folder."""

    def __init__(self, writer: RunWriter) -> None:
        self.writer = writer
        self.folder: str | None = writer.folder
        self.run_id = writer.info.id
        self.logs: LogWriter | None = LogWriter(writer.folder, writer.epoch, on_refused=complain)
        self.state = writer.state
        self.event = writer.event
        self.ticks = writer.ticks
        self.flush = writer.flush
        self._encoder = ElementEncoder()
        self._stored_secrets = StoredSecrets(writer)
        # of blocks whose results go into the cache
        self.keepers: dict[str, Keeper] = {}

    @property
    def heart(self) -> RunWriter:
        """What the pulse ticks."""
        return self.writer

    def elements(self, ended: Elements) -> None:
        """Record ended elements, in chunks of bounded size.

        Raises ElementNotStorable, which tells how many were recorded before it.
        """
        for encoded in self._encoder.encode(ended):
            self.chunk(encoded)

    def chunk(self, encoded: Encoded) -> None:
        """Record a chunk as whoever computed it has encoded it."""
        self.writer.chunk(encoded.header, encoded.payload)
        self._stored_secrets.look(encoded.header.block, encoded.payload)
        keeper = self.keepers.get(encoded.header.block)
        if keeper is not None:
            keeper.chunk(encoded.header, encoded.payload)

    def listen(self) -> None:
        """Let those who keep results know of the artifacts of their blocks."""
        self.event = self._heard

    def _heard(self, kind: type[E], **fields: Any) -> E:
        event = self.writer.event(kind, **fields)
        if isinstance(event, ev.ArtifactSaved) and event.block in self.keepers:
            self.keepers[event.block].saved_artifact(event.element)
        return event

    def values(self, block: str, values: Mapping[str, Any]) -> dict[str, ev.StoredValue]:
        """Store the outputs of a block that is not mapped. Small ones come back, to live in its `ended` event; the
        others are recorded now. Raises NotStorable."""
        small, large = encode_values(block, values)
        self.keep_small(small)
        if large is not None:
            self.chunk(large)
        return small

    def keep_small(self, small: Mapping[str, ev.StoredValue]) -> None:
        """These outputs will live in an event."""
        for name, stored in small.items():
            self._stored_secrets.look_at_small(name, stored)
            self.writer.keep_value(name, stored.value)

    def made(self, output: str, count: int | None) -> Any:
        """Where what was computed elsewhere is read."""
        return Stored(self.writer.folder, output)

    def artifact(self, block: str, element: int | None, source: str, **fields: Any) -> ev.ArtifactSaved:
        """Copy a file into the run and record it."""
        saved = artifacts.save(self.writer, source, block=block, element=element, **fields)
        if block in self.keepers:
            self.keepers[block].saved_artifact(element)
        self.flush()
        return saved

    def close_block(self, block: str) -> None:
        """Nothing more comes of this block."""
        finish_block(self.logs, block)
        self.writer.close_pack(block)
        self.keepers.pop(block, None)

    def end(self, status: RunStatus, reason: Any = None, message: str = "", receipts: Sequence[Receipt] = ()) -> None:
        """Record the end, with everything before it on the disk."""
        self.writer.end(status, reason, message, receipts)

    def abandon(self, why: str, reason: Reason) -> None:
        """The machinery has failed: say so in the record, if there is room for that."""
        self.writer.abandon(why, reason)

    def close(self) -> None:
        """Nothing more comes: let go of the files, and leave a manifest of what there is."""
        if self.logs is not None:
            self.logs.close()
        self.writer.close()
        if self.state.done:
            manifest.save(self.writer.folder, self.writer.info, self.state)

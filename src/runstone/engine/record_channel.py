"""What a worker says about the block it computes goes to the driver, which records it."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from runstone.core import events as ev
from runstone.core import run_state
from runstone.core.reasons import Reason
from runstone.core.receipts import Receipt
from runstone.core.statuses import RunStatus
from runstone.engine.channel import Buffer, Ended, Happened, Said
from runstone.engine.encode import ElementEncoder, encode_values
from runstone.engine.record import E, Elements, Encoded
from runstone.errors import RunError
from runstone.folder import artifacts
from runstone.folder.logs import LogWriter


class Says(Protocol):
    """Whoever brings messages to the driver."""

    def send(self, message: Said, payload: Sequence[Buffer] = ()) -> None: ...


class ChannelRecorder:
    """Sends events and encoded chunks to the driver, in order. Their numbers and times are given there.

    folder: of the run; artifacts are copied there by the worker itself.
    """

    def __init__(self, channel: Says, folder: str | None, run_id: str) -> None:
        self.folder = folder
        self.run_id = run_id
        self.logs: LogWriter | None = None
        self.state = run_state.initial(())
        self.ticks: list[Callable[[float], None]] = []
        self._channel = channel
        self._encoder = ElementEncoder()

    @property
    def heart(self) -> ChannelRecorder:
        """What the pulse ticks."""
        return self

    def tick(self, now: float) -> None:
        """Let the block that is collecting send what has waited long enough."""
        for tick in tuple(self.ticks):
            tick(now)

    def forked(self) -> None:
        """A forked child of the worker says nothing."""
        self.ticks.clear()

    def event(self, kind: type[E], **fields: Any) -> E:
        event = kind(seq=0, at="", **fields)
        self._channel.send(Happened(event=event))  # type: ignore[arg-type]  # every kind is a JournalEvent
        return event

    def flush(self) -> None:
        """What was sent is in the hands of the kernel already."""

    def elements(self, ended: Elements) -> None:
        for encoded in self._encoder.encode(ended):
            self.chunk(encoded)

    def chunk(self, encoded: Encoded) -> None:
        self._channel.send(Ended(header=encoded.header), encoded.payload)

    def keep_small(self, small: Mapping[str, ev.StoredValue]) -> None:
        """They travel with the end of the block."""

    def made(self, output: str, count: int | None) -> Any:
        """A worker hands nothing on."""
        raise NotImplementedError

    def values(self, block: str, values: Mapping[str, Any]) -> dict[str, ev.StoredValue]:
        small, large = encode_values(block, values)
        if large is not None:
            self.chunk(large)
        return small

    def close_block(self, block: str) -> None:
        """The driver does that."""

    def artifact(self, block: str, element: int | None, source: str, **fields: Any) -> ev.ArtifactSaved:
        if self.folder is None:
            raise RunError(artifacts.NO_FOLDER.format(os.path.basename(source)))
        return self.event(
            ev.ArtifactSaved, **artifacts.copy_in(self.folder, source, block=block, element=element, **fields)
        )

    def end(self, status: RunStatus, reason: Any = None, message: str = "", receipts: Sequence[Receipt] = ()) -> None:
        """A worker ends no runs."""
        raise NotImplementedError

    def abandon(self, why: str, reason: Reason) -> None:
        """A worker ends no runs."""
        raise NotImplementedError

    def close(self) -> None:
        """Nothing is open."""

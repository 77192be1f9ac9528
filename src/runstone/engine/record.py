"""What the engine says about a run: to a folder (`record_folder`) or to memory only (`record_memory`).

The engine speaks in elements and values; recorders make events and chunks of them. All of them keep the same fold, so
everything above sees the same run whether it is kept or not.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, TypeVar

import msgspec

from runstone.core import events as ev
from runstone.core import run_state
from runstone.core.ranges import Range
from runstone.core.reasons import Reason
from runstone.core.receipts import Receipt
from runstone.core.statuses import RunStatus
from runstone.errors import NotStorable
from runstone.folder.logs import LogWriter
from runstone.folder.pulse import Beating

E = TypeVar("E", bound=ev.Event)


Buffer = bytes | memoryview


class Encoded(msgspec.Struct, frozen=True, kw_only=True):
    """A chunk that has no number yet: its header (`seq` 0, no time), and its payload."""

    header: ev.Chunk
    payload: list[Buffer]


class Stored(msgspec.Struct, frozen=True):
    """An output that is not in memory: it lies in a run folder, where whoever needs it reads it."""

    folder: str
    output: str

    def load(self) -> Any:
        """The value; a mapped output as a MappedArray that reads its cells when they are asked for."""
        from runstone.folder.load import Loader, StoredArray

        found = Loader(self.folder, trust=True).output(self.output)
        return found.as_mapped(lazy=True) if isinstance(found, StoredArray) else found


class Elements(msgspec.Struct, frozen=True, kw_only=True):
    """Elements of a mapped block that have ended.

    ranges: which, in the order of `cells`. cells: what each gave (a tuple for several outputs), or a `Failed`.
    bad: the positions in `cells` of those that are `Failed`, ascending. shape: of the mapped axes. cpu_seconds: that
    computing them took.
    """

    block: str
    outputs: tuple[str, ...]
    ranges: list[Range]
    cells: Sequence[Any]
    bad: Sequence[int]
    shape: list[int]
    retries: int = 0
    cpu_seconds: float = 0.0


class ElementNotStorable(Exception):
    """Elements gave values that cannot be stored.

    refused: position in the cells -> why. recorded: how many cells before them were recorded all the same.
    """

    def __init__(self, refused: dict[int, NotStorable], recorded: int = 0) -> None:
        self.refused = refused
        self.recorded = recorded
        super().__init__(f"{len(refused)} values cannot be stored")


class Recorder(Protocol):
    """Where a run is recorded. Every method may raise FolderError; then nothing more can be recorded.

    heart: what the pulse ticks while the run goes on; it calls `ticks`, for blocks that collect elements. logs: where
    what blocks say is kept, if it is.
    """

    folder: str | None
    run_id: str
    state: run_state.RunState
    logs: LogWriter | None
    ticks: list[Callable[[float], None]]

    @property
    def heart(self) -> Beating: ...

    def event(self, kind: type[E], **fields: Any) -> E: ...

    def flush(self) -> None: ...

    def elements(self, ended: Elements) -> None: ...

    def values(self, block: str, values: Mapping[str, Any]) -> dict[str, ev.StoredValue]: ...

    def chunk(self, encoded: Encoded) -> None: ...

    def keep_small(self, small: Mapping[str, ev.StoredValue]) -> None: ...

    def made(self, output: str, count: int | None) -> Any: ...

    def close_block(self, block: str) -> None: ...

    def artifact(self, block: str, element: int | None, source: str, **fields: Any) -> ev.ArtifactSaved: ...

    def end(
        self, status: RunStatus, reason: Any = None, message: str = "", receipts: Sequence[Receipt] = ()
    ) -> None: ...

    def abandon(self, why: str, reason: Reason) -> None: ...

    def close(self) -> None: ...

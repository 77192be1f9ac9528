"""What can happen to a run: the lines of its journal, and the headers of its chunks.

The driver numbers both in one sequence (`seq`, from 1, without gaps, across epochs). Unknown fields are ignored and
unknown events of the same format are stepped over, so that an older reader follows a newer writer.
"""

from __future__ import annotations

from typing import Any

import msgspec

from runstone.core.causes import Why
from runstone.core.ranges import Range
from runstone.core.reasons import Reason
from runstone.core.receipts import Receipt
from runstone.core.statuses import BlockStatus, RunStatus

FORMAT = 1
"""The format of run folders that this version writes, and the highest that it reads."""

EVENT_LIMIT = 64 * 1024
"""The longest journal line, in bytes."""


class Driver(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Which process executes a run, told so that its death can be proven later.

    start_ticks: when the process started, in the raw unit of the system. pid_namespace: inode of its pid namespace.
    journal_inode, journal_device: the file this record stands in; in a copy of the folder they differ, and then the
    process says nothing about the copy.
    """

    host: str
    pid: int
    start_ticks: int
    boot_id: str = ""
    machine_id: str = ""
    pid_namespace: int = 0
    journal_inode: int = 0
    journal_device: int = 0
    executor: str = "inline"
    worker: str | None = None


class Event(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="event"):
    """One line of the journal. at: when, RFC 3339 in UTC."""

    seq: int
    at: str


class RunStarted(Event, frozen=True, kw_only=True, omit_defaults=True, tag="run.started"):
    """A driver holds the run."""

    driver: Driver


class RunTakenOver(Event, frozen=True, kw_only=True, omit_defaults=True, tag="run.taken_over"):
    """The first event of every epoch but the first.

    files: for every file of earlier epochs, relative to the folder, the length up to its last valid line or frame;
    what lies beyond is not part of the run. more: how many events with further files follow at once; without the last
    of them nothing was taken over.
    """

    epoch: int
    driver: Driver
    files: dict[str, int]
    by: str = ""
    more: int = 0


class FilesTakenOver(Event, frozen=True, kw_only=True, omit_defaults=True, tag="run.taken_over.files"):
    """Follows `RunTakenOver` where its files are too many for one line: some more of them."""

    files: dict[str, int]


class RecordsVoided(Event, frozen=True, kw_only=True, omit_defaults=True, tag="records.voided"):
    """What attempts had recorded whose own end was not, and which are made again: it counts no more.

    errors, artifacts: the numbers (`seq`) of those events.
    """

    errors: list[Range] = []
    artifacts: list[Range] = []


class RunCancelling(Event, frozen=True, kw_only=True, omit_defaults=True, tag="run.cancelling"):
    """From here on no block starts. requested_at, requested_by: of the request that is answered."""

    reason: Reason
    message: str = ""
    requested_at: str | None = None
    requested_by: str | None = None


class RunEnded(Event, frozen=True, kw_only=True, omit_defaults=True, tag="run.ended"):
    """The end. Everything it speaks of was synced before it was written. receipts: of processes ended for it."""

    status: RunStatus
    reason: Reason | None = None
    message: str = ""
    receipts: list[Receipt] = []


class BlockStarted(Event, frozen=True, kw_only=True, omit_defaults=True, tag="block.started"):
    """A block, or its next attempt, begins. shape: lengths of the mapped axes, None if it is not mapped."""

    block: str
    attempt: int = 1
    shape: list[int] | None = None


class BlockRetrying(Event, frozen=True, kw_only=True, omit_defaults=True, tag="block.retrying"):
    """An attempt failed and another one will follow after `delay` seconds."""

    block: str
    attempt: int
    delay: float = 0.0


class StoredValue(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A named output that lives in its event. value: the small form of `folder.values`."""

    value: Any
    type: str
    preview: Any = None
    bytes: int = 0


class BlockEnded(Event, frozen=True, kw_only=True, omit_defaults=True, tag="block.ended"):
    """The end of a block; written only after its pack was synced.

    values: the outputs that were small enough to live here; the others are in the pack.
    inner_shapes: for outputs with axes that come out of the value, their lengths.
    cpu_seconds, peak_memory (bytes): of the last attempt, if it had a process of its own. receipts: of processes that
    were ended because they took too long.
    """

    block: str
    status: BlockStatus
    reason: Reason | None = None
    message: str = ""
    duration: float | None = None
    values: dict[str, StoredValue] = {}
    inner_shapes: dict[str, list[int]] = {}
    cpu_seconds: float | None = None
    peak_memory: int | None = None
    receipts: list[Receipt] = []


class AdoptedFile(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A pack of an earlier run under a name in this folder. bytes: how much of it counts.

    elements: those that are taken from its frames, flat and row-major; whatever else is in them, and the numbers they
    bear, belong to the other run. copied: it could not be linked.
    """

    path: str
    bytes: int
    elements: list[Range]
    copied: bool = False


class AdoptedOutput(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How many values of an output are in the adopted files, and what they take there, in bytes."""

    type: str = ""
    count: int
    bytes: int = 0


class BlockAdopted(Event, frozen=True, kw_only=True, omit_defaults=True, tag="block.adopted"):
    """Results of an earlier run count as results of this one; written when its files have their names here, synced.

    All elements that are named came out well. For one block there may be several of these events, since each must fit
    a line. whole: nothing of the block is left to be computed, and it ends here as reused.
    from_run: id of the run that is adopted from. values, inner_shapes: as in `BlockEnded`.
    """

    block: str
    from_run: str
    shape: list[int] | None = None
    files: list[AdoptedFile] = []
    outputs: dict[str, AdoptedOutput] = {}
    values: dict[str, StoredValue] = {}
    inner_shapes: dict[str, list[int]] = {}
    whole: bool = False


class Miss(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Elements that are computed, as the cache has nothing that is valid for them. elements: (0, 1) of a block that is
    not mapped; the first ones, if they are scattered. why: what is not the same, by name."""

    elements: list[Range]
    why: list[Why]


class BlockLookedUp(Event, frozen=True, kw_only=True, omit_defaults=True, tag="block.looked_up"):
    """The results of a block were looked for in the cache, before it began.

    wanted, found: elements; a block that is not mapped has one. from_runs: how many runs have made those that were
    found; they become part of this run by `BlockAdopted`, which names the one that has made most of them.
    """

    block: str
    wanted: int
    found: int = 0
    from_runs: int = 0
    misses: list[Miss] = []


class ErrorRaised(Event, frozen=True, kw_only=True, omit_defaults=True, tag="error"):
    """User code raised, or its result could not be used. Written for the first 1,000 of a block, then counted.

    element: flat row-major number of the element, None for a block that is not mapped. final: no attempt follows.
    params: small previews of the arguments.
    """

    block: str
    element: int | None = None
    index: list[int] | None = None
    attempt: int = 1
    final: bool = True
    reason: Reason = Reason.EXCEPTION
    type: str
    message: str
    traceback: str = ""
    params: dict[str, Any] = {}


class ArtifactSaved(Event, frozen=True, kw_only=True, omit_defaults=True, tag="artifact"):
    """A file that the run saved on purpose; path is relative to the folder."""

    artifact_id: str
    path: str
    name: str
    artifact_type: str
    content_type: str
    size_bytes: int
    sha256: str
    block: str | None = None
    element: int | None = None
    metadata: dict[str, Any] = {}

    @property
    def created_at(self) -> str:
        """When it was saved."""
        return self.at


class Warned(Event, frozen=True, kw_only=True, omit_defaults=True, tag="warning"):
    """Something a reader should know, that ended nothing."""

    code: str
    message: str
    block: str | None = None


JournalEvent = (
    RunStarted
    | RunTakenOver
    | FilesTakenOver
    | RecordsVoided
    | RunCancelling
    | RunEnded
    | BlockStarted
    | BlockRetrying
    | BlockEnded
    | BlockAdopted
    | BlockLookedUp
    | ErrorRaised
    | ArtifactSaved
    | Warned
)


class ColumnMeta(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """How one column of a chunk is stored. bytes: its length in the payload; meta: what decoding needs."""

    name: str
    bytes: int
    count: int
    meta: Any = None
    safe: bool = True
    type: str = ""
    preview: Any = None


class Chunk(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """The header of a frame: it *is* the event that its elements ended.

    elements: which, as flat row-major ranges in the order of the values. ok, failed, upstream_failed: how many ended
    how; they sum to the number of elements. columns: one for each output, with the values of the elements that are ok.
    outcomes: present unless all are ok, a code for each element (0 ok, 1 failed, 2 upstream_failed); failures: present
    if any failed, a short text for each one that did.
    shape: lengths of the mapped axes, None if the block is not mapped (one element then).
    retries: attempts beyond the first that these elements took. cpu_seconds: of the thread that computed them.
    from_run: of values that come from the cache, the id of the run that has computed them.
    """

    seq: int
    at: str
    block: str
    elements: list[Range]
    ok: int
    columns: list[ColumnMeta]
    failed: int = 0
    upstream_failed: int = 0
    shape: list[int] | None = None
    outcomes: ColumnMeta | None = None
    failures: ColumnMeta | None = None
    retries: int = 0
    cpu_seconds: float = 0.0
    from_run: str = ""


Record = JournalEvent | Chunk

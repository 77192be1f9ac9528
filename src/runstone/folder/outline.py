"""Records as far as the fold asks for them: without values, previews, arguments and tracebacks.

A reader of the status decodes every record and keeps none of that; who steps over it need not build it, however large
and deep it is.
"""

from __future__ import annotations

import functools
import operator
from typing import Any

import msgspec

from runstone.core import events as ev
from runstone.core.ranges import Range
from runstone.core.reasons import Reason
from runstone.core.statuses import BlockStatus


class _Value(msgspec.Struct, frozen=True):
    type: str
    bytes: int = 0


class _BlockEnded(ev.Event, frozen=True, kw_only=True, tag="block.ended"):
    block: str
    status: BlockStatus
    reason: Reason | None = None
    message: str = ""
    duration: float | None = None
    values: dict[str, _Value] = msgspec.field(default_factory=dict)
    inner_shapes: dict[str, list[int]] = msgspec.field(default_factory=dict)
    cpu_seconds: float | None = None
    peak_memory: int | None = None


class _BlockAdopted(ev.Event, frozen=True, kw_only=True, tag="block.adopted"):
    block: str
    from_run: str
    shape: list[int] | None = None
    files: list[ev.AdoptedFile] = msgspec.field(default_factory=list)
    outputs: dict[str, ev.AdoptedOutput] = msgspec.field(default_factory=dict)
    values: dict[str, _Value] = msgspec.field(default_factory=dict)
    inner_shapes: dict[str, list[int]] = msgspec.field(default_factory=dict)
    whole: bool = False


class _ErrorRaised(ev.Event, frozen=True, kw_only=True, tag="error"):
    block: str
    element: int | None = None
    index: list[int] | None = None
    attempt: int = 1
    final: bool = True
    reason: Reason = Reason.EXCEPTION
    type: str
    message: str


class _ArtifactSaved(ev.Event, frozen=True, kw_only=True, tag="artifact"):
    artifact_id: str
    path: str
    size_bytes: int


class _Column(msgspec.Struct, frozen=True, gc=False):
    name: str
    bytes: int
    count: int
    type: str = ""


class _Chunk(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    seq: int
    at: str
    block: str
    elements: list[Range]
    ok: int
    columns: list[_Column]
    failed: int = 0
    upstream_failed: int = 0
    shape: list[int] | None = None
    retries: int = 0
    cpu_seconds: float = 0.0


OUTLINES: dict[type, type] = {
    ev.BlockEnded: _BlockEnded,
    ev.BlockAdopted: _BlockAdopted,
    ev.ErrorRaised: _ErrorRaised,
    ev.ArtifactSaved: _ArtifactSaved,
    ev.Chunk: _Chunk,
}
"""What is decoded instead of these; all other events are decoded as they are."""

_events = tuple(OUTLINES.get(kind, kind) for kind in ev.JournalEvent.__args__)

# The fold asks for no more than these have; to it they are records.
decode_event: Any = msgspec.json.Decoder(functools.reduce(operator.or_, _events)).decode
decode_chunk: Any = msgspec.json.Decoder(_Chunk).decode

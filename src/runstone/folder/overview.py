"""A run in some detail, for a person or a program that shows it: one look at its folder, in bounded records."""

from __future__ import annotations

import time
from typing import Any

import msgspec

from runstone.core.annotated import Annotation, notes
from runstone.core.arrays import unravel
from runstone.core.events import ArtifactSaved, ErrorRaised
from runstone.core.moves import BLOCK_DONE
from runstone.core.records import BlockInfo, StartedBy
from runstone.core.run_state import BlockState, ErrorSummary
from runstone.core.status import block_statuses
from runstone.errors import ForeignFolder
from runstone.folder import annotations as annotations_of
from runstone.folder import clock, layout
from runstone.folder.error_detail import ErrorDetail, ErrorGroup, ErrorGroups, error_detail
from runstone.folder.foreign import door
from runstone.folder.load import Loader
from runstone.folder.look import Look
from runstone.folder.observe import block_seconds, observation, observe
from runstone.folder.read import Reading, read_run

ERRORS, ARTIFACTS = 20, 50
"""How many are told in full; how many there are is always told."""


class OutputDetail(msgspec.Struct, frozen=True, kw_only=True):
    """One output of a block. values: how many of them are stored; bytes: what they take on disk."""

    name: str
    type: str | None
    values: int
    bytes: int
    complete: bool


class BlockDetail(msgspec.Struct, frozen=True, kw_only=True):
    """One block. status: as recorded; acting_status: the word to act on, `crashed` for what went on when the process
    died. shape: lengths of its mapped axes, None if it is not mapped or has not started; total: their product.

    ok, failed, upstream_failed: elements by how they ended. seconds: from its start to its end, or to the last sign of
    the run. upstream: the blocks it takes values from. loader: where its function is found; code: the identity of its
    code, part by part.
    """

    name: str
    status: str
    acting_status: str
    shape: list[int] | None
    total: int | None
    ok: int
    failed: int
    upstream_failed: int
    attempt: int
    retries: int
    started_at: str | None
    finished_at: str | None
    duration_seconds: float | None
    seconds: float | None
    reason: str | None
    message: str
    mapspec: str | None
    upstream: list[str]
    doc: str
    loader: str | None
    code: dict[str, str]
    outputs: list[OutputDetail]

    @property
    def ended(self) -> int:
        """How many elements ended, well or not."""
        return self.ok + self.failed + self.upstream_failed

    @property
    def done(self) -> bool:
        return self.status in BLOCK_DONE


class ArtifactDetail(msgspec.Struct, frozen=True, kw_only=True):
    """One file that the run saved on purpose; path is below the run folder. present: it is still there."""

    artifact_id: str
    name: str
    path: str
    artifact_type: str
    content_type: str
    size_bytes: int
    sha256: str
    present: bool
    block: str | None
    metadata: dict[str, Any]


class ParamDetail(msgspec.Struct, frozen=True, kw_only=True):
    """One parameter. source: caller or default."""

    name: str
    type: str
    preview: Any
    source: str


class Overview(msgspec.Struct, frozen=True, kw_only=True):
    """status: the status object. seconds: from its start to its end, or to the last sign of it; None before that.

    errors, artifacts: the first of `error_count` and `artifact_count`. error_groups: all errors that were recorded,
    equal ones as one. notes: what people wrote about it, in order. foreign: another program made the run, so nothing of
    it can be loaded here. imported: it came out of an archive, so nothing of it is loaded unless somebody vouches for
    it.
    """

    status: dict[str, Any]
    description: str
    started_by: StartedBy
    seconds: float | None
    blocks: list[BlockDetail]
    params: list[ParamDetail]
    errors: list[ErrorDetail]
    error_count: int
    error_groups: list[ErrorGroup]
    artifacts: list[ArtifactDetail]
    artifact_count: int
    notes: list[Annotation] = []
    foreign: bool = False
    imported: bool = False


def overview(path: str, block: str | None = None) -> Overview:
    """Look at the run in a folder.

    block: the only one that blocks, errors and artifacts are told of; the status object has its record too.
    Raises FileNotFoundError, NotADirectoryError, OSError, FolderError.
    """
    try:
        reading = read_run(path)
    except ForeignFolder:
        return door.overview(path, block)
    state, info = reading.state, reading.info
    status = observe(reading, path, block)
    words = block_statuses(info, state, observation(reading, path), status["outputs"])
    errors, groups, artifacts = _from_events(path, reading, block)
    told = state.error_count if block is None else min(state.error_count, state.blocks[block].failed)
    return Overview(
        status=status,
        description=info.pipeline.description,
        started_by=info.started_by,
        seconds=_so_far(status, status["started_at"], status["duration_seconds"]),
        blocks=[
            _block(each, state.blocks[each.name], words[each.name], reading, status)
            for each in info.blocks
            if block in (None, each.name)
        ],
        params=[
            ParamDetail(name=name, type=param.type, preview=param.preview, source=param.source)
            for name, param in info.params.items()
        ],
        errors=errors,
        error_count=max(told, len(errors)),
        error_groups=groups,
        imported=info.imported_from is not None,
        artifacts=artifacts,
        artifact_count=max(state.artifact_count if block is None else 0, len(artifacts)),
        notes=notes(annotations_of.read_from(path)),
    )


def _so_far(status: dict[str, Any], started_at: str | None, known: float | None) -> float | None:
    """Seconds since a start, as far as anything is known of what started; `known` if it has ended."""
    start = clock.seconds(started_at)
    if known is not None or start is None:
        return known
    now = time.time() if status["liveness"] == "live" else clock.seconds(status["updated_at"])
    return None if now is None else max(0.0, now - start)


def _block(block: BlockInfo, state: BlockState, word: str, reading: Reading, status: dict[str, Any]) -> BlockDetail:
    """word: the one to act on."""
    outputs = [
        OutputDetail(
            name=name,
            type=status["outputs"][name]["type"],
            values=state.outputs[name].stored if name in state.outputs else 0,
            bytes=status["outputs"][name]["bytes"],
            complete=status["outputs"][name]["complete"],
        )
        for name in block.outputs
    ]
    crashed_at = reading.state.updated_at if word == "crashed" else None
    seconds = block_seconds(state, crashed_at)
    return BlockDetail(
        name=block.name,
        status=state.status.value if reading.heuristic is None else word,
        acting_status=word,
        shape=state.shape,
        total=state.total,
        ok=state.ok,
        failed=state.failed,
        upstream_failed=state.upstream_failed,
        attempt=state.attempt,
        retries=state.retries,
        started_at=state.started_at,
        finished_at=state.finished_at,
        duration_seconds=seconds,
        seconds=_so_far(status, state.started_at, seconds),
        reason=None if state.reason is None else state.reason.value,
        message=state.message,
        mapspec=block.mapspec,
        upstream=block.upstream,
        doc=block.doc,
        loader=block.loader,
        code=block.code,
        outputs=outputs,
    )


def _from_events(
    path: str, reading: Reading, block: str | None
) -> tuple[list[ErrorDetail], list[ErrorGroup], list[ArtifactDetail]]:
    """The first errors, all of them in groups, and the first artifacts, of one block if it is named, from the journal.

    Without a journal they are as much of the errors as the checkpoint tells.
    """
    errors: list[ErrorDetail] = []
    groups = ErrorGroups()
    artifacts: list[ArtifactDetail] = []
    left, wanted = reading.state.error_count, min(ARTIFACTS, reading.state.artifact_count)
    for event in Loader(path, trust=False).events():
        if left <= 0 and len(artifacts) >= wanted:
            break
        if isinstance(event, ErrorRaised) and event.final:
            left -= 1
            if block in (None, event.block):
                error = error_detail(event)
                groups.add(error)
                errors += [error] if len(errors) < ERRORS else []
        elif isinstance(event, ArtifactSaved) and len(artifacts) < ARTIFACTS and block in (None, event.block):
            artifacts.append(_artifact(event, path))
    if not errors:
        told = [_summary(error, reading) for error in reading.state.errors if block in (None, error.block)]
        errors, groups = told[:ERRORS], ErrorGroups(told)
    return errors, groups.groups(), artifacts


def _summary(error: ErrorSummary, reading: Reading) -> ErrorDetail:
    shape = reading.state.blocks[error.block].shape if error.block in reading.state.blocks else None
    return ErrorDetail(
        block=error.block,
        element=error.element,
        index=None if error.element is None or not shape or 0 in shape else list(unravel(error.element, shape)),
        attempt=error.attempt,
        type=error.type,
        message=error.message,
        reason=None if error.reason is None else error.reason.value,
        occurred_at=error.at,
    )


def _artifact(event: ArtifactSaved, folder: str) -> ArtifactDetail:
    parts = event.path.split("/")
    with Look(folder) as look:
        present = parts[0] == layout.ARTIFACTS and ".." not in parts and look.stat(event.path) is not None
    return ArtifactDetail(
        artifact_id=event.artifact_id,
        name=event.name,
        path=event.path,
        artifact_type=event.artifact_type,
        content_type=event.content_type,
        size_bytes=event.size_bytes,
        sha256=event.sha256,
        present=present,
        block=event.block,
        metadata=event.metadata,
    )

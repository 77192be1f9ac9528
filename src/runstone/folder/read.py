"""Reading a run from its folder: records, fold, and what can be proven about its driver.

Heartbeat first, files second: a valid `status.json` saves folding what it holds already; everything behind it, or
everything, is folded from journal and packs. Nothing is written, unpickled or imported, whatever the folder holds.
"""

from __future__ import annotations

import operator
import os
import time
from collections.abc import Iterator

import msgspec

from runstone.core import fold
from runstone.core.events import FORMAT, Driver, Record, RunEnded, RunStarted, RunTakenOver
from runstone.core.records import RunInfo
from runstone.core.statuses import Liveness, RunStatus
from runstone.errors import FolderError, FormatTooNew
from runstone.folder import checkpoint as checkpoints
from runstone.folder import clock, identity, layout, scan
from runstone.folder.look import Look

JOURNAL_LIMIT = 256 * 1024 * 1024
STALE_SECONDS = 5.0

_decode_run = msgspec.json.Decoder(RunInfo).decode


class _Format(msgspec.Struct):
    format: int


class Reading(msgspec.Struct, kw_only=True):
    """A run as it was found on disk.

    source: heartbeat, journal or disk_heuristic. ends: for every file that was folded, relative to the folder, how
    much of it the fold has taken in. gone: whether the driver was proven dead before the records were read. heuristic:
    the status to show when only `outputs/` speaks. notes: what a reader should be told.
    """

    info: RunInfo
    state: fold.RunState
    source: str
    liveness: Liveness
    epochs: list[int]
    ends: dict[str, int]
    gone: bool | None = None
    copied: bool = False
    heartbeat_at: str | None = None
    heartbeat_age: float | None = None
    heuristic: RunStatus | str | None = None
    notes: list[str] = []
    missing: list[str] = []


def read_info(look: Look) -> RunInfo:
    """The content of `run.json`. Raises FileNotFoundError, FolderError, FormatTooNew."""
    data = look.read(layout.RUN, layout.RUN_LIMIT)
    if data is None:
        raise FileNotFoundError(f"no run in {look.path}: {layout.RUN} is not there")
    try:
        info: RunInfo = _decode_run(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        _refuse_newer(data)
        raise FolderError(f"{layout.RUN} is damaged: {error}") from None
    if info.format > FORMAT:
        _refuse_newer(data)
    _check_names([block.name for block in info.blocks])
    _check_names([output for block in info.blocks for output in block.outputs])
    return info


def _check_names(names: list[str]) -> None:
    if len(set(names)) < len(names):
        raise FolderError(f"{layout.RUN} is damaged: it names a block or an output twice")
    if max(map(len, names), default=0) > layout.LONGEST_NAME:
        raise FolderError(f"{layout.RUN} is damaged: no name of a block or an output is that long")


def _refuse_newer(data: bytes) -> None:
    try:
        found = msgspec.json.decode(data, type=_Format).format
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return
    if found > FORMAT:
        raise FormatTooNew(
            f"this run is in format {found} and this version of Runstone reads up to {FORMAT}: install a newer Runstone"
        )


def read_run(path: str) -> Reading:
    """Everything that can be said about the run in a folder.

    Raises FileNotFoundError or NotADirectoryError if there is no run, FolderError if it cannot be read.
    """
    with Look(path) as look:
        return read_look(look)


def read_look(look: Look, *, verify_all: bool = False) -> Reading:
    """`read_run` for a folder that is open already.

    verify_all: as one who takes the run over: check every value, start from no checkpoint, and step over every gap.
    """
    info = read_info(look)
    epochs = _epochs(look)
    state = fold.initial(block.name for block in info.blocks)
    reading = Reading(
        info=info, state=state, source="journal", liveness=Liveness.LOST, epochs=epochs, ends={}, notes=[], missing=[]
    )
    data = None if verify_all else _read_checkpoint(look)
    found = checkpoints.decode(data)
    if found is not None and (found.run_id != info.id or found.state.blocks.keys() != state.blocks.keys()):
        found = None
    if not epochs:
        return _without_journal(look, reading, found)
    limits = _limits(look, reading, epochs)
    newest = epochs[-1]
    claimed = found
    if found is not None:
        _take_heartbeat(reading, found)
        if found.state.epoch not in epochs or not checkpoints.agrees(found, look, limits, newest):
            found = None
    if found is not None:
        reading.state = found.state
        reading.ends = {known.path: known.offset for known in found.files}
    if not reading.state.done:
        # Before the records are read: what a dead driver has written is all there will be, but one that dies meanwhile
        # may have written more than we see, even its end.
        reading.gone = _driver_gone(look, newest, _driver(look, newest) or reading.state.driver)
    _fold(look, reading, limits, verify_all=verify_all)
    if reading.state.seq == 0 and not verify_all:
        # A run has a first line before it has a run.json: not one can be read any more.
        return _without_journal(look, reading, claimed)
    if reading.state.done:
        reading.liveness = Liveness.ENDED
    else:
        reading.liveness = _liveness(look, reading)
        if found is not None:
            reading.source = "heartbeat"
    _check_disk(look, reading)
    return reading


def _read_checkpoint(look: Look) -> bytes | None:
    try:
        return look.read(layout.CHECKPOINT, checkpoints.LIMIT)
    except FolderError:
        return None


def _epochs(look: Look) -> list[int]:
    found = sorted(filter(None, map(layout.journal_epoch, look.names(layout.JOURNAL))))
    return [
        epoch for number, epoch in enumerate(found, start=1) if number == epoch and look.stat(layout.journal(epoch))
    ]


def _limits(look: Look, reading: Reading, epochs: list[int]) -> dict[str, int]:
    """How much of each file of earlier epochs counts, as the newest takeover says."""
    for epoch in reversed(epochs[1:]):
        descriptor = look.open(layout.journal(epoch))
        if descriptor is None:
            continue
        try:
            event, complete = scan.first_event(descriptor)
        finally:
            os.close(descriptor)
        if isinstance(event, RunTakenOver):
            return event.files
        if complete:
            reading.notes.append(f"the first line of {layout.journal(epoch)} is damaged")
            return _all_before(look, reading.info, epoch)
        # made without links and not complete yet: not a takeover so far
        epochs.remove(epoch)
    return {}


def _all_before(look: Look, info: RunInfo, epoch: int) -> dict[str, int]:
    """The lengths of all files of the epochs before this one, for when what it said about them is lost."""
    names = [layout.journal(earlier) for earlier in range(1, epoch)]
    names += [name for earlier, packs in _packs(look, info).items() if earlier < epoch for name in packs]
    return {name: found.st_size for name in names if (found := look.stat(name)) is not None}


def _fold(look: Look, reading: Reading, limits: dict[str, int], *, verify_all: bool) -> None:
    """Apply every record behind what `reading.ends` says, epoch by epoch, in order, up to the first gap.

    A gap that nobody will fill any more (its epoch was taken over, or has an end, or its driver is gone) is stepped
    over as lost.
    """
    state, newest = reading.state, reading.epochs[-1]
    allowance = scan.Allowance()

    def records(name: str, epoch: int) -> list[Record]:
        counting = limits if epoch < newest else None
        result = _scan(look, reading, name, counting, verify_all=verify_all, allowance=allowance)
        return [] if result is None else result.records

    # Journals first, and the names of packs after them: a journal that speaks of the end was not read too early.
    journals = {epoch: records(layout.journal(epoch), epoch) for epoch in reading.epochs}
    packs = _packs(look, reading.info)
    for epoch in reading.epochs:
        found = journals.pop(epoch)
        for name in packs.get(epoch, ()):
            found.extend(records(name, epoch))
        found.sort(key=_number)
        closed = epoch < newest or verify_all or reading.gone or any(type(record) is RunEnded for record in found[-1:])
        for record in found:
            number = record.seq
            if number <= state.seq:
                continue
            if number > state.seq + 1:
                if not closed and type(record) is not RunTakenOver:
                    return
                fold.lose(state, number - 1)
            fold.apply(state, record)


_number = operator.attrgetter("seq")


def _packs(look: Look, info: RunInfo) -> dict[int, list[str]]:
    """The packs of every epoch, relative to the folder."""
    packs: dict[int, list[str]] = {}
    blocks = {block.name for block in info.blocks}
    for name in look.names(layout.OUTPUTS):
        pack = layout.pack_block(name)
        if pack is not None and pack[0] in blocks:
            packs.setdefault(pack[1], []).append(f"{layout.OUTPUTS}/{name}")
    return packs


def _scan(
    look: Look,
    reading: Reading,
    name: str,
    limits: dict[str, int] | None,
    *,
    verify_all: bool,
    allowance: scan.Allowance,
) -> scan.Scan | None:
    """The records of one file.

    limits: how much of each file of a closed epoch counts; None for the newest epoch, which counts as far as it goes.
    """
    start = reading.ends.get(name, 0)
    try:
        descriptor = look.open(name)
    except FolderError as error:
        reading.notes.append(str(error))
        return None
    if descriptor is None:
        return None
    try:
        size = os.fstat(descriptor).st_size
        stop = size if limits is None else min(size, limits.get(name, 0))
        if name.startswith(layout.JOURNAL):
            if stop - start > JOURNAL_LIMIT:
                reading.notes.append(f"{name} is longer than {JOURNAL_LIMIT:,} bytes; the rest was not read")
                stop = start + JOURNAL_LIMIT
            result = scan.scan_journal(descriptor, start, stop)
        else:
            result = scan.scan_pack(descriptor, start, stop, verify_all=verify_all, allowance=allowance)
    except OSError as error:
        reading.notes.append(f"{name} cannot be read: {error.strerror}")
        return None
    finally:
        os.close(descriptor)
    reading.ends[name] = result.end
    if result.damaged:
        reading.notes.append(f"{name} is damaged in the middle")
    return result


def _driver(look: Look, epoch: int) -> Driver | None:
    """The driver that the first line of a journal names."""
    descriptor = look.open(layout.journal(epoch))
    if descriptor is None:
        return None
    try:
        event, _ = scan.first_event(descriptor)
    finally:
        os.close(descriptor)
    return event.driver if isinstance(event, RunStarted | RunTakenOver) else None


def _driver_gone(look: Look, epoch: int, driver: Driver | None) -> bool | None:
    """Proof about the driver of an epoch; None where its record says nothing about this folder, as in a copy."""
    if driver is None:
        return None
    journal = look.stat(layout.journal(epoch))
    if journal is None or journal.st_ino != driver.journal_inode:
        return None
    if driver.boot_id == identity.boot_id() and journal.st_dev != driver.journal_device:
        return None
    return identity.is_gone(driver)


def _take_heartbeat(reading: Reading, found: checkpoints.Checkpoint) -> None:
    reading.heartbeat_at = found.at
    if found.boot_id and found.boot_id == identity.boot_id():
        reading.heartbeat_age = max(0.0, clock.steady() - found.steady)
    else:
        then = clock.seconds(found.at)
        reading.heartbeat_age = None if then is None else max(0.0, time.time() - then)


def _liveness(look: Look, reading: Reading) -> Liveness:
    if reading.gone:
        return Liveness.GONE
    driver = reading.state.driver
    if driver is not None and reading.gone is None and _is_copy(look, reading):
        reading.copied = True
        return Liveness.LOST
    age = reading.heartbeat_age
    if age is None:
        then = clock.seconds(reading.state.updated_at or reading.info.created_at)
        age = None if then is None else max(0.0, time.time() - then)
    if age is None or age > reading.info.lease_seconds:
        return Liveness.LOST
    return Liveness.STALE if age > STALE_SECONDS else Liveness.LIVE


def _is_copy(look: Look, reading: Reading) -> bool:
    driver = reading.state.driver
    journal = look.stat(layout.journal(reading.epochs[-1]))
    return driver is not None and journal is not None and journal.st_ino != driver.journal_inode


def _check_disk(look: Look, reading: Reading) -> None:
    """Name the packs that the fold counts on and that are absent or shorter than that."""
    for name, end in reading.ends.items():
        if name.startswith(layout.OUTPUTS) and end:
            found = look.stat(name)
            if found is None or found.st_size < end:
                reading.missing.append(name)


def _without_journal(look: Look, reading: Reading, found: checkpoints.Checkpoint | None) -> Reading:
    reading.ends = {}
    if found is not None:
        reading.state, reading.source = found.state, "heartbeat"
        reading.ends = {known.path: known.offset for known in found.files}
        _take_heartbeat(reading, found)
        reading.notes.append("the journal cannot be read; this is what status.json holds")
        reading.liveness = Liveness.ENDED if found.state.done else Liveness.LOST
        _check_disk(look, reading)
        return reading
    reading.source = "disk_heuristic"
    reading.notes.append("journal and status.json cannot be read; this is inferred from outputs/")
    newest = 0.0
    for name, record, modified in _outputs_alone(look, reading.info):
        newest = max(newest, modified)
        if name == layout.VALUES_PACK:
            _count_values(reading, record)
        else:
            fold.count_chunk(reading.state, record)
    reading.heuristic = _guess(reading, newest)
    done = reading.heuristic is RunStatus.COMPLETED
    reading.liveness = Liveness.ENDED if done else Liveness.LOST
    return reading


def _outputs_alone(look: Look, info: RunInfo) -> Iterator[tuple[str, scan.Chunk, float]]:
    packs = _packs(look, info)
    for relative in (*(name for epoch in sorted(packs) for name in packs[epoch]), layout.VALUES_PACK):
        descriptor = look.open(relative)
        if descriptor is None:
            continue
        try:
            found = os.fstat(descriptor)
            for frame in scan.frames(descriptor, 0, found.st_size, verify_from=found.st_size - scan.TAIL_VERIFIED):
                yield relative, frame.chunk, found.st_mtime
        except OSError:
            continue
        finally:
            os.close(descriptor)


def _count_values(reading: Reading, chunk: scan.Chunk) -> None:
    makers = reading.info.outputs
    for column in chunk.columns:
        if column.name in makers:
            block = reading.state.blocks[makers[column.name].name]
            block.outputs[column.name] = fold.OutputState(
                type=column.type[: fold.TYPE_KEPT], stored=1, bytes=max(0, column.bytes)
            )


def _guess(reading: Reading, newest: float) -> RunStatus | str:
    expected = 0
    there = 0
    any_output = False
    for block in reading.info.blocks:
        state = reading.state.blocks[block.name]
        for output in block.outputs:
            expected += 1
            stored = state.outputs[output].stored if output in state.outputs else 0
            any_output = any_output or stored > 0
            total = 1 if state.shape is None else state.total
            there += stored > 0 and total is not None and stored >= total
    if expected == there:
        return RunStatus.COMPLETED
    if not any_output:
        return RunStatus.PENDING
    fresh = time.time() - newest < reading.info.lease_seconds
    return RunStatus.RUNNING if fresh else "incomplete"

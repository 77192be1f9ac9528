"""Reading a run from its folder: records, fold, and what can be proven about its driver.

Heartbeat first, files second: a valid `status.json` saves folding what it holds already; everything behind it, or
everything, is folded from journal and packs. Nothing is written, unpickled or imported, whatever the folder holds.
"""

from __future__ import annotations

import msgspec

from runstone.core import run_state
from runstone.core.events import FORMAT
from runstone.core.records import RunInfo
from runstone.core.statuses import Liveness
from runstone.errors import FolderError, ForeignFolder, FormatTooNew
from runstone.folder import checkpoint as checkpoints
from runstone.folder import epochs, heuristic, layout, liveness
from runstone.folder.foreign import door
from runstone.folder.gather import fold_records
from runstone.folder.look import Look
from runstone.folder.reading import Reading

_decode_run = msgspec.json.Decoder(RunInfo).decode


class _Format(msgspec.Struct):
    format: int


def read_info(look: Look) -> RunInfo:
    """The content of `run.json`. Raises FileNotFoundError, FolderError, FormatTooNew, ForeignFolder."""
    data = look.read(layout.RUN, layout.RUN_LIMIT)
    if data is None:
        if look.stat(door.PIPEFUNC) is not None:
            raise ForeignFolder(door.refusal(look.path))
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


def read_look(look: Look, *, verify_all: bool = False, bounded: bool = True) -> Reading:
    """`read_run` for a folder that is open already.

    verify_all: as one who takes the run over: check every value, start from no checkpoint, and step over every gap.
    bounded: as one who only looks, for whom no folder may be so large that he waits.
    """
    info = read_info(look)
    state = run_state.initial(block.name for block in info.blocks)
    reading = Reading(
        info=info,
        state=state,
        source="journal",
        liveness=Liveness.LOST,
        epochs=epochs.present(look),
        ends={},
        notes=[],
        missing=[],
    )
    found = None if verify_all else _checkpoint(look, reading)
    if not reading.epochs:
        return _without_journal(look, reading, found)
    limits = epochs.limits(look, info, reading.epochs, reading.notes)
    newest = reading.epochs[-1]
    claimed = found
    if found is not None:
        liveness.take_heartbeat(reading, found)
        if found.state.epoch not in reading.epochs or not checkpoints.agrees(found, look, limits, newest):
            found = None
    if found is not None:
        reading.state = found.state
        reading.ends = {known.path: known.offset for known in found.files}
    if not reading.state.done:
        # Before the records are read: what a dead driver has written is all there will be, but one that dies meanwhile
        # may have written more than we see, even its end.
        journal = layout.journal(newest)
        reading.gone = epochs.driver_gone(look, journal, epochs.driver_of(look, journal) or reading.state.driver)
    fold_records(look, reading, limits, verify_all=verify_all, bounded=bounded and not verify_all)
    if reading.state.seq == 0 and not verify_all:
        # A run has a first line before it has a run.json: not one can be read any more.
        return _without_journal(look, reading, claimed)
    if reading.state.done:
        reading.liveness = Liveness.ENDED
    else:
        reading.liveness = liveness.liveness(look, reading)
        if found is not None:
            reading.source = "heartbeat"
    _check_disk(look, reading)
    return reading


def _checkpoint(look: Look, reading: Reading) -> checkpoints.Checkpoint | None:
    """The checkpoint of this run, whether or not it agrees with the files."""
    try:
        data = look.read(layout.CHECKPOINT, checkpoints.LIMIT)
    except FolderError:
        return None
    found = checkpoints.decode(data)
    if found is None or found.run_id != reading.info.id or found.state.blocks.keys() != reading.state.blocks.keys():
        return None
    return found


def _check_disk(look: Look, reading: Reading) -> None:
    """Name the packs that the fold counts on and that are absent or shorter than that."""
    adopted = {name: pack.bytes for block in reading.state.blocks.values() for name, pack in block.adopted.items()}
    for name, end in {**reading.ends, **adopted}.items():
        if name.startswith(layout.OUTPUTS) and end:
            found = look.stat(name)
            if found is None or found.st_size < end:
                reading.missing.append(name)


def _without_journal(look: Look, reading: Reading, found: checkpoints.Checkpoint | None) -> Reading:
    reading.ends = {}
    if found is None:
        heuristic.infer(look, reading)
        return reading
    reading.state, reading.source = found.state, "heartbeat"
    reading.ends = {known.path: known.offset for known in found.files}
    liveness.take_heartbeat(reading, found)
    reading.notes.append("the journal cannot be read; this is what status.json holds")
    reading.liveness = Liveness.ENDED if found.state.done else Liveness.LOST
    _check_disk(look, reading)
    return reading


__all__ = ["Reading", "read_info", "read_look", "read_run"]

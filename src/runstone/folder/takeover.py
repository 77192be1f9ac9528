"""Taking a run over from a driver that is dead: the same run, the next epoch.

The taker folds and verifies all there is, writes a private file whose first event holds its own identity and how much
of every earlier file counts, and links it to the name of the next journal. Of any number of takers exactly one wins;
what the old driver might still write lies beyond those lengths and is ignored.
"""

from __future__ import annotations

import os
import secrets

import msgspec

from runstone.core import events as ev
from runstone.core import fold
from runstone.core.statuses import Liveness
from runstone.errors import FolderError
from runstone.folder import clock, disk, identity, layout, read
from runstone.folder.checkpoint import MARK_BYTES, FileMark, mark
from runstone.folder.journal import encode_line
from runstone.folder.look import Look
from runstone.folder.scan import tail_before
from runstone.folder.writer import RunWriter, own_driver


def take_over(folder: str, *, by: str = "", unproven: bool = False, executor: str = "inline") -> RunWriter:
    """Become the driver of the run in a folder; returns the writer of its next epoch.

    unproven: a person's word that the driver is dead, for where that cannot be proven from here.
    Raises FolderError if the run is done, its driver is not proven gone, or another taker was first.
    """
    with Look(folder) as look:
        reading = read.read_look(look, verify_all=True)
        _refuse(reading, folder, unproven=unproven)
        epoch = reading.epochs[-1] + 1
        marks = _marks(look, reading)
    event = ev.RunTakenOver(
        seq=reading.state.seq + 1,
        at=clock.now(),
        epoch=epoch,
        driver=identity.this_process(),
        files={name: known.offset for name, known in marks.items()},
        by=by,
    )
    descriptor, event, line = _claim(folder, epoch, event, executor)
    disk.sync_folder(f"{folder}/{layout.JOURNAL}")
    fold.apply(reading.state, event)
    return RunWriter(folder, reading.info, reading.state, epoch, descriptor, marks, written=line)


def _claim(folder: str, epoch: int, event: ev.RunTakenOver, executor: str) -> tuple[int, ev.RunTakenOver, bytes]:
    """Make the journal of this epoch; returns its descriptor and what stands in it.

    Raises FolderError if another taker was first.
    """
    journal = f"{folder}/{layout.journal(epoch)}"
    private = f"{folder}/{layout.JOURNAL}/.{epoch:04d}.{secrets.token_hex(8)}.tmp"
    try:
        descriptor, written, line = _write_first(private, event, executor)
        won = disk.publish(private, journal)
        if won:
            return descriptor, written, line
        os.close(descriptor)
    finally:
        disk.remove(private)
    if won is None:
        # No links here: the name itself decides, and readers ignore the file until its first line is complete.
        try:
            return _write_first(journal, event, executor)
        except FileExistsError:
            pass
    raise FolderError(f"another process has just taken over the run in {folder}")


def _write_first(path: str, event: ev.RunTakenOver, executor: str) -> tuple[int, ev.RunTakenOver, bytes]:
    descriptor = disk.create(path)
    try:
        written = msgspec.structs.replace(event, driver=own_driver(descriptor, executor))
        line = encode_line(written)
        disk.append(descriptor, line, path)
        disk.sync(descriptor, path)
    except BaseException:
        # half a claim under a public name would be in everybody's way
        disk.remove(path)
        os.close(descriptor)
        raise
    return descriptor, written, line


def _refuse(reading: read.Reading, folder: str, *, unproven: bool) -> None:
    if reading.state.done:
        raise FolderError(f"the run in {folder} has ended {reading.state.status.value}; there is nothing to take over")
    if not reading.epochs:
        raise FolderError(f"the run in {folder} has no journal to go on with")
    if reading.liveness is Liveness.GONE or unproven:
        return
    driver = reading.state.driver
    who = f"pid {driver.pid} on {driver.host}" if driver else "nobody known"
    raise FolderError(
        f"the run in {folder} is held by {who}, last sign of life {reading.heartbeat_at or reading.state.updated_at}, "
        f"and cannot be proven dead from here (it is {reading.liveness.value})"
    )


def _marks(look: Look, reading: read.Reading) -> dict[str, FileMark]:
    marks: dict[str, FileMark] = {}
    for name, end in reading.ends.items():
        descriptor = look.open(name)
        if descriptor is None:
            continue
        try:
            marks[name] = FileMark(path=name, offset=end, crc=mark(tail_before(descriptor, end, MARK_BYTES)))
        finally:
            os.close(descriptor)
    return marks

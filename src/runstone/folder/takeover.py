"""Taking a run over from a driver that is dead: the same run, the next epoch.

The taker folds and verifies all there is, writes a private file whose first event holds its own identity and how much
of every earlier file counts, and links it to the name of the next journal. Of any number of takers exactly one wins;
what the old driver might still write lies beyond those lengths and is ignored.
"""

from __future__ import annotations

import os
import secrets

from runstone.core import events as ev
from runstone.core import fold
from runstone.core.statuses import Liveness
from runstone.errors import FolderError
from runstone.folder import clock, disk, layout, read
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
    journal = f"{folder}/{layout.journal(epoch)}"
    private = f"{folder}/{layout.JOURNAL}/.{epoch:04d}.{secrets.token_hex(8)}.tmp"
    descriptor = disk.create(private)
    try:
        event = ev.RunTakenOver(
            seq=reading.state.seq + 1,
            at=clock.now(),
            epoch=epoch,
            driver=own_driver(descriptor, executor),
            files={name: known.offset for name, known in marks.items()},
            by=by,
        )
        line = encode_line(event)
        disk.append(descriptor, line, private)
        disk.sync(descriptor, private)
        if not disk.publish(private, journal):
            raise FolderError(f"another process has just taken over the run in {folder}")
        disk.sync_folder(f"{folder}/{layout.JOURNAL}")
        fold.apply(reading.state, event)
        return RunWriter(folder, reading.info, reading.state, epoch, descriptor, marks, written=line)
    except BaseException:
        os.close(descriptor)
        raise
    finally:
        disk.remove(private)


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
        f"the run in {folder} is held by {who}, last sign of life {reading.heartbeat_at or 'unknown'}, "
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

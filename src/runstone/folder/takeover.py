"""Taking a run over from a driver that is dead: the same run, the next epoch.

The taker folds and verifies all there is, writes a private file that begins with its own identity and with how much of
every earlier file counts, and links it to the name of the next journal. Of any number of takers exactly one wins; what
the old driver might still write lies beyond those lengths and is ignored.

Where the file system has no links, the private file stays as an announcement while the taker creates the next journal
under its own name, which only one can, and writes the same into it. One that died in between leaves a journal that is
no claim, and its announcement. The next taker goes past it once every process that has announced itself for that epoch
is proven dead, and the journal is still no claim after that was seen; so nobody who lives is ever passed.
"""

from __future__ import annotations

import os

import msgspec

from runstone.core import events as ev
from runstone.core import fold
from runstone.core.statuses import Liveness
from runstone.errors import FolderError
from runstone.folder import clock, disk, epochs, identity, layout, read
from runstone.folder.checkpoint import MARK_BYTES, FileMark, mark
from runstone.folder.journal import encode_line
from runstone.folder.look import Look
from runstone.folder.scan import tail_before
from runstone.folder.writer import RunWriter, own_driver


class RunEnded(FolderError):
    """There is nothing to take over: the run has its terminal event."""


_FILES_BYTES = ev.EVENT_LIMIT - 8 * 1024
"""What the files in one event of a claim take of its line at most; the rest is for the driver."""


def take_over(folder: str, *, by: str = "", unproven: bool = False, executor: str = "inline") -> RunWriter:
    """Become the driver of the run in a folder; returns the writer of its next epoch.

    unproven: a person's word that the driver is dead, for where that cannot be proven from here.
    Raises RunEnded if the run is done, FolderError if its driver is not proven gone or another taker was first.
    """
    with Look(folder) as look:
        reading = read.read_look(look, verify_all=True)
        _refuse(reading, folder, unproven=unproven)
        epoch = _next_epoch(look, reading, folder, unproven=unproven)
        marks = _marks(look, reading)
    claim = _claim(reading.state.seq, epoch, {name: known.offset for name, known in marks.items()}, by)
    descriptor, claim, lines = _win(folder, epoch, claim, executor)
    disk.sync_folder(f"{folder}/{layout.JOURNAL}")
    for event in claim:
        fold.apply(reading.state, event)
    return RunWriter(folder, reading.info, reading.state, epoch, descriptor, marks, written=lines)


_Claim = list[ev.RunTakenOver | ev.FilesTakenOver]


def _next_epoch(look: Look, reading: read.Reading, folder: str, *, unproven: bool) -> int:
    """The number behind all journals that are there; those that are no claim must be nobody's any more."""
    epoch = reading.epochs[-1] + 1
    while look.stat(layout.journal(epoch)) is not None:
        if not unproven:
            _refuse_announced(look, epoch, folder)
        claim = epochs.read_claim(look, layout.journal(epoch))
        if claim is None or claim.complete:
            raise _too_late(folder)
        epoch += 1
    return epoch


def _refuse_announced(look: Look, epoch: int, folder: str) -> None:
    for name in look.names(layout.JOURNAL):
        if not name.startswith(_announcement(epoch)):
            continue
        driver = epochs.driver_of(look, f"{layout.JOURNAL}/{name}")
        # who has not even announced itself to the end has not yet touched the journal
        if driver is not None and not epochs.driver_gone(look, f"{layout.JOURNAL}/{name}", driver):
            raise FolderError(
                f"pid {driver.pid} on {driver.host} is just taking over the run in {folder}, and cannot be proven dead "
                "from here"
            )


def _announcement(epoch: int) -> str:
    return f".{epoch:04d}."


def _claim(seq: int, epoch: int, files: dict[str, int], by: str) -> _Claim:
    """The events of a claim behind record `seq`, still without a driver."""
    parts: list[dict[str, int]] = [{}]
    room = _FILES_BYTES
    for name, length in files.items():
        taken = len(msgspec.json.encode({name: length}))
        if taken > room:
            parts.append({})
            room = _FILES_BYTES
        parts[-1][name] = length
        room -= taken
    at = clock.now()
    first = ev.RunTakenOver(
        seq=seq + 1,
        at=at,
        epoch=epoch,
        driver=identity.this_process(),
        files=parts[0],
        by=by,
        more=len(parts) - 1,
    )
    return [first, *(ev.FilesTakenOver(seq=seq + 1 + part, at=at, files=parts[part]) for part in range(1, len(parts)))]


def _win(folder: str, epoch: int, claim: _Claim, executor: str) -> tuple[int, _Claim, bytes]:
    """Make the journal of this epoch; returns its descriptor, the events in it, and its bytes.

    Raises FolderError if another taker was first.
    """
    journal = f"{folder}/{layout.journal(epoch)}"
    private = f"{folder}/{layout.JOURNAL}/{_announcement(epoch)}{os.urandom(8).hex()}.tmp"
    try:
        made = _write(private, claim, executor)
        won = disk.publish(private, journal)
        if won:
            return made
        os.close(made[0])
        if won is None:
            # the announcement is found by whoever finds the journal, also after the death of the machine
            disk.sync_folder(os.path.dirname(private))
            try:
                made = _write(journal, claim, executor)
            except FileExistsError:
                raise _too_late(folder) from None
            if not os.path.lexists(f"{folder}/{layout.journal(epoch + 1)}"):
                return made
            # a person has given the word that this process is dead
            os.close(made[0])
    finally:
        disk.remove(private)
    raise _too_late(folder)


def _too_late(folder: str) -> FolderError:
    return FolderError(f"another process has just taken over the run in {folder}")


def _write(path: str, claim: _Claim, executor: str) -> tuple[int, _Claim, bytes]:
    """Write a claim into a new file. Raises FileExistsError; what else it raises leaves a part of it behind."""
    descriptor = disk.create(path)
    try:
        first = msgspec.structs.replace(claim[0], driver=own_driver(descriptor, executor))
        written = [first, *claim[1:]]
        lines = b"".join(map(encode_line, written))
        disk.append(descriptor, lines, path)
        disk.sync(descriptor, path)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor, written, lines


def _refuse(reading: read.Reading, folder: str, *, unproven: bool) -> None:
    if reading.state.done:
        raise RunEnded(f"the run in {folder} has ended {reading.state.status.value}; there is nothing to take over")
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

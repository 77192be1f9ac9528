"""Which epochs a run has had, and how much of their files counts, as the newest takeover says.

A journal from the second on begins with a claim: `run.taken_over`, and the events with the rest of its files. Where a
file system has no links a claim is made under its public name (see `takeover`), so one that is not complete is none.
"""

from __future__ import annotations

import os
from itertools import islice

import msgspec

from runstone.core.events import EVENT_LIMIT, Driver, Event, FilesTakenOver, RunStarted, RunTakenOver
from runstone.core.records import RunInfo
from runstone.folder import identity, layout
from runstone.folder.journal import decode_lines
from runstone.folder.look import Look, read_at

CLAIM_LIMIT = 16 * 1024 * 1024
"""Bytes that a claim has at most: it names no more packs than a reader takes of a folder's names."""


class Claim(msgspec.Struct, frozen=True):
    """How a journal begins.

    first: its first event, None if that is damaged or not complete. files: what a takeover says about earlier files,
    None if this is none, or some of that is damaged. complete: whether all lines of it are there, damaged or not.
    """

    first: Event | None
    files: dict[str, int] | None
    complete: bool


def present(look: Look) -> list[int]:
    """The epochs from the first on that have a journal, whatever is in it."""
    found = sorted(filter(None, map(layout.journal_epoch, look.names(layout.JOURNAL))))
    return [
        epoch for number, epoch in enumerate(found, start=1) if number == epoch and look.stat(layout.journal(epoch))
    ]


def packs(look: Look, info: RunInfo) -> dict[int, list[str]]:
    """The packs of every epoch, relative to the folder."""
    found: dict[int, list[str]] = {}
    blocks = {block.name for block in info.blocks}
    for name in look.names(layout.OUTPUTS):
        pack = layout.pack_block(name)
        if pack is not None and pack[0] in blocks:
            found.setdefault(pack[1], []).append(f"{layout.OUTPUTS}/{name}")
    return found


def read_claim(look: Look, name: str) -> Claim | None:
    """How the journal of this name begins; None if it is absent. Raises FolderError if it may not be read."""
    descriptor = look.open(name)
    if descriptor is None:
        return None
    try:
        size = os.fstat(descriptor).st_size
        data = read_at(descriptor, 0, min(size, EVENT_LIMIT))
        first = next((event for _, event in decode_lines(data)), None)
        if first is None:
            return Claim(None, None, b"\n" in data or len(data) == EVENT_LIMIT)
        if not isinstance(first, RunTakenOver):
            return Claim(first, None, True)
        if first.more <= 0:
            return Claim(first, first.files, True)
        whole = min((1 + first.more) * EVENT_LIMIT, CLAIM_LIMIT)
        return _gathered(first, read_at(descriptor, 0, min(size, whole)), cut=size >= whole)
    finally:
        os.close(descriptor)


def _gathered(first: RunTakenOver, data: bytes, *, cut: bool) -> Claim:
    """A claim of several lines. cut: whether there would be more of `data`, but nobody writes so much."""
    if data.count(b"\n") <= first.more:
        return Claim(first, None, cut)
    files = dict(first.files)
    for _, event in islice(decode_lines(data), 1, 1 + first.more):
        if not isinstance(event, FilesTakenOver):
            return Claim(first, None, True)
        files.update(event.files)
    return Claim(first, files, True)


def limits(look: Look, info: RunInfo, epochs: list[int], notes: list[str]) -> dict[str, int]:
    """How much of each file of earlier epochs counts.

    Takes those from the end of `epochs` whose claim is not complete: nothing was taken over so far.
    """
    for epoch in reversed(epochs[1:]):
        claim = read_claim(look, layout.journal(epoch))
        if claim is not None and claim.files is not None:
            return claim.files
        if claim is not None and claim.complete:
            notes.append(f"the first line of {layout.journal(epoch)} is damaged")
            return _all_before(look, info, epoch)
        epochs.remove(epoch)
    return {}


def _all_before(look: Look, info: RunInfo, epoch: int) -> dict[str, int]:
    """The lengths of all files of the epochs before this one, for when what it said about them is lost."""
    names = [layout.journal(earlier) for earlier in range(1, epoch)]
    names += [name for earlier, found in packs(look, info).items() if earlier < epoch for name in found]
    return {name: found.st_size for name in names if (found := look.stat(name)) is not None}


def driver_of(look: Look, name: str) -> Driver | None:
    """The driver that the first line of a journal names."""
    claim = read_claim(look, name)
    return claim.first.driver if claim is not None and isinstance(claim.first, RunStarted | RunTakenOver) else None


def driver_gone(look: Look, name: str, driver: Driver | None) -> bool | None:
    """Proof about the driver that this journal names; None where its record says nothing about this folder, as in a
    copy.
    """
    if driver is None:
        return None
    journal = look.stat(name)
    if journal is None or journal.st_ino != driver.journal_inode:
        return None
    if driver.boot_id == identity.boot_id() and journal.st_dev != driver.journal_device:
        return None
    return identity.is_gone(driver)

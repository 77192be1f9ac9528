"""What proves that processes were ended, and what is known about one that the system killed for lack of memory."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

RECEIPTS_TOLD = 8
PROCESSES_TOLD = 10


class SentSignal(msgspec.Struct, frozen=True, kw_only=True):
    """A signal that a process was sent. name: as in `SIGTERM`; at: RFC 3339 in UTC."""

    name: str
    at: str


class EndedProcess(msgspec.Struct, frozen=True, kw_only=True):
    """One process that was to end.

    name: what it was for, if we started it, else its command line, cut. parent: who its parent was when it was first
    seen. signals: the first of each kind, in order; none if it ended before it had to be asked. dead_at: when it was
    seen dead, RFC 3339 in UTC; None if it never was.
    """

    pid: int
    parent: int
    name: str
    signals: list[SentSignal] = []
    dead_at: str | None = None


class Receipt(msgspec.Struct, frozen=True, kw_only=True):
    """Which processes were ended, and how.

    asked_at: RFC 3339 in UTC. seconds: from there until the last was seen dead, or until we stopped looking.
    finished: nothing of it lives any more. processes: at most 50, those that live first; omitted: how many more.
    """

    reason: str = ""
    asked_at: str
    seconds: float
    finished: bool
    processes: list[EndedProcess] = []
    omitted: int = 0


class OutOfMemory(msgspec.Struct, frozen=True, kw_only=True):
    """A process was killed by the system because memory ran out.

    peak: the most it ever had, in bytes. limit: the narrowest limit over it, in bytes, None if unknown; the machine's
    memory where nothing narrower was set. known_by: the counter of the system that says so.
    """

    peak: int
    limit: int | None
    known_by: str


def shortened(receipts: Sequence[Receipt]) -> list[Receipt]:
    """As many of them, with as many processes, as fit a line of the journal; the processes that live come first."""
    return [
        msgspec.structs.replace(
            one,
            processes=one.processes[:PROCESSES_TOLD],
            omitted=one.omitted + max(0, len(one.processes) - PROCESSES_TOLD),
        )
        for one in sorted(receipts, key=lambda one: one.finished)[:RECEIPTS_TOLD]
    ]

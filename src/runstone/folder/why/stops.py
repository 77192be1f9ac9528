"""How a run was asked to stop, and what came of it."""

from __future__ import annotations

from runstone.core import events as ev
from runstone.core.figures import duration
from runstone.core.reasons import Reason
from runstone.core.receipts import Receipt
from runstone.folder.why.evidence import Evidence
from runstone.folder.why.explanation import Fact, Stop
from runstone.folder.why.sentences import after, moment

_WORDS = {"keyboard": "Ctrl-C", "SIGTERM": "SIGTERM", "run_timeout": "its time limit", "timeout": "a time limit"}


def stop_of(found: Evidence) -> Stop | None:
    """How the run was asked to stop, None if nobody has asked."""
    first = found.cancelling[0] if found.cancelling else None
    if first is None:
        asked = found.asked
        if asked is None:
            return None
        return Stop(requested_at=asked.at, requested_by=asked.by, message=asked.message, answered_at=None, dead_at=None)
    receipts = receipts_of(found)
    dead = [process.dead_at for receipt in receipts for process in receipt.processes if process.dead_at]
    return Stop(
        requested_at=first.requested_at or found.state.cancel_requested_at,
        requested_by=first.requested_by,
        message=first.message,
        answered_at=first.at,
        dead_at=max(dead, default=None) if all(receipt.finished for receipt in receipts) else None,
    )


def receipts_of(found: Evidence, block: str | None = None) -> list[Receipt]:
    """Of the processes that were ended for the run, or for one block of it; those that name none are left out."""
    ends: list[ev.BlockEnded | ev.RunEnded | None]
    ends = [found.end, *found.ends.values()] if block is None else [found.ends.get(block)]
    return [
        receipt
        for end in ends
        if end is not None
        for receipt in end.receipts
        if receipt.processes or not receipt.finished
    ]


def asker(stop: Stop) -> str:
    """Who or what asked."""
    by = stop.requested_by
    return "somebody" if not by else _WORDS.get(by, by)


def stop_facts(found: Evidence, stop: Stop) -> list[Fact]:
    """When it was asked for, answered, and over."""
    facts = []
    if stop.requested_at:
        facts.append(Fact(name="asked", text=f"{moment(stop.requested_at)} by {asker(stop)}"))
    if stop.message:
        facts.append(Fact(name="message", text=stop.message))
    if stop.answered_at is None:
        facts.append(Fact(name="answered", text="not yet: only the process of the run can"))
    elif (seconds := after(stop.requested_at, stop.answered_at)) is not None:
        facts.append(Fact(name="answered", text=f"{duration(seconds)} later: from then on nothing was started"))
    if stop.dead_at is not None:
        seconds = after(stop.requested_at, stop.dead_at)
        later = "" if seconds is None else f", {duration(seconds)} after it was asked for"
        facts.append(Fact(name="seen dead", text=f"{moment(stop.dead_at)}{later}"))
    elif found.end is not None:
        facts.append(Fact(name="ended", text=_ended(found, found.end.at)))
    return facts


def _ended(found: Evidence, at: str) -> str:
    if any(not receipt.finished for receipt in receipts_of(found)):
        return f"{moment(at)}; not everything was seen dead"
    if found.end is not None and found.end.reason is Reason.CANCEL_UNCONFIRMED:
        return f"{moment(at)}, on a person's word: that the work is dead could not be proven"
    return f"{moment(at)}; no process is named that had to be ended for it"

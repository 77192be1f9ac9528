"""What a run has taken over from an earlier one, block by block, and why."""

from __future__ import annotations

from runstone.core.causes import Cause
from runstone.core.ranges import count
from runstone.folder.why.evidence import Evidence
from runstone.folder.why.explanation import Reuse
from runstone.folder.why.sentences import counted, named, whys


def reuse_of(found: Evidence, name: str) -> Reuse | None:
    """What became of a block, None if its run took over from none, or says nothing about the block."""
    block = found.state.blocks[name]
    reasons = found.info.reuse.get(name, [])
    from_run = block.adopted_from or found.info.retry_of
    if from_run is None or not (reasons or block.adopted_from):
        return None
    if block.shape is None:
        reused = 1 if block.adopted_from else 0
        computed = block.ended - reused
    else:
        reused = sum(count(pack.elements) for pack in block.adopted.values())
        computed = block.ended - reused
    return Reuse(block=name, from_run=from_run, reused=reused, computed=max(0, computed), why=reasons)


def reuse_sentence(found: Evidence, reuse: Reuse) -> str | None:
    """One sentence on what was taken over and what was computed again; None if there is nothing to say yet."""
    name, why = reuse.block, whys(reuse.why)
    block = found.state.blocks[name]
    because = f": {why}" if why else ""
    if found.words[name] == "reused":
        return f"{name} was reused from {named(reuse.from_run)}{because}"
    if reuse.reused and block.shape is not None:
        left = (block.total or 0) - block.ended
        parts = [f"{counted(reuse.reused)} reused from {named(reuse.from_run)}", f"{reuse.computed:,} computed"]
        if left > 0:
            parts.append(f"{left:,} left")
        return f"{name}: {', '.join(parts)}{because}"
    if not why or (reuse.why[0].cause == Cause.UNCHANGED and not reuse.reused):
        return None
    if not block.started_at:
        return f"{name} is not reused from {named(reuse.from_run)}{because}"
    again = "ran" if any(each.cause == Cause.NEW_BLOCK for each in reuse.why) else "ran again"
    return f"{name} {again}{because}"

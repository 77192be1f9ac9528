"""What a run has taken over from an earlier one, block by block, and why."""

from __future__ import annotations

import msgspec

from runstone.core.causes import Cause, Why
from runstone.core.ranges import count
from runstone.folder.why.evidence import Evidence
from runstone.folder.why.explanation import Reuse
from runstone.folder.why.sentences import counted, named, whys


def reuse_of(found: Evidence, name: str) -> Reuse | None:
    """What became of a block, None if its run took over from none and looked for nothing in the cache, or says nothing
    about the block."""
    block = found.state.blocks[name]
    cache = block.cache
    reasons = [*found.info.reuse.get(name, []), *(cache.why if cache is not None else [])]
    from_run = block.adopted_from or found.info.retry_of
    if cache is not None and not reasons and block.adopted_from:
        reasons = [Why(cause=Cause.UNCHANGED)]
    if not (reasons or block.adopted_from) or (from_run is None and cache is None):
        return None
    if block.shape is None:
        reused = 1 if block.adopted_from else 0
    else:
        reused = sum(count(pack.elements) for pack in block.adopted.values())
    return Reuse(
        block=name,
        from_run=from_run,
        from_cache=cache is not None,
        other_runs=max(0, cache.from_runs - 1) if cache is not None else 0,
        reused=reused,
        computed=max(0, block.ended - reused),
        why=reasons,
    )


def reuse_sentence(found: Evidence, reuse: Reuse) -> str | None:
    """One sentence on what was taken over and what was computed again; None if there is nothing to say yet."""
    name, why = reuse.block, whys(reuse.why)
    block = found.state.blocks[name]
    because = f": {why}" if why else ""
    source = source_of(reuse)
    if found.words[name] == "reused":
        return f"{name} was reused from {source}{because}"
    if reuse.reused and block.shape is not None:
        left = (block.total or 0) - block.ended
        parts = [f"{counted(reuse.reused)} reused from {source}", f"{reuse.computed:,} computed"]
        if left > 0:
            parts.append(f"{left:,} left")
        return f"{name}: {', '.join(parts)}{because}"
    if not why or (reuse.why[0].cause == Cause.UNCHANGED and not reuse.reused):
        return None
    if not block.started_at:
        return f"{name} is not reused from {source}{because}"
    if reuse.from_run is None:
        return f"{name} was computed, and not taken from the cache{because}"
    again = "ran" if any(each.cause == Cause.NEW_BLOCK for each in reuse.why) else "ran again"
    return f"{name} {again}{because}"


def source_of(reuse: Reuse) -> str:
    """Where results were taken from, or could have been."""
    if reuse.from_run is None:
        return "the cache"
    more = f" and {counted(reuse.other_runs, 'other', 'others')}" if reuse.other_runs else ""
    return f"{named(reuse.from_run)}{more}{', by the cache' if reuse.from_cache and reuse.reused else ''}"


def missed_reasons(found: Evidence, name: str, element: int) -> list[Why] | None:
    """Why the cache had nothing for one element; None if that is not told of it."""
    event = found.looked_up.get(name)
    if event is None:
        return None
    for miss in event.misses:
        if any(start <= element < stop for start, stop in miss.elements):
            # how many others there are says nothing about this one
            return [msgspec.structs.replace(why, elements=_alone(why)) for why in miss.why]
    return None


def _alone(why: Why) -> int | None:
    return 1 if why.elements is not None and why.cause == Cause.NOT_CACHED else None

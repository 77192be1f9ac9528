"""Why a whole run is as it is."""

from __future__ import annotations

from runstone.core.figures import duration
from runstone.core.reasons import Reason
from runstone.core.statuses import Liveness
from runstone.folder.why import roots, stops
from runstone.folder.why.evidence import Evidence
from runstone.folder.why.explanation import Fact, Reuse
from runstone.folder.why.of_block import block_sentence
from runstone.folder.why.reuse import reuse_of
from runstone.folder.why.sentences import counted, listed, moment, named, place, progress, raised, tries

_BLOCKS = 50


def run_sentence(found: Evidence) -> str:
    """The answer for a run in one sentence."""
    run, word = named(found.info.id), found.status["status"]
    if found.seen.heuristic is not None:
        return f"{run} is {word}: {found.status['message'] or 'only what lies in its folder tells'}"
    if word == "crashed":
        return _crashed(found, run)
    if not found.state.done:
        return _underway(found, run, word)
    if word == "completed":
        return f"{run} completed{_reused(found)}{_too_late(found)}"
    if word == "degraded":
        return f"{run} ended degraded: {_bad(found) or found.state.message}"
    if word == "cancelled":
        return _cancelled(found, run)
    did = "timed out" if word == "timed_out" else "failed" if word == "failed" else f"ended {word}"
    why = found.state.message if word == "timed_out" else _bad(found) or found.state.message
    return f"{run} {did}: {why}" if why else f"{run} {did}"


def _bad(found: Evidence) -> str:
    """What failed first, by name."""
    for words in (roots.BAD, ("degraded",)):
        for name, block in found.state.blocks.items():
            if found.words[name] not in words or not (block.errors or block.failed):
                continue
            error = roots.first_error(found, name)
            if error is not None and (block.shape is None or block.failed <= 1):
                return f"{place(name, error.index)}: {raised(error)}{tries(error)}"
            return f"{name}: {roots.failure(found, name)}"
    return ""


def _reused(found: Evidence) -> str:
    before = found.info.retry_of
    if before is None and all(block.cache is None for block in found.state.blocks.values()):
        return ""
    made = [each for name in found.blocks if (each := reuse_of(found, name)) is not None]
    whole = [each for each in made if found.words[each.block] == "reused"]
    partly = sum(1 for each in made if each.reused and each not in whole)
    if before is None and not any(each.reused for each in made):
        return ""
    source = "the cache" if before is None else named(before)
    told = f"{len(whole)} of {counted(len(found.blocks), 'block', 'blocks')} reused from {source}"
    return f": {told}" + (f", {partly} in part" if partly else "")


def _too_late(found: Evidence) -> str:
    late = found.state.reason is Reason.TOO_LATE
    return "; it was asked to stop, but all its work came to its end first" if late else ""


def _cancelled(found: Evidence, run: str) -> str:
    if found.state.reason is Reason.TIMEOUT:
        return f"{run} was cancelled: {found.state.message or 'it took longer than its limit'}"
    stop = stops.stop_of(found)
    who = "somebody" if stop is None else stops.asker(stop)
    if found.state.reason is Reason.CANCEL_UNCONFIRMED:
        return f"{run} was cancelled by {who}, unproven: whether its process is dead could not be seen"
    return f"{run} was cancelled by {who}"


def _crashed(found: Evidence, run: str) -> str:
    driver = found.state.driver
    if found.state.done or driver is None:
        return f"{run} crashed: {found.state.message or 'its process died'}"
    return f"{run} crashed: the process that ran it (pid {driver.pid} on {driver.host}) is gone and wrote no end"


def _underway(found: Evidence, run: str, word: str) -> str:
    driver = found.state.driver
    who = "its process" if driver is None else f"its process (pid {driver.pid} on {driver.host})"
    if found.seen.copied:
        return f"{run} was {word} when this folder was copied: {who} does not write here"
    if found.seen.liveness is Liveness.LOST:
        if found.seen.alive:
            return f"{run} gives no sign of life, though {who} is there"
        return f"{run} gives no sign of life; whether {who} is dead cannot be proven from here"
    if word == "cancelling":
        return _cancelling(found, run)
    if stops.stop_of(found) is not None:
        return f"{run} was asked to stop and has not answered yet"
    busy = [name for name, status in found.words.items() if status in ("running", "retrying")]
    if not busy:
        return f"{run} is {word}: no block of it is being executed now"
    doing = [f"{name} ({told})" if (told := progress(found.state.blocks[name])) else name for name in busy]
    age = found.reading.heartbeat_age
    silent = f", silent for {duration(age)}" if found.seen.liveness is Liveness.STALE and age is not None else ""
    return f"{run} is {word}{silent}: it executes {listed(doing)}"


def _cancelling(found: Evidence, run: str) -> str:
    if found.state.reason is Reason.NOT_KILLABLE:
        return f"{run} cannot be ended from outside: {found.state.message}"
    stop = stops.stop_of(found)
    who = "somebody" if stop is None else stops.asker(stop)
    return f"{run} is being stopped: {who} asked for it"


def run_facts(found: Evidence) -> list[Fact]:
    """What shows it: the blocks, the signs of life, what came before."""
    facts = [
        Fact(name=name, text=without_name(name, block_sentence(found, name))) for name in list(found.blocks)[:_BLOCKS]
    ]
    if len(found.blocks) > _BLOCKS:
        facts.append(Fact(name="...", text=f"and {len(found.blocks) - _BLOCKS:,} more blocks"))
    return facts


def life_facts(found: Evidence) -> list[Fact]:
    """What can be said about the process of a run, and whose run it was before."""
    facts: list[Fact] = []
    if not found.state.done and found.seen.liveness is not Liveness.LIVE:
        last = found.reading.heartbeat_at or found.state.updated_at
        if last:
            facts.append(Fact(name="last sign", text=moment(last)))
    for taken in found.takeovers:
        by = f" by {taken.by}" if taken.by else ""
        facts.append(Fact(name="resumed", text=f"{moment(taken.at)}{by}, as its process before was gone"))
    if found.info.retry_of is not None:
        facts.append(Fact(name="takes over", text=f"from {named(found.info.retry_of)}"))
    facts += [Fact(name="warning", text=one.message) for one in found.state.warnings if one.block is None]
    if found.seen.heuristic is None:
        facts += [Fact(name="note", text=note) for note in found.reading.notes]
    if found.reading.missing:
        facts.append(Fact(name="missing", text=f"on disk: {listed(found.reading.missing)}"))
    return facts


def without_name(name: str, sentence: str) -> str:
    """A sentence about a block without the block's name at its head."""
    return sentence[len(name) :].lstrip(" :") if sentence.startswith(name) else sentence


def reuses(found: Evidence) -> list[Reuse]:
    """Of every block what was taken over, in a run that took over from an earlier one."""
    return [each for name in found.blocks if (each := reuse_of(found, name)) is not None]

"""Why a block is as it is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from runstone.core.figures import duration, size
from runstone.core.previews import in_words
from runstone.core.reasons import Reason
from runstone.core.statuses import Liveness
from runstone.folder.observe import block_seconds
from runstone.folder.why import roots, stops
from runstone.folder.why.evidence import Evidence
from runstone.folder.why.explanation import Fact
from runstone.folder.why.reuse import reuse_of, reuse_sentence
from runstone.folder.why.sentences import listed, moment, progress, raised

WAITING = ("pending", "queued", "running", "retrying")
_MADE = ("completed", "reused", "degraded")
_MACHINERY = (Reason.DRIVER_GONE, Reason.STORAGE)
"""Blocks with one of them ended because the run could not go on."""


def block_sentence(found: Evidence, name: str) -> str:
    """The answer for a block in one sentence, without a full stop."""
    word = found.words[name]
    teller = _TELLERS.get(word)
    if found.seen.heuristic is not None:
        return f"{name} seems {word}: only its outputs tell"
    if word in WAITING and (found.state.done or found.seen.liveness is Liveness.GONE):
        return f"{name} had not started when the process of the run died"
    return f"{name} is {word.replace('_', ' ')}" if teller is None else teller(found, name)


def waits_for(found: Evidence, name: str) -> list[str]:
    """The blocks above one that has not started, that have not ended."""
    if found.state.done or found.words[name] not in ("pending", "queued"):
        return []
    return [other for other in found.blocks[name].upstream if found.words.get(other) not in (None, *_MADE)]


def block_facts(found: Evidence, name: str) -> list[Fact]:
    """What shows it: elements, times, what it was asked, what it took."""
    block, described = found.state.blocks[name], found.blocks[name]
    facts: list[Fact] = []
    if block.shape is not None:
        counts = [f"{progress(block)} ended"]
        counts += [f"{block.failed:,} failed"] if block.failed else []
        counts += [f"{block.upstream_failed:,} not called"] if block.upstream_failed else []
        facts.append(Fact(name="elements", text=", ".join(counts)))
    if described.conditional and described.condition:
        facts.append(Fact(name="condition", text=", ".join(_asked(found, one) for one in described.condition)))
    if block.started_at:
        seconds = block_seconds(block, found.state.updated_at if found.words[name] == "crashed" else None)
        took = "" if seconds is None else f", {duration(seconds)}"
        facts.append(Fact(name="started", text=f"{moment(block.started_at)}{took}"))
    if block.retries:
        facts.append(Fact(name="retries", text=f"{block.retries:,}"))
    end = found.ends.get(name)
    if end is not None and end.peak_memory is not None:
        facts.append(Fact(name="memory", text=f"{size(end.peak_memory)} at most, in the last attempt"))
    facts += [Fact(name="warning", text=warning.message) for warning in found.state.warnings if warning.block == name]
    return facts


def _asked(found: Evidence, parameter: str) -> str:
    """What a condition was given, by its preview."""
    given: Any = None
    if parameter in found.info.params:
        given = found.info.params[parameter].preview
    else:
        for end in found.ends.values():
            if parameter in end.values:
                stored = end.values[parameter]
                given = stored.value if stored.preview is None and _is_plain(stored.value) else stored.preview
    return parameter if given is None else f"{parameter} = {in_words(given)}"


def _is_plain(value: Any) -> bool:
    return isinstance(value, bool | int | float | str) and len(str(value)) < 200


def _completed(found: Evidence, name: str) -> str:
    reuse = reuse_of(found, name)
    told = None if reuse is None else reuse_sentence(found, reuse)
    if told is not None:
        return told
    block = found.state.blocks[name]
    if block.retries:
        return f"{name} completed, after {'a retry' if block.retries == 1 else f'{block.retries:,} retries'}"
    return f"{name} completed"


def _degraded(found: Evidence, name: str) -> str:
    return f"{name} ended degraded: {roots.failure(found, name)}"


def _failed(found: Evidence, name: str) -> str:
    if (error := roots.first_error(found, name)) is not None and error.reason == Reason.CONDITION_ERROR:
        return f"{name} failed, as its condition raised {raised(error)}"
    return f"{name} failed: {roots.failure(found, name)}"


def _timed_out(found: Evidence, name: str) -> str:
    return f"{name} timed out: {roots.failure(found, name)}"


def _cancelled(found: Evidence, name: str) -> str:
    block = found.state.blocks[name]
    did = "was cancelled" if block.started_at else "was not started"
    if block.reason is Reason.RUN_ENDED:
        other = roots.stopper(found)
        return f"{name} {did}: {'a block' if other is None else other} failed, which ends the run"
    if block.reason is Reason.TIMEOUT:
        return f"{name} {did}: {block.message or found.state.message or 'a time limit was over'}"
    if block.reason in _MACHINERY:
        return f"{name} {did}: {found.state.message or 'the process of the run died'}"
    stop = stops.stop_of(found)
    who = "somebody" if stop is None else stops.asker(stop)
    return f"{name} {did}: {who} asked the run to stop"


def _crashed(found: Evidence, name: str) -> str:
    block = found.state.blocks[name]
    if block.status.value == "crashed":
        return f"{name} crashed: {roots.failure(found, name)}"
    kept = f"; {progress(block)} are recorded and kept" if block.shape is not None else ""
    return f"{name} was being executed when the process of the run died{kept}"


def _upstream_failed(found: Evidence, name: str) -> str:
    chain = roots.down_from(found, name)
    if len(chain) < 2:
        return f"{name} {roots.failure(found, name)}"
    above = chain[1]
    if above.status == "upstream_failed":
        return f"{name} was not called: {chain[-1].place}, further up, failed"
    if above.status == "degraded":
        return f"{name} was not called: elements of {above.place} above it failed"
    return f"{name} was not called: {above.place} above it {above.status.replace('_', ' ')}"


def _skipped(found: Evidence, name: str) -> str:
    own = found.blocks[name].conditional and found.state.blocks[name].message
    other = next((other for other in found.blocks[name].upstream if found.words.get(other) == "condition_failed"), None)
    if own or other is None:
        return f"{name} was skipped: its condition was false"
    return f"{name} was skipped, as {other} above it was: a condition was false"


def _pending(found: Evidence, name: str) -> str:
    above = waits_for(found, name)
    if found.seen.liveness is Liveness.LOST:
        return f"{name} had not started {_as_of(found)}"
    if above:
        return f"{name} waits for {listed([_standing(found, other) for other in above])}"
    busy = [other for other, word in found.words.items() if word in ("running", "retrying") and other != name]
    if busy:
        return f"{name} waits for its turn: {listed(busy)} {'runs' if len(busy) == 1 else 'run'}"
    return f"{name} has not started: nothing above it is left to wait for"


def _as_of(found: Evidence) -> str:
    return "when the folder was copied" if found.seen.copied else "at the last sign of life"


def _standing(found: Evidence, name: str) -> str:
    told = progress(found.state.blocks[name])
    if not told and found.words[name] in ("pending", "queued"):
        told = "not started"
    return f"{name} ({told})" if told else name


def _running(found: Evidence, name: str) -> str:
    told = progress(found.state.blocks[name])
    ended = f": {told} ended" if told else ""
    if found.seen.liveness is Liveness.LOST:
        return f"{name} was running {_as_of(found)}{ended}"
    if found.state.blocks[name].attempt > 1:
        return f"{name} runs, in attempt {found.state.blocks[name].attempt}{ended}"
    return f"{name} runs{ended}"


def _retrying(found: Evidence, name: str) -> str:
    attempts = found.attempts(name, None)
    event = found.retrying.get(name)
    pause = "" if event is None else f" after a pause of {duration(event.delay)}"
    last = f": attempt {attempts[-1].attempt} failed with {raised(attempts[-1])}" if attempts else ""
    return f"{name} is tried again{pause}{last}"


_TELLERS: dict[str, Callable[[Evidence, str], str]] = {
    "pending": _pending,
    "queued": _pending,
    "running": _running,
    "retrying": _retrying,
    "completed": _completed,
    "reused": _completed,
    "degraded": _degraded,
    "failed": _failed,
    "timed_out": _timed_out,
    "cancelled": _cancelled,
    "crashed": _crashed,
    "upstream_failed": _upstream_failed,
    "condition_failed": _skipped,
}

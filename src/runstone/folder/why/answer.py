"""From a question about a run folder to its explanation."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from difflib import get_close_matches

from runstone.core.statuses import Liveness
from runstone.errors import ForeignFolder, SettingError
from runstone.folder.calling_again import can_be_called_again, command_to_call_again
from runstone.folder.error_detail import ErrorDetail, error_detail
from runstone.folder.observe import printable
from runstone.folder.resolve import shown
from runstone.folder.why import foreign, of_block, of_element, of_run, roots, stops
from runstone.folder.why.evidence import Evidence
from runstone.folder.why.explanation import Command, Explanation, Fact, Step, Stop
from runstone.folder.why.reuse import reuse_of, reuse_sentence

_NAMED = 10
_WELL = ("completed", "reused", "condition_failed")
_BAD = ("failed", "timed_out", "crashed", "degraded", "upstream_failed")


def explain(path: str, block: str | None = None, element: int | Sequence[int] | None = None) -> Explanation:
    """Why the run in a folder, a block of it or an element of that is as it is.

    element: its flat number, or an index for each axis. Writes nothing and opens no value.
    Raises FileNotFoundError, NotADirectoryError, OSError, FolderError for what cannot be read, and SettingError for a
    block or an element that is not there.
    """
    if element is not None and block is None:
        raise SettingError("an element is one of a block: name the block too")
    try:
        found = Evidence(path)
    except ForeignFolder:
        return foreign.explain(path, block, element)
    if block is None:
        return _run(found)
    if block not in found.blocks:
        raise SettingError(unknown_block(block, list(found.blocks)))
    if element is None:
        return _block(found, block)
    wanted = element if isinstance(element, int) else tuple(element)
    return _element(found, block, *of_element.number_of(found, block, wanted))


def unknown_block(block: str, names: Sequence[str]) -> str:
    """What to say about a block that a run does not have."""
    close = get_close_matches(block, names, n=1)
    return f"this run has no block {block!r}; " + (
        f"did you mean {close[0]!r}?" if close else f"it has {', '.join(names[:_NAMED])}"
    )


def _run(found: Evidence) -> Explanation:
    stop = stops.stop_of(found)
    chain = _chain_of_run(found)
    error = roots.root_error(found, chain)
    return Explanation(
        run=found.info.id,
        pipeline=found.info.pipeline.name,
        run_folder=found.status["run_folder"],
        status=found.status["status"],
        reason=found.status["reason"],
        answer=of_run.run_sentence(found),
        chain=chain if len(chain) > 1 else [],
        facts=[*of_run.life_facts(found), *_stop_facts(found, stop), *of_run.run_facts(found)],
        error=error,
        reuse=of_run.reuses(found),
        waiting_for=[] if found.state.done else [name for name, word in found.words.items() if word == "running"],
        stop=stop,
        receipts=stops.receipts_of(found),
        next=_commands(found, found.status["status"], error),
    )


def _chain_of_run(found: Evidence) -> list[Step]:
    """From the block whose failure decided the run to its root."""
    for word in ("failed", "timed_out", "crashed", "upstream_failed", "degraded"):
        for name in found.blocks:
            if found.words[name] == word and (found.state.blocks[name].failed or name in found.errors):
                return roots.down_from(found, name)
    return []


def _block(found: Evidence, name: str) -> Explanation:
    word, state = found.words[name], found.state.blocks[name]
    cause = roots.stopper(found) if word == "cancelled" and state.reason == "run_ended" else name
    chain = roots.down_from(found, cause) if word in _BAD or cause != name else []
    if chain and cause != name:
        chain.insert(0, Step(place=name, status=word, text="was not started"))
    error = roots.root_error(found, chain)
    attempts = found.attempts(name, None)
    stop = stops.stop_of(found) if word in ("cancelled", "running", "retrying") else None
    reuse = reuse_of(found, name)
    facts = of_block.block_facts(found, name)
    answer = of_block.block_sentence(found, name)
    told = None if reuse is None else reuse_sentence(found, reuse)
    if told is not None and told != answer:
        facts.insert(0, Fact(name="reuse", text=of_run.without_name(name, told)))
    if not found.state.done:
        facts += of_run.life_facts(found)
    return Explanation(
        run=found.info.id,
        pipeline=found.info.pipeline.name,
        run_folder=found.status["run_folder"],
        block=name,
        status=word,
        reason=None if state.reason is None else state.reason.value,
        answer=answer,
        chain=chain if len(chain) > 1 else [],
        facts=[*facts, *_stop_facts(found, stop)],
        error=error,
        attempts=[error_detail(event) for event in attempts if not event.final],
        reuse=[] if reuse is None else [reuse],
        waiting_for=of_block.waits_for(found, name),
        stop=stop,
        receipts=stops.receipts_of(found, name) or (stops.receipts_of(found) if stop else []),
        next=_commands(found, word, error),
    )


def _element(found: Evidence, name: str, element: int, index: list[int]) -> Explanation:
    told = of_element.element_answer(found, name, element, index)
    return Explanation(
        run=found.info.id,
        pipeline=found.info.pipeline.name,
        run_folder=found.status["run_folder"],
        block=name,
        element=element,
        index=index,
        status=told.status,
        reason=told.reason,
        answer=told.answer,
        chain=told.chain,
        facts=[Fact(name="block", text=of_block.block_sentence(found, name))] if name not in told.answer[1:] else [],
        error=told.error,
        attempts=told.attempts,
        reuse=[each] if (each := reuse_of(found, name)) is not None else [],
        waiting_for=[name] if told.status == "pending" else [],
        receipts=stops.receipts_of(found, name) if told.reason == "timeout" else [],
        next=_commands(found, told.status, told.error),
    )


def _stop_facts(found: Evidence, stop: Stop | None) -> list[Fact]:
    return [] if stop is None else stops.stop_facts(found, stop)


def _commands(found: Evidence, word: str, error: ErrorDetail | None) -> list[Command]:
    """What is worth typing now. word: how that stands which was asked about."""
    run = printable(shown(found.path))
    status = found.status
    steps: list[Command] = []
    known = None if error is None else found.blocks.get(error.block or "")
    own = found.info.imported_from is None
    if error is not None and known is not None and own and can_be_called_again(error, known.loader):
        again = command_to_call_again(run, error)
        steps.append(Command(command=again, purpose="call it again, with the same arguments"))
    if error is not None and error.block is not None:
        log = f"runstone logs {shlex.quote(f'{run}/{error.block}')}"
        only = "" if error.element is None else f" --element {error.element}"
        steps.append(Command(command=log + only, purpose="what it printed and logged"))
    if word not in _WELL and status["resumable"] and found.info.pipeline.loader is not None:
        steps.append(Command(command=f"runstone resume {shlex.quote(run)}", purpose="compute what is missing"))
    if not found.state.done and found.seen.liveness in (Liveness.LIVE, Liveness.STALE):
        steps.append(Command(command=f"runstone watch {shlex.quote(run)}", purpose="follow it to its end"))
    return steps

"""The functions of a run of pipefunc as blocks: what each has made so far, and the word for that."""

from __future__ import annotations

from collections import Counter

import msgspec

from runstone.core.reasons import Reason
from runstone.core.records import BlockInfo
from runstone.core.run_state import BlockState
from runstone.core.statuses import BlockStatus
from runstone.folder.foreign.pipefunc.heartbeat import Heartbeat, Progress
from runstone.folder.foreign.pipefunc.run_info import Function, Output
from runstone.folder.foreign.pipefunc.verdict import Evidence, Verdict, is_whole

_LONGEST = 200


class Block(msgspec.Struct, frozen=True, kw_only=True):
    """One function. word: how it stands; ended: how many of its elements have ended, well or not."""

    info: BlockInfo
    state: BlockState
    outputs: list[Output]
    word: str
    ended: int

    @property
    def total(self) -> int | None:
        """How many elements it has; one if it is not mapped, None as long as it is unknown."""
        return self.outputs[0].total


def blocks_of(evidence: Evidence, verdict: Verdict) -> list[Block]:
    """Every function of the run, in order as far as that is known.

    They are called as the heartbeat calls them; where it does not, or two are called the same, by what they make.
    """
    info, beat = evidence.info, evidence.heartbeat
    told = _told(beat)
    functions = _in_order(info.functions, told)
    names = [_name(function, told) for function in functions]
    twice = {name for name, count in Counter(names).items() if count > 1}
    called = {
        function.outputs[0]: ",".join(function.outputs) if name in twice else name
        for function, name in zip(functions, names, strict=True)
    }
    makers = {name: called[function.outputs[0]] for function in functions for name in function.outputs}
    return [
        _block(
            BlockInfo(
                name=called[function.outputs[0]],
                outputs=function.outputs,
                mapspec=function.mapspec,
                upstream=list(dict.fromkeys(makers[name] for name in function.inputs if name in makers)),
                tolerated=info.tolerant,
            ),
            evidence,
            verdict,
            told.get(function.outputs[0]),
        )
        for function in functions
    ]


def _told(beat: Heartbeat | None) -> dict[str, Progress]:
    """What the heartbeat tells of the function of each output."""
    if beat is None:
        return {}
    return {name: function for function in beat.functions for name in function.output_names}


def _in_order(functions: list[Function], told: dict[str, Progress]) -> list[Function]:
    """The heartbeat knows the order of all functions, run_info.json only that of those with a mapspec."""
    places = {name: place for place, name in enumerate(told)}
    return sorted(functions, key=lambda function: places.get(function.outputs[0], len(places)))


def _name(function: Function, told: dict[str, Progress]) -> str:
    known = told.get(function.outputs[0])
    made = ",".join(function.outputs)
    if known is None or not known.function_name or set(known.output_names) != set(function.outputs):
        return made
    return known.function_name[:_LONGEST]


def _block(described: BlockInfo, evidence: Evidence, verdict: Verdict, told: Progress | None) -> Block:
    outputs = [evidence.info.outputs[name] for name in described.outputs]
    stored = [evidence.stored[name] for name in described.outputs]
    there = min((found.there or 0 for found in stored), default=0)
    failed, not_called = max(found.failed for found in stored), max(found.not_called for found in stored)
    whole = all(is_whole(output, found) for output, found in zip(outputs, stored, strict=True))
    mapped = outputs[0].storage is not None
    state = BlockState(
        shape=[length or 0 for length in outputs[0].shape] if mapped and outputs[0].total is not None else None,
        ok=max(0, there - failed - not_called),
        failed=failed,
        upstream_failed=not_called,
        errors=failed,
    )
    if whole or (verdict.partial and there):
        state.status, state.reason = _end(state)
        word = state.status.value
    else:
        state.status, state.reason, word = _unfinished(verdict, told, any(found.there for found in stored))
    return Block(info=described, state=state, outputs=outputs, word=word, ended=there)


def _end(state: BlockState) -> tuple[BlockStatus, Reason | None]:
    if not state.failed and not state.upstream_failed:
        return BlockStatus.COMPLETED, None
    if state.ok:
        return BlockStatus.DEGRADED, Reason.ELEMENTS_FAILED
    if state.failed:
        return BlockStatus.FAILED, Reason.ALL_ELEMENTS_FAILED if state.shape is not None else Reason.EXCEPTION
    return BlockStatus.UPSTREAM_FAILED, Reason.UPSTREAM_FAILED


def _unfinished(verdict: Verdict, told: Progress | None, begun: bool) -> tuple[BlockStatus, Reason | None, str]:
    """Recorded status, reason and word of a block that has not made all it should."""
    if verdict.status == "failed" and told is not None and told.n_failed > 0:
        return BlockStatus.FAILED, Reason.EXCEPTION, BlockStatus.FAILED.value
    if verdict.status in ("failed", "cancelled"):
        reason = Reason.CANCEL_REQUESTED if verdict.status == "cancelled" else Reason.RUN_ENDED
        return BlockStatus.CANCELLED, reason, BlockStatus.CANCELLED.value
    running = begun or (told is not None and told.state == "running")
    recorded = BlockStatus.RUNNING if running else BlockStatus.PENDING
    return recorded, None, "incomplete" if running and verdict.status == "incomplete" else recorded.value

"""What of an earlier run a new one may take over, block by block, and why not the rest. Pure.

A block is taken over when its code, its settings and all it takes are the same, and its results are there. Of a mapped
block that may be so for some elements only: the others are computed. What cannot be compared is not the same, not even
as itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from enum import StrEnum

import msgspec

from runstone.core.causes import Cause, Why
from runstone.core.dependants import touched
from runstone.core.ranges import Range, add_ranges, count, missing_ranges, without
from runstone.core.records import BlockInfo, RunInfo
from runstone.core.run_state import BlockState, RunState
from runstone.core.statuses import BlockStatus

UNRESOLVED = "?"
"""A part of a code identity that equals nothing."""

REASONS_KEPT = 20


class Action(StrEnum):
    """What happens to a block: its results are taken over, some of its elements are, or it runs from the start."""

    REUSE = "reuse"
    CONTINUE = "continue"
    RUN = "run"


class BlockPlan(msgspec.Struct, frozen=True, kw_only=True):
    """What happens to one block.

    kept: the elements that are taken over; (0, 1) of a block that is not mapped. elements: those to compute, None for
    all. why: never empty.
    """

    name: str
    action: Action
    why: list[Why]
    kept: list[Range] = []
    elements: list[Range] | None = None


class Side(msgspec.Struct, frozen=True, kw_only=True):
    """A run as far as it is compared. parameters: digests of their stored bytes, None for what could not be read."""

    blocks: Sequence[BlockInfo]
    parameters: Mapping[str, str | None]

    @staticmethod
    def of(info: RunInfo, parameters: Mapping[str, str | None]) -> Side:
        """The side of a run that was recorded, or is about to be."""
        return Side(blocks=info.blocks, parameters=parameters)


class Earlier(msgspec.Struct, frozen=True, kw_only=True):
    """A run that something may be taken over from.

    held: of every block the elements that came out well and whose values are on disk; (0, 1) for a block that is not
    mapped, if all its outputs are there.
    """

    side: Side
    state: RunState
    held: Mapping[str, Sequence[Range]]


def plan(earlier: Earlier, new: Side) -> dict[str, BlockPlan]:
    """What happens to every block of a new run, in the order of its graph."""
    before = {block.name: block for block in earlier.side.blocks}
    makers = {output: block for block in new.blocks for output in block.outputs}
    plans: dict[str, BlockPlan] = {}
    for block in new.blocks:
        if block.name not in before:
            plans[block.name] = _run(block, [Why(cause=Cause.NEW_BLOCK, subject=block.name)])
            continue
        why = _block_differences(before[block.name], block)
        why += _parameter_differences(earlier.side, new, _own_parameters(block, new))
        why += [
            Why(cause=Cause.UPSTREAM, subject=maker.name)
            for maker in _makers_of(block, makers)
            if plans[maker.name].action is Action.RUN
        ]
        plans[block.name] = _run(block, why) if why else _kept(block, earlier, plans, makers)
    return plans


def differences(earlier: Side, new: Side) -> list[Why]:
    """Everything in which two runs differ before they start; none if the one could go on where the other stopped."""
    before = {block.name: block for block in earlier.blocks}
    found: list[Why] = []
    for block in new.blocks:
        if block.name in before:
            found += _block_differences(before.pop(block.name), block)
        else:
            found.append(Why(cause=Cause.NEW_BLOCK, subject=block.name))
    found += [Why(cause=Cause.REMOVED_BLOCK, subject=name) for name in before]
    return found + _parameter_differences(earlier, new, dict.fromkeys([*earlier.parameters, *new.parameters]))


def reasons(plans: Mapping[str, BlockPlan]) -> dict[str, list[Why]]:
    """The reasons of a plan as `run.json` keeps them: of each block the first."""
    return {name: each.why[:REASONS_KEPT] for name, each in plans.items()}


def _run(block: BlockInfo, why: list[Why]) -> BlockPlan:
    return BlockPlan(name=block.name, action=Action.RUN, why=why)


# what is compared


def code_differences(before: Mapping[str, str], after: Mapping[str, str]) -> list[Why]:
    """The parts in which the code of a block is not the same; a part that cannot be resolved is not even as itself."""
    if not before or not after:
        return [Why(cause=Cause.CODE_UNKNOWN, subject="function")]
    found: list[Why] = []
    for part in {**after, **before}:
        old, new = before.get(part), after.get(part)
        if UNRESOLVED in (old, new):
            found.append(Why(cause=Cause.CODE_UNKNOWN, subject=part, before=old, after=new))
        elif old != new:
            found.append(Why(cause=Cause.CODE, subject=part, before=old, after=new))
    return found


def _block_differences(before: BlockInfo, after: BlockInfo) -> list[Why]:
    found = code_differences(before.code, after.code)
    for name, told in _SETTINGS.items():
        was, now = told(before), told(after)
        if was != now:
            found.append(Why(cause=Cause.SETTING, subject=name, before=was, after=now))
    return found


_SETTINGS: dict[str, Callable[[BlockInfo], str | None]] = {
    "output": lambda block: ", ".join(block.outputs),
    "mapspec": lambda block: block.mapspec,
    "axes": lambda block: str(sorted(block.axes.items())),
    "parameters": lambda block: ", ".join(
        f"{each.name} as {each.function_name or each.name} ({each.consumed})" for each in block.parameters
    ),
    "missing": lambda block: block.missing,
    "when": lambda block: ", ".join(block.condition) if block.conditional else None,
    "**kwargs": lambda block: str(block.takes_extra),
}
"""Settings that change what a block gives. Those that change only how it is computed, or what follows from a failure,
are left out: the same executor is not asked for, nor the same number of retries."""


def _own_parameters(block: BlockInfo, side: Side) -> Iterable[str]:
    """The parameters of the run that a block is given."""
    own = dict.fromkeys([*(parameter.name for parameter in block.parameters), *block.condition])
    if block.takes_extra:
        taken = {parameter.name for other in side.blocks for parameter in other.parameters}
        own.update(dict.fromkeys(name for name in side.parameters if name not in taken))
    return [name for name in own if name in side.parameters]


def _parameter_differences(earlier: Side, new: Side, names: Iterable[str]) -> list[Why]:
    found: list[Why] = []
    for name in names:
        old, now = earlier.parameters.get(name), new.parameters.get(name)
        there = name in earlier.parameters and name in new.parameters
        if there and (old is None or now is None or _of_other_keys(old, now)):
            found.append(Why(cause=Cause.PARAMETER_UNKNOWN, subject=name, before=old, after=now))
        elif not there or old != now:
            found.append(Why(cause=Cause.PARAMETER, subject=name, before=old, after=now))
    return found


def _of_other_keys(old: str, now: str) -> bool:
    """Whether both are digests of secrets, `<digest>@<key>`, that were made with different keys."""
    old_key, now_key = old.partition("@")[2], now.partition("@")[2]
    return bool(old_key) and bool(now_key) and old_key != now_key


def _makers_of(block: BlockInfo, makers: Mapping[str, BlockInfo]) -> list[BlockInfo]:
    taken = dict.fromkeys([*(parameter.name for parameter in block.parameters), *block.condition])
    found = {makers[name].name: makers[name] for name in taken if name in makers and makers[name] is not block}
    return list(found.values())


# what is kept


def _kept(
    block: BlockInfo, earlier: Earlier, plans: Mapping[str, BlockPlan], makers: Mapping[str, BlockInfo]
) -> BlockPlan:
    """The plan for a block whose code, settings and parameters are the same."""
    state = earlier.state.blocks.get(block.name) or BlockState()
    held = list(earlier.held.get(block.name, ()))
    if state.shape is None:
        return _kept_whole(block, state, held, plans, makers)
    total = state.total or 0
    why = _element_reasons(block, state, held)
    stale: list[Range] = []
    for maker in _makers_of(block, makers):
        again = plans[maker.name].elements if plans[maker.name].action is Action.CONTINUE else []
        if not again:
            continue
        theirs = earlier.state.blocks[maker.name].shape or []
        reached = touched(block, state.shape, maker, theirs, again)
        if reached is None:
            return _run(block, [Why(cause=Cause.UPSTREAM_ELEMENTS, subject=maker.name, elements=count(again)), *why])
        add_ranges(stale, reached)
        why.append(Why(cause=Cause.UPSTREAM_ELEMENTS, subject=maker.name, elements=count(again)))
    kept = without(held, stale)
    wanted = missing_ranges(kept, total)
    if not wanted:
        return BlockPlan(name=block.name, action=Action.REUSE, why=[Why(cause=Cause.UNCHANGED)], kept=kept, elements=[])
    if not kept:
        return _run(block, why or [_unmade(state)])
    return BlockPlan(name=block.name, action=Action.CONTINUE, why=why, kept=kept, elements=wanted)


def _kept_whole(
    block: BlockInfo,
    state: BlockState,
    held: list[Range],
    plans: Mapping[str, BlockPlan],
    makers: Mapping[str, BlockInfo],
) -> BlockPlan:
    why = [
        Why(cause=Cause.UPSTREAM_ELEMENTS, subject=maker.name, elements=count(plans[maker.name].elements or []))
        for maker in _makers_of(block, makers)
        if plans[maker.name].action is Action.CONTINUE
    ]
    if state.status not in (BlockStatus.COMPLETED, BlockStatus.REUSED):
        why.insert(0, _unmade(state))
    elif not held:
        why.insert(0, Why(cause=Cause.OUTPUT_MISSING, subject=", ".join(block.outputs)))
    if why:
        return _run(block, why)
    return BlockPlan(name=block.name, action=Action.REUSE, why=[Why(cause=Cause.UNCHANGED)], kept=[(0, 1)], elements=[])


def _unmade(state: BlockState) -> Why:
    if state.status is BlockStatus.CONDITION_FAILED:
        return Why(cause=Cause.SKIPPED)
    if state.status in (BlockStatus.FAILED, BlockStatus.TIMED_OUT, BlockStatus.CRASHED):
        return Why(cause=Cause.FAILED)
    return Why(cause=Cause.UNFINISHED)


def _element_reasons(block: BlockInfo, state: BlockState, held: list[Range]) -> list[Why]:
    found: list[Why] = []
    gone = state.ok - count(held)
    if gone > 0:
        found.append(Why(cause=Cause.OUTPUT_MISSING, subject=", ".join(block.outputs), elements=gone))
    if state.failed:
        found.append(Why(cause=Cause.FAILED, elements=state.failed))
    left = (state.total or 0) - state.ok - state.failed
    if left > 0:
        found.append(Why(cause=Cause.UNFINISHED, elements=left))
    return found

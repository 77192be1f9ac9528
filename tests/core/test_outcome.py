"""How runs end: the truth table against a second, independent statement of the rules, over all small graphs."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Iterator, Mapping

import pytest

from runstone.core.moves import BLOCK_DONE, BLOCK_MOVES
from runstone.core.outcome import Policy, block_end, consequences, ready, run_end, stops
from runstone.core.reasons import Reason
from runstone.core.statuses import BlockStatus, RunStatus

B = BlockStatus
GOOD = {B.COMPLETED, B.REUSED, B.DEGRADED}
BAD = {B.FAILED, B.TIMED_OUT, B.CRASHED}

Upstream = dict[str, tuple[str, ...]]
Statuses = dict[str, BlockStatus]


def graphs(count: int) -> Iterator[Upstream]:
    """All graphs of so many blocks whose names are in an order in which they can run."""
    names = "abcdef"[:count]
    above = [list(itertools.chain.from_iterable(itertools.combinations(names[:at], n) for n in range(at + 1)))
             for at in range(count)]  # fmt: skip
    for chosen in itertools.product(*above):
        yield dict(zip(names, chosen, strict=True))


def policies(upstream: Upstream) -> Iterator[Policy]:
    for count in range(len(upstream) + 1):
        for tolerated in itertools.combinations(upstream, count):
            for stop_on_failure in (True, False):
                yield Policy(upstream=upstream, tolerated=frozenset(tolerated), stop_on_failure=stop_on_failure)


def execute(
    policy: Policy, own: Mapping[str, BlockStatus], choose: Callable[[list[str]], str]
) -> tuple[Statuses, set[str]]:
    """Run all blocks as a driver does: start what is ready, one at a time, record what follows. own: how each block
    ends if it is started. Returns the statuses at the end and the names of the blocks that were started."""
    statuses = dict.fromkeys(policy.upstream, B.PENDING)
    started: set[str] = set()
    while True:
        for name, (status, reason) in consequences(policy, statuses).items():
            assert status in BLOCK_MOVES[statuses[name]]
            assert reason is REASONS[status]
            statuses[name] = status
        can_start = ready(policy, statuses)
        if not can_start:
            return statuses, started
        name = choose(can_start)
        started.add(name)
        statuses[name] = own[name]


REASONS = {
    B.UPSTREAM_FAILED: Reason.UPSTREAM_FAILED,
    B.CONDITION_FAILED: Reason.CONDITION_FALSE,
    B.CANCELLED: Reason.RUN_ENDED,
}


def never_started_end(policy: Policy, own: Mapping[str, BlockStatus], started: set[str]) -> Statuses:
    """The rules, stated once more: how each block must have ended, given which were started."""
    end: Statuses = {}
    for name, upstream in policy.upstream.items():
        above = {end[other] for other in upstream}
        if name in started:
            end[name] = own[name]
        elif B.CONDITION_FAILED in above:
            # "false gives condition_failed, to its dependants too": it would not have run whatever the others did
            end[name] = B.CONDITION_FAILED
        elif above & {*BAD, B.UPSTREAM_FAILED}:
            end[name] = B.UPSTREAM_FAILED
        else:
            end[name] = B.CANCELLED
    return end


def must_end(policy: Policy, end: Statuses) -> RunStatus:
    """The rules for the run, stated once more."""
    intolerable = any(end[name] in BAD and name not in policy.tolerated for name in end)
    needed = any(
        end[other] in BAD and end[name] is not B.CONDITION_FAILED
        for name, upstream in policy.upstream.items()
        for other in upstream
    )
    if intolerable or needed:
        return RunStatus.FAILED
    if any(status in BAD or status is B.DEGRADED for status in end.values()):
        return RunStatus.DEGRADED
    return RunStatus.COMPLETED


def check(policy: Policy, own: Mapping[str, BlockStatus], choose: Callable[[list[str]], str]) -> Statuses:
    end, started = execute(policy, own, choose)
    assert all(status in BLOCK_DONE for status in end.values())
    assert end == never_started_end(policy, own, started)
    failed = any(end[name] in BAD and name not in policy.tolerated for name in started)
    for name, upstream in policy.upstream.items():
        if name in started:
            assert all(end[other] in GOOD for other in upstream), "started although something above it was not good"
        elif all(end[other] in GOOD for other in upstream):
            assert policy.stop_on_failure, "never started although nothing kept it from starting"
            assert failed
    status, reason = run_end(policy, end)
    assert status is must_end(policy, end)
    assert (reason is None) == (status is RunStatus.COMPLETED)
    return end


def owns(policy: Policy, ends: tuple[BlockStatus, ...]) -> Iterator[Mapping[str, BlockStatus]]:
    for each in itertools.product(ends, repeat=len(policy.upstream)):
        own = dict(zip(policy.upstream, each, strict=True))
        if all(name in policy.tolerated for name, end in own.items() if end is B.DEGRADED):
            yield own


def first(names: list[str]) -> str:
    return names[0]


def last(names: list[str]) -> str:
    return names[-1]


@pytest.mark.parametrize("count", [1, 2, 3])
def test_every_small_graph_ends_as_the_rules_say_whatever_its_blocks_do(count: int) -> None:
    ends = (B.COMPLETED, B.DEGRADED, B.FAILED, B.TIMED_OUT, B.CRASHED, B.CONDITION_FAILED)
    if count == 3:
        ends = (B.COMPLETED, B.DEGRADED, B.FAILED, B.CONDITION_FAILED)
    for upstream in graphs(count):
        for policy in policies(upstream):
            for own in owns(policy, ends):
                for choose in (first, last):
                    check(policy, own, choose)


def test_graphs_of_four_blocks_end_as_the_rules_say() -> None:
    for policy, own in sampled_four():
        check(policy, own, last)


def test_if_independent_branches_finish_the_order_in_which_blocks_ran_decides_nothing() -> None:
    for policy, own in sampled_four():
        if not policy.stop_on_failure or len(policy.tolerated) == 4:
            assert check(policy, own, first) == check(policy, own, last)


def sampled_four() -> Iterator[tuple[Policy, Mapping[str, BlockStatus]]]:
    """One in twenty of the 166,000 cases of four blocks, always the same ones."""
    dice = random.Random(4)
    for upstream in graphs(4):
        for policy in policies(upstream):
            for own in owns(policy, (B.COMPLETED, B.FAILED, B.CONDITION_FAILED)):
                if dice.random() < 0.05:
                    yield policy, own


CHAIN: Upstream = {"a": (), "b": ("a",), "c": ("b",)}
BRANCHES: Upstream = {"a": (), "b": ("a",), "x": (), "y": ("x",)}


def test_after_a_failure_dependants_are_upstream_failed_and_the_rest_is_cancelled_because_the_run_ended() -> None:
    end = check(Policy(upstream=BRANCHES), {"a": B.FAILED}, first)
    assert end == {"a": B.FAILED, "b": B.UPSTREAM_FAILED, "x": B.CANCELLED, "y": B.CANCELLED}


def test_a_pipeline_that_continues_finishes_its_independent_branches_and_still_fails() -> None:
    policy = Policy(upstream=BRANCHES, stop_on_failure=False)
    end = check(policy, {"a": B.FAILED, "x": B.COMPLETED, "y": B.COMPLETED}, first)
    assert end == {"a": B.FAILED, "b": B.UPSTREAM_FAILED, "x": B.COMPLETED, "y": B.COMPLETED}
    assert run_end(policy, end)[0] is RunStatus.FAILED


def test_a_tolerated_failure_degrades_the_run_if_nothing_depends_on_it() -> None:
    policy = Policy(upstream=CHAIN, tolerated=frozenset("c"))
    end = check(policy, {"a": B.COMPLETED, "b": B.COMPLETED, "c": B.FAILED}, first)
    assert run_end(policy, end)[0] is RunStatus.DEGRADED


def test_a_tolerated_failure_fails_the_run_if_something_depends_on_it() -> None:
    policy = Policy(upstream=CHAIN, tolerated=frozenset("b"))
    end = check(policy, {"a": B.COMPLETED, "b": B.FAILED}, first)
    assert end["c"] is B.UPSTREAM_FAILED
    assert run_end(policy, end)[0] is RunStatus.FAILED


def test_a_tolerated_failure_degrades_the_run_if_all_that_depends_on_it_was_skipped_anyway() -> None:
    upstream: Upstream = {"a": (), "skip": (), "b": ("a", "skip"), "c": ("b",)}
    policy = Policy(upstream=upstream, tolerated=frozenset("a"))
    for choose in (first, last):
        end = check(policy, {"a": B.FAILED, "skip": B.CONDITION_FAILED}, choose)
        assert end["b"] is end["c"] is B.CONDITION_FAILED
        assert run_end(policy, end)[0] is RunStatus.DEGRADED


def test_a_skipped_block_skips_all_its_dependants_and_the_run_completes() -> None:
    policy = Policy(upstream=CHAIN)
    end = check(policy, {"a": B.COMPLETED, "b": B.CONDITION_FAILED}, first)
    assert end == {"a": B.COMPLETED, "b": B.CONDITION_FAILED, "c": B.CONDITION_FAILED}
    assert run_end(policy, end) == (RunStatus.COMPLETED, None)


def test_reused_is_as_good_as_completed() -> None:
    policy = Policy(upstream=CHAIN)
    end = check(policy, dict.fromkeys("abc", B.REUSED), first)
    assert run_end(policy, end) == (RunStatus.COMPLETED, None)


def test_a_tolerated_failure_does_not_stop_what_is_independent_of_it() -> None:
    policy = Policy(upstream=BRANCHES, tolerated=frozenset("a"))
    assert not stops(policy, {"a": B.FAILED, "b": B.PENDING, "x": B.PENDING, "y": B.PENDING})


@pytest.mark.parametrize("status", sorted(set(BlockStatus) - BLOCK_DONE))
def test_a_run_cannot_end_while_a_block_has_not(status: BlockStatus) -> None:
    with pytest.raises(ValueError, match="blocks have not ended: b"):
        run_end(Policy(upstream=CHAIN), {"a": B.COMPLETED, "b": status, "c": B.COMPLETED})


def test_what_is_queued_is_cancelled_when_the_run_stops() -> None:
    found = consequences(Policy(upstream=BRANCHES), {"a": B.FAILED, "b": B.PENDING, "x": B.QUEUED, "y": B.PENDING})
    assert found["x"] == (B.CANCELLED, Reason.RUN_ENDED)


def test_a_mapped_block_ends_as_its_elements_did() -> None:
    for ok, failed, upstream_failed in itertools.product(range(3), repeat=3):
        for tolerated in (False, True):
            status, reason = block_end(ok, failed, upstream_failed, tolerated=tolerated)
            assert status is _element_rules(ok, failed, upstream_failed, tolerated=tolerated)
            assert (reason is None) == (status is B.COMPLETED)


def _element_rules(ok: int, failed: int, upstream_failed: int, *, tolerated: bool) -> BlockStatus:
    if ok and not failed and not upstream_failed:
        return B.COMPLETED
    if not (ok or failed or upstream_failed):
        return B.COMPLETED  # a map over nothing has done all there was to do
    if not failed:
        return B.DEGRADED if ok else B.UPSTREAM_FAILED
    return B.DEGRADED if tolerated and ok else B.FAILED


@pytest.mark.parametrize("ok", [1, 5])
def test_a_tolerant_block_with_one_good_element_is_degraded_and_with_none_failed(ok: int) -> None:
    assert block_end(ok, 1, 0, tolerated=True) == (B.DEGRADED, Reason.ELEMENTS_FAILED)
    assert block_end(0, ok, 0, tolerated=True) == (B.FAILED, Reason.ALL_ELEMENTS_FAILED)
    assert block_end(ok, 1, 0, tolerated=False)[0] is B.FAILED

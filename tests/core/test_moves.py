"""The tables of moves say what the design says, and everything else is computed from them."""

from __future__ import annotations

import pytest

from runstone.core.moves import (
    BLOCK_DONE,
    BLOCK_MOVES,
    BLOCK_REACHABLE,
    DONE,
    RUN_MOVES,
    RUN_REACHABLE,
    final,
    reachable,
)
from runstone.core.statuses import ALIASES, BlockStatus, Liveness, RunStatus, parse_run_status

RUN = """
    scheduled -> pending cancelled
    pending -> running cancelled timed_out failed
    running -> running cancelling completed degraded failed timed_out crashed
    cancelling -> cancelling cancelled timed_out completed degraded failed
"""


def test_a_run_moves_as_written_and_in_no_other_way() -> None:
    written = {RunStatus(line.split()[0]): set(line.split()[2:]) for line in RUN.strip().splitlines()}
    for status in RunStatus:
        assert {to.value for to in RUN_MOVES[status]} == written.get(status, set()), status


def test_nothing_leaves_a_done_status() -> None:
    assert {status.value for status in DONE} == {
        "completed", "degraded", "failed", "timed_out", "cancelled", "crashed",
    }  # fmt: skip
    assert all(not RUN_MOVES[status] and not RUN_REACHABLE[status] for status in DONE)
    assert all(not BLOCK_MOVES[status] and not BLOCK_REACHABLE[status] for status in BLOCK_DONE)


def test_every_status_has_its_row() -> None:
    assert set(RUN_MOVES) == set(RunStatus)
    assert set(BLOCK_MOVES) == set(BlockStatus)


def test_a_block_is_done_unless_it_waits_or_works() -> None:
    assert set(BlockStatus) - BLOCK_DONE == {
        BlockStatus.PENDING,
        BlockStatus.QUEUED,
        BlockStatus.RUNNING,
        BlockStatus.RETRYING,
    }


def test_every_status_can_be_reached_from_the_first_one() -> None:
    assert RUN_REACHABLE[RunStatus.SCHEDULED] == set(RunStatus) - {RunStatus.SCHEDULED}
    assert BLOCK_REACHABLE[BlockStatus.PENDING] == set(BlockStatus) - {BlockStatus.PENDING}


@pytest.mark.parametrize("status", sorted(set(RunStatus) - DONE))
def test_from_every_active_status_a_run_can_end(status: RunStatus) -> None:
    assert RUN_REACHABLE[status] & DONE


@pytest.mark.parametrize("status", sorted(set(BlockStatus) - BLOCK_DONE))
def test_a_block_that_has_not_ended_can_be_cancelled(status: BlockStatus) -> None:
    assert BlockStatus.CANCELLED in BLOCK_MOVES[status]


@pytest.mark.parametrize("status", [BlockStatus.RUNNING, BlockStatus.RETRYING])
def test_a_block_at_work_can_fail_time_out_or_crash(status: BlockStatus) -> None:
    assert {BlockStatus.FAILED, BlockStatus.TIMED_OUT, BlockStatus.CRASHED} <= BLOCK_MOVES[status]


def test_only_a_block_that_never_started_can_be_reused_or_skipped() -> None:
    for to in (BlockStatus.REUSED, BlockStatus.CONDITION_FAILED):
        assert [start for start in BLOCK_MOVES if to in BLOCK_MOVES[start]] == [BlockStatus.PENDING]


def test_final_and_reachable_are_computed_from_the_table() -> None:
    one, two, three = RunStatus.PENDING, RunStatus.RUNNING, RunStatus.COMPLETED
    moves = {one: frozenset({two}), two: frozenset({two, three}), three: frozenset()}
    assert final(moves) == {three}
    assert reachable(moves) == {one: {two, three}, two: {two, three}, three: frozenset()}


def test_the_words_are_those_of_the_glossary() -> None:
    assert [status.value for status in RunStatus] == [
        "scheduled", "pending", "running", "cancelling", "completed", "degraded", "failed", "timed_out", "cancelled",
        "crashed",
    ]  # fmt: skip
    assert [status.value for status in BlockStatus] == [
        "pending", "queued", "running", "retrying", "completed", "reused", "degraded", "failed", "timed_out",
        "cancelled", "crashed", "upstream_failed", "condition_failed",
    ]  # fmt: skip
    assert [liveness.value for liveness in Liveness] == ["live", "stale", "lost", "gone", "ended"]


@pytest.mark.parametrize(
    ("status", "words"),
    [
        ("scheduled", "upcoming"),
        ("pending", "initial queued ready"),
        ("running", "in_progress"),
        ("completed", "succeeded success done"),
        ("degraded", "partial_success"),
        ("failed", "error"),
        ("cancelled", "canceled aborted"),
    ],
)
def test_filters_take_the_words_of_other_systems_in_any_case(status: str, words: str) -> None:
    for word in (*words.split(), status):
        assert parse_run_status(word).value == parse_run_status(f" {word.upper()} ").value == status
    assert {word for word, to in ALIASES.items() if to.value == status} == set(words.split())


def test_an_unknown_status_is_refused_with_the_words_that_are_known() -> None:
    with pytest.raises(ValueError, match=r"unknown status 'finnished'; known are scheduled, .*crashed"):
        parse_run_status("finnished")

"""How tracked runs stand after some of their lines."""

from __future__ import annotations

import math
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runstone.core.moves import DONE
from runstone.core.statuses import RunStatus
from runstone.core.tracked import (
    ARTIFACTS_KEPT,
    LARGEST,
    METRICS_KEPT,
    NUMBERS,
    TrackedState,
    TrackEnded,
    TrackEvent,
    TrackSaved,
    TrackStarted,
    TrackUpdated,
    Trouble,
    apply,
    may_move,
)

AT = "2026-03-01T12:00:00.000000Z"


def started(seq: int = 1, **more: Any) -> TrackStarted:
    return TrackStarted(**{"run": "r", "seq": seq, "at": AT, "stage": "load", "workspace": "default", **more})


def updated(seq: int, **more: Any) -> TrackUpdated:
    return TrackUpdated(run="r", seq=seq, at=AT, **more)


def ended(seq: int, status: RunStatus = RunStatus.COMPLETED, **more: Any) -> TrackEnded:
    return TrackEnded(run="r", seq=seq, at=AT, status=status, **more)


def saved(seq: int, path: str = "x") -> TrackSaved:
    return TrackSaved(
        run="r", seq=seq, at=AT, artifact_id=f"{seq}", path=path, name="x", artifact_type="", content_type="",
        size_bytes=1, sha256="",
    )  # fmt: skip


def fold(*events: TrackEvent) -> TrackedState | None:
    state: TrackedState | None = None
    for event in events:
        state = apply(state, event)
    return state


def folded(*events: TrackEvent) -> TrackedState:
    state = fold(*events)
    assert state is not None
    return state


def test_a_run_is_told_from_its_start_to_its_end() -> None:
    state = folded(
        started(rows_in=150, parent_id="p", tags=["a"]),
        updated(2, tokens=10, metrics={"loss": 0.5}),
        updated(3, tokens=20, metrics={"accuracy": 0.25}, message="so far"),
        ended(4, RunStatus.DEGRADED, rows_out=42, duration_seconds=1.5),
    )
    assert (state.status, state.finished_at, state.duration_seconds) == (RunStatus.DEGRADED, AT, 1.5)
    assert (state.rows_in, state.rows_out, state.tokens, state.llm_calls) == (150, 42, 20, None)
    assert state.metrics == {"loss": 0.5, "accuracy": 0.25}
    assert (state.message, state.parent_id, state.tags, state.seq, state.refused) == ("so far", "p", ["a"], 4, 0)


def test_nothing_is_known_before_the_start_and_nothing_changes_after_the_end() -> None:
    assert fold(updated(2, tokens=1), ended(3)) is None
    state = folded(started(), ended(2), updated(3, tokens=1), ended(4, RunStatus.FAILED, error=Trouble(type="E")))
    assert (state.status, state.tokens, state.error, state.refused) == (RunStatus.COMPLETED, None, None, 2)


def test_a_line_that_comes_again_or_late_changes_nothing() -> None:
    once = folded(started(), updated(2, tokens=1), updated(3, tokens=2), ended(4))
    again = folded(started(), updated(3, tokens=2), updated(2, tokens=1), updated(3, tokens=9), ended(4), ended(4))
    assert msgspec.to_builtins(once) == msgspec.to_builtins(again)


def test_a_pending_run_has_not_started_until_it_runs() -> None:
    waiting = folded(started(status=RunStatus.PENDING))
    assert (waiting.status, waiting.started_at) == (RunStatus.PENDING, None)
    running = folded(started(status=RunStatus.PENDING), updated(2, status=RunStatus.RUNNING))
    assert (running.status, running.started_at) == (RunStatus.RUNNING, AT)


@pytest.mark.parametrize("number", [-1, LARGEST + 1])
def test_a_count_that_is_none_is_stepped_over(number: int) -> None:
    state = folded(started(rows_in=number), updated(2, tokens=5), ended(3, tokens=number, duration_seconds=math.inf))
    assert (state.rows_in, state.tokens, state.duration_seconds) == (None, 5, None)


def test_metrics_without_end_are_cut() -> None:
    lines = [updated(2 + n, metrics={f"m{100 * n + i}": 1.0 for i in range(100)}) for n in range(50)]
    assert len(folded(started(), *lines).metrics) == METRICS_KEPT


def test_files_are_those_that_were_saved_before_the_end_each_once() -> None:
    lines = (started(), saved(2), saved(2), saved(4), saved(3), ended(5), saved(6))
    state = folded(*lines)
    assert [each.seq for each in state.artifacts] == [2, 4]
    assert (state.seq, state.status, state.refused) == (5, RunStatus.COMPLETED, 1)
    assert fold(saved(1)) is None


def test_files_without_end_are_cut() -> None:
    state = folded(started(), *(saved(seq) for seq in range(2, ARTIFACTS_KEPT + 5)))
    assert len(state.artifacts) == ARTIFACTS_KEPT
    assert state.seq == ARTIFACTS_KEPT + 4


def test_moves_are_those_of_all_runs_with_steps_left_out() -> None:
    assert may_move(RunStatus.RUNNING, RunStatus.CANCELLED)
    assert may_move(RunStatus.PENDING, RunStatus.COMPLETED)
    assert not may_move(RunStatus.RUNNING, RunStatus.PENDING)
    for done in DONE:
        assert not any(may_move(done, to) for to in RunStatus)


_numbers = {name: st.none() | st.integers(-(2**70), 2**70) for name in NUMBERS}
_metrics = st.dictionaries(st.text(max_size=3), st.floats() | st.integers(-(2**70), 2**70), max_size=3)
_common = {"run": st.just("r"), "seq": st.integers(-2, 9) | st.just(2**80), "at": st.text(max_size=5)}
_status = st.sampled_from(RunStatus)
_lines = st.one_of(
    st.builds(
        TrackStarted, **_common, stage=st.text(), workspace=st.text(), status=_status, rows_in=_numbers["rows_in"]
    ),
    st.builds(TrackUpdated, **_common, **_numbers, status=st.none() | _status, metrics=_metrics),
    st.builds(saved, seq=_common["seq"], path=st.text(max_size=5)),
    st.builds(TrackEnded, **_common, **_numbers, status=_status, duration_seconds=st.none() | st.floats()),
)


@given(st.lists(_lines, max_size=20))
def test_any_lines_in_any_order_give_a_state_that_holds_together(lines: list[TrackEvent]) -> None:
    state: TrackedState | None = None
    done: bytes | None = None
    for line in lines:
        state = apply(state, line)
        if state is None:
            continue
        for name in NUMBERS:
            value = getattr(state, name)
            assert value is None or 0 <= value <= LARGEST
        assert (state.finished_at is not None) == state.done
        if done is not None:
            assert msgspec.json.encode(msgspec.structs.replace(state, refused=0)) == done, "an end is an end"
        elif state.done:
            done = msgspec.json.encode(msgspec.structs.replace(state, refused=0))


def test_durations_are_told_to_the_microsecond() -> None:
    state = apply(apply(None, started()), ended(2, duration_seconds=2.0963001588825136e-05))
    assert state is not None
    assert state.duration_seconds == 2.1e-05

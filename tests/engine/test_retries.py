"""Retries: how often, for which exceptions, one element at a time, and what is recorded of them."""

from __future__ import annotations

import time
from collections import Counter
from typing import Any

import pytest

from runstone import Pipeline, Retries, RunFailed, block
from runstone.core.events import BlockRetrying, BlockStarted, ErrorRaised
from runstone.folder.load import Loader


class Flaky:
    """Fails as often as told, for each argument, then gives ten times the argument."""

    def __init__(self, failures: int, error: BaseException | None = None) -> None:
        self.failures = failures
        self.error = error or ValueError("not yet")
        self.calls: Counter[Any] = Counter()

    def __call__(self, x: int) -> int:
        self.calls[x] += 1
        if self.calls[x] <= self.failures:
            raise self.error
        return x * 10


def once(function: Flaky, **settings: Any) -> Pipeline:
    return Pipeline("once", [block(function, name="y", **settings)])


def mapped(function: Flaky, **settings: Any) -> Pipeline:
    return Pipeline("mapped", [block(function, name="f", mapspec="x[i] -> y[i]", **settings)])


def test_retries_2_is_up_to_3_attempts() -> None:
    flaky = Flaky(2)
    run = once(flaky, retries=2).run({"x": 1})
    assert (run.status, run.outputs["y"], flaky.calls[1]) == ("completed", 10, 3)
    hopeless = Flaky(9)
    run = once(hopeless, retries=2).run({"x": 1}, raise_on_error=False)
    assert (run.status, hopeless.calls[1]) == ("failed", 3)


def test_without_retries_there_is_one_attempt() -> None:
    for pipeline in (once, mapped):
        flaky = Flaky(1)
        assert pipeline(flaky).run({"x": 1 if pipeline is once else [1]}, raise_on_error=False).status == "failed"
        assert flaky.calls[1] == 1


def test_elements_are_tried_again_one_at_a_time() -> None:
    flaky = Flaky(2)
    run = mapped(flaky, retries=2).run({"x": [1, 2, 3]})
    assert (run.status, list(run.outputs["y"])) == ("completed", [10, 20, 30])
    assert flaky.calls == {1: 3, 2: 3, 3: 3}
    assert run.errors == []


def test_an_element_out_of_attempts_fails_and_its_attempts_are_counted() -> None:
    class Picky(Flaky):
        def __call__(self, x: int) -> int:
            if x == 2:
                self.calls[x] += 1
                raise ValueError("never")
            return super().__call__(x)

    picky = Picky(0)
    run = mapped(picky, retries=3, on_error="continue").run({"x": [1, 2, 3]})
    assert (run.status, picky.calls[2]) == ("degraded", 4)
    (error,) = run.errors
    assert (error.element, error.index, error.attempt, error.message) == (1, (1,), 4, "never")


def test_every_attempt_of_a_block_is_recorded_and_only_the_last_one_is_an_error() -> None:
    run = once(Flaky(9), retries=2).run({"x": 1}, raise_on_error=False)
    events = list(Loader(str(run.run_folder), trust=False).events())
    assert [event.attempt for event in events if isinstance(event, BlockStarted)] == [1, 2, 3]
    assert [event.attempt for event in events if isinstance(event, BlockRetrying)] == [1, 2]
    assert [event.final for event in events if isinstance(event, ErrorRaised)] == [False, False, True]
    assert [error.attempt for error in run.errors] == [3]


@pytest.mark.parametrize("pipeline", [once, mapped])
def test_only_the_exceptions_asked_for_are_tried_again(pipeline: Any) -> None:
    params = {"x": 1 if pipeline is once else [1]}
    timeout = Flaky(1, TimeoutError("slow"))
    assert pipeline(timeout, retries=Retries(2, on=(OSError, KeyError))).run(params).status == "completed"
    other = Flaky(1, ValueError("wrong"))
    with pytest.raises(RunFailed, match="wrong"):
        pipeline(other, retries=Retries(2, on=OSError)).run(params)
    assert other.calls[1] == 1


class Leaving(BaseException):
    """Not an Exception, as some libraries use to leave through all handlers."""


@pytest.mark.parametrize("pipeline", [once, mapped])
def test_what_is_no_exception_is_tried_again_only_if_asked_for(pipeline: Any) -> None:
    params = {"x": 1 if pipeline is once else [1]}
    leaving = Flaky(1, Leaving("bye"))
    with pytest.raises(RunFailed) as caught:
        pipeline(leaving, retries=2).run(params)
    assert isinstance(caught.value.__cause__, Leaving)
    assert leaving.calls[1] == 1
    assert pipeline(Flaky(1, Leaving()), retries=Retries(1, on=Leaving)).run(params).status == "completed"


def test_a_block_waits_between_attempts_longer_each_time_up_to_a_limit() -> None:
    started = time.monotonic()
    run = once(Flaky(3), retries=Retries(3, delay=0.05, backoff=3, max_delay=0.1, jitter=False)).run({"x": 1})
    assert time.monotonic() - started >= 0.05 + 0.1 + 0.1
    delays = [one.delay for one in Loader(str(run.run_folder), trust=False).events() if isinstance(one, BlockRetrying)]
    assert delays == [0.05, 0.1, 0.1]


def test_an_element_waits_between_attempts() -> None:
    started = time.monotonic()
    mapped(Flaky(1), retries=Retries(1, delay=0.05, jitter=False)).run({"x": [1, 2]})
    assert time.monotonic() - started >= 0.1


def test_jitter_waits_a_part_of_the_time() -> None:
    run = once(Flaky(3), retries=Retries(3, delay=0.01, backoff=1)).run({"x": 1})
    delays = [one.delay for one in Loader(str(run.run_folder), trust=False).events() if isinstance(one, BlockRetrying)]
    assert all(0 <= delay < 0.01 for delay in delays)
    assert len(set(delays)) > 1


def test_a_setting_of_the_pipeline_or_the_run_holds_where_the_block_says_nothing() -> None:
    for settings, at_run in (({"retries": 1}, {}), ({}, {"retries": 1}), ({"retries": 0}, {"retries": 1})):
        flaky = Flaky(1)
        pipeline = Pipeline("p", [block(flaky, name="y")], **settings)  # type: ignore[arg-type]
        assert pipeline.run({"x": 1}, **at_run).status == "completed"  # type: ignore[arg-type]


def test_the_nearest_setting_wins_and_0_means_none() -> None:
    flaky = Flaky(1)
    pipeline = Pipeline("p", [block(flaky, name="y", retries=0)], retries=5)
    assert pipeline.run({"x": 1}, retries=5, raise_on_error=False).status == "failed"
    assert flaky.calls[1] == 1
    inherits = Flaky(1)
    assert Pipeline("p", [block(inherits, name="y", retries=None)], retries=1).run({"x": 1}).status == "completed"


def test_the_error_of_a_later_attempt_does_not_name_the_earlier_ones_as_its_context() -> None:
    run = mapped(Flaky(9), retries=2).run({"x": [1]}, raise_on_error=False)
    assert "During handling" not in run.errors[0].traceback

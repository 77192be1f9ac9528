"""Settings: which values make sense, and which level wins."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runstone.core.settings import Level, Missing, OnError, Retries, Settings, read_settings, resolve, resolve_run
from runstone.errors import SettingError


def read(level: Level = Level.BLOCK, /, **given: Any) -> Settings:
    return read_settings(level, "block 'parse'", given)


def test_retries_may_be_given_as_a_number() -> None:
    assert read(retries=2).retries == Retries(2)
    assert Retries(2).wait_before(2, 0.9) == 0


def test_waits_grow_up_to_the_longest() -> None:
    retries = Retries(9, delay=1, backoff=3, max_delay=10, jitter=False)
    assert [retries.wait_before(attempt, 0.5) for attempt in range(1, 6)] == [0, 1, 3, 9, 10]


def test_a_wait_that_no_float_can_hold_is_the_longest() -> None:
    assert Retries(9999, delay=1, jitter=False).wait_before(9999, 0) == 60


@given(st.integers(1, 5000), st.floats(0, 1, exclude_max=True), st.floats(0, 1e6), st.floats(1, 100))
def test_jitter_leaves_a_part_of_the_wait(attempt: int, random: float, delay: float, backoff: float) -> None:
    full = Retries(1, delay=delay, backoff=backoff, jitter=False).wait_before(attempt, random)
    part = Retries(1, delay=delay, backoff=backoff).wait_before(attempt, random)
    assert part == full * random <= 60


def test_only_named_exceptions_are_tried_again() -> None:
    assert Retries(1).allows(ValueError())
    assert not Retries(1).allows(KeyboardInterrupt())
    assert Retries(1, on=OSError).allows(FileNotFoundError())
    assert not Retries(1, on=[OSError]).allows(ValueError())


@pytest.mark.parametrize(
    "wrong",
    [
        {"count": -1},
        {"count": 1.5},
        {"count": True},
        {"count": 1, "delay": -1},
        {"count": 1, "delay": math.nan},
        {"count": 1, "max_delay": math.inf},
        {"count": 1, "backoff": 0.5},
        {"count": 1, "jitter": 1},
        {"count": 1, "on": ()},
        {"count": 1, "on": ValueError()},
        {"count": 1, "on": "ValueError"},
    ],
)
def test_retries_that_make_no_sense_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(SettingError, match="Retries"):
        Retries(**wrong)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("retries", -1),
        ("retries", True),
        ("retries", "2"),
        ("timeout", -1),
        ("timeout", "5"),
        ("timeout", True),
        ("when", True),
        ("on_error", "ignore"),
        ("on_error", []),
        ("missing", "fill"),
        ("max_parallel", -1),
        ("max_parallel", 1.0),
        ("cache", 1),
        ("version", 2),
        ("version", ""),
        ("tags", "docs"),
        ("tags", [1]),
        ("tags", 3),
        ("tags", [""]),
    ],
)
def test_values_that_make_no_sense_are_refused_and_the_place_is_told(name: str, value: Any) -> None:
    with pytest.raises(SettingError, match=rf"^block 'parse': {name}="):
        read(**{name: value})


@pytest.mark.parametrize("value", [True, False])
def test_results_are_cached_or_not(value: bool) -> None:
    assert read(cache=value).cache is value


@pytest.mark.parametrize("executor", ["dask", "Threads", "", 4, object(), type(None)])
def test_an_executor_has_a_name_we_know_or_a_method_submit(executor: Any) -> None:
    with pytest.raises(SettingError, match="or give an Executor of concurrent"):
        read(executor=executor)


def test_no_limit_can_be_said_of_what_has_no_effect_yet() -> None:
    assert read(timeout=0, cache=False, executor="inline") == Settings(timeout=0.0, cache=False, executor="inline")


def test_a_misspelt_setting_is_suggested() -> None:
    with pytest.raises(SettingError, match="did you mean 'retries'"):
        read(retry=2)
    with pytest.raises(SettingError, match="there are cache, executor"):
        read(zzz=2)


@pytest.mark.parametrize(
    ("level", "given", "meant"),
    [
        (Level.RUN, "run_foldr", "run_folder"),
        (Level.RUN, "show_progres", "show_progress"),
        (Level.RUN, "overwite", "overwrite"),
        (Level.PIPELINE, "descripton", "description"),
        (Level.BLOCK, "outputs", "output"),
        (Level.BLOCK, "map_spec", "mapspec"),
    ],
)
def test_a_misspelt_argument_is_suggested_like_a_setting(level: Level, given: str, meant: str) -> None:
    with pytest.raises(SettingError, match=f"there is no setting '{given}'; did you mean '{meant}'"):
        read(level, **{given: 1})


def test_settings_of_a_block_are_pointed_there() -> None:
    for name in ("when", "missing"):
        for level in (Level.RUN, Level.PIPELINE):
            with pytest.raises(SettingError, match="a setting of a block"):
                read(level, **{name: "drop"})
    with pytest.raises(SettingError, match="a setting of a block, not of a run"):
        read(Level.RUN, version="2")
    assert read(Level.PIPELINE, version="2").version == "2"


def test_none_inherits_and_the_nearest_wins() -> None:
    block, run, pipeline = read(retries=None), read(Level.RUN, retries=1), read(Level.PIPELINE, retries=2)
    nothing = Settings()
    assert resolve(read(retries=3), run, pipeline).retries == Retries(3)
    assert resolve(block, run, pipeline).retries == Retries(1)
    assert resolve(block, nothing, pipeline).retries == Retries(2)
    assert resolve(block, nothing, nothing).retries == Retries(0)


def test_zero_is_a_value_and_not_inherited() -> None:
    pipeline = read(Level.PIPELINE, retries=2, max_parallel=4)
    resolved = resolve(read(retries=0, max_parallel=0), Settings(), pipeline)
    assert (resolved.retries, resolved.max_parallel) == (Retries(0), 0)


def test_what_a_pipeline_says_of_the_whole_run_is_not_inherited_by_blocks() -> None:
    pipeline = read(Level.PIPELINE, on_error="continue", version="2", tags=["docs"])
    resolved = resolve(Settings(), Settings(), pipeline)
    assert (resolved.on_error, resolved.version, resolved.tags, resolved.missing) == (OnError.FAIL, None, (), None)
    assert resolve(read(missing="drop"), Settings(), pipeline).missing is Missing.DROP


def test_a_run_wins_over_its_pipeline_and_their_tags_are_joined() -> None:
    pipeline = read(Level.PIPELINE, on_error="continue", version="2", tags=["docs", "a"])
    assert resolve_run(Settings(), pipeline).on_error is OnError.CONTINUE
    resolved = resolve_run(read(Level.RUN, on_error="fail", tags=("b", "a")), pipeline)
    assert (resolved.on_error, resolved.version, resolved.tags) == (OnError.FAIL, "2", ("docs", "a", "b"))
    assert resolve_run(Settings(), Settings()).on_error is OnError.FAIL

"""What of an earlier run a new one takes over, and the reasons that are given for the rest."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runstone.core.arrays import unravel
from runstone.core.causes import Cause, Why
from runstone.core.dependants import touched
from runstone.core.ranges import Range, numbers, to_ranges
from runstone.core.records import BlockInfo, ParameterInfo
from runstone.core.reuse import Action, BlockPlan, Earlier, Side, differences, plan
from runstone.core.run_state import BlockState, RunState
from runstone.core.statuses import BlockStatus

CODE = {"function": "f0", "calls:helpers.clean": "c0", "python": "3.11"}


def info(name: str, *takes: str, mapspec: str | None = None, upstream: tuple[str, ...] = (), **more: Any) -> BlockInfo:
    outputs = more.pop("outputs", [name])
    return BlockInfo(
        name=name,
        outputs=outputs,
        mapspec=mapspec,
        parameters=[ParameterInfo(name=each) for each in takes],
        upstream=list(upstream),
        code=more.pop("code", CODE),
        **more,
    )


BLOCKS = [
    info("names", "root"),
    info("parse", "names", "unit", mapspec="names[i] -> parse[i]", upstream=("names",)),
    info("cross", "parse", "cols", mapspec="parse[i], cols[j] -> cross[i, j]", upstream=("parse",)),
    info("mean", "cross", upstream=("cross",)),
    info("alone", "seed"),
]
PARAMETERS: dict[str, str | None] = {"root": "r", "unit": "u", "cols": "c", "seed": "s"}
SHAPES = {"parse": [4], "cross": [4, 3]}


def state(**changed: BlockState) -> RunState:
    blocks = {}
    for block in BLOCKS:
        shape = SHAPES.get(block.name)
        total = 1
        for length in shape or []:
            total *= length
        blocks[block.name] = BlockState(status=BlockStatus.COMPLETED, shape=shape, ok=total)
    return RunState(blocks={**blocks, **changed})


def earlier(run: RunState | None = None, held: Mapping[str, list[Range]] | None = None, **sides: Any) -> Earlier:
    run = run or state()
    all_held = {name: [(0, block.ok)] if block.ok else [] for name, block in run.blocks.items()}
    side = Side(blocks=sides.get("blocks", BLOCKS), parameters=sides.get("parameters", PARAMETERS))
    return Earlier(side=side, state=run, held={**all_held, **(held or {})})


def new(change: Callable[[dict[str, BlockInfo]], None] | None = None, **parameters: str | None) -> Side:
    blocks = {block.name: block for block in BLOCKS}
    if change is not None:
        change(blocks)
    return Side(blocks=list(blocks.values()), parameters={**PARAMETERS, **parameters})


def changing(name: str, **fields: Any) -> Callable[[dict[str, BlockInfo]], None]:
    def change(blocks: dict[str, BlockInfo]) -> None:
        blocks[name] = msgspec.structs.replace(blocks[name], **fields)

    return change


def actions(plans: Mapping[str, BlockPlan]) -> dict[str, str]:
    return {name: each.action.value for name, each in plans.items()}


def reasons(plans: Mapping[str, BlockPlan], name: str) -> list[str]:
    return [str(why) for why in plans[name].why]


def test_the_same_run_again_is_taken_over_whole() -> None:
    plans = plan(earlier(), new())
    assert set(actions(plans).values()) == {"reuse"}
    assert reasons(plans, "parse") == ["code and inputs are the same"]
    assert plans["cross"].kept == [(0, 12)]
    assert plans["alone"].kept == [(0, 1)]
    assert differences(earlier().side, new()) == []


LESS_CODE = {"function": "f0", "python": "3.11"}
RENAMED = [ParameterInfo(name="names", function_name="x"), ParameterInfo(name="unit")]
CHANGES: list[tuple[Side, str, str]] = [
    (new(changing("parse", code={**CODE, "function": "f1"})), "parse", "code function changed"),
    (new(changing("parse", code={**CODE, "calls:helpers.clean": "c1"})), "parse", "code calls:helpers.clean changed"),
    (new(changing("parse", code={**CODE, "constant:a.B": "x"})), "parse", "code constant:a.B is new"),
    (new(changing("parse", code=LESS_CODE)), "parse", "code calls:helpers.clean is not there any more"),
    (new(changing("parse", code={**CODE, "closure": "?"})), "parse", "code closure cannot be compared"),
    (new(changing("parse", code={})), "parse", "code function cannot be compared"),
    (new(changing("parse", mapspec="names[k] -> parse[k]")), "parse", "setting mapspec changed"),
    (new(changing("parse", missing="drop")), "parse", "setting missing changed"),
    (new(changing("parse", conditional=True, condition=["unit"])), "parse", "setting when changed"),
    (new(changing("parse", parameters=RENAMED)), "parse", "setting parameters changed"),
    (new(unit="u1"), "parse", "parameter unit changed"),
    (new(unit=None), "parse", "parameter unit cannot be compared"),
    (new(cols="c1"), "cross", "parameter cols changed"),
    (new(root="r1"), "names", "parameter root changed"),
]  # fmt: skip
BELOW = {"names": {"parse", "cross", "mean"}, "parse": {"cross", "mean"}, "cross": {"mean"}}


@pytest.mark.parametrize(("side", "name", "reason"), CHANGES)
def test_a_change_is_named_and_reaches_what_comes_after_it(side: Side, name: str, reason: str) -> None:
    plans = plan(earlier(), side)
    assert reason in reasons(plans, name)
    again = {block for block, each in plans.items() if each.action is Action.RUN}
    assert again == {name} | BELOW[name]
    assert f"upstream {name} runs again" in [text for block in BELOW[name] for text in reasons(plans, block)]
    assert [str(why) for why in differences(earlier().side, side)] == [reason]


def test_an_unresolved_part_is_not_even_the_same_as_itself() -> None:
    change = changing("alone", code={**CODE, "closure": "?"})
    side = new(change)
    plans = plan(earlier(blocks=side.blocks), side)
    assert reasons(plans, "alone") == ["code closure cannot be compared"]
    assert differences(side, side)
    assert actions(plans)["parse"] == "reuse"


def test_what_does_not_change_a_result_is_no_reason() -> None:
    assert differences(earlier().side, new(changing("parse", tolerated=True, loader="elsewhere:parse", doc="x"))) == []


def test_blocks_that_came_and_went_are_named() -> None:
    def change(blocks: dict[str, BlockInfo]) -> None:
        del blocks["alone"]
        blocks["fresh"] = info("fresh", "root")

    assert reasons(plan(earlier(), new(change)), "fresh") == ["block fresh is new"]
    assert [str(why) for why in differences(earlier().side, new(change))] == [
        "block fresh is new",
        "block alone is not there any more",
    ]


def test_what_only_a_condition_asks_for_counts_too() -> None:
    def change(blocks: dict[str, BlockInfo]) -> None:
        blocks["alone"] = info("alone", "seed", conditional=True, condition=["root", "mean"])

    with_condition = new(change)
    before = earlier(blocks=with_condition.blocks)
    assert reasons(plan(before, new(change, root="r1")), "alone") == [
        "parameter root changed",
        "upstream mean runs again",
    ]


def test_a_block_that_takes_all_the_rest_depends_on_all_the_rest() -> None:
    def change(blocks: dict[str, BlockInfo]) -> None:
        blocks["alone"] = info("alone", "seed", takes_extra=True)

    side = new(change, extra="e")
    before = earlier(blocks=side.blocks, parameters={**PARAMETERS, "extra": "e"})
    assert actions(plan(before, side))["alone"] == "reuse"
    assert reasons(plan(before, new(change, extra="e1")), "alone") == ["parameter extra changed"]
    assert actions(plan(before, new(change, extra="e", unit="u1")))["alone"] == "reuse"


UNMADE = [
    (BlockState(status=BlockStatus.FAILED), "it failed before"),
    (BlockState(status=BlockStatus.CRASHED), "it failed before"),
    (BlockState(status=BlockStatus.CONDITION_FAILED), "its condition is asked again"),
    (BlockState(status=BlockStatus.UPSTREAM_FAILED), "it was not computed before"),
    (BlockState(status=BlockStatus.CANCELLED), "it was not computed before"),
    (BlockState(), "it was not computed before"),
    (BlockState(status=BlockStatus.RUNNING), "it was not computed before"),
]


@pytest.mark.parametrize(("before", "reason"), UNMADE)
def test_a_block_that_made_nothing_runs(before: BlockState, reason: str) -> None:
    plans = plan(earlier(state(alone=before, parse=before)), new())
    assert reasons(plans, "alone") == [reason]
    assert reasons(plans, "parse") == [reason]
    assert (plans["alone"].action, plans["alone"].elements) == (Action.RUN, None)


def test_an_output_that_is_gone_is_made_again() -> None:
    plans = plan(earlier(held={"alone": []}), new())
    assert reasons(plans, "alone") == ["output alone is missing on disk"]


def test_only_failed_elements_and_what_depends_on_them_are_computed_again() -> None:
    degraded = BlockState(status=BlockStatus.DEGRADED, shape=[4], ok=3, failed=1)
    below = BlockState(status=BlockStatus.DEGRADED, shape=[4, 3], ok=9, upstream_failed=3)
    plans = plan(
        earlier(state(parse=degraded, cross=below), {"parse": [(0, 1), (2, 4)], "cross": [(0, 3), (6, 12)]}), new()
    )
    assert actions(plans) == {
        "names": "reuse",
        "parse": "continue",
        "cross": "continue",
        "mean": "run",
        "alone": "reuse",
    }
    assert (plans["parse"].kept, plans["parse"].elements) == ([(0, 1), (2, 4)], [(1, 2)])
    assert (plans["cross"].kept, plans["cross"].elements) == ([(0, 3), (6, 12)], [(3, 6)])
    assert reasons(plans, "parse") == ["1 element failed before"]
    assert reasons(plans, "cross") == [
        "3 elements were not computed before",
        "upstream parse: 1 element is computed again",
    ]
    assert reasons(plans, "mean") == ["upstream cross: 3 elements are computed again"]


def test_an_element_whose_input_is_computed_again_is_not_kept_though_it_was_well() -> None:
    plans = plan(earlier(held={"parse": [(0, 2), (3, 4)]}), new())
    assert plans["parse"].elements == [(2, 3)]
    assert plans["cross"].elements == [(6, 9)]
    assert reasons(plans, "parse") == ["output parse: 1 element is missing on disk"]


def test_a_map_over_nothing_is_taken_over() -> None:
    empty = state(
        parse=BlockState(status=BlockStatus.COMPLETED, shape=[0]),
        cross=BlockState(status=BlockStatus.COMPLETED, shape=[0, 3]),
    )
    plans = plan(earlier(empty), new())
    assert set(actions(plans).values()) == {"reuse"}


def test_a_reason_says_its_sentence() -> None:
    assert str(Why(cause=Cause.FAILED, elements=1200)) == "1,200 elements failed before"
    assert all(str(Why(cause=cause, subject="x", before="a", after="b", elements=2)) for cause in Cause)
    assert all(str(Why(cause=cause)) for cause in Cause)
    assert str(Why(cause="by_decree", subject="x")) == "by_decree x", "the word of a newer version is told as it is"
    told = Why(cause=Cause.CODE, subject="function", before="a", after="b")
    assert msgspec.json.decode(msgspec.json.encode(told), type=Why) == told


# which elements depend on which

lengths = st.integers(1, 4)


@given(st.data())
def test_dependants_are_those_that_a_walk_over_all_elements_finds(data: st.DataObject) -> None:
    axes = data.draw(st.permutations("ijkl"))[: data.draw(st.integers(1, 3))]
    size = {axis: data.draw(lengths) for axis in "ijkl"}
    theirs = data.draw(st.lists(st.sampled_from(axes), min_size=1, unique=True))
    others = [axis for axis in axes if axis not in theirs]
    left = ", ".join([f"made[{', '.join(theirs)}]", *(f"p{axis}[{axis}]" for axis in others)])
    block = info("block", "made", mapspec=f"{left} -> block[{', '.join(axes)}]")
    source = ", ".join(f"q{axis}[{axis}]" for axis in theirs)
    maker = info("made", mapspec=f"{source} -> made[{', '.join(theirs)}]")
    shape, made = [size[axis] for axis in axes], [size[axis] for axis in theirs]
    again = data.draw(st.sets(st.integers(0, _total(made) - 1)))
    found = touched(block, shape, maker, made, to_ranges(sorted(again)))
    assert found is not None
    expected = set()
    for number in range(_total(shape)):
        place = dict(zip(axes, unravel(number, shape), strict=True))
        flat = 0
        for axis in theirs:
            flat = flat * size[axis] + place[axis]
        if flat in again:
            expected.add(number)
    assert set(numbers(found)) == expected


def _total(shape: list[int]) -> int:
    total = 1
    for length in shape:
        total *= length
    return total


@pytest.mark.parametrize(
    ("own", "other", "shape", "theirs"),
    [
        ("made[i, :] -> b[i]", "x[i], y[j] -> made[i, j]", [2], [2, 3]),
        ("z[i] -> b[i]", "x[i] -> made[i]", [2], [2]),
        ("made[i, j] -> b[i, j]", "x[i] -> made[i, j]", [2, 3], [2]),
        ("made[i] -> b[i]", "x[i] -> made[i]", [2], [3]),
        ("not a mapspec", "x[i] -> made[i]", [2], [2]),
    ],
)
def test_where_an_element_may_depend_on_all_of_them_nothing_is_kept(
    own: str, other: str, shape: list[int], theirs: list[int]
) -> None:
    assert touched(info("b", "made", mapspec=own), shape, info("made", mapspec=other), theirs, [(0, 1)]) is None


def test_a_condition_may_look_at_all_elements() -> None:
    block = info("b", "made", mapspec="made[i] -> b[i]", conditional=True, condition=["made"])
    assert touched(block, [2], info("made", mapspec="x[i] -> made[i]"), [2], [(0, 1)]) is None

"""What failures lead to, on elements and blocks, against the rules stated a second time."""

from __future__ import annotations

import tempfile
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import runstone
from runstone import Failed, Pipeline, PipelineError, RunFailed, block
from runstone.folder import observe

COUNT = 6
elements = st.sets(st.integers(0, COUNT - 1))


class Told(Exception):
    """What blocks in these tests raise."""


def cells(array: Any) -> list[Any]:
    """Values, and for elements without one the word for why."""
    return [one.status if isinstance(one, Failed) else one for one in array]


@settings(max_examples=60, deadline=None)
@given(
    bad_first=elements,
    bad_second=elements,
    tolerant=st.tuples(st.booleans(), st.booleans()),
    missing=st.sampled_from(["drop", "keep"]),
    independent=st.booleans(),
)
def test_failed_elements_go_through_a_pipeline_as_the_rules_say(
    bad_first: set[int], bad_second: set[int], tolerant: tuple[bool, bool], missing: str, independent: bool
) -> None:
    called: dict[str, list[int]] = {"first": [], "second": []}

    def first(x: int) -> int:
        called["first"].append(x)
        if x in bad_first:
            raise Told(f"first {x}")
        return x

    def second(y: int) -> int:
        called["second"].append(y)
        if y in bad_second:
            raise Told(f"second {y}")
        return 10 * y

    def total(z: list[Any]) -> list[Any]:
        return cells(z)

    def aside() -> str:
        return "done"

    blocks = [
        block(first, mapspec="x[i] -> y[i]", on_error="continue" if tolerant[0] else "fail"),
        block(second, mapspec="y[i] -> z[i]", on_error="continue" if tolerant[1] else "fail"),
        block(total, missing=missing),
        block(aside),
    ]
    pipeline = Pipeline("p", blocks, on_error="continue" if independent else "fail")

    # the rules
    y = ["failed" if x in bad_first else x for x in range(COUNT)]
    z: list[Any] = ["upstream_failed" if v == "failed" else "failed" if v in bad_second else 10 * v for v in y]
    if bad_first and (not tolerant[0] or len(bad_first) == COUNT):
        ends = {"first": "failed", "second": "upstream_failed", "total": "upstream_failed"}
    else:
        ends = {"first": "degraded" if bad_first else "completed"}
        good = sum(type(one) is int for one in z)
        if "failed" in z and (not tolerant[1] or not good):
            ends |= {"second": "failed", "total": "upstream_failed"}
        elif not good:
            ends |= {"second": "upstream_failed", "total": "upstream_failed"}
        else:
            ends |= {"second": "degraded" if good < COUNT else "completed", "total": "completed"}
    intolerable = (ends["first"] == "failed" and not tolerant[0]) or (ends["second"] == "failed" and not tolerant[1])
    ends["aside"] = "cancelled" if intolerable and not independent else "completed"
    failed = "failed" in ends.values()  # what follows each of these two depends on it
    expected = "failed" if failed else "degraded" if "degraded" in ends.values() else "completed"

    with tempfile.TemporaryDirectory() as place:
        kept = pipeline.run({"x": list(range(COUNT))}, run_folder=f"{place}/run", raise_on_error=False)
        calls = {name: list(which) for name, which in called.items()}
        memory = pipeline.run({"x": list(range(COUNT))}, run_folder=None, raise_on_error=False)
        for run in (kept, memory, runstone.open(f"{place}/run")):
            assert run.blocks == ends
            assert run.status == expected
            if ends["first"] in ("completed", "degraded"):
                assert cells(run.outputs["y"]) == y
            if ends["second"] in ("completed", "degraded"):
                assert cells(run.outputs["z"]) == z
                assert run.outputs["total"] == (z if missing == "keep" else [one for one in z if type(one) is int])
        status = observe.status(f"{place}/run")
    assert set(calls["second"]).isdisjoint(bad_first)
    if tolerant[0]:
        assert calls["first"] == list(range(COUNT))
        assert [one["element"] for one in status["errors"] if one["block"] == "first"] == sorted(bad_first)
    elif bad_first:
        assert calls["first"] == list(range(min(bad_first) + 1))
    assert not {"pending", "queued", "running"} & status["blocks"].keys()
    assert status["done"]


@pytest.fixture(autouse=True)
def _here(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def failing(name: str, *, on_error: str | None = None) -> Any:
    def fail() -> None:
        raise Told(name)

    return block(fail, name=name, on_error=on_error)


def taking(name: str, *needs: str, **settings: Any) -> Any:
    code = f"def {name}({', '.join(needs)}): return {name!r}"
    namespace: dict[str, Any] = {}
    exec(code, namespace)
    return block(namespace[name], **settings)


def ends(*blocks: Any, params: dict[str, Any] | None = None, **settings: Any) -> tuple[str, dict[str, str]]:
    run = Pipeline("p", blocks, **settings).run(params or {}, raise_on_error=False)
    found = runstone.open(str(run.run_folder))
    assert (found.status, found.blocks) == (run.status, run.blocks)
    return run.status, run.blocks


def test_order_among_independent_blocks_is_the_order_they_were_given_in() -> None:
    assert ends(taking("a"), failing("bad"), taking("b")) == (
        "failed", {"a": "completed", "bad": "failed", "b": "cancelled"},
    )  # fmt: skip


def test_what_was_skipped_stays_skipped_whatever_else_failed_and_in_whatever_order() -> None:
    def no() -> bool:
        return False

    skip, bad = taking("skip", when=no), failing("bad", on_error="continue")
    for blocks in ((skip, bad, taking("both", "skip", "bad")), (bad, skip, taking("both", "skip", "bad"))):
        status, found = ends(*blocks)
        assert found["both"] == "condition_failed"
        assert status == "degraded", "nothing that was not skipped depends on what failed"


def test_a_condition_is_not_asked_if_what_it_needs_has_failed() -> None:
    asked = []

    def condition(bad: Any) -> bool:
        asked.append(bad)
        return True

    status, found = ends(failing("bad"), taking("guarded", when=condition))
    assert (status, found, asked) == ("failed", {"bad": "failed", "guarded": "upstream_failed"}, [])


def test_a_condition_may_look_at_failed_elements_if_its_block_says_how() -> None:
    def enough(y: list[Any]) -> bool:
        return len(y) >= 2

    def odd(x: int) -> int:
        if x % 2 == 0:
            raise Told
        return x

    mapped = block(odd, mapspec="x[i] -> y[i]", on_error="continue")
    with pytest.raises(PipelineError, match="missing='drop'"):
        Pipeline("p", [mapped, taking("report", when=enough)])
    for numbers, expected in (([1, 2, 3], "completed"), ([1, 2], "condition_failed")):
        _, found = ends(mapped, taking("report", when=enough, missing="drop"), params={"x": numbers})
        assert found["report"] == expected


def test_a_condition_that_skips_a_mapped_block_skips_all_its_elements() -> None:
    def no() -> bool:
        return False

    def each(x: int) -> int:
        raise AssertionError("called")

    run = Pipeline("p", [block(each, mapspec="x[i] -> y[i]", when=no), taking("after", "y")]).run({"x": [1, 2]})
    assert (run.status, run.blocks) == ("completed", {"each": "condition_failed", "after": "condition_failed"})
    status = run.status_object()
    assert (status["n_outputs"], status["all_complete"]) == (0, True)


def test_a_tolerant_block_that_is_not_mapped_fails_alone() -> None:
    assert ends(failing("bad", on_error="continue"), taking("other"))[0] == "degraded"
    assert ends(failing("bad", on_error="continue"), taking("needs", "bad"), taking("other")) == (
        "failed", {"bad": "failed", "needs": "upstream_failed", "other": "completed"},
    )  # fmt: skip


def test_a_run_may_say_that_independent_branches_finish() -> None:
    pipeline = Pipeline("p", [failing("bad"), taking("other")])
    assert pipeline.run(raise_on_error=False).blocks["other"] == "cancelled"
    assert pipeline.run(raise_on_error=False, on_error="continue").blocks["other"] == "completed"
    with pytest.raises(RunFailed, match=r"bad: .*Told: bad"):
        pipeline.run(on_error="continue")


@pytest.mark.parametrize("how", ["drop", "keep"])
def test_rows_of_a_grid_come_without_or_with_their_failed_cells(how: str) -> None:
    def cell(x: int, y: int) -> int:
        if x == y:
            raise Told
        return 10 * x + y

    def row(z: list[Any]) -> list[Any]:
        return cells(z)

    run = Pipeline(
        "p",
        [
            block(cell, mapspec="x[i], y[j] -> z[i, j]", on_error="continue"),
            block(row, mapspec="z[i, :] -> r[i]", missing=how),
        ],
    ).run({"x": [1, 2], "y": [1, 2, 3]})
    expected = {"drop": [[12, 13], [21, 23]], "keep": [["failed", 12, 13], [21, "failed", 23]]}[how]
    assert (run.status, run.outputs["r"].to_list()) == ("degraded", expected)


def test_a_failed_element_that_is_used_fails_its_user_with_the_reason() -> None:
    def each(x: int) -> int:
        if x == 1:
            raise Told("no one")
        return x

    def add(y: list[int]) -> int:
        return sum(y)

    run = Pipeline("p", [block(each, mapspec="x[i] -> y[i]", on_error="continue"), block(add, missing="keep")]).run(
        {"x": [0, 1]}, raise_on_error=False
    )
    assert run.status == "failed"
    assert run.errors[-1].type == "FailedElement"
    assert "element 1 of block 'each' failed with" in run.errors[-1].message
    assert "no one" in run.errors[-1].message
